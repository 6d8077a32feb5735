package azure_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/azure"
	"github.com/burstctl/burstctl/pools/cloud/azure/azuretest"
	"github.com/burstctl/burstctl/residency"
)

func TestAMachineEndsWithItsPartsAndHoldsNoSecret(t *testing.T) {
	inWorld(t, func(w *world) {
		l := ask("c-1")
		n := w.launch(l)
		vm := w.cloud.Machines()[0].VM
		p := vm.Properties
		if *p.NetworkProfile.NetworkInterfaces[0].Properties.DeleteOption != armcompute.DeleteOptionsDelete ||
			*p.StorageProfile.OSDisk.DeleteOption != armcompute.DiskDeleteOptionTypesDelete {
			w.Error("card or disk outlives the machine")
		}
		if !*p.OSProfile.LinuxConfiguration.DisablePasswordAuthentication || p.OSProfile.AdminPassword != nil ||
			*p.OSProfile.AllowExtensionOperations {
			w.Error("somebody can log in, or run an extension")
		}
		if *p.Priority != armcompute.VirtualMachinePriorityTypesRegular ||
			!*p.SecurityProfile.UefiSettings.SecureBootEnabled {
			w.Errorf("priority %s, security %+v", *p.Priority, p.SecurityProfile)
		}
		told, err := base64.StdEncoding.DecodeString(*p.OSProfile.CustomData)
		var u pools.UserData
		if err != nil || json.Unmarshal(told, &u) != nil || u != l.UserData {
			w.Errorf("the machine is told %q, want its user data alone", told)
		}
		for what, tags := range w.cloud.Tags() {
			for name, want := range map[string]string{azure.TagClaim: "c-1", azure.TagAttempt: "1", azure.TagToken: l.Token(),
				azure.TagOwner: "claims.example", "site": "hq", azure.TagExpires: l.Expires.Format(time.RFC3339Nano)} {
				if tags[name] == nil || *tags[name] != want {
					w.Errorf("%s: tag %s is %v, want %q", what, name, tags[name], want)
				}
			}
		}
		if !strings.HasPrefix(n.Reach, "10.1.0.") || !strings.HasSuffix(n.Reach, ":7443") ||
			n.At != amsterdam || !strings.HasSuffix(n.ID, "."+*p.VMID) {
			w.Errorf("node %+v of machine %s", n, *p.VMID)
		}
	})
}

func TestASpotMachineIsDeletedWhenItIsEvictedAndNeverCostsMoreThanItsOffer(t *testing.T) {
	inWorld(t, func(w *world) {
		l := spot(ask("c-1"))
		l.Offer.PerHour, l.Offer.AtMost = policy.Money{Micros: 171_000, Currency: "USD"}, l.Offer.PerHour // an estimate
		w.launch(l)
		p := w.cloud.Machines()[0].VM.Properties
		if *p.Priority != armcompute.VirtualMachinePriorityTypesSpot || *p.BillingProfile.MaxPrice != 0.684 ||
			*p.EvictionPolicy != armcompute.VirtualMachineEvictionPolicyTypesDelete {
			w.Errorf("priority %s, policy %s, at most %v", *p.Priority, *p.EvictionPolicy, *p.BillingProfile.MaxPrice)
		}
		euros := spot(ask("c-2"))
		euros.Offer.PerHour.Currency = "EUR"
		w.refuses(euros, pools.ErrRefused)
	})
}

func TestAMachineIsInTheZoneThatItsOfferNames(t *testing.T) {
	inWorld(t, func(w *world) {
		l := ask("c-1")
		l.Offer.At.Zone = "westeurope-2"
		if n := w.launch(l); n.At != l.Offer.At || *w.cloud.Machines()[0].VM.Zones[0] != "2" {
			w.Errorf("node at %v, machine in %s", n.At, *w.cloud.Machines()[0].VM.Zones[0])
		}
		for _, zone := range []string{"2", "westeurope-0", "westeurope-02", "northeurope-1", "westeurope-x", "westeurope-"} {
			l := ask("c-2")
			l.Offer.At.Zone = zone
			w.refuses(l, pools.ErrRefused)
		}
		elsewhere := ask("c-3")
		elsewhere.Offer.At = residency.Address{Provider: "azure", Region: "eastus"}
		w.refuses(elsewhere, pools.ErrRefused) // no subnet there
	})
}

func TestAMachineInAnotherPlaceIsDeletedAndPaidFor(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cloud.Set(azuretest.Faults{Elsewhere: "eastus"})
		err := w.refuses(ask("c-1"), pools.ErrEnded)
		if !strings.Contains(err.Error(), "it is at azure/eastus, not at azure/westeurope") {
			w.Errorf("launch: %v", err)
		}
		w.left()
	})
}

func TestACodeInAnErrorSaysWhatIsCertain(t *testing.T) {
	for _, c := range []struct {
		say  *azuretest.Answer
		want error
	}{
		{azuretest.NoSKU, pools.ErrCapacity}, {azuretest.NoRoom, pools.ErrCapacity},
		{azuretest.NoRoomInZone, pools.ErrCapacity}, {azuretest.Overconstrained, pools.ErrCapacity},
		{azuretest.NoRoomInDetails, pools.ErrCapacity}, {azuretest.Quota, pools.ErrQuota},
		{azuretest.BeingDeleted, nil}, {azuretest.TooMany, nil}, {azuretest.AnotherOperation, nil},
		{&azuretest.Answer{Status: 403, Code: "AuthorizationFailed"}, pools.ErrRefused},
		{&azuretest.Answer{Status: 400, Code: "InvalidParameter"}, pools.ErrRefused},
		{&azuretest.Answer{Status: 401, Code: "InvalidAuthenticationToken"}, nil}, // the next token may be good
		{&azuretest.Answer{Status: 500, Code: "InternalServerError"}, nil},
		{&azuretest.Answer{Status: 503, Code: "SkuNotAvailable"}, nil}, // no word of a server in trouble is certain
		{&azuretest.Answer{Status: 409, Code: "SomethingNew", Message: "no quota for that"}, nil},
	} {
		t.Run(c.say.Code, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.cloud.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1, Answer: c.say})
				w.refuses(ask("c-1"), c.want)
				if len(w.cloud.Machines()) > 0 {
					w.Errorf("a machine was made: %v", w.cloud.Left())
				}
				if c.want != nil {
					w.left()
				}
			})
		})
	}
}

// A PUT that Azure takes and that fails after: the machine is there, with card
// and disk, until somebody deletes it.
func TestAMachineThatFailedIsClearedAwayBeforeItsLaunchIsSaidToHaveFailed(t *testing.T) {
	for _, why := range []*azuretest.Answer{azuretest.NoRoom, azuretest.NoRoomInZone, azuretest.Quota} {
		inWorld(t, func(w *world) {
			w.cloud.Set(azuretest.Faults{Fails: why, KeepDisks: true})
			want := pools.ErrCapacity
			if why == azuretest.Quota {
				want = pools.ErrQuota
			}
			w.refuses(ask("c-1"), want)
			w.left()
		})
	}
}

// The process that made it has died; the next one finds it failed.
func TestAMachineThatFailedWhileNobodyLookedIsClearedAwayToo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cloud.Set(azuretest.Faults{Fails: azuretest.NoRoom})
		w.cloud.Spoil(azuretest.Spoil{Action: "Microsoft.Compute/locations/operations/read", Times: 1})
		l := ask("c-1")
		w.refuses(l, nil)
		w.left("machine", "card", "disk")
		w.d = open(w.T, options(w.cloud))
		w.refuses(l, pools.ErrCapacity)
		w.left()
	})
}

func TestAMachineWhoseGuestDidNotReportIsANodeAllTheSame(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cloud.Set(azuretest.Faults{Fails: &azuretest.Answer{Status: 409, Code: "OSProvisioningTimedOut",
			Message: "OS Provisioning for VM did not finish in the allotted time."}})
		l := ask("c-1")
		w.refuses(l, nil)
		if n := w.launch(l); len(w.list()) != 1 || w.list()[0].ID != n.ID {
			w.Errorf("it runs, is paid for, and is not listed: %+v", w.list())
		}
	})
}
