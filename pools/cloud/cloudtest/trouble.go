package cloudtest

import (
	"slices"
	"testing"

	"github.com/burstctl/burstctl/pools"
)

// Fault is one way in which a cloud misbehaves. The zero Fault is [Calm].
type Fault string

// The faults that TestDriver causes. A fault holds until [Calm], but for those
// that name a call: they spoil that one, and a few of Throttle.
const (
	Calm       Fault = ""            // nothing is wrong any more
	LostCall   Fault = "lost call"   // the next launch never arrives
	LostAnswer Fault = "lost answer" // the next launch takes effect and its answer is lost
	LostDelete Fault = "lost delete" // the next delete takes effect and its answer is lost
	LostList   Fault = "lost list"   // the next listing breaks off, in its middle if it has one
	ListLag    Fault = "list lag"    // nodes made from now on are in no listing
	Throttle   Fault = "throttle"    // the next few calls are refused as too many
	NoCapacity Fault = "no capacity" // no launch finds room
	NoQuota    Fault = "no quota"    // the account may have no more nodes
	Stuck      Fault = "stuck"       // deletes are heard and nothing ends
	Protected  Fault = "protected"   // every living node is protected against deletes
	Vanished   Fault = "vanished"    // every living node ends behind everybody's back
	Crash      Fault = "crash"       // see [Trouble].Cut
)

// Trouble makes the cloud behind a driver misbehave. Made by the emulator or
// by the driver's tests; it is the cloud's side and never the driver's.
type Trouble interface {
	// Cause begins a fault, or ends all of them.
	Cause(f Fault)
	// Cut lets n more calls through to the cloud. The one after them fails, with
	// its effect or without, and so does every later one until Calm: what a
	// process that dies at that call leaves behind.
	Cut(n int, effect bool)
}

// causes begins f, or says why this cloud cannot have it.
func (h Harness) causes(t *testing.T, f Fault) bool {
	t.Helper()
	why, cannot := h.Cannot[f]
	switch {
	case cannot && why != "":
		t.Logf("no %s here: %s", f, why)
		return false
	case cannot || h.Trouble == nil:
		t.Fatalf("the harness can neither cause %q nor say why not", f)
	case f != Crash:
		h.Trouble.Cause(f)
	}
	return true
}

// calm ends all faults.
func (h Harness) calm() { h.Trouble.Cause(Calm) }

// crash ends the process that h.Driver is, as far as the cloud can tell, and
// returns the harness of the next one.
func (h Harness) crash(t *testing.T) Harness {
	t.Helper()
	h.calm()
	if h.Again != nil {
		h.Driver = h.Again(t)
	}
	return h
}

// listed finds a node in a listing; the listing may fail under a fault.
func (h Harness) listed(t *testing.T, id string) bool {
	t.Helper()
	nodes, err := h.Driver.List(t.Context())
	return err == nil && slices.ContainsFunc(nodes, func(n pools.Node) bool { return n.ID == id })
}
