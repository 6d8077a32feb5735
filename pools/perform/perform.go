// Package perform carries out the effects of bursts, each entered in the log
// before and after.
//
// # The log is the queue
//
// An [Engine] holds nothing that is not in the log. What arrives from outside
// (a signed request, a node's evidence, an edge's serve window) becomes an
// entry or nothing; what must be done follows from the folded state. A restart
// folds the log through the same [burst.Step] and goes on, so the crash path is
// the live path.
//
// # What it trusts
//
// The log, once an entry is durable. Not the bus (a hint), not the node (its
// evidence is verified, its identity comes from our own create call), not the
// cloud's silence (a create that was not answered stays unknown).
//
// If an entry cannot be made durable the engine stops for good: see [Engine.Run].
//
// # Non-goals
//
// No adapter is imported here: clouds, issuers and listeners arrive as
// interfaces and are wired in cmd.
package perform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// Fleet launches and deletes nodes over every provider. Errors are those of [pools.Driver].
type Fleet interface {
	Launch(ctx context.Context, l pools.Launch) (pools.Node, error)
	List(ctx context.Context) ([]pools.Node, error)
	Delete(ctx context.Context, id string) error
}

// Issuer signs and revokes the credentials of grants.
type Issuer interface {
	Issue(ctx context.Context, csrPEM []byte, grant string, ttl time.Duration) (tunnel.Credential, error)
	Revoke(ctx context.Context, serial string) error
	Revoked(ctx context.Context, serial string) (bool, error)
}

// Budget is asked before money is promised.
type Budget interface {
	Reserve(c policy.Charge) error
	// Left is what the tightest account has left, and its name.
	Left(c policy.Charge) (policy.Money, string)
}

// Books follow the log; the first two calls may be repeated.
type Books interface {
	Replay(c policy.Charge) error
	Settle(claim string, attempt int, spent policy.Money) error
	// Levels is how full the accounts of a day are.
	Levels(day string) []policy.Level
}

// Ledger keeps budgets: reserved before the intent, settled once.
type Ledger interface {
	Budget
	Books
}

// InForce is the law a decision is made under. It is replaced whole.
type InForce struct {
	Rules     *residency.Rules
	Places    *residency.Table
	Catalogue *residency.Catalogue
}

// Timing bounds every wait. Zero fields but Idle take the defaults of [Timing.orDefault].
type Timing struct {
	MaxLease  time.Duration // of any node
	Boot      time.Duration // until a node must have proved itself
	Stop      time.Duration // until a node must have let go
	Probe     time.Duration // until a node must have tried its old credential
	TTL       time.Duration // of a credential, ≤ 15 min
	Heartbeat time.Duration // ≤ 60 s
	Evidence  time.Duration // without a cosignature for so long, no new grant
	Idle      time.Duration // a job may report nothing for so long; 0 is for ever
	Region    time.Duration // a region may take so long to answer a launch
	Patience  time.Duration // a request waits so long for what takes a rest after a lack of capacity
	Retry     time.Duration // the longest pause between two tries of an effect
}

// Config is all an engine is made of.
type Config struct {
	Log       *audit.Log
	Fleet     Fleet
	Issuer    Issuer
	Ledger    Ledger
	Verifiers map[string]residency.Verifier // by kind of evidence
	Grants    note.Signer                   // seals grants
	GrantsKey note.Verifier                 // opens them again
	Approvers residency.Approvers           // of exceptions; the zero Approvers approve none
	InForce   InForce
	Offers    []policy.Offer
	Weights   policy.Weights // of what a burst costs beside the machine
	// Facts says what else is known of an offer, for a site; nil knows nothing.
	Facts    func(site string) func(policy.Offer) policy.Facts
	MaxPrice map[string]policy.Money // of a machine per hour, by team; "" is every team's
	Alerts   []int                   // percentages of a budget that are worth an entry, once a period
	UserData pools.UserData          // what every node is told; claim and attempt are filled in
	Timing   Timing
	Logger   *slog.Logger
	// Observe, if set, sees every entry once it is durable, in log order per
	// burst. It must not block.
	Observe func(audit.Leaf)
}

// Engine runs bursts. Made by [Open]; the zero Engine does nothing.
type Engine struct {
	Config
	lawMu   sync.RWMutex // held while a decision and its entry are made
	law     InForce
	edition int             // newest of the place table that was in force
	holds   residency.Holds // as the log's newest entries tell them
	asks    sync.Mutex      // one request at a time, so that a claim is entered once
	fatal   context.CancelCauseFunc
	ctx     context.Context // ends with the first entry that cannot be made durable
	mu      sync.Mutex      // guards bursts, jobs, recalls and order
	bursts  map[string]*life
	order   []string // claims as first entered
	jobs    []Submitted
	recalls []recall
	glassMu sync.Mutex // guards glass; taken last
	glass   glass.Book
	pulse   *pulse // moves with every entry
	nonces  nonces
	choice  chooser
	raised  raised // budget alerts that were entered
	runs    sync.WaitGroup
}

// life is one burst under the engine's hands.
type life struct {
	claim string
	mu    sync.Mutex // held while entering, so that log order is fold order
	state burst.State
	pulse *pulse
	hello sync.Mutex // one attestation at a time
	once  sync.Once  // it runs in one goroutine
}

func (l *life) now() burst.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// ErrUnknownClaim: the claim is in no entry. Nothing is done for it.
var ErrUnknownClaim = errors.New("claim is not in the log")

// errOrder: the event does not follow in the burst's state.
var errOrder = errors.New("does not follow")

// Open folds the log and returns an engine ready to [Engine.Run]. A place table
// of an older edition than the log has seen in force is refused with
// [ErrEdition].
func Open(ctx context.Context, c Config) (*Engine, error) {
	c.Timing = c.Timing.orDefault()
	e := &Engine{Config: c, bursts: map[string]*life{}, pulse: newPulse(), choice: chooser{memory: policy.NewMemory()}}
	e.ctx, e.fatal = context.WithCancelCause(ctx)
	e.law = c.InForce
	for leaf, err := range c.Log.Entries(ctx, 0) {
		if err == nil {
			err = e.fold(leaf)
		}
		if err != nil {
			return nil, fmt.Errorf("open engine: %w", err)
		}
	}
	if err := e.newEnough(e.law); err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	e.edition = e.law.Places.Version()
	return e, nil
}

// orDefault fills in what the operator left open.
func (t Timing) orDefault() Timing {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.MaxLease, time.Hour}, {&t.Boot, 5 * time.Minute}, {&t.Stop, 30 * time.Second}, {&t.Probe, 10 * time.Second},
		{&t.TTL, 5 * time.Minute}, {&t.Heartbeat, 30 * time.Second}, {&t.Evidence, 10 * time.Minute},
		{&t.Retry, 15 * time.Second}, {&t.Region, 2 * time.Minute}, {&t.Patience, 15 * time.Minute},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	t.TTL = min(t.TTL, tunnel.MaxTTL)
	t.Heartbeat = min(t.Heartbeat, time.Minute)
	return t
}

// find returns the life of a claim.
func (e *Engine) find(claim string) (*life, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l, ok := e.bursts[claim]; ok {
		return l, nil
	}
	return nil, fmt.Errorf("find burst %q: %w", claim, ErrUnknownClaim)
}

// Bursts returns every burst's state in the order they were asked for.
func (e *Engine) Bursts() []burst.State {
	e.mu.Lock()
	lives := make([]*life, len(e.order))
	for i, c := range e.order {
		lives[i] = e.bursts[c]
	}
	e.mu.Unlock()
	states := make([]burst.State, len(lives))
	for i, l := range lives {
		states[i] = l.now()
	}
	return states
}

// digest is the "sha256:…" of b.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
