package perform_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
)

func short(o *cast.Options) { o.Job = time.Minute }

func TestAWholeBurstEndsSettledAndVerified(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		w.ask()
		s := w.until(burst.Ended)
		if s.Outcome != burst.WhyFinished || s.Served != 3000 || len(s.Artefacts) != 1 || s.Epoch != 4 {
			t.Errorf("%+v", s)
		}
		reserved, spent := w.Money()
		if reserved.Micros != 0 || spent != s.Settled.Spent || spent.Micros <= 0 {
			t.Errorf("reserved %v, spent %v, settled at %v", reserved, spent, s.Settled.Spent)
		}
	})
}

// I19: crash and recovery make no difference to where a burst ends.
func TestACrashAtAnyEntryEndsWhereNoCrashEnds(t *testing.T) {
	var kinds []string
	in(t, short, func(t *testing.T, w *world) {
		w.ask()
		w.until(burst.Ended)
		leaves, err := w.Entries()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leaves {
			if l.Entry.Burst == claim {
				kinds = append(kinds, l.Entry.Kind)
			}
		}
	})
	if len(kinds) < 25 {
		t.Fatalf("a whole burst has %d entries: %v", len(kinds), kinds)
	}
	t.Logf("killing at %d entry boundaries", len(kinds))
	for at, kind := range kinds {
		t.Run(fmt.Sprintf("%02d %s", at, kind), func(t *testing.T) {
			t.Parallel()
			in(t, short, func(_ *testing.T, w *world) { crash(w, at, kind) })
		})
	}
}

// crash ends the controller when the burst's entry number at is durable, and
// another time when the one after the restart is.
func crash(w *world, at int, kind string) {
	n := -1
	w.DieAt(func(l audit.Leaf) bool {
		if l.Entry.Burst == claim {
			n++
		}
		return n == at
	})
	w.ask()
	w.down()
	w.DieAt(func(l audit.Leaf) bool { return l.Entry.Burst == claim })
	w.start()
	time.Sleep(3 * time.Second)
	w.DieAt(nil)
	if _, err := w.Engine(); err != nil {
		w.start()
	}
	s := w.until(burst.Ended)
	if s.Outcome != burst.WhyFinished || s.Attempt != 1 || s.Served < 3000 || len(s.Artefacts) == 0 {
		w.t.Errorf("killed at %s: outcome %q, attempt %d, served %d, %d artefacts",
			kind, s.Outcome, s.Attempt, s.Served, len(s.Artefacts))
	}
	if reserved, spent := w.Money(); reserved.Micros != 0 || spent != s.Settled.Spent {
		w.t.Errorf("killed at %s: reserved %v, spent %v, settled at %v", kind, reserved, spent, s.Settled.Spent)
	}
	if n := len(w.Cloud.Inventory()); n != 1 {
		w.t.Errorf("killed at %s: %d nodes were made", kind, n)
	}
}
