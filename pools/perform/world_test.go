package perform_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/scenarios/cast"
)

const claim = "c-0123"

func TestMain(m *testing.M) {
	cast.InMemory()
	os.Exit(m.Run())
}

// world is a house in a bubble with all its actors.
type world struct {
	*cast.House
	t       *testing.T
	mu      sync.Mutex
	manners cast.Manners
}

// in plays a story in a house and checks the invariants at its end.
func in(t *testing.T, change func(*cast.Options), story func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		law, err := cast.Law(rules.Files())
		if err != nil {
			t.Fatal(err)
		}
		frankfurt, err := cast.Offer("aws/eu-central-1", "g5.12xlarge", "6.00 USD")
		if err != nil {
			t.Fatal(err)
		}
		o := cast.Options{Law: law, Budget: policy.Money{Micros: 100e6, Currency: "USD"},
			Timing: perform.Timing{Heartbeat: time.Minute}, Offerings: []sim.Offering{{Offer: frankfurt, Capacity: 4}}}
		if change != nil {
			change(&o)
		}
		w := &world{House: cast.New(t, o), t: t}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { w.Site.Witness(ctx) })
		all.Go(func() { w.Nodes(ctx, w.behave) })
		w.start()
		story(t, w)
		for _, b := range w.Close() {
			t.Error(b)
		}
		cancel()
		all.Wait()
	})
}

func (w *world) behave() cast.Manners {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.manners
}

func (w *world) set(m cast.Manners) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.manners = m
}

func (w *world) start() {
	w.t.Helper()
	if err := w.Start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) engine() *perform.Engine {
	w.t.Helper()
	e, err := w.Engine()
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) ask() {
	w.t.Helper()
	r := cast.Request(claim, "job-1", cast.Job(cast.Pseudonymised))
	if err := w.engine().Ask(r, cast.Digest("event")); err != nil {
		w.t.Fatal(err)
	}
}

// state is what the log says of the one burst.
func (w *world) state() burst.State {
	w.t.Helper()
	all, err := w.Bursts()
	if err != nil {
		w.t.Fatal(err)
	}
	if len(all) == 0 {
		return burst.State{}
	}
	return all[0]
}

// until waits for the burst to be in a phase.
func (w *world) until(p burst.Phase) burst.State {
	w.t.Helper()
	for range 3 * 3600 {
		if e, err := w.Engine(); err == nil && len(e.Bursts()) > 0 && e.Bursts()[0].Phase == p {
			return e.Bursts()[0]
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("the burst is in phase %q after three hours, not %q", w.state().Phase, p)
	return burst.State{}
}

// down waits for the controller to have died.
func (w *world) down() {
	w.t.Helper()
	for range 3600 {
		if _, err := w.Engine(); errors.Is(err, cast.ErrDown) {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Fatal("the controller lives on")
}

// count counts the entries of a kind.
func (w *world) count(kind string) int {
	w.t.Helper()
	leaves, err := w.Entries()
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, l := range leaves {
		if l.Entry.Kind == kind {
			n++
		}
	}
	return n
}
