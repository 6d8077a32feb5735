package perform_test

import (
	"errors"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

func TestARevokedCredentialIsRefusedAndThatIsTheProbe(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		w.set(cast.Manners{Deaf: true})
		w.ask()
		s := w.until(burst.Running)
		serial := s.Serials[0].Number
		w.stop(burst.WhyRevoked)
		s = w.until(burst.Ended)
		if len(s.Probes) != 1 || s.Probes[0] != (burst.Probed{Serial: serial, Refused: true, By: "control",
			Detail: s.Probes[0].Detail}) {
			t.Errorf("probes: %+v", s.Probes)
		}
		for what, try := range map[string]func() error{
			"orders":  func() error { _, _, err := w.engine().Orders(t.Context(), s.Grant.ID, serial, -1); return err },
			"report":  func() error { return w.engine().Report(s.Grant.ID, serial, tunnel.Report{Kind: "unmounted"}) },
			"another": func() error { _, _, err := w.engine().Orders(t.Context(), s.Grant.ID, "77", -1); return err },
		} {
			if err := try(); !errors.Is(err, perform.ErrRefused) {
				t.Errorf("%s with a revoked or unknown credential: %v", what, err)
			}
		}
	})
}

func TestALeaseThatRunsOutCostsNoMoreThanWasReserved(t *testing.T) {
	for _, tc := range []struct {
		lease time.Duration
		deaf  bool
	}{{3 * time.Minute, false}, {3 * time.Minute, true}, {time.Hour, true}} {
		in(t, func(o *cast.Options) {
			o.Job = 3 * time.Hour
			o.Budget = policy.Money{Micros: o.Offerings[0].Offer.PerHour.For(tc.lease).Micros, Currency: "USD"}
		}, func(t *testing.T, w *world) {
			w.set(cast.Manners{Deaf: tc.deaf})
			job := cast.Job(cast.Pseudonymised)
			job.Lease = tc.lease
			if err := w.engine().Ask(cast.Request(claim, "job-1", job), cast.Digest("event")); err != nil {
				t.Fatal(err)
			}
			s := w.until(burst.Ended)
			if s.Outcome != burst.WhyExpired || s.Settled.Spent.Micros > s.Settled.Reserved.Micros {
				t.Errorf("%+v: %q, reserved %v, spent %v", tc, s.Outcome, s.Settled.Reserved, s.Settled.Spent)
			}
			if ended := w.Cloud.Inventory()[0]; ended.Why != "deleted" {
				t.Errorf("%+v: the node was %s", tc, ended.Why)
			}
		})
	}
}

func TestANodeThatEndedUnheardOfIsPaidFor(t *testing.T) {
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
		s := w.until(burst.Ended)
		if w.count("launched") != 0 || s.Spent().Micros == 0 {
			t.Errorf("%d nodes heard of, spent %v", w.count("launched"), s.Spent())
		}
		if reserved, spent := w.Money(); reserved.Micros != 0 || spent != s.Spent() {
			t.Errorf("reserved %v, spent %v, the log says %v", reserved, spent, s.Spent())
		}
	})
}
