package azure_test

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/azure"
	"github.com/burstctl/burstctl/pools/cloud/azure/azuretest"
	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
	"github.com/burstctl/burstctl/residency"
)

const (
	subscription = "11111111-2222-3333-4444-555555555555"
	group        = "bursts"
	subnet       = "/subscriptions/" + subscription + "/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/" +
		"v/subnets/nodes"
)

var amsterdam = residency.Address{Provider: "azure", Region: "westeurope"}

// offer is a machine at its price.
func offer(at residency.Address, kind string) policy.Offer {
	return policy.Offer{At: at, Type: kind, GPU: "t4", GPUs: 1,
		PerHour: policy.Money{Micros: 684_000, Currency: "USD"}, AsOf: "2026-06-18", Source: "test"}
}

// newCloud is a resource group that takes its time.
func newCloud() *azuretest.Cloud {
	return azuretest.New(azuretest.Options{Subscription: subscription, Group: group, Boot: 70 * time.Second,
		DeleteDelay: 40 * time.Second, Latency: 80 * time.Millisecond, PageSize: 1, DeadMan: azure.TagExpires,
		Room: map[string]int{"Standard_NC4as_T4_v3": 4, "Standard_ND96isr_H100_v5": 0}})
}

// options are those of a driver for c.
func options(c *azuretest.Cloud) azure.Options {
	return azure.Options{Subscription: subscription, Group: group, Owner: "claims.example",
		Tags:    map[string]string{"site": "hq"},
		Subnets: map[string]string{"westeurope": subnet, "germanywestcentral": subnet},
		Image:   "canonical:ubuntu-24_04-lts:server:24.04.202611010", Credential: c.Credential(), Client: c.Client()}
}

// open opens a driver, as each process does.
func open(t *testing.T, o azure.Options) *azure.Driver {
	t.Helper()
	d, err := azure.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAzureKeepsTheDriversContract(t *testing.T) {
	cloudtest.TestInBubble(t, func(t *testing.T) cloudtest.Harness {
		c := newCloud()
		return cloudtest.Harness{Driver: open(t, options(c)), Offer: offer(amsterdam, "Standard_NC4as_T4_v3"),
			Scarce: offer(amsterdam, "Standard_ND96isr_H100_v5"), Patience: 20 * time.Minute, Short: 5 * time.Minute,
			Trouble:  trouble{c},
			UserData: pools.UserData{Control: "10.0.0.1:8443", CA: "sha256:00", Domain: "claims.example"},
			Again:    func(t *testing.T) pools.Driver { return open(t, options(c)) }}
	})
}

// trouble makes the resource group misbehave as the contract asks.
type trouble struct{ *azuretest.Cloud }

func (c trouble) Cause(f cloudtest.Fault) {
	const machines = "Microsoft.Compute/virtualMachines/"
	switch f {
	case cloudtest.Calm:
		c.Calm()
	case cloudtest.LostCall:
		c.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1})
	case cloudtest.LostAnswer:
		c.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1, Lose: true})
	case cloudtest.LostDelete:
		c.Spoil(azuretest.Spoil{Action: machines + "delete", Times: 1, Lose: true})
	case cloudtest.LostList:
		c.Spoil(azuretest.Spoil{Action: machines + "read", Page: true, Times: 1})
	case cloudtest.ListLag:
		c.Set(azuretest.Faults{HideNew: true})
	case cloudtest.Throttle:
		c.Spoil(azuretest.Spoil{Action: "*", Times: 3, Answer: azuretest.Throttled("17")})
	case cloudtest.NoCapacity:
		c.Set(azuretest.Faults{Fails: azuretest.NoRoom})
	case cloudtest.NoQuota:
		c.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1000, Answer: azuretest.Quota})
	case cloudtest.Stuck:
		c.Set(azuretest.Faults{Stuck: true})
	case cloudtest.Protected:
		c.Protect()
	case cloudtest.Vanished:
		c.Vanish()
	}
}
