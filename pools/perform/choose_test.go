package perform_test

import (
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// second asks for another burst and waits until it has ended.
func (w *world) second() burst.State {
	w.t.Helper()
	r := cast.Request("c-second", "job-2", cast.Job(cast.Pseudonymised))
	if err := w.engine().Ask(r, cast.Digest("2")); err != nil {
		w.t.Fatal(err)
	}
	for range 400 {
		for _, s := range w.engine().Bursts() {
			if s.Claim == "c-second" && s.Phase == burst.Ended {
				return s
			}
		}
		time.Sleep(5 * time.Second)
	}
	w.t.Fatalf("the second burst does not end: %+v", w.engine().Bursts())
	return burst.State{}
}

// two adds a dearer offer of another family at another provider.
func two(o *cast.Options) {
	short(o)
	other, err := cast.Offer("azure/germanywestcentral", "Standard_NC64as_T4_v3", "7.00 USD")
	if err != nil {
		panic(err)
	}
	o.Offerings = append(o.Offerings, sim.Offering{Offer: other, Capacity: 4})
}

func TestWhatHadNoCapacityIsNotAskedForByTheNextBurst(t *testing.T) {
	in(t, two, func(t *testing.T, w *world) {
		scarce := plannedFor(t, w)
		w.Cloud.Set(sim.Faults{NoCapacity: []string{scarce}})
		w.ask()
		first := w.until(burst.Ended)
		if first.Tried[scarce] == "" || first.Outcome != burst.WhyFinished {
			t.Fatalf("the first burst tried %v and ended %q", first.Tried, first.Outcome)
		}
		s := w.second()
		if s.Outcome != burst.WhyFinished || len(s.Tried) != 0 {
			t.Errorf("the second burst tried %v and ended %q", s.Tried, s.Outcome)
		}
		told := false
		for _, c := range s.Decision.Candidates {
			told = told || c.Offer.Key() == scarce && c.Strike != nil && strings.Contains(c.Strike.Why, "not asked for until")
		}
		if !told {
			t.Errorf("it does not say why not there: %+v", s.Decision.Candidates)
		}
	})
}

// plannedFor is the offer that a burst would be sent to.
func plannedFor(t *testing.T, w *world) string {
	t.Helper()
	f, err := w.engine().Forecast(cast.Place, cast.Job(cast.Pseudonymised))
	if err != nil || f.Decision.Plan == nil {
		t.Fatalf("forecast %+v, %v", f, err)
	}
	return f.Decision.Plan.Offer.Key()
}

func TestWhatTheLogTaughtOfCapacityOutlivesTheController(t *testing.T) {
	in(t, two, func(t *testing.T, w *world) {
		scarce := plannedFor(t, w)
		w.Cloud.Set(sim.Faults{NoCapacity: []string{scarce}})
		w.ask()
		w.until(burst.Ended)
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		w.start()
		if plannedFor(t, w) == scarce {
			t.Error("it was forgotten")
		}
	})
}

func TestAQuotaIsRememberedAndToldToAPerson(t *testing.T) {
	in(t, two, func(t *testing.T, w *world) {
		w.Cloud.Set(sim.Faults{NoQuota: true})
		w.ask()
		if s := w.until(burst.Ended); !strings.HasPrefix(s.Outcome, "refused: ") {
			t.Fatalf("ended %q", s.Outcome)
		}
		if a := w.engine().Attention(); len(a) == 0 || !strings.Contains(a[0], "quota reached") {
			t.Errorf("attention %q", a)
		}
		w.Cloud.Set(sim.Faults{})
		s := w.second()
		if !strings.Contains(s.Outcome, policy.KindQuota) || len(s.Tried) != 0 {
			t.Errorf("the second burst tried %v and ended %q", s.Tried, s.Outcome)
		}
	})
}

// A question nobody asked before: every place of every offer that is carried is
// asked of the shipped rules, then all of them are ranked.
func BenchmarkDecideOnAFreshQuestionOfTheCarriedOffers(b *testing.B) {
	law, err := cast.Law(rules.Files())
	if err != nil {
		b.Fatal(err)
	}
	offers, err := catalog.Carried()
	if err != nil {
		b.Fatal(err)
	}
	facts, err := catalog.FactsOf(catalog.Road{Mbps: 2000})
	if err != nil {
		b.Fatal(err)
	}
	slice, err := law.Catalogue.Slice(cast.Pseudonymised)
	if err != nil {
		b.Fatal(err)
	}
	r := cast.Request("c-1", "job-1", cast.Job(cast.Pseudonymised))
	r.SliceBytes = 50e9
	places := law.Places.At(r.At)
	ask := residency.Ask{Slice: slice, Purpose: r.Job.Purpose, Team: r.Job.Team, Site: r.Site}
	book := policy.NewBook(offers, facts, policy.Weights{Restart: 100, Transfer: 100, Egress: 100, Returned: 10})
	w := policy.World{Left: r.Job.Budget, MaxLease: time.Hour,
		Screen: func(a residency.Address) residency.Verdict { return law.Rules.Screen(places, ask, a) }}
	for b.Loop() {
		if d := book.Decide(r, w); d.Plan == nil {
			b.Fatal(d.Refusal)
		}
	}
}
