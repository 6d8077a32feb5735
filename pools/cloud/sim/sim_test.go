package sim_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/residency"
)

var (
	frankfurt = residency.Address{Provider: "aws", Region: "eu-central-1"}
	virginia  = residency.Address{Provider: "aws", Region: "us-east-1"}
)

func offer(at residency.Address, kind string) policy.Offer {
	return policy.Offer{At: at, Type: kind, GPU: "t4", GPUs: 1,
		PerHour: policy.Money{Micros: 940_000, Currency: "USD"}, AsOf: "2026-01-21", Source: "test"}
}

func options() sim.Options {
	return sim.Options{
		Offerings: []sim.Offering{
			{Offer: offer(frankfurt, "g4dn.2xlarge"), Capacity: 4},
			{Offer: offer(frankfurt, "p4d.24xlarge"), Capacity: 0},
			{Offer: offer(virginia, "g4dn.2xlarge"), Capacity: 4},
		},
		Boot: 40 * time.Second, ListLag: 20 * time.Second, DeleteDelay: 30 * time.Second, Latency: time.Second,
	}
}

func launch(claim string, attempt int) pools.Launch {
	return pools.Launch{Claim: claim, Attempt: attempt, Offer: offer(frankfurt, "g4dn.2xlarge"),
		Expires: time.Now().Add(time.Hour)}
}

func TestSimKeepsTheDriversContract(t *testing.T) {
	cloudtest.TestInBubble(t, func(*testing.T) cloudtest.Harness {
		c := sim.New(options())
		return cloudtest.Harness{Driver: c, Offer: offer(frankfurt, "g4dn.2xlarge"), Trouble: trouble{c},
			Scarce: offer(frankfurt, "p4d.24xlarge"), Patience: 5 * time.Minute, Short: time.Minute}
	})
}

// trouble makes a simulated cloud misbehave as the contract asks.
type trouble struct{ *sim.Cloud }

func (c trouble) Cause(f cloudtest.Fault) {
	switch f {
	case cloudtest.ListLag: // a new node is listed late in any case
	case cloudtest.Vanished:
		for _, i := range c.Inventory() {
			_ = c.Vanish(i.Node.ID) // it may have ended
		}
	default:
		c.Set(map[cloudtest.Fault]sim.Faults{
			cloudtest.LostCall:   {FailLaunches: 1},
			cloudtest.LostAnswer: {LoseLaunches: 1},
			cloudtest.LostDelete: {LoseDeletes: 1},
			cloudtest.LostList:   {FailLists: 1},
			cloudtest.Throttle:   {FailLaunches: 2, FailDeletes: 2, FailLists: 2},
			cloudtest.NoCapacity: {NoCapacity: []string{offer(frankfurt, "g4dn.2xlarge").Key()}},
			cloudtest.NoQuota:    {NoQuota: true},
			cloudtest.Stuck:      {StuckDeletes: true},
			cloudtest.Protected:  {Protected: true},
		}[f])
	}
}

// Cut cuts at a launch or a delete, which are one call each.
func (c trouble) Cut(n int, effect bool) {
	switch {
	case n > 0:
	case effect:
		c.Set(sim.Faults{LoseLaunches: 1, LoseDeletes: 1})
	default:
		c.Set(sim.Faults{FailLaunches: 1, FailDeletes: 1})
	}
}

func TestALaunchWhoseAnswerIsLostMadeItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(options())
		c.Set(sim.Faults{LoseLaunches: 1})
		l := launch("c-1", 1)
		_, err := c.Launch(t.Context(), l)
		if err == nil || errors.Is(err, pools.ErrRefused) || errors.Is(err, pools.ErrCapacity) {
			t.Fatalf("lost answer: %v, want an error that leaves it unknown", err)
		}
		n, err := c.Launch(t.Context(), l)
		if err != nil || len(c.Inventory()) != 1 || c.Inventory()[0].Node.ID != n.ID {
			t.Errorf("second call of the same launch: %+v, %v; inventory %+v", n, err, c.Inventory())
		}
		if calls := c.Calls(); len(calls) != 2 || !calls[0].Made || calls[0].Err == "" || calls[1].Made {
			t.Errorf("calls %+v", calls)
		}
	})
}

func TestACallCancelledOnItsWayBackHasItsEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(options())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := c.Launch(ctx, launch("c-1", 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("launch: %v", err)
		}
		if c.MostAlive("c-1") != 1 {
			t.Error("the launch had no effect")
		}
	})
}

func TestANewNodeBootsAndIsListedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(options())
		if n, err := c.Launch(t.Context(), launch("c-1", 1)); err != nil || n.State != pools.Pending {
			t.Fatalf("launch: %+v, %v", n, err)
		}
		if nodes, err := c.List(t.Context()); err != nil || len(nodes) != 0 {
			t.Errorf("listed at once: %v, %v", nodes, err)
		}
		time.Sleep(20 * time.Second)
		if nodes, _ := c.List(t.Context()); len(nodes) != 1 || nodes[0].State != pools.Pending {
			t.Errorf("listed after the lag: %v", nodes)
		}
		time.Sleep(20 * time.Second)
		if nodes, _ := c.List(t.Context()); len(nodes) != 1 || nodes[0].State != pools.Running {
			t.Errorf("listed after boot: %v", nodes)
		}
	})
}

func TestADarkRegionFailsItsCallsAndEveryListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(options())
		n, err := c.Launch(t.Context(), launch("c-1", 1))
		if err != nil {
			t.Fatal(err)
		}
		c.Set(sim.Faults{Dark: []string{"aws/eu-central-1"}})
		if _, err := c.Launch(t.Context(), launch("c-2", 1)); err == nil {
			t.Error("launched in a dark region")
		}
		if _, err := c.List(t.Context()); err == nil {
			t.Error("a listing without a region passed as complete")
		}
		if err := c.Delete(t.Context(), n.ID); err == nil || errors.Is(err, pools.ErrGone) {
			t.Errorf("delete in a dark region: %v", err)
		}
		away := launch("c-3", 1)
		away.Offer = offer(virginia, "g4dn.2xlarge")
		if _, err := c.Launch(t.Context(), away); err != nil {
			t.Errorf("launch elsewhere: %v", err)
		}
	})
}

func TestAStuckTerminateEndsOnlyAtTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(options())
		n, err := c.Launch(t.Context(), launch("c-1", 1))
		if err != nil {
			t.Fatal(err)
		}
		c.Set(sim.Faults{StuckDeletes: true, LoseDeletes: 1})
		if err := c.Delete(t.Context(), n.ID); err == nil {
			t.Error("the lost answer arrived")
		}
		for range 50 {
			if err := c.Delete(t.Context(), n.ID); err != nil {
				t.Fatalf("delete: %v", err)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Until(n.Expires))
		if err := c.Delete(t.Context(), n.ID); !errors.Is(err, pools.ErrGone) {
			t.Errorf("delete after the lease: %v", err)
		}
		if got := c.Inventory()[0].Why; got != "expired" {
			t.Errorf("ended because %q", got)
		}
		if got := c.Billed("c-1"); got.String() != "0.9400 USD" {
			t.Errorf("billed %v for an hour at 0.94", got)
		}
	})
}

func TestCapacityAndQuotaAreTheCloudsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Quota = 2
		c := sim.New(o)
		c.Set(sim.Faults{NoCapacity: []string{offer(frankfurt, "g4dn.2xlarge").Key()}})
		if _, err := c.Launch(t.Context(), launch("c-1", 1)); !errors.Is(err, pools.ErrCapacity) {
			t.Errorf("launch: %v, want %v", err, pools.ErrCapacity)
		}
		c.Set(sim.Faults{})
		var first pools.Node
		for i, want := range []error{nil, nil, pools.ErrQuota} {
			n, err := c.Launch(t.Context(), launch("c-2", i+1))
			if !errors.Is(err, want) {
				t.Errorf("launch %d: %v, want %v", i, err, want)
			}
			if i == 0 {
				first = n
			}
		}
		if err := c.Vanish(first.ID); err != nil || c.Vanish(first.ID) == nil {
			t.Errorf("vanish: %v, then again without an error", err)
		}
		if _, err := c.Launch(t.Context(), launch("c-3", 1)); err != nil {
			t.Errorf("launch after one ended: %v", err)
		}
		if got := c.MostAlive("c-2"); got != 2 {
			t.Errorf("most alive of c-2: %d, want 2", got)
		}
	})
}
