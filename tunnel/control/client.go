package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// Problem is how the endpoint says no (RFC 9457 problem details).
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return fmt.Sprintf("controller says no (%s): %s", p.Code, p.Detail) }

// Refused reports whether err says that the caller's credential is not, or no
// longer, good. Only a controller that proved itself can say so.
func Refused(err error) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && (p.Status == http.StatusForbidden || p.Status == http.StatusUnauthorized)
}

// request and answer bodies of the node's and the edge's calls.
type (
	challenge struct {
		Claim   string `json:"claim"`
		Attempt int    `json:"attempt"`
	}
	challenged struct {
		Nonce string `json:"nonce"`
		Grant string `json:"grant"`
	}
	orders struct {
		Order tunnel.Order `json:"order"`
		N     int64        `json:"n"`
	}
	cosigned struct {
		Checkpoint []byte `json:"checkpoint"`
	}
)

// Options say whom to call and as whom.
type Options struct {
	Address string         // host:port
	Domain  string         // trust domain; the server must be its controller
	Roots   *x509.CertPool // the house CA; nil with Pin
	Pin     string         // "sha256:…" of the house CA's DER, when that is all one knows
	Cert    func() (*tls.Certificate, error)
	Token   func() (string, error) // an OIDC token instead of a certificate; nil is none
}

// Client calls the endpoint. Made by [NewClient].
type Client struct {
	base  string
	http  *http.Client
	token func() (string, error)
	house atomic.Pointer[x509.CertPool]
	date  atomic.Pointer[time.Time]
}

// House is the pool of the house CA: the one given, or the one the pin proved
// on a connection made since. Before that it is empty.
func (c *Client) House() *x509.CertPool {
	if p := c.house.Load(); p != nil {
		return p
	}
	return x509.NewCertPool()
}

// Date is what the controller's clock said with its last answer, to the second;
// the zero time before the first.
func (c *Client) Date() time.Time {
	if d := c.date.Load(); d != nil {
		return *d
	}
	return time.Time{}
}

// NewClient returns a client that speaks only to the domain's controller.
func NewClient(o Options) *Client {
	c := &Client{base: "https://" + o.Address, token: o.Token}
	conf := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // names are URI SANs: VerifyConnection does all of the verifying
		VerifyConnection: func(cs tls.ConnectionState) error {
			roots, err := o.verify(cs)
			if err == nil {
				c.house.Store(roots)
			}
			return err
		},
		NextProtos: []string{"http/1.1"},
	}
	if o.Cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Cert() }
	}
	dial := &net.Dialer{Timeout: 5 * time.Second}
	t := &http.Transport{TLSClientConfig: conf, DialContext: dial.DialContext, MaxIdleConnsPerHost: 4,
		IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: time.Minute}
	c.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // what is said is said to the controller and no one else
	}}
	return c
}

// verify checks that the server is the controller, by the house CA or its pin.
func (o Options) verify(cs tls.ConnectionState) (*x509.CertPool, error) {
	roots := o.Roots
	if o.Pin != "" {
		roots = x509.NewCertPool()
		for _, c := range cs.PeerCertificates {
			if sum := sha256.Sum256(c.Raw); "sha256:"+hex.EncodeToString(sum[:]) == o.Pin {
				roots.AddCert(c)
			}
		}
	}
	_, err := slice.VerifyPeer(cs, slice.Want{Roots: roots, Domain: o.Domain, Roles: []tunnel.Role{tunnel.RoleController},
		Usage: x509.ExtKeyUsageServerAuth})
	return roots, err
}

// Forget drops idle connections, so that the next call uses the certificate of then.
func (c *Client) Forget() { c.http.CloseIdleConnections() }

// call sends in (nil for none) and decodes the answer into out.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("call %s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	if c.token != nil {
		t, err := c.token()
		if err != nil {
			return fmt.Errorf("call %s: read token: %w", path, err)
		}
		req.Header.Set("Authorization", "Bearer "+t)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call controller: %w", err)
	}
	defer resp.Body.Close()
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.date.Store(&at)
	}
	d := json.NewDecoder(io.LimitReader(resp.Body, 16<<20))
	if resp.StatusCode == http.StatusOK {
		if err := d.Decode(out); err != nil {
			return fmt.Errorf("read answer of %s: %w", path, err)
		}
		return nil
	}
	p := &Problem{Status: resp.StatusCode}
	if err := d.Decode(p); err != nil {
		return fmt.Errorf("read answer of %s: status %s: %w", path, resp.Status, err)
	}
	return fmt.Errorf("call %s: %w", path, p)
}

// Challenge asks for the nonce of the next hello and the grant its CSR must name.
func (c *Client) Challenge(ctx context.Context, claim string, attempt int) (nonce, grant string, err error) {
	var out challenged
	err = c.call(ctx, "POST", "/v1/node/challenge", challenge{claim, attempt}, &out)
	return out.Nonce, out.Grant, err
}

// Hello pleads for a credential.
func (c *Client) Hello(ctx context.Context, h tunnel.Hello) (a tunnel.Answer, err error) {
	return a, c.call(ctx, "POST", "/v1/node/hello", h, &a)
}

// Orders waits for orders past since.
func (c *Client) Orders(ctx context.Context, since int64) (tunnel.Order, int64, error) {
	var out orders
	err := c.call(ctx, "GET", "/v1/node/orders?since="+strconv.FormatInt(since, 10), nil, &out)
	return out.Order, out.N, err
}

// Report says something of the job.
func (c *Client) Report(ctx context.Context, kind string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("report %s: %w", kind, err)
	}
	return c.call(ctx, "POST", "/v1/node/report", tunnel.Report{Kind: kind, Body: raw}, &struct{}{})
}

// Work waits for a site's work past since.
func (c *Client) Work(ctx context.Context, since int64) (w tunnel.Work, err error) {
	return w, c.call(ctx, "GET", "/v1/edge/work?since="+strconv.FormatInt(since, 10), nil, &w)
}

// Enter asks for an entry on behalf of the site.
func (c *Client) Enter(ctx context.Context, in tunnel.Entering) (out tunnel.Entered, err error) {
	return out, c.call(ctx, "POST", "/v1/edge/entries", in, &out)
}

// Extension waits for a checkpoint larger than old.
func (c *Client) Extension(ctx context.Context, old int64) (x tunnel.Extension, err error) {
	return x, c.call(ctx, "GET", "/v1/edge/extension?old="+strconv.FormatInt(old, 10), nil, &x)
}

// Cosign hands in a cosigned checkpoint.
func (c *Client) Cosign(ctx context.Context, checkpoint []byte) error {
	return c.call(ctx, "POST", "/v1/edge/cosignature", cosigned{checkpoint}, &struct{}{})
}

// Submit hands in a job for a site.
func (c *Client) Submit(ctx context.Context, site string, job policy.Job) (j JobInfo, err error) {
	return j, c.call(ctx, "POST", "/v1/jobs", submission{site, job}, &j)
}

// Status asks what the controller is doing.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, "GET", "/v1/status", nil, &s)
}

// Do asks for an action on a claim ("" where it concerns none).
func (c *Client) Do(ctx context.Context, action, claim, reason string) error {
	return c.call(ctx, "POST", "/v1/deeds", deed{action, claim, reason}, &struct{}{})
}
