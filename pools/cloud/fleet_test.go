package cloud_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/residency"
)

func sold(provider, kind string) policy.Offer {
	at := residency.Address{Provider: provider, Region: "r-1"}
	return policy.Offer{At: at, Type: kind, GPUs: 1, PerHour: usd(1e6)}
}

func simOf(offers ...policy.Offer) *sim.Cloud {
	var o sim.Options
	for _, offer := range offers {
		o.Offerings = append(o.Offerings, sim.Offering{Offer: offer, Capacity: 4})
	}
	return sim.New(o)
}

func TestAFleetKeepsTheDriversContract(t *testing.T) {
	cloudtest.TestInBubble(t, func(*testing.T) cloudtest.Harness {
		both := sim.New(sim.Options{DeleteDelay: time.Second, Offerings: []sim.Offering{
			{Offer: sold("aws", "small"), Capacity: 4}, {Offer: sold("aws", "scarce")}}})
		return cloudtest.Harness{Driver: cloud.Fleet{"aws": both, "azure": both, "other": simOf()},
			Offer: sold("aws", "small"), Scarce: sold("aws", "scarce"), Patience: time.Minute, Short: time.Second,
			Cannot: none()}
	})
}

// none is every fault: a fleet has none of its own, its drivers are asked.
func none() map[cloudtest.Fault]string {
	cannot := map[cloudtest.Fault]string{}
	for _, f := range []cloudtest.Fault{cloudtest.LostCall, cloudtest.LostAnswer, cloudtest.LostDelete, cloudtest.LostList,
		cloudtest.ListLag, cloudtest.Throttle, cloudtest.NoCapacity, cloudtest.NoQuota, cloudtest.Stuck, cloudtest.Protected,
		cloudtest.Vanished, cloudtest.Crash} {
		cannot[f] = "each driver is asked by itself"
	}
	return cannot
}

func TestAFleetRoutesByProviderAndNeverHalfLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws, azure := simOf(sold("aws", "small")), simOf(sold("azure", "small"))
		f := cloud.Fleet{"aws": aws, "azure": azure}
		ids := map[string]string{}
		for _, provider := range []string{"aws", "azure"} {
			n, err := f.Launch(t.Context(), pools.Launch{Claim: "c-" + provider, Attempt: 1,
				Offer: sold(provider, "small"), Expires: time.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			ids[provider] = n.ID
		}
		if len(aws.Inventory()) != 1 || len(azure.Inventory()) != 1 {
			t.Errorf("aws has %v, azure has %v", aws.Inventory(), azure.Inventory())
		}
		nowhere := pools.Launch{Claim: "c-1", Attempt: 1, Offer: sold("gcp", "small"),
			Expires: time.Now().Add(time.Hour)}
		if _, err := f.Launch(t.Context(), nowhere); !errors.Is(err, pools.ErrRefused) {
			t.Errorf("launch without a driver: %v, want %v", err, pools.ErrRefused)
		}
		azure.Set(sim.Faults{FailLists: 1, Dark: []string{"azure/r-1"}})
		if got, err := f.List(t.Context()); err == nil {
			t.Errorf("half a listing passed as whole: %v", got)
		}
		if err := f.Delete(t.Context(), ids["azure"]); err == nil || errors.Is(err, pools.ErrGone) {
			t.Errorf("delete while its provider is dark: %v, want doubt", err)
		}
		if err := f.Delete(t.Context(), "aws/"+ids["azure"]); !errors.Is(err, pools.ErrGone) {
			t.Errorf("delete at the provider named: %v", err)
		}
		if _, err := (cloud.Fleet{"azure": aws}).List(t.Context()); err == nil {
			t.Error("a node at a provider the fleet lacks passed")
		}
	})
}
