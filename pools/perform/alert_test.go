package perform_test

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// alerts are the budget alerts of the log.
func (w *world) alerts() []perform.Alert {
	w.t.Helper()
	var all []perform.Alert
	for leaf, err := range w.engine().Log.Entries(w.t.Context(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if leaf.Entry.Kind == "budget-alert" {
			var a perform.Alert
			if err := audit.DecodeStrict(leaf.Entry.Body, &a); err != nil || leaf.Entry.Code != "0108" {
				w.t.Fatal(err, leaf.Entry.Code)
			}
			all = append(all, a)
		}
	}
	return all
}

func TestABudgetIsAlertedOnceForEachThresholdWhateverCrashes(t *testing.T) {
	in(t, func(o *cast.Options) {
		o.Alerts, o.Job = []int{100, 50, 80}, time.Hour
		o.Budget = policy.Money{Micros: 10e6, Currency: "USD"} // a job of one hour reserves 6 USD
	}, func(t *testing.T, w *world) {
		w.ask()
		w.until(burst.Running)
		for range 2 {
			if err := w.Kill(); err != nil {
				t.Fatal(err)
			}
			w.start()
		}
		time.Sleep(time.Minute)
		got := w.alerts()
		if len(got) != 1 || got[0].Threshold != 50 || got[0].Percent != 60 || got[0].Account != "team "+cast.Team ||
			got[0].Held.Micros != 6e6 || got[0].Limit.Micros != 10e6 {
			t.Errorf("alerts %+v", got)
		}
		w.stop(burst.WhyRevoked)
		w.until(burst.Ended)
		if got := w.alerts(); len(got) != 1 {
			t.Errorf("alerts after the end %+v", got)
		}
	})
}

func TestAnAlertThatACrashSwallowedIsEnteredByTheNextStart(t *testing.T) {
	in(t, func(o *cast.Options) {
		o.Alerts, o.Job = []int{50}, time.Hour
		o.Budget = policy.Money{Micros: 10e6, Currency: "USD"}
	}, func(t *testing.T, w *world) {
		w.DieAt(func(leaf audit.Leaf) bool { return leaf.Entry.Kind == "decided" })
		w.ask()
		time.Sleep(time.Second)
		w.start()
		w.until(burst.Running)
		if got := w.alerts(); len(got) != 1 || got[0].Threshold != 50 {
			t.Errorf("alerts %+v", got)
		}
		w.stop(burst.WhyRevoked)
		w.until(burst.Ended)
	})
}

func TestANodeThatEndedWhileItsBurstWasStoppedIsPaidForOnce(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.Cloud.Set(sim.Faults{LoseLaunches: 1})
		w.ask()
		for len(w.Cloud.Inventory()) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Millisecond)
		if err := w.Cloud.Vanish(w.Cloud.Inventory()[0].Node.ID); err != nil {
			t.Fatal(err)
		}
		w.stop(burst.WhyRevoked)
		s := w.until(burst.Ended)
		_, spent := w.Money()
		if s.Sunk.Micros == 0 || spent != s.Sunk {
			t.Errorf("sunk %v, the ledger says %v", s.Sunk, spent)
		}
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		w.start() // the log folds
	})
}

func TestAMachineThatCostsMoreThanIsAllowedIsNotLaunched(t *testing.T) {
	for who, most := range map[string]string{"house": "5.99 USD", "job": "5.99 USD", "nobody": "6.00 USD"} {
		m, err := policy.ParseMoney(most)
		if err != nil {
			t.Fatal(err)
		}
		in(t, func(o *cast.Options) {
			if who != "job" {
				o.MaxPrice = m
			}
		}, func(t *testing.T, w *world) {
			job := cast.Job(cast.Pseudonymised)
			if who == "job" {
				job.MaxPrice = m
			}
			if err := w.engine().Ask(cast.Request(claim, "job-1", job), cast.Digest("event")); err != nil {
				t.Fatal(err)
			}
			s := w.until(burst.Ended)
			if refused := s.Outcome == "refused: 1 offers: 1 price"; refused != (who != "nobody") {
				t.Errorf("%s: %q", who, s.Outcome)
			}
		})
	}
}
