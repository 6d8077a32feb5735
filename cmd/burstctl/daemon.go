package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/control"
)

// daemon is a controller put together from its config file. Each field is one
// part; nothing else is shared between them.
type daemon struct {
	conf   configs.Controller
	lg     *slog.Logger
	log    *audit.Log
	engine *perform.Engine
	server *control.Server
	cert   tls.Certificate
	bus    *bus.Conn
	edges  map[string]ed25519.PublicKey // by site
	issuer perform.Issuer
	fleet  cloud.Fleet
	ln     net.Listener
	stuck  chan error // why the log takes no more; one at most
	grants *turning   // seals grants

	turning sync.Mutex // held while a key is rotated or revoked
	parts
}

// parts are what differs between the demo and a deployed controller.
type parts struct {
	observe  func(audit.Leaf) // sees every entry once it is durable
	lifeline bool             // nodes end with this process
}

// newDaemon opens every part. What is open when a later part errs is closed.
func newDaemon(ctx context.Context, conf configs.Controller, lg *slog.Logger, p parts) (_ *daemon, err error) {
	d := &daemon{conf: conf, lg: lg, parts: p, stuck: make(chan error, 1)}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	law, err := readLaw(conf)
	if err != nil {
		return nil, err
	}
	for _, open := range []func(context.Context) error{d.openLog, d.openIssuer, d.openFleet, d.openListener} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	if err := d.openEngine(ctx, law); err != nil {
		return nil, err
	}
	if err := d.openServer(); err != nil {
		return nil, err
	}
	return d, d.openBus(ctx)
}

// openLog creates the log on the first start and opens it on every other.
func (d *daemon) openLog(ctx context.Context) error {
	signer, err := d.logSigner(ctx)
	if err != nil {
		return err
	}
	var witnesses []note.Verifier
	for _, s := range d.conf.Sites {
		vkey, err := keys.VKey(s.Witness)
		if err != nil {
			return frame.Wrap(frame.KeyMissing, err, "")
		}
		v, err := audit.CosignatureVerifier(vkey)
		if err != nil {
			return frame.Wrap(frame.KeyMissing, fmt.Errorf("read witness of %s: %w", s.ID, err), "")
		}
		witnesses = append(witnesses, v)
	}
	o := audit.Options{
		Dir: filepath.Join(d.conf.State, "log"), Origin: d.conf.Origin, Signer: signer, Witnesses: witnesses,
		Quorum: d.conf.Evidence.Quorum, OnFatal: d.unwritable,
	}
	if err := os.MkdirAll(d.conf.State, 0o700); err != nil {
		return frame.Wrap(frame.FileFailed, fmt.Errorf("open state: %w", err), "")
	}
	if _, err := os.Stat(o.Dir); errors.Is(err, os.ErrNotExist) {
		if err := audit.Create(o); err != nil {
			return frame.Wrap(logCode(err), err, "")
		}
	}
	if d.log, err = audit.Open(ctx, o); err != nil {
		return frame.Wrap(logCode(err), err, "")
	}
	if err := d.log.Full(); err != nil {
		d.unwritable(err)
	}
	return nil
}

// unwritable is told once that the log takes no more.
func (d *daemon) unwritable(err error) {
	d.lg.Error("log cannot be written", "error", frame.Wrap(frame.DiskFull, err, ""))
	d.stuck <- err
}

// logCode tells why a log could not be opened.
func logCode(err error) frame.Code { return cmp.Or(codeOf(err), frame.FileFailed) }

func (d *daemon) openListener(context.Context) (err error) {
	if d.ln, err = net.Listen("tcp", d.conf.Listen); err != nil {
		return frame.Wrap(frame.PortTaken, fmt.Errorf("listen: %w", err), "")
	}
	return nil
}

// openEngine folds the log.
func (d *daemon) openEngine(ctx context.Context, law perform.InForce) error {
	if err := d.placesStand(); err != nil {
		return err
	}
	grants, err := d.grantKey(ctx)
	if err != nil {
		return err
	}
	d.grants = grants
	verifiers, err := d.verifiers()
	if err != nil {
		return err
	}
	offers, err := readOffers(d.conf)
	if err != nil {
		return err
	}
	approvers, err := keys.Approvers(d.conf.Approvers...)
	if err != nil {
		return frame.Wrap(frame.KeyMissing, err, "")
	}
	pin, err := keys.Pin(d.conf.TLS.CA)
	if err != nil {
		return frame.Wrap(frame.KeyMissing, err, "")
	}
	advertise := d.conf.Advertise
	if advertise == "" {
		advertise = d.ln.Addr().String()
	}
	facts, err := d.facts(offers)
	if err != nil {
		return err
	}
	d.engine, err = perform.Open(ctx, perform.Config{
		Log: d.log, Fleet: d.fleet, Issuer: d.issuer, Ledger: cloud.NewLedger(d.conf.Limits()), Verifiers: verifiers,
		Grants: grants, GrantsKey: grants, Approvers: approvers, InForce: law, Offers: offers,
		Weights: d.weights(), Facts: facts, MaxPrice: d.conf.MaxPrices(),
		Alerts:   d.conf.Spending.Alerts,
		UserData: pools.UserData{Control: advertise, CA: pin, Domain: d.conf.Domain},
		Timing:   d.timing(), Logger: d.lg, Observe: d.observe,
	})
	if errors.Is(err, perform.ErrEdition) {
		return frame.Wrap(frame.BadPlaces, err,
			"put the newest signed table back; to return to old rows, sign them as a new edition")
	}
	if err != nil {
		return frame.Wrap(frame.LogUnverified, err, "")
	}
	return restoreIssuer(d.issuer, d.engine.Bursts())
}

func (d *daemon) timing() perform.Timing {
	c := d.conf
	return perform.Timing{MaxLease: c.Lease.Max, Boot: c.Lease.Boot, Stop: c.Lease.Stop, Probe: c.Lease.Probe,
		Idle: c.Lease.Idle, TTL: c.Issuer.TTL, Heartbeat: c.Heartbeat, Evidence: c.Evidence.Within}
}

// openBus connects to NATS and asserts the stream.
func (d *daemon) openBus(ctx context.Context) (err error) {
	d.edges = map[string]ed25519.PublicKey{}
	for _, s := range d.conf.Sites {
		if d.edges[s.ID], err = keys.Ed25519Public(s.EdgeKey); err != nil {
			return frame.Wrap(frame.KeyMissing, err, "")
		}
	}
	conf, err := busConfig(d.conf.NATS, "controller", d.lg)
	if err != nil {
		return err
	}
	if d.bus, err = bus.Connect(ctx, conf); err != nil {
		return frame.Wrap(frame.NATSAway, err, "")
	}
	return frame.Wrap(frame.NATSAway, d.bus.Ensure(ctx), "")
}

// busConfig is how to reach NATS from a config file's section.
func busConfig(c configs.NATS, name string, lg *slog.Logger) (bus.Config, error) {
	roots, err := keys.Pool(c.CA)
	if err != nil {
		return bus.Config{}, frame.Wrap(frame.KeyMissing, err, "")
	}
	return bus.Config{URL: c.URL, CredsFile: c.Creds, Name: name, Logger: lg,
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}}, nil
}

// openServer puts the control endpoint together.
func (d *daemon) openServer() error {
	house, err := keys.Pool(d.conf.TLS.CA)
	if err != nil {
		return frame.Wrap(frame.KeyMissing, err, "")
	}
	grants, err := d.grantRoots()
	if err != nil {
		return err
	}
	if d.cert, err = keys.Certificate(d.conf.TLS.Cert, d.conf.TLS.Key); err != nil {
		return frame.Wrap(frame.KeyMissing, err, "")
	}
	allow, token, err := readRoles(d.conf)
	if err != nil {
		return err
	}
	d.server = &control.Server{
		Domain: d.conf.Domain, House: house, Grants: grants, Pleader: d.engine, Bearer: d.engine,
		Site: keySite{d.engine, d.log}, Log: d.engine, Desk: keyDesk{desk{d}}, Plans: planDesk{desk{d}},
		Allow: allow, Token: token,
		Refused: perform.ErrRefused, Unknown: perform.ErrUnknownClaim,
		Code: func(err error) string { return string(codeOf(err)) }, Logger: d.lg,
	}
	return nil
}

// grantRoots is the CA that signs nodes' certificates, as a pool.
func (d *daemon) grantRoots() (*x509.CertPool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pem, err := d.issuer.(interface {
		CA(context.Context) ([]byte, error)
	}).CA(ctx)
	if err != nil {
		return nil, frame.Wrap(frame.VaultAway, fmt.Errorf("read CA of grants: %w", err), "")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, frame.Wrap(frame.KeyMissing, errors.New("read CA of grants: it holds no certificate"), "")
	}
	return pool, nil
}

// run serves and decides until ctx ends or a part breaks for good.
func (d *daemon) run(outer context.Context) error {
	g, ctx := errgroup.WithContext(outer)
	srv := d.server.HTTP()
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.ErrorLog = slog.NewLogLogger(d.lg.Handler(), slog.LevelDebug)
	g.Go(func() error {
		err := srv.Serve(tls.NewListener(d.ln, d.server.TLS(func() (*tls.Certificate, error) { return &d.cert, nil })))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve control endpoint: %w", err)
	})
	g.Go(func() error {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return errors.Join(srv.Shutdown(bounded), srv.Close())
	})
	g.Go(func() error { return d.bus.Consume(ctx, d.edges, inbox{d}) })
	g.Go(func() error { return frame.Wrap(frame.DiskFull, d.engine.Run(ctx), "") })
	g.Go(func() error { return d.sweep(ctx) })
	g.Go(func() error { return d.windDown(ctx) })
	err := g.Wait()
	if outer.Err() != nil {
		return nil // told to end; bursts under way go on in the next run
	}
	return err
}

// tearDown is how long a controller whose log takes no more goes on with what
// is being torn down, for which the log keeps a reserve.
const tearDown = 30 * time.Second

// windDown ends the controller once its log takes no more: nothing new can be
// decided. What runs goes on in the next run, or ends with its lease.
func (d *daemon) windDown(ctx context.Context) error {
	var why error
	select {
	case why = <-d.stuck:
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(tearDown); time.Now().Before(end) && d.tearing() && ctx.Err() == nil; {
		<-tick.C
	}
	return frame.Wrap(frame.DiskFull, fmt.Errorf("wind down: %w", why), "")
}

// tearing reports whether a burst is being torn down.
func (d *daemon) tearing() bool {
	return slices.ContainsFunc(d.engine.Bursts(), func(s burst.State) bool { return s.Live() && s.Stopped != nil })
}

// close gives everything back. The log goes last.
func (d *daemon) close() {
	if d.bus != nil {
		d.bus.Close()
	}
	if d.ln != nil {
		d.ln.Close()
	}
	for provider, driver := range d.fleet {
		if c, ok := driver.(io.Closer); ok {
			if err := c.Close(); err != nil {
				d.lg.Warn("provider not closed", "provider", provider, "error", err)
			}
		}
	}
	if d.log != nil {
		if err := d.log.Close(); err != nil {
			d.lg.Warn("log not closed", "error", err)
		}
	}
}

// inbox takes what sites say.
type inbox struct{ *daemon }

// Request enters a site's request; the bus forgets it only then.
func (in inbox) Request(_ context.Context, r bus.Received) error {
	return in.engine.Ask(r.Request, r.Digest)
}

// Signal notes a site's level. It is a hint: nothing is decided on it.
func (in inbox) Signal(ctx context.Context, r bus.Received) error {
	in.lg.DebugContext(ctx, "signal", "site", r.Site, "saturated", r.Signal.Saturated, "utilisation", r.Signal.Utilisation)
	return nil
}
