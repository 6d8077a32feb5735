package edge_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// intent reports whether an entry is the wish to open the window of a grant.
func intent(in tunnel.Entering, grant string, n int) bool {
	var w burst.Window
	return in.Kind == "serve-intent" && audit.DecodeStrict(in.Body, &w) == nil && w.Grant == grant && w.N == n
}

func TestTheNextWindowIsAskedForAheadAndNothingGoesOutBeyondTheLast(t *testing.T) {
	w := newWorld(t, nil)
	asked, enter := make(chan struct{}), make(chan struct{})
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			if intent(in, "g-1", 2) {
				close(asked)
				<-enter
			}
			return nil
		}
	})
	n := w.honest("g-1", nil)
	n.reads(0, 2) // of three that fit beside the manifest
	<-asked
	n.reads(2, 3) // the log's slowness is not felt before the window is used up
	if err := n.chunk(3, 300*time.Millisecond); err == nil {
		t.Error("a chunk went out that no window holds")
	}
	if opened, _ := w.books("g-1"); len(opened) != 1 || n.Bytes().Received > opened[0].Bytes {
		t.Errorf("%d bytes came of %+v", n.Bytes().Received, opened)
	}
	close(enter)
	n.reads(3, 9)
	w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Order = tunnel.OrderExit })
	n.accounted()
}

func TestEveryWindowIsInTheLogBeforeItsFirstByte(t *testing.T) {
	w := newWorld(t, nil)
	var n atomic.Pointer[node]
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			var win burst.Window
			if in.Kind != "serve-intent" || audit.DecodeStrict(in.Body, &win) != nil || n.Load() == nil {
				return nil
			}
			if got, may := n.Load().Bytes().Received, int64(win.N-1)*4*mib; got > may {
				t.Errorf("%d bytes were out before window %d was entered", got, win.N)
			}
			return nil
		}
	})
	n.Store(w.honest("g-1", nil))
	n.Load().reads(0, 9)
}

func TestReadsEndWithTheWindowWhenTheControllerIsAwayAndGoOnWhenItIsBack(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	w.http.Close()
	n.reads(1, 3) // the window is entered: it is good without anybody
	if err := n.chunk(3, 500*time.Millisecond); err == nil {
		t.Error("a chunk went out that no window holds")
	}
	if opened, _ := w.books("g-1"); len(opened) != 1 || n.Bytes().Received > opened[0].Bytes {
		t.Errorf("%d bytes came of %+v", n.Bytes().Received, opened)
	}
	w.comeBack()
	n.reads(3, 9)
	w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Order = tunnel.OrderExit })
	n.accounted()
}

func TestWhatAWindowServedIsEnteredLaterIfItCannotBeNow(t *testing.T) {
	t.Parallel() // it waits out the tries to close
	w := newWorld(t, nil)
	var full atomic.Bool
	full.Store(true)
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			var s burst.Served
			if in.Kind == "serve-outcome" && full.Load() && audit.DecodeStrict(in.Body, &s) == nil && s.N == 1 {
				return errors.New("the disk is full")
			}
			return nil
		}
	})
	n := w.honest("g-1", nil)
	n.reads(0, 4) // the first window is used up, and cannot be closed
	w.line("road closed", "close window")
	full.Store(false)
	n.reads(4, 9)
	_, closed := w.books("g-1")
	if first := closed[1]; first.Bytes < 3*mib || first.Bytes > 4*mib || first.Why != "spent" {
		t.Errorf("the first window was closed as %+v", first)
	}
}

func TestALostAnswerToAClosedWindowEndsNothing(t *testing.T) {
	w := newWorld(t, nil)
	var lost sync.Once
	var asked atomic.Int64
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			var s burst.Served
			if in.Kind == "serve-outcome" && audit.DecodeStrict(in.Body, &s) == nil && s.N == 1 {
				asked.Add(1)
			}
			return nil
		}
		c.after = func(in tunnel.Entering, _ *tunnel.Entered) (err error) {
			if in.Kind == "serve-outcome" {
				lost.Do(func() { err = errors.New("the answer is lost") })
			}
			return err
		}
	})
	n := w.honest("g-1", nil)
	n.reads(0, 9)
	if strings.Contains(w.said.String(), "road closed") {
		t.Error("the stream ended over it")
	}
	w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Order = tunnel.OrderExit })
	w.line("road closed", "why=cut")
	if n := asked.Load(); n > 10 || strings.Contains(w.said.String(), "close window") {
		t.Errorf("it was asked for %d times, as if the log did not hold it", n)
	}
	n.accounted()
}

func TestALostAnswerToAnOpenedWindowCostsNothing(t *testing.T) {
	w := newWorld(t, nil)
	var lost sync.Once
	w.ctl.set(func(c *controller) {
		c.after = func(in tunnel.Entering, _ *tunnel.Entered) (err error) {
			if intent(in, "g-1", 1) {
				lost.Do(func() { err = errors.New("the answer is lost") })
			}
			return err
		}
	})
	n := w.honest("g-1", nil)
	n.reads(0, 9)
	_, closed := w.books("g-1")
	if first := closed[1]; first.Bytes != 0 || first.Why != "unused" {
		t.Errorf("the window nobody heard of was closed as %+v", first)
	}
}

func TestAWindowThatIsNotProvenToBeInTheLogServesNothing(t *testing.T) {
	for name, lie := range map[string]func(*world, *tunnel.Entered){
		"another entry, proven": func(w *world, e *tunnel.Entered) {
			for leaf, err := range w.ctl.log.Entries(t.Context(), 0) {
				must(t, err)
				e.Index = leaf.Index
				e.Leaf, err = leaf.Entry.Encode()
				must(t, err)
				break
			}
			x, err := w.ctl.log.Extend(t.Context(), w.conf.Witness.Size(), e.Index)
			must(t, err)
			e.Checkpoint, e.Consistency, e.Inclusion = x.Checkpoint, hashes(x.Consistency), hashes(x.Inclusion)
		},
		"no entry":       func(_ *world, e *tunnel.Entered) { e.Leaf = nil },
		"no checkpoint":  func(_ *world, e *tunnel.Entered) { e.Checkpoint = nil },
		"another place":  func(_ *world, e *tunnel.Entered) { e.Index-- },
		"no inclusion":   func(_ *world, e *tunnel.Entered) { e.Inclusion = nil },
		"bent inclusion": func(_ *world, e *tunnel.Entered) { e.Inclusion[0][0] ^= 1 },
		"bent checkpoint": func(_ *world, e *tunnel.Entered) {
			e.Checkpoint = slices.Clone(e.Checkpoint)
			e.Checkpoint[len(e.Checkpoint)-10] ^= 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.ctl.set(func(c *controller) {
				c.after = func(in tunnel.Entering, out *tunnel.Entered) error {
					if in.Kind == "serve-intent" {
						lie(w, out)
					}
					return nil
				}
			})
			n := w.honest("g-1", nil)
			if err := n.chunk(0, 500*time.Millisecond); err == nil || n.Bytes().Received > 0 {
				t.Errorf("%d bytes came: %v", n.Bytes().Received, err)
			}
		})
	}
}

func TestAStopCutsTheStream(t *testing.T) {
	for name, stop := range map[string]func(*world){
		"told to exit":  func(w *world) { w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Order = tunnel.OrderExit }) },
		"told to probe": func(w *world) { w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Order = tunnel.OrderProbe }) },
		"listed no more": func(w *world) {
			w.ctl.set(func(c *controller) { c.work.Grants = nil })
		},
		"told to end itself": func(w *world) { w.end() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			n := w.honest("g-1", nil)
			n.reads(0, 1)
			stop(w)
			w.line("road closed", "why=cut")
			if err := n.chunk(1, 200*time.Millisecond); err == nil {
				t.Error("a chunk came after it")
			}
		})
	}
}

func TestAForkedLogEndsTheEdgeAndItsStreams(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	o := w.logOptions
	o.Dir = o.Dir + "-other"
	must(t, audit.Create(o))
	other, err := audit.Open(t.Context(), o)
	must(t, err)
	defer other.Close()
	c := &controller{log: other}
	for range 20 { // more than the edge has seen
		w.enterGrant(c, w.spec("g-of-another-history"))
	}
	w.ctl.set(func(c *controller) {
		c.extend = func(ctx context.Context, old int64) (tunnel.Extension, error) { return extension(ctx, other, old) }
	})
	w.enterGrant(w.ctl, w.spec("g-2")) // ends the poll that is out
	select {
	case err = <-w.ended:
		w.ended <- err
	case <-time.After(time.Minute):
		t.Fatal("the edge goes on")
	}
	if _, ok := errors.AsType[*audit.ForkError](err); !ok {
		t.Errorf("the edge ended with %v", err)
	}
	if err := n.chunk(1, 200*time.Millisecond); err == nil {
		t.Error("a chunk came after it")
	}
	if other.CosignedSize() != 0 {
		t.Error("the other history was cosigned")
	}
	if err := w.ctl.log.AddCosignature(w.conf.Witness.Remembers()); err != nil {
		t.Errorf("what the witness remembers is not the first history: %v", err)
	}
}

func TestTwoGrantsAreKeptApart(t *testing.T) {
	w := newWorld(t, nil)
	a := w.honest("g-a", nil)
	b := w.honest("g-b", func(s *spec) { s.Slice, s.SliceDigest = roads, w.edge.Held()[roads] })
	var both sync.WaitGroup
	both.Go(func() { a.reads(0, 4) })
	both.Go(func() { b.reads(0, 2) })
	both.Wait()
	if _, err := b.Chunk(t.Context(), a.spec.SliceDigest, 0, 0); !errors.Is(err, slice.ErrDenied) {
		t.Errorf("one reads the other's slice: %v", err)
	}
	w.ctl.grant("g-a", func(g *tunnel.Serving) { g.Order = tunnel.OrderExit })
	w.line("road closed", "grant=g-a", "why=cut")
	b.reads(2, 3) // goes on
	if err := a.chunk(4, 200*time.Millisecond); err == nil {
		t.Error("the one that was cut reads on")
	}
	for id, digest := range map[string]string{"g-a": a.spec.SliceDigest, "g-b": b.spec.SliceDigest} {
		opened, _ := w.books(id)
		for _, o := range opened {
			if o.Manifest != digest {
				t.Errorf("a window of %s is for %s", id, o.Manifest)
			}
		}
		if len(opened) == 0 {
			t.Errorf("%s has no window", id)
		}
	}
}

// A node whose address hangs must not keep another's from being served or cut.
func TestAGrantThatHangsHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	must(t, err)
	defer ln.Close()
	hang := make(chan struct{})
	defer close(hang)
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			if in.Claim == "c-dead" {
				<-hang
			}
			return nil
		}
	})
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	w.ctl.set(func(c *controller) {
		c.work.Grants = append(c.work.Grants, tunnel.Serving{Grant: "g-dead", Claim: "c-dead", Reach: ln.Addr().String(),
			Order: tunnel.OrderRun, Window: 1, Open: []tunnel.Open{{N: 1, Bytes: mib}}})
	})
	w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Order = tunnel.OrderExit })
	w.until("the other is cut", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return n.Ready(ctx) != nil
	})
}

func TestWindowsOfAnEarlierLifeAreChargedWhole(t *testing.T) {
	w := newWorld(t, nil)
	s := w.spec("g-1")
	w.ctl.set(func(c *controller) {
		c.work.Grants = append(c.work.Grants, tunnel.Serving{Grant: "g-1", Claim: s.Claim, Reach: "127.0.0.1:9",
			Order: tunnel.OrderRun, Window: 2, Open: []tunnel.Open{{N: 1, Bytes: 700}, {N: 2, Bytes: 800}}})
	})
	w.until("both are closed", func() bool { return len(entered[burst.Served](w, "serve-outcome")) == 2 })
	for i, got := range entered[burst.Served](w, "serve-outcome") {
		if want := int64(700 + 100*i); got.N != i+1 || got.Bytes != want || got.Why != "lost" {
			t.Errorf("window %d is closed as %+v", i+1, got)
		}
	}
}

func TestTheEdgeProbesARevokedCredentialOnTheRoad(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	w.ctl.grant("g-1", func(g *tunnel.Serving) { g.Order, g.Revoked = tunnel.OrderProbe, []string{n.serial} })
	w.until("the probe is entered", func() bool { return len(entered[burst.Probed](w, "probed")) > 0 })
	p := entered[burst.Probed](w, "probed")[0]
	if !p.Refused || p.Serial != n.serial || p.By != "edge" {
		t.Errorf("probed: %+v", p)
	}
}
