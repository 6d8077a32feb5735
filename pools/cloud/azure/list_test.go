package azure_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/azure"
	"github.com/burstctl/burstctl/pools/cloud/azure/azuretest"
)

func TestAMachineThatIsPoweredOffIsStillANode(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.launch(ask("c-1"))
		if all := w.list(); len(all) != 1 || all[0].State != pools.Running {
			w.Fatalf("listed %+v", all)
		}
		w.cloud.PowerOff()
		time.Sleep(2 * time.Minute) // a power state is believed for one
		if all := w.list(); len(all) != 1 || all[0].ID != n.ID || all[0].State != pools.Stopping {
			w.Errorf("listed %+v, want it stopping: it is billed and runs nothing", all)
		}
	})
}

func TestAMachineWhoseTagsSomebodyRemovedIsStillOurs(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.launch(ask("c-1"))
		name, _, _ := strings.Cut(n.ID, ".")
		if err := w.cloud.Untag(name); err != nil {
			w.Fatal(err)
		}
		if all := w.list(); len(all) != 1 || all[0].Claim != "c-1" || !all[0].Expires.Equal(n.Expires) {
			w.Errorf("listed %+v, want %+v", all, n)
		}
	})
}

func TestAnotherInstallationsMachinesAreNeitherListedNorTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		w := &world{t, c, open(t, options(c))}
		o := options(c)
		o.Owner = "other.example"
		theirs, err := open(t, o).Launch(t.Context(), ask("c-1"))
		if err != nil {
			t.Fatal(err)
		}
		if all := w.list(); len(all) != 0 {
			t.Errorf("listed %+v", all)
		}
		if ours := w.launch(ask("c-1")); ours.ID == theirs.ID || len(c.Machines()) != 2 {
			t.Errorf("%s is taken for ours", theirs.ID)
		}
	})
}

// An attempt is remembered after its machine is gone, by a key that costs
// nothing, and a day after its lease the sweep takes that too.
func TestAKeyOutlivesItsLeaseByADay(t *testing.T) {
	inWorld(t, func(w *world) {
		l := ask("c-1")
		w.end(w.launch(l).ID, 5)
		w.d = open(w.T, options(w.cloud))
		w.refuses(l, pools.ErrEnded)
		time.Sleep(24 * time.Hour)
		if all := w.list(); len(all) != 0 || len(w.cloud.Tags()) != 1 {
			w.Errorf("before its day is over: listed %+v, there is %v", all, w.cloud.Tags())
		}
		time.Sleep(3 * time.Hour)
		all := w.list()
		if len(all) != 1 || all[0].State != pools.Stopping {
			w.Fatalf("listed %+v", all)
		}
		w.end(all[0].ID, 2)
		if all := w.list(); len(all) != 0 || len(w.cloud.Tags()) != 0 {
			w.Errorf("listed %+v, left %v", all, w.cloud.Tags())
		}
		w.refuses(l, pools.ErrRefused) // its lease is long over
	})
}

func TestAPageThatIsThrottledMakesNoListing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.launch(ask("c-1"))
		w.launch(ask("c-2"))
		w.cloud.Spoil(azuretest.Spoil{Action: cards + "read", Page: true, Times: 1, Answer: azuretest.Throttled("1200")})
		if nodes, err := w.d.List(w.Context()); !errors.Is(err, azure.ErrThrottled) || nodes != nil {
			w.Errorf("list: %+v, %v", nodes, err)
		}
	})
}

func TestOptionsThatCouldNotWorkAreRefused(t *testing.T) {
	c := newCloud()
	for name, change := range map[string]func(*azure.Options){
		"no subscription": func(o *azure.Options) { o.Subscription = "" },
		"no owner":        func(o *azure.Options) { o.Owner = "" },
		"no credential":   func(o *azure.Options) { o.Credential = nil },
		"no region":       func(o *azure.Options) { o.Subnets = nil },
		"a subnet's name": func(o *azure.Options) { o.Subnets = map[string]string{"westeurope": "nodes"} },
		"a network": func(o *azure.Options) {
			o.Subnets["westeurope"] = strings.TrimSuffix(subnet, "/subnets/nodes")
		},
		"no image":          func(o *azure.Options) { o.Image = "" },
		"the latest image":  func(o *azure.Options) { o.Image = "canonical:ubuntu-24_04-lts:server:latest" },
		"half an image":     func(o *azure.Options) { o.Image = "canonical:ubuntu-24_04-lts::1" },
		"a subnet as image": func(o *azure.Options) { o.Image = subnet },
		"our own tag":       func(o *azure.Options) { o.Tags = map[string]string{"BurstCtl:owner": "me"} },
		"a tag's slash":     func(o *azure.Options) { o.Tags = map[string]string{"a/b": "c"} },
		"no identity":       func(o *azure.Options) { o.Identity = "deadman" },
	} {
		o := options(c)
		change(&o)
		if _, err := azure.New(o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if len(c.Calls()) > 0 {
		t.Error("opening a driver asked Azure something")
	}
}
