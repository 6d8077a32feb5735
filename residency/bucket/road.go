package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Bounds of one request: how long it is tried again, how long the store may be
// silent, and how long an answer other than an object may be.
const (
	tryFor    = 20 * time.Second
	silence   = 30 * time.Second
	maxAnswer = 16 << 20
)

// road carries requests to one host and nowhere else.
type road struct {
	ctx          context.Context
	scheme, host string
	to           http.RoundTripper
}

func newRoad(ctx context.Context, scheme, host string, roots *x509.CertPool) *road {
	dial := &net.Dialer{Timeout: 5 * time.Second}
	return &road{ctx, scheme, host, &http.Transport{
		Proxy: nil, DialContext: dial.DialContext, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: silence, DisableCompression: true, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}}
}

// RoundTrip sends a request, and again while the store says that it is busy or
// does not answer. A redirect is an error.
func (r *road) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != r.scheme || req.URL.Host != r.host || req.Method != http.MethodGet {
		return nil, refuse("a request to another place than %s://%s", r.scheme, r.host)
	}
	if req.Context().Done() == nil { // a listing, which the client asks for without one
		req = req.WithContext(r.ctx)
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxElapsedTime = 100*time.Millisecond, tryFor
	resp, err := backoff.RetryWithData(func() (*http.Response, error) { return r.once(req) },
		backoff.WithContext(pause, req.Context()))
	switch {
	case errors.Is(err, ErrAway) || errors.Is(err, ErrRefused):
		return nil, err
	case err != nil: // there was no time for another try
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	if resp.StatusCode != http.StatusOK || req.URL.Query().Has("list-type") {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, nil
}

// once sends a request. What may be tried again is [ErrAway].
func (r *road) once(req *http.Request) (*http.Response, error) {
	resp, err := r.to.RoundTrip(req)
	if err != nil {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return nil, backoff.Permanent(refuse("its certificate is not trusted: %w", err))
		}
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		resp.Body.Close()
		return nil, fmt.Errorf("%w: it answers %s", ErrAway, resp.Status)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		resp.Body.Close()
		return nil, backoff.Permanent(refuse("the store sends elsewhere (%s)", resp.Status))
	}
	return resp, nil
}

// lively ends a body that is silent for too long.
type lively struct {
	io.Reader
	stop context.CancelFunc
}

func (l *lively) Read(p []byte) (int, error) {
	t := time.AfterFunc(silence, l.stop)
	defer t.Stop()
	return l.Reader.Read(p)
}
