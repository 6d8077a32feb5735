// Package agent is what runs on a burst node: it proves where it is, gets a
// credential, mounts the slice, runs the job, returns what the job left, and
// lets go.
//
// # Born with nothing
//
// User data holds no secret. The node's key is made in memory and never leaves
// it; the certificate lives minutes and is renewed at half its life by the same
// plea that got it. The agent obeys orders that follow from the log, so a lost
// order is simply heard again.
//
// # The job
//
// A job is a process group in the payload's directory. Its environment is PATH,
// HOME and TMPDIR (a directory of its own), BURST_SLICE (the data), BURST_OUT
// (where the outputs are looked for) and BURST_REPORT, nothing else. Its network
// is a loopback of its own: no metadata service, no way out. A line written to
// the pipe BURST_REPORT, as tunnel.ParseProgress reads it, is progress, and so is
// a line on standard output that reads so, or JSON with an epoch. SIGTERM means that the provider takes the
// machine back: what lies in BURST_OUT twenty seconds later is returned, so a
// job that leaves checkpoints there can go on elsewhere.
//
// # Non-goals
//
// The agent is not trusted by anyone. It counts nothing that matters: what was
// served is counted at the edge, where the node is is proven by its provider,
// and its own lease ends it even if it would not end itself.
package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/errgroup"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

// Config is what an agent is started with.
type Config struct {
	UserData pools.UserData
	Metadata Metadata
	Road     string // host:port to listen on for the edge
	Scratch  string // directory of its own; mount, payload and outputs lie below it
	FUSE     bool   // try to mount; else, and where it cannot be, a verified copy
	Strict   bool   // a job that cannot have a network of its own is not run
	Logger   *slog.Logger
}

// Agent is a running node. Made by [Run].
type Agent struct {
	Config
	key     *ecdsa.PrivateKey
	keyID   string // "sha256:…" of the public key
	client  *control.Client
	mu      sync.Mutex // guards what follows
	cert    *tls.Certificate
	expires time.Time
}

// linger is how long a node whose credential was refused still answers on the
// road, so that the edge can see it refused there too.
const linger = 700 * time.Millisecond

// errEnded: the controller said that this node is done.
var errEnded = errors.New("the burst has ended")

// Run lives the node's life. It returns nil when it was told to end.
func Run(ctx context.Context, c Config) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make node key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("make node key: %w", err)
	}
	sum := sha256.Sum256(spki)
	a := &Agent{Config: c, key: key, keyID: "sha256:" + hex.EncodeToString(sum[:])}
	a.client = control.NewClient(control.Options{Address: c.UserData.Control, Domain: c.UserData.Domain,
		Pin: c.UserData.CA, Cert: a.certificate})
	answer, err := a.plead(ctx)
	if err != nil {
		return fmt.Errorf("plead for %s: %w", c.UserData.Claim, err)
	}
	if err := a.live(ctx, answer); !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// certificate is the newest one; before the first, an empty one, which says
// nothing about who calls.
func (a *Agent) certificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cert == nil {
		return &tls.Certificate{}, nil
	}
	return a.cert, nil
}

// pleadFor bounds a plea: a node that has no credential by then never had one,
// or has lost it.
const pleadFor = tunnel.MaxTTL

// plead asks until it is granted or refused; it keeps asking while the
// controller says wait and while the one thing or the other cannot be reached.
func (a *Agent) plead(ctx context.Context) (tunnel.Answer, error) {
	var answer tunnel.Answer
	var last error
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(pleadFor))
	err := backoff.RetryNotify(func() (err error) {
		answer, err = a.hello(ctx)
		switch {
		case err != nil:
			return err
		case answer.Standing == tunnel.Refused:
			return backoff.Permanent(fmt.Errorf("refused: %s", answer.Why))
		case answer.Standing != tunnel.Granted:
			return fmt.Errorf("told to wait: %s", answer.Why)
		}
		return nil
	}, backoff.WithContext(pause, ctx), func(err error, _ time.Duration) {
		if last == nil || last.Error() != err.Error() {
			a.Logger.InfoContext(ctx, "not granted yet", "error", err.Error())
		}
		last = err
	})
	if err != nil && ctx.Err() != nil && last != nil {
		err = fmt.Errorf("%w (before: %w)", err, last)
	}
	return answer, err
}

// hello makes one plea with a fresh challenge and fresh evidence.
func (a *Agent) hello(ctx context.Context) (tunnel.Answer, error) {
	u := a.UserData
	nonce, grant, err := a.client.Challenge(ctx, u.Claim, u.Attempt)
	if err != nil {
		return tunnel.Answer{}, err
	}
	h := tunnel.Hello{Claim: u.Claim, Attempt: u.Attempt, Nonce: nonce}
	if h.Evidence, err = a.Metadata.Evidence(ctx, nonce, a.keyID); err != nil {
		return tunnel.Answer{}, err
	}
	if h.CSR, err = a.request(grant); err != nil {
		return tunnel.Answer{}, err
	}
	if h.Proof, err = ecdsa.SignASN1(rand.Reader, a.key, h.Signed()); err != nil {
		return tunnel.Answer{}, fmt.Errorf("prove key: %w", err)
	}
	answer, err := a.client.Hello(ctx, h)
	if err != nil || answer.Standing != tunnel.Granted {
		return answer, err
	}
	return answer, a.take(answer.Credential)
}

// request is a certificate request that names the grant and nothing else.
func (a *Agent) request(grant string) ([]byte, error) {
	uri, err := url.Parse(tunnel.GrantURI(a.UserData.Domain, grant))
	if err != nil {
		return nil, fmt.Errorf("name grant: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{uri}}, a.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// take starts to use a credential.
func (a *Agent) take(c *tunnel.Credential) error {
	cert := &tls.Certificate{PrivateKey: a.key}
	for rest := c.Chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert.Certificate = append(cert.Certificate, block.Bytes)
	}
	if len(cert.Certificate) == 0 {
		return errors.New("take credential: it holds no certificate")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cert, a.expires = cert, c.NotAfter
	a.client.Forget()
	return nil
}

// live renews, obeys and works until told to end.
func (a *Agent) live(ctx context.Context, answer tunnel.Answer) error {
	g, ctx := errgroup.WithContext(ctx)
	w, err := a.open(ctx, answer)
	if err != nil {
		return err
	}
	defer w.close()
	g.Go(func() error { return a.renew(ctx, w) })
	g.Go(func() error { return a.obey(ctx, w) })
	g.Go(func() error { return a.watch(ctx, w) })
	g.Go(func() error { return w.run(ctx) })
	return g.Wait()
}

// attestEvery is the longest pause between two pleas. With the time that a plea
// takes, the place of a live mount is proven anew at least every five minutes,
// however long its credential lives.
const attestEvery = 4 * time.Minute

// pause is how long a credential that lives for left is not renewed.
func pause(left time.Duration) time.Duration {
	return min(max(left/2, 50*time.Millisecond), attestEvery)
}

// renew pleads again at half the credential's life. A refusal ends nothing by
// itself: the controller cuts, and this end sees its orders.
func (a *Agent) renew(ctx context.Context, w *work) error {
	for {
		a.mu.Lock()
		left := time.Until(a.expires)
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-w.letGo:
			return nil
		case <-time.After(pause(left)):
		}
		bounded, cancel := context.WithDeadline(ctx, a.expires)
		answer, err := a.plead(bounded)
		cancel()
		if err != nil {
			a.Logger.WarnContext(ctx, "credential not renewed", "error", err.Error())
			sleep(ctx, time.Second)
			continue
		}
		w.road.SetReceipt(answer.Receipt)
		a.Logger.InfoContext(ctx, "credential renewed",
			"serial", answer.Credential.Serial, "not_after", answer.Credential.NotAfter)
	}
}

// obey follows orders. Being refused after having been told to let go is the
// end: the controller has seen that our old credential opens nothing.
func (a *Agent) obey(ctx context.Context, w *work) error {
	var since int64 = -1
	for ctx.Err() == nil {
		order, n, err := a.client.Orders(ctx, since)
		if control.Refused(err) {
			a.Logger.InfoContext(ctx, "credential is refused")
			w.release()
			sleep(ctx, linger)
			return errEnded
		}
		if err != nil {
			a.Logger.DebugContext(ctx, "orders not heard", "error", err.Error())
			since = -1
			sleep(ctx, 200*time.Millisecond)
			continue
		}
		since = n
		switch order {
		case tunnel.OrderUnmount:
			w.release()
			if err := a.client.Report(ctx, "unmounted", struct{}{}); err != nil {
				a.Logger.DebugContext(ctx, "unmounting not reported", "error", err.Error())
				since = -1
			}
		case tunnel.OrderProbe, tunnel.OrderExit:
			w.release()
			a.client.Forget()
			sleep(ctx, 20*time.Millisecond)
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
