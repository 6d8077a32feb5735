package bus

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says how to reach NATS. Either URL, TLS and CredsFile, or InProcess;
// the zero Config reaches nothing. There is no way to ask for plain text.
type Config struct {
	URL string // tls://host:port, several separated by commas
	// TLS verifies the server; TLS 1.3 at least, whatever it says.
	TLS *tls.Config
	// CredsFile holds the user's JWT and key, as busserver and nsc write them.
	// It must be readable by its owner alone; it is read again at each connect.
	CredsFile string
	Name      string // the site, or [Durable]; also names the private inbox
	// InProcess connects without a network, to a server in this process.
	InProcess nats.InProcessConnProvider
	Wait      time.Duration // bound of Connect; 0 is 15 s
	Replicas  int           // of the stream; 0 is 1
	InMemory  bool          // keep the stream in memory: for tests only
	Logger    *slog.Logger  // nil is silent
	// OnState hears each change of the connection, from one goroutine. Optional.
	OnState func(State)
	// Rejected hears of each message given up. Optional. Must not block.
	Rejected func(Rejection)
}

// State is how the connection fares. The zero State is down.
type State struct {
	Up  bool
	URL string
	Err error // why it is down, or what the server refused while up
}

// ConnectError is what [Connect] gives up with: what, where, why and what to do.
type ConnectError struct {
	URL    string
	After  time.Duration
	Remedy string
	Cause  error
}

// Error says it in one line.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("connect to NATS at %s: %v (tried for %v; %s)", e.URL, e.Cause, e.After, e.Remedy)
}

// Unwrap returns the last attempt's error.
func (e *ConnectError) Unwrap() error { return e.Cause }

// ErrForbidden says that the credentials do not allow a subject. Trying again is in vain.
var ErrForbidden = errors.New("the credentials do not allow it")

// ErrAway says that the connection is lost for now. It comes back by itself, and
// what was not sent is announced again.
var ErrAway = errors.New("NATS is away")

// Conn is one connection to NATS, which comes back by itself for ever. Made by
// [Connect]; safe for use by several goroutines.
type Conn struct {
	cfg Config
	log *slog.Logger
	nc  *nats.Conn
	js  jetstream.JetStream

	mu      sync.Mutex
	watches map[int]func(subject string)
	next    int
	// epoch ends when the connection was lost and came back.
	epoch context.Context
	renew context.CancelFunc
}

// Connect tries until it is connected, ctx is done or cfg.Wait is over. Refused
// credentials and certificates end it at once. Its error is a [*ConnectError].
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c := &Conn{cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), watches: map[int]func(string){}}
	c.epoch, c.renew = context.WithCancel(context.Background())
	start := time.Now()
	var last error
	err := backoff.Retry(func() error {
		nc, err := nats.Connect(cfg.URL, c.options()...)
		if err == nil {
			c.nc = nc
			return nil
		}
		last = err
		if _, final := remedy(err); final {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(bounded(cmp.Or(cfg.Wait, 15*time.Second)), ctx))
	if err != nil {
		c.renew()
		what, _ := remedy(cmp.Or(last, err))
		after := time.Since(start).Round(100 * time.Millisecond)
		return nil, &ConnectError{URL: cmp.Or(cfg.URL, "this process"), After: after, Remedy: what, Cause: cmp.Or(last, err)}
	}
	if c.js, err = jetstream.New(c.nc); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.state(State{Up: true, URL: c.nc.ConnectedUrl()})
	return c, nil
}

// bounded is the backoff of every retry here.
func bounded(most time.Duration) backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(most))
}

// check refuses a connection that would be open to others.
func (cfg Config) check() error {
	if cfg.Name == "" || strings.ContainsAny(cfg.Name, ".*> \t\r\n") {
		return fmt.Errorf("name %q: want the site's, or %q", cfg.Name, Durable)
	}
	if cfg.InProcess != nil && cfg.URL == "" && cfg.CredsFile == "" {
		return nil
	}
	switch {
	case cfg.URL == "" && cfg.InProcess == nil:
		return errors.New("no URL is given")
	case cfg.TLS == nil && cfg.InProcess == nil:
		return errors.New("no TLS is given, and plain text is not spoken")
	case cfg.TLS != nil && cfg.TLS.InsecureSkipVerify:
		return errors.New("the TLS given does not verify the server")
	case cfg.CredsFile == "":
		return errors.New("no credentials file is given")
	}
	info, err := os.Stat(cfg.CredsFile)
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("read credentials %s: mode is %v, others can read it; chmod 600", cfg.CredsFile, info.Mode().Perm())
	}
	return nil
}

func (c *Conn) options() []nats.Option {
	opts := []nats.Option{
		nats.Name("burst/" + c.cfg.Name),
		nats.CustomInboxPrefix(Inbox(c.cfg.Name)),
		nats.Timeout(3 * time.Second),
		nats.PingInterval(20 * time.Second), nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.IgnoreAuthErrorAbort(), // renewed credentials may appear in the file
		nats.ReconnectBufSize(-1),   // what was not sent is announced again, fresh
		nats.DisconnectErrHandler(c.lost),
		nats.ReconnectHandler(c.cameBack),
		nats.ErrorHandler(c.failed),
	}
	if c.cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(c.cfg.InProcess))
	}
	if c.cfg.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(c.cfg.CredsFile))
	}
	if c.cfg.TLS != nil {
		t := c.cfg.TLS.Clone()
		t.MinVersion = tls.VersionTLS13
		opts = append(opts, nats.Secure(t))
	}
	return opts
}

// remedy says what to do about a failed connect, and whether trying again is vain.
func remedy(err error) (what string, final bool) {
	_, isCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, isHost := errors.AsType[x509.HostnameError](err)
	switch {
	case isCert || isHost:
		return "check the CA file given and the names in the server's certificate", true
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAuthorization),
		errors.Is(err, nats.ErrAccountAuthExpired):
		return "the credentials are refused, expired or revoked: issue new ones with burstctl keys", true
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return "check the path and the owner of the credentials file", true
	case errors.Is(err, io.ErrClosedPipe): // in process, a refusal is not always heard
		return "the server of this process hung up: it refuses the credentials, or is shutting down", true
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the server does not speak TLS: give it a tls block", true
	}
	return "start nats-server there, or correct the URL", false
}

func (c *Conn) state(s State) {
	if s.Err != nil {
		c.log.Warn("bus", "up", s.Up, "error", s.Err)
	} else {
		c.log.Info("bus", "up", s.Up, "url", s.URL)
	}
	if c.cfg.OnState != nil {
		c.cfg.OnState(s)
	}
}

// lost hears that the connection is gone; without an error it is we who closed it.
func (c *Conn) lost(_ *nats.Conn, err error) {
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrAway, err)
	}
	c.state(State{Err: err})
}

// cameBack ends the epoch, so that consumers look at their stream again.
func (c *Conn) cameBack(nc *nats.Conn) {
	c.mu.Lock()
	c.renew()
	c.epoch, c.renew = context.WithCancel(context.Background())
	c.mu.Unlock()
	c.state(State{Up: true, URL: nc.ConnectedUrl()})
}

var refused = regexp.MustCompile(`(?i)(?:publish|subscription) to "([^"]+)"`)

// failed hears what the server refuses aside. To the caller a forbidden
// publish is only an answer that never comes, so its watch is told.
func (c *Conn) failed(nc *nats.Conn, _ *nats.Subscription, err error) {
	c.state(State{Up: nc.IsConnected(), Err: err})
	m := refused.FindStringSubmatch(err.Error())
	if m == nil || !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tell := range c.watches {
		tell(m[1])
	}
}

// watched gives a context that ends with [ErrForbidden] as its cause when the
// server refuses a subject with that prefix meanwhile.
func (c *Conn) watched(ctx context.Context, prefix string, most time.Duration) (context.Context, func()) {
	ctx, stop := context.WithTimeout(ctx, most)
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.next
	c.next++
	c.watches[n] = func(subject string) {
		if strings.HasPrefix(subject, prefix) {
			cancel(fmt.Errorf("%s: %w", subject, ErrForbidden))
		}
	}
	return ctx, func() {
		c.mu.Lock()
		delete(c.watches, n)
		c.mu.Unlock()
		cancel(nil)
		stop()
	}
}

// reason prefers why ctx ended over what its end looked like.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrForbidden) {
		return cause
	}
	return err
}

// Up reports whether the connection stands now.
func (c *Conn) Up() bool { return c.nc.IsConnected() }

// Close ends the connection and with it every [Conn.Consume].
func (c *Conn) Close() {
	c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew()
}
