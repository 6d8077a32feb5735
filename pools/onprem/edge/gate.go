package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// gate stands before the data for one grant. It is asked for each window.
type gate struct {
	edge *Edge
	now  func() tunnel.Serving // the grant as the controller last told it
	mu   sync.Mutex
	next int            // number of the next window
	owed []burst.Served // windows that have ended and are not closed in the log yet

	turned   []string  // reasons for which a peer was turned away
	measured time.Time // when a round trip was measured last, or nothing answered

	excepted residency.Exception // the one the grant rests on, opened with this edge's own approvers' keys
}

// Open demands the receipt before the first byte: the grant's entry is in the
// log, under a checkpoint this edge cosigned; the grant is for this peer's key,
// this site and now; its credential is not revoked; it names what this site
// holds under that name; the site's own rules permit it as well.
func (g *gate) Open(ctx context.Context, peer slice.Peer, receipt []byte) (residency.Grant, error) {
	grant, index, err := g.open(ctx, receipt)
	if err == nil {
		err = g.check(peer, grant)
	}
	if err != nil {
		g.edge.Logger.WarnContext(ctx, "peer refused", "grant", peer.Grant, "serial", peer.Serial, "error", err)
		g.turnedAway(ctx, peer, err)
		return residency.Grant{}, err
	}
	g.edge.Logger.InfoContext(ctx, "receipt accepted", "grant", grant.ID(), "entry", index,
		"place", grant.Place().Address.String(), "level", grant.Level().String())
	return grant, nil
}

// turnedAway has a refusal entered, once for each reason; the peer does not
// wait for it. That a grant has ended is no news, nor is an outage.
func (g *gate) turnedAway(ctx context.Context, peer slice.Peer, err error) {
	denied, ok := errors.AsType[*slice.Denied](err)
	if !ok || slices.Contains([]string{"revoked", "ended", "keys"}, denied.Code) {
		return
	}
	g.mu.Lock()
	said := slices.Contains(g.turned, denied.Code)
	if !said {
		g.turned = append(g.turned, denied.Code)
	}
	g.mu.Unlock()
	if said {
		return
	}
	body := &burst.Turned{Grant: peer.Grant, Serial: peer.Serial, Reason: denied.Code, Why: clipped(err.Error())}
	ctx = context.WithoutCancel(ctx) // the connection ends with the refusal
	go func() {
		if err := g.edge.enter(ctx, g.now().Claim, body); err != nil {
			g.edge.Logger.WarnContext(ctx, "refusal not entered", "grant", peer.Grant, "error", err)
		}
	}()
}

// clipped keeps a reason to what an entry should hold.
func clipped(why string) string { return why[:min(len(why), 500)] }

// open reads the grant that a receipt proves to be in the log.
func (g *gate) open(ctx context.Context, receipt []byte) (residency.Grant, int64, error) {
	no := func(code string, err error) (residency.Grant, int64, error) {
		return residency.Grant{}, 0, fmt.Errorf("open receipt: %w: %w", &slice.Denied{Code: code}, err)
	}
	if err := g.edge.learn(ctx); err != nil {
		return no("keys", fmt.Errorf("changes of keys are not known: %w", err))
	}
	entry, index, size, err := audit.OpenReceipt(receipt, g.edge.trust())
	if err != nil {
		return no("receipt", err)
	}
	if seen := g.edge.Witness.Size(); size > seen {
		return no("receipt", fmt.Errorf("it is of a tree of %d entries, and this witness has seen %d", size, seen))
	}
	var cleared burst.Cleared
	if entry.Kind != cleared.Kind() {
		return no("receipt", fmt.Errorf("entry %d is %q, which grants nothing", index, entry.Kind))
	}
	if err := audit.DecodeStrict(entry.Body, &cleared); err != nil {
		return no("receipt", err)
	}
	grant, err := residency.OpenGrant([]byte(cleared.Sealed), g.edge.grantKeys())
	if err != nil {
		return no("grant", err)
	}
	if grant.ID() != cleared.Grant || grant.Claim() != entry.Burst {
		return no("grant", fmt.Errorf("entry %d of %s holds the grant of another", index, entry.Burst))
	}
	if err := g.except(grant, cleared.Exception); err != nil {
		return no("exception", err)
	}
	return grant, index, nil
}

// check asks everything that may have changed since the grant was entered.
func (g *gate) check(peer slice.Peer, grant residency.Grant) error {
	work := g.now()
	no := func(code, why string) error { return fmt.Errorf("%w: %s", &slice.Denied{Code: code}, why) }
	switch {
	case slices.Contains(work.Revoked, peer.Serial):
		return no("revoked", "its credential was revoked")
	case grant.ID() != peer.Grant || grant.NodeKey() != peer.NodeKey:
		return no("peer", "the grant is another node's")
	case grant.ID() != work.Grant || grant.Claim() != work.Claim:
		return no("peer", "the controller named another grant at this address")
	case grant.Site() != g.edge.Site:
		return no("grant", "the grant is of another site")
	case !grant.Valid(time.Now()):
		return no("grant", "the grant is not valid now")
	case work.Order != tunnel.OrderRun && work.Order != tunnel.OrderUnmount:
		return no("ended", "the controller said to end it")
	case g.edge.shelf().holds(grant.Payload()):
		return no("payload", "the program it names is a slice")
	}
	return g.rules(grant)
}

// rules asks whether the slice is held still, and then the site's own rules,
// which can only be stricter.
func (g *gate) rules(grant residency.Grant) error {
	held := g.edge.shelf()
	if err := held.covers(grant); err != nil {
		return err
	}
	facts, err := held.catalogue.Slice(grant.Slice().Name)
	if err != nil {
		return &slice.Denied{Code: "slice"}
	}
	g.edge.mu.Lock()
	rules := g.edge.Rules
	g.edge.mu.Unlock()
	ask := residency.Ask{Slice: facts, Purpose: grant.Purpose(), Team: grant.Team(), Site: grant.Site()}
	g.mu.Lock()
	excepted := g.excepted
	g.mu.Unlock()
	now := time.Now()
	if v := rules.With(now, excepted).Still(g.edge.Places.At(now), ask, grant); !v.Allowed {
		return fmt.Errorf("site rules: %s: %w", v.Why, &slice.Denied{Code: "rules"})
	}
	return nil
}

// Window enters the intent to serve and returns once this edge has cosigned it.
func (g *gate) Window(ctx context.Context, grant residency.Grant, manifest string, budget int64) (slice.Window, error) {
	if work := g.now(); work.Order != tunnel.OrderRun {
		return nil, &slice.Denied{Code: "ended"}
	}
	if err := g.rules(grant); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.catchUp(ctx, grant.Claim()); err != nil {
		return nil, err
	}
	w := burst.Window{Grant: grant.ID(), N: g.next, Manifest: manifest, Bytes: budget}
	if err := g.edge.enter(ctx, grant.Claim(), &w); err != nil {
		return nil, err
	}
	g.next++
	return &window{g, grant.Claim(), w}, nil
}

// catchUp closes what is owed, and windows that are entered but whose answer
// never came, as when the controller died in between: nothing was served in
// them. It is called with the gate's turn.
func (g *gate) catchUp(ctx context.Context, claim string) error {
	work := g.now()
	for _, o := range work.Open {
		owed := slices.ContainsFunc(g.owed, func(s burst.Served) bool { return s.N == o.N })
		if o.N >= g.next && !owed {
			g.owed = append(g.owed, burst.Served{Grant: work.Grant, N: o.N,
				Digest: slice.WindowDigest(nil), Why: "unused"})
		}
	}
	g.next = max(g.next, work.Window+1)
	for len(g.owed) > 0 {
		if err := g.close(ctx, claim, &g.owed[0]); err != nil {
			return err
		}
		g.owed = g.owed[1:]
	}
	return nil
}

// close enters how a window ended. One that the log already holds as closed,
// because only the answer was lost, is closed.
func (g *gate) close(ctx context.Context, claim string, body *burst.Served) error {
	err := g.edge.enter(ctx, claim, body)
	work := g.now()
	open := slices.ContainsFunc(work.Open, func(o tunnel.Open) bool { return o.N == body.N })
	if err != nil && work.Window >= body.N && !open {
		return nil
	}
	return err
}

// window is one entered permission to serve.
type window struct {
	gate  *gate
	claim string
	w     burst.Window
}

// Close enters what the window served. It outlives the stream's context: what
// went out is entered whatever ended it, later if it cannot be now.
func (w *window) Close(served int64, chunks int, digest, why string) error {
	g := w.gate
	ctx, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	g.edge.Logger.InfoContext(ctx, "window served", "grant", w.w.Grant, "window", w.w.N, "bytes", served,
		"chunks", chunks, "why", why)
	body := burst.Served{Grant: w.w.Grant, N: w.w.N, Bytes: served, Chunks: chunks, Digest: digest, Why: why}
	enter := func() error { return g.close(ctx, w.claim, &body) }
	err := backoff.Retry(enter, backoff.WithContext(g.edge.pauses(), ctx))
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.owed = append(g.owed, body)
	}
	return err
}

// closeFor bounds the tries to close a window before the stream ends over it.
const closeFor = 10 * time.Second

// Artefact opens quarantine for a result that the job's outputs list.
func (g *gate) Artefact(ctx context.Context, grant residency.Grant, name string, size int64) (slice.Sink, error) {
	if !slices.Contains(g.now().Outputs, name) {
		return nil, &slice.Denied{Code: "output"}
	}
	if size < 0 || size > maxArtefact {
		return nil, &slice.Denied{Code: "size"}
	}
	return g.edge.quarantine(ctx, grant, name, size)
}

// maxArtefact bounds one result; a model of the demo is a few hundred bytes.
const maxArtefact = 1 << 30
