package azure_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/azure"
	"github.com/burstctl/burstctl/pools/cloud/azure/azuretest"
)

// role is a role definition that ships.
type role struct {
	Actions, NotActions, DataActions, NotDataActions, AssignableScopes []string
}

func readRole(t *testing.T, name string) role {
	t.Helper()
	b, err := os.ReadFile("../../../configs/iam/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var r role
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// used are the rights that a whole life of nodes needs: each kind of image, an
// identity, a lock, a failed machine, a key that is swept.
func used(t *testing.T) []string {
	rights := map[string]bool{}
	const mine = "/subscriptions/" + subscription + "/resourceGroups/house/providers/Microsoft."
	for _, image := range []string{mine + "Compute/images/node", mine + "Compute/galleries/g/images/node/versions/1.0.0"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCloud()
			o := options(c)
			o.Image, o.Identity = image, mine+"ManagedIdentity/userAssignedIdentities/node"
			w := &world{t, c, open(t, o)}
			n := w.launch(ask("c-1"))
			w.list()
			c.Protect()
			_ = w.d.Delete(t.Context(), n.ID) // it is deallocated
			c.Calm()
			w.end(n.ID, 5)
			c.Set(azuretest.Faults{Fails: azuretest.NoRoom})
			_, _ = w.d.Launch(t.Context(), ask("c-2"))
			time.Sleep(48 * time.Hour)
			for _, old := range w.list() {
				w.end(old.ID, 2)
			}
			for _, call := range c.Calls() {
				rights[call.Action] = true
				for _, linked := range call.Linked {
					rights[linked] = true
				}
			}
		})
	}
	return slices.Sorted(maps.Keys(rights))
}

func TestTheRoleAllowsWhatTheDriverCallsAndNothingElse(t *testing.T) {
	r := readRole(t, "azure-controller-role.json")
	if got := used(t); !slices.Equal(got, r.Actions) {
		t.Errorf("the driver needs\n%v\nthe role allows\n%v", got, r.Actions)
	}
	if len(r.NotActions)+len(r.DataActions)+len(r.NotDataActions) > 0 {
		t.Errorf("the role says more than its actions: %+v", r)
	}
}

func TestANodeMayDoNothingButEndMachines(t *testing.T) {
	if r := readRole(t, "azure-node-role.json"); !slices.Equal(r.Actions, []string{machines + "delete"}) ||
		len(r.DataActions) > 0 {
		t.Errorf("%+v", r)
	}
	if _, err := azure.NewCredential("client-secret", ""); err == nil {
		t.Error("a credential that is a static secret was opened")
	}
}
