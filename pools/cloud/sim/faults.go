package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// Faults is everything that is wrong with the cloud at present. The counters
// run down by one with each call that they spoil. The zero value is a cloud
// that keeps its contract.
type Faults struct {
	LoseLaunches int      // so many launches take effect, and their answers are lost
	LoseDeletes  int      // the same of deletes
	FailLaunches int      // so many launches fail before any effect; the caller cannot tell
	FailDeletes  int      // so many deletes fail before any effect
	FailLists    int      // so many listings fail
	NoCapacity   []string // offers, by key, that have none
	NoQuota      bool     // the account may have no more nodes
	Dark         []string // regions, as "aws/eu-central-1", in which no call works
	StuckDeletes bool     // deletes are heard and nothing ends
	Protected    bool     // deletes are refused: the nodes are protected
	Storm        Storm    // calls that go wrong by chance
	// ProveAt moves nodes launched at a place to another one: their identity
	// documents name that, while the control plane goes on naming the first.
	ProveAt map[residency.Address]residency.Address
}

// Set replaces the faults. Nodes already moved by ProveAt stay moved.
func (c *Cloud) Set(f Faults) {
	f.NoCapacity, f.Dark, f.ProveAt = slices.Clone(f.NoCapacity), slices.Clone(f.Dark), maps.Clone(f.ProveAt)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = f
}

// Faults is what is wrong at present, counters as far as they have run down.
func (c *Cloud) Faults() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.faults
	f.NoCapacity, f.Dark, f.ProveAt = slices.Clone(f.NoCapacity), slices.Clone(f.Dark), maps.Clone(f.ProveAt)
	return f
}

// dark reports whether calls about a place in this region work.
func (f *Faults) dark(at residency.Address) bool {
	return slices.Contains(f.Dark, at.Provider+"/"+at.Region)
}

// take uses up one of n, if there is one.
func take(n *int) bool {
	if *n <= 0 {
		return false
	}
	*n--
	return true
}

// Vanish ends a node behind everybody's back, as a spot reclaim, an operator
// or a broken host does. An unknown or ended node is an error.
func (c *Cloud) Vanish(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	i := c.find(func(i *Instance) bool { return i.Node.ID == id && i.Ended.IsZero() })
	if i == nil {
		return fmt.Errorf("vanish %s: no such node is alive", id)
	}
	i.Ended, i.Why = now, "vanished"
	return nil
}

// MostAlive is the largest number of nodes of one claim that were alive at
// once, ever. More than 1 breaks invariant I4.
func (c *Cloud) MostAlive(claim string) int {
	most := 0
	all := slices.DeleteFunc(c.Inventory(), func(i Instance) bool { return i.Node.Claim != claim })
	for _, i := range all {
		alive := 0
		for _, j := range all {
			started := !j.Node.Launched.After(i.Node.Launched)
			if started && (j.Ended.IsZero() || j.Ended.After(i.Node.Launched)) {
				alive++
			}
		}
		most = max(most, alive)
	}
	return most
}

// Billed is what the nodes of a claim have cost until now, at the cloud's own
// prices, each rounded up to the second. A claim without nodes cost nothing;
// that has no currency.
func (c *Cloud) Billed(claim string) policy.Money {
	now, total := time.Now(), policy.Money{}
	for _, i := range c.Inventory() {
		if i.Node.Claim != claim {
			continue
		}
		end := now
		if !i.Ended.IsZero() {
			end = i.Ended
		}
		used := (end.Sub(i.Node.Launched) + time.Second - 1).Truncate(time.Second)
		cost := i.offer.PerHour.For(used)
		if !total.Known() {
			total = cost
		} else if sum, err := total.Plus(cost); err == nil {
			total = sum
		}
	}
	return total
}
