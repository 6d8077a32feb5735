package edge_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// order lists the kinds of a claim's entries as they stand in the log.
func (w *world) order(claim string) (kinds []string) {
	w.t.Helper()
	for leaf, err := range w.ctl.log.Entries(w.t.Context(), 0) {
		must(w.t, err)
		if leaf.Entry.Burst == claim {
			kinds = append(kinds, leaf.Entry.Kind)
		}
	}
	return kinds
}

func TestTheRoundTripIsInTheLogBeforeTheFirstWindowAndOnceInAWhile(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	if kinds := w.order("c-g-1"); len(kinds) < 3 || kinds[1] != "round-trip" || kinds[2] != "serve-intent" {
		t.Errorf("the log says %q", kinds)
	}
	n.SetReceipt(w.receipt(n.spec)) // a renewal: the edge dials anew
	w.line("road closed", "why=bye")
	n.reads(1, 2)
	trips := entered[burst.RoundTrip](w, "round-trip")
	if len(trips) != 1 || trips[0].Grant != "g-1" || trips[0].Micros <= 0 || trips[0].Samples != 5 {
		t.Errorf("entered %+v", trips)
	}
	w.line("round trip measured", "grant=g-1", "within_km=")
}

func TestARoundTripThatCannotBeEnteredHoldsNothingUp(t *testing.T) {
	w := newWorld(t, nil)
	var asked atomic.Int64
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			if in.Kind == "round-trip" {
				asked.Add(1)
				return errors.New("not an edge's to enter") // as an older controller says
			}
			return nil
		}
	})
	n := w.honest("g-1", nil)
	n.reads(0, 9)
	w.line("round trip not entered", "grant=g-1")
	if asked.Load() != 1 {
		t.Errorf("it was tried %d times", asked.Load())
	}
}

func TestANodeOfBeforeIsServedAndNotMeasured(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", func(s *spec) { s.Protocols = []string{slice.ALPN} })
	n.reads(0, 9)
	if trips := entered[burst.RoundTrip](w, "round-trip"); len(trips) != 0 {
		t.Errorf("entered %+v", trips)
	}
}
