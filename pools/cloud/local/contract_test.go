package local_test

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
	"github.com/burstctl/burstctl/pools/cloud/local"
)

func TestLocalKeepsTheDriversContract(t *testing.T) {
	cloudtest.TestDriver(t, func(t *testing.T) cloudtest.Harness {
		o := options(t)
		d := open(t, o)
		return cloudtest.Harness{Driver: d, Offer: offer(frankfurt), Scarce: offer(virginia),
			Patience: 15 * time.Second, Short: 3 * time.Second, UserData: pools.UserData{Control: "127.0.0.1:1"},
			Trouble: trouble{t, o, d}, Cannot: cannot, Again: func(t *testing.T) pools.Driver { return open(t, o) }}
	})
}

// cannot is what a directory and processes of one machine never do.
var cannot = map[cloudtest.Fault]string{
	cloudtest.LostCall:   "a call is no message; one given up is its own case",
	cloudtest.LostAnswer: "a call is no message; one given up is its own case",
	cloudtest.LostDelete: "a call is no message; one given up is its own case",
	cloudtest.LostList:   "a listing is one read; a torn record is TestAnUnreadableRecordIsNoEmptyListing",
	cloudtest.ListLag:    "a file is there at once",
	cloudtest.Throttle:   "nobody counts calls",
	cloudtest.NoCapacity: "the places' room is fixed; one without is its own case",
	cloudtest.NoQuota:    "there is no account",
	cloudtest.Stuck:      "a host that hangs is killed; see TestAHostThatHangsIsEnded",
	cloudtest.Protected:  "nothing protects a process",
	cloudtest.Crash:      "a process is killed; TestALaunchThatCrashedBeforeItsHostIsMadeLater",
}

// trouble kills hosts.
type trouble struct {
	t *testing.T
	o local.Options
	d *local.Driver
}

func (c trouble) Cause(f cloudtest.Fault) {
	if f != cloudtest.Vanished {
		return
	}
	nodes, err := c.d.List(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for _, n := range nodes {
		if err := hostOf(c.t, c.o, n.ID).Kill(); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (trouble) Cut(int, bool) {}
