package edge

import (
	"context"
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
	next int // number of the next window
}

// Open demands the receipt before the first byte: the grant's entry is in the
// log, under a checkpoint this edge cosigned; the grant is for this peer's key,
// this site and now; its credential is not revoked; the site's own rules permit
// it as well.
func (g *gate) Open(ctx context.Context, peer slice.Peer, receipt []byte) (residency.Grant, error) {
	if err := g.edge.learn(ctx); err != nil {
		g.edge.Logger.WarnContext(ctx, "changes of keys not known", "grant", peer.Grant, "error", err.Error())
		return residency.Grant{}, &slice.Denied{Code: "keys"}
	}
	entry, index, size, err := audit.OpenReceipt(receipt, g.edge.trust())
	if err != nil {
		return residency.Grant{}, &slice.Denied{Code: "receipt"}
	}
	if size > g.edge.Witness.Size() || entry.Kind != "cleared" {
		return residency.Grant{}, &slice.Denied{Code: "receipt"}
	}
	var cleared burst.Cleared
	if err := audit.DecodeStrict(entry.Body, &cleared); err != nil {
		return residency.Grant{}, &slice.Denied{Code: "receipt"}
	}
	grant, err := residency.OpenGrant([]byte(cleared.Sealed), g.edge.grantKeys())
	if err != nil {
		return residency.Grant{}, &slice.Denied{Code: "grant"}
	}
	if err := g.check(peer, grant); err != nil {
		g.edge.Logger.WarnContext(ctx, "peer refused", "grant", peer.Grant, "error", err.Error())
		return residency.Grant{}, err
	}
	g.edge.Logger.InfoContext(ctx, "receipt accepted", "grant", grant.ID(), "entry", index, "tree", size,
		"place", grant.Place().Address.String(), "level", grant.Level().String())
	return grant, nil
}

// check asks everything that may have changed since the grant was entered.
func (g *gate) check(peer slice.Peer, grant residency.Grant) error {
	work := g.now()
	switch {
	case slices.Contains(work.Revoked, peer.Serial):
		return &slice.Denied{Code: "revoked"}
	case grant.ID() != peer.Grant || grant.ID() != work.Grant || grant.NodeKey() != peer.NodeKey:
		return &slice.Denied{Code: "peer"}
	case grant.Site() != g.edge.Site || !grant.Valid(time.Now()):
		return &slice.Denied{Code: "grant"}
	case work.Order != tunnel.OrderRun && work.Order != tunnel.OrderUnmount:
		return &slice.Denied{Code: "ended"}
	}
	return g.rules(grant)
}

// rules asks the site's own rules, which can only be stricter.
func (g *gate) rules(grant residency.Grant) error {
	facts, err := g.edge.Catalogue.Slice(grant.Slice().Name)
	if err != nil {
		return &slice.Denied{Code: "slice"}
	}
	g.edge.mu.Lock()
	rules := g.edge.Rules
	g.edge.mu.Unlock()
	ask := residency.Ask{Slice: facts, Purpose: grant.Purpose(), Team: grant.Team(), Site: grant.Site()}
	if v := rules.Still(g.edge.Places, ask, grant); !v.Allowed {
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
	if err := g.catchUp(ctx, grant); err != nil {
		return nil, err
	}
	w := burst.Window{Grant: grant.ID(), N: g.next, Manifest: manifest, Bytes: budget}
	if err := g.edge.enter(ctx, grant.Claim(), &w); err != nil {
		return nil, err
	}
	g.next++
	return &window{g, grant.Claim(), w}, nil
}

// catchUp closes windows that are entered but whose answer never came, as when
// the controller died in between: nothing was served in them.
func (g *gate) catchUp(ctx context.Context, grant residency.Grant) error {
	work := g.now()
	for _, o := range work.Open {
		if o.N < g.next {
			continue
		}
		body := &burst.Served{Grant: grant.ID(), N: o.N, Digest: slice.WindowDigest(nil), Why: "unused"}
		if err := g.edge.enter(ctx, grant.Claim(), body); err != nil {
			return err
		}
	}
	g.next = max(g.next, work.Window+1)
	return nil
}

// window is one entered permission to serve.
type window struct {
	gate  *gate
	claim string
	w     burst.Window
}

// Close enters what the window served. It outlives the stream's context: what
// went out is entered whatever ended it.
func (w *window) Close(served int64, chunks int, digest, why string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	w.gate.edge.Logger.InfoContext(ctx, "window served", "grant", w.w.Grant, "window", w.w.N, "bytes", served, "chunks", chunks, "why", why)
	body := &burst.Served{Grant: w.w.Grant, N: w.w.N, Bytes: served, Chunks: chunks, Digest: digest, Why: why}
	return backoff.Retry(func() error { return w.gate.edge.enter(ctx, w.claim, body) }, backoff.WithContext(w.gate.edge.pauses(), ctx))
}

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
