package edge

import (
	"context"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// Round trips are measured this seldom, over however many connections a grant
// has, and the first window waits so long for the entry of the first.
const (
	roundsEvery = 5 * time.Minute
	enterRound  = 5 * time.Second
)

// rounds says when the next connection measures: before its first window,
// unless the last measurement still stands.
func (g *gate) rounds() slice.Rounds {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := slice.Rounds{Every: roundsEvery, Took: g.took}
	if !g.measured.IsZero() {
		r.After = max(0, time.Until(g.measured.Add(roundsEvery)))
	}
	return r
}

// took enters a round trip. It is evidence beside the proof of place and bears
// nothing: what cannot be measured or entered is logged, and the node is served.
func (g *gate) took(ctx context.Context, grant residency.Grant, rt slice.RoundTrip, err error) {
	if ctx.Err() != nil || g.now().Order != tunnel.OrderRun {
		return
	}
	g.mu.Lock()
	g.measured = time.Now()
	g.mu.Unlock()
	log := g.edge.Logger.With("grant", grant.ID())
	if err != nil {
		log.WarnContext(ctx, "round trip not measured", "error", err)
		return
	}
	body := &burst.RoundTrip{Grant: grant.ID(), Micros: micros(rt.Least), Samples: rt.Samples}
	bounded, cancel := context.WithTimeout(ctx, enterRound)
	defer cancel()
	if err := g.edge.enter(bounded, grant.Claim(), body); err != nil {
		log.WarnContext(ctx, "round trip not entered", "error", err)
		return
	}
	log.InfoContext(ctx, "round trip measured", "micros", body.Micros, "samples", body.Samples, "within_km", body.Within())
}

// micros rounds up: a bound must not become smaller by writing it down.
func micros(d time.Duration) int64 {
	return int64(max(1, (d+time.Microsecond-1)/time.Microsecond))
}
