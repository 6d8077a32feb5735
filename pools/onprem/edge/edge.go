// Package edge is the connector's daemon: one site's watcher, witness and
// keeper of its data.
//
// # What it does
//
// It folds GPU samples and the site's waiting jobs into a signal, and while
// that says saturated it announces a signed request for each waiting job, again
// and again, until the controller has entered it. It witnesses the log: each
// checkpoint must extend the last one it saw. It dials the nodes of its grants
// and serves them, but only what a receipt covers, only what its own site rules
// permit as well, and only bytes whose window is in the log.
//
// # What it trusts
//
// Its own disk and keys, and the trust file. Not the controller: a grant counts
// when the log holds it, under a checkpoint this edge has cosigned; site rules
// can only be stricter. Not the node: it names digests, never paths.
//
// # Non-goals
//
// The edge knows no cloud and holds no cloud key.
package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// Announcer carries signals and requests; pools/bus keeps it.
type Announcer interface {
	Signal(ctx context.Context, s policy.Signal) error
	Request(ctx context.Context, r policy.Request) error
}

// Queue is a second source of waiting jobs beside the controller's list; a
// replayed day has one.
type Queue interface {
	Pressure(at time.Time) onprem.Pressure
}

// Config is all an edge is made of.
type Config struct {
	Site, Pool string
	Domain     string // trust domain
	Control    *control.Client
	Bus        Announcer
	Witness    *audit.Witness
	Trust      audit.Trust         // names the log's key and this witness
	GrantsKey  note.Verifier       // opens grants
	Approvers  residency.Approvers // of exceptions; the zero Approvers let none through
	Sampler    onprem.Sampler
	Queue      Queue // nil is none
	Threshold  policy.Threshold
	Catalogue  *residency.Catalogue
	Rules      *residency.Rules // the site's own
	Places     *residency.Table
	Slices     map[string]fs.FS              // by slice name, what the site holds first; see Hold
	Manifests  map[string]residency.Manifest // of those slices that were made and have one
	Payloads   []fs.FS                       // programs the site holds
	Quarantine string                        // directory results arrive in
	Window     int64                         // bytes of a serve window; 0 is 16 MiB
	Announce   time.Duration                 // between two announcements; 0 is 15 s
	Cert       tls.Certificate               // of role edge, for the road
	Grants     *x509.CertPool                // the CA that signs grants
	Logger     *slog.Logger
}

// Edge is a running connector. Made by [New].
type Edge struct {
	Config
	store    *slice.DirStore
	programs map[string]string // what a job may name a program by → manifest digest
	unheld   map[string]bool   // jobs said to wait for a slice that is not here; only announce uses it
	log      sync.Mutex        // one witness operation at a time
	mu       sync.Mutex        // guards what follows
	held     shelf
	work     tunnel.Work
	signal   policy.Signal
	grants   map[string]*serving
	doubt    string        // why work could not be fetched
	due      chan struct{} // a release may be due
}

// New reads what the site holds and builds the manifests it would serve.
func New(c Config) (*Edge, error) {
	if c.Window <= 0 {
		c.Window = 16 << 20
	}
	if c.Announce <= 0 {
		c.Announce = 15 * time.Second
	}
	e := &Edge{Config: c, programs: map[string]string{}, unheld: map[string]bool{}, grants: map[string]*serving{},
		due: make(chan struct{}, 1), doubt: "the controller was not heard yet"}
	if err := os.MkdirAll(c.Quarantine, 0o700); err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	return e, e.hold()
}

// Run watches, witnesses and serves until ctx ends or the watch breaks for good.
func (e *Edge) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.witness(ctx) })
	g.Go(func() error { return e.follow(ctx) })
	g.Go(func() error { return e.watch(ctx) })
	g.Go(func() error { return e.announce(ctx) })
	g.Go(func() error { return e.letOut(ctx) })
	err := g.Wait()
	if ctx.Err() != nil && context.Cause(ctx) == context.Canceled {
		return nil
	}
	return err
}

// SetRules puts other site rules in force. Streams they no longer permit end
// with their current window.
func (e *Edge) SetRules(r *residency.Rules) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Rules = r
}
