package cloudtest

import (
	"errors"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// mostCalls is how many calls of a launch or of a delete are cut at, each
// before and after its effect.
const mostCalls = 8

// unsure fails the test if err claims to know what became of a launch.
func unsure(t *testing.T, err error) {
	t.Helper()
	for _, sure := range []error{pools.ErrCapacity, pools.ErrQuota, pools.ErrRefused, pools.ErrEnded, pools.ErrGone} {
		if errors.Is(err, sure) {
			t.Errorf("a launch that nobody can know about claims to know: %v", err)
		}
	}
}

// insist launches l until the driver knows its node.
func (h Harness) insist(t *testing.T, l pools.Launch) pools.Node {
	t.Helper()
	var n pools.Node
	var err error
	h.wait(t, "launch stays unknown", func() bool {
		n, err = h.Driver.Launch(t.Context(), l)
		unsure(t, err)
		return err == nil || t.Failed()
	})
	if err != nil {
		t.Fatalf("launch: %v", err)
	}
	return n
}

// lost returns the case of a launch that a fault comes between.
func lost(f Fault) func(*testing.T, Harness) {
	return func(t *testing.T, h Harness) {
		if !h.causes(t, f) {
			return
		}
		l := h.ask("c-lost", 1)
		_, err := h.Driver.Launch(t.Context(), l)
		unsure(t, err)
		h.calm()
		h.lists(t, h.insist(t, l).ID)
	}
}

func lostDelete(t *testing.T, h Harness) {
	keep, n := h.launch(t, h.ask("c-keep", 1)), h.launch(t, h.ask("c-delete", 1))
	if !h.causes(t, LostDelete) {
		return
	}
	if err := h.Driver.Delete(t.Context(), n.ID); errors.Is(err, pools.ErrGone) {
		t.Errorf("delete whose answer is lost: %v", err)
	}
	h.calm()
	h.end(t, n.ID)
	h.lists(t, keep.ID)
}

func lostList(t *testing.T, h Harness) {
	first, second := h.launch(t, h.ask("c-listed", 1)), h.launch(t, h.ask("c-listed", 2))
	h.lists(t, first.ID, second.ID)
	if !h.causes(t, LostList) {
		return
	}
	if nodes, err := h.Driver.List(t.Context()); err == nil && len(nodes) != 2 {
		t.Errorf("half a listing passed as whole: %+v", nodes)
	}
	h.calm()
	h.lists(t, first.ID, second.ID)
}

func listLag(t *testing.T, h Harness) {
	if !h.causes(t, ListLag) {
		return
	}
	l := h.ask("c-lag", 1)
	n := h.launch(t, l)
	if again := h.launch(t, l); again.ID != n.ID {
		t.Errorf("a node that is not listed yet was made again: %s and %s", n.ID, again.ID)
	}
	h = h.withAgain(t)
	if again := h.insist(t, l); again.ID != n.ID {
		t.Errorf("the next process made it again: %s and %s", n.ID, again.ID)
	}
	if err := h.Driver.Delete(t.Context(), n.ID); errors.Is(err, pools.ErrGone) {
		t.Errorf("a node that is not listed yet passes as gone: %v", err)
	}
	h.calm()
	h.end(t, n.ID)
	h.lists(t)
}

func noQuota(t *testing.T, h Harness) {
	if !h.causes(t, NoQuota) {
		return
	}
	if _, err := h.Driver.Launch(t.Context(), h.ask("c-quota", 1)); !errors.Is(err, pools.ErrQuota) {
		t.Errorf("launch above the quota: %v, want %v", err, pools.ErrQuota)
	}
	h.calm()
	h.lists(t)
	h.lists(t, h.launch(t, h.ask("c-quota", 2)).ID)
}

func capacityComesAndGoes(t *testing.T, h Harness) {
	if !h.causes(t, NoCapacity) {
		return
	}
	if _, err := h.Driver.Launch(t.Context(), h.ask("c-room", 1)); !errors.Is(err, pools.ErrCapacity) {
		t.Errorf("launch without room: %v, want %v", err, pools.ErrCapacity)
	}
	h.calm()
	h.lists(t)
	h.lists(t, h.launch(t, h.ask("c-room", 2)).ID)
}

func throttled(t *testing.T, h Harness) {
	keep := h.launch(t, h.ask("c-keep", 1))
	h.lists(t, keep.ID)
	if !h.causes(t, Throttle) {
		return
	}
	l := h.ask("c-throttle", 1)
	_, err := h.Driver.Launch(t.Context(), l)
	unsure(t, err)
	n := h.insist(t, l)
	h.causes(t, Throttle)
	if nodes, err := h.Driver.List(t.Context()); err == nil && len(nodes) == 0 {
		t.Error("a throttled listing passed as an empty one")
	}
	h.calm()
	h.lists(t, keep.ID, n.ID)
	h.causes(t, Throttle)
	if err := h.Driver.Delete(t.Context(), n.ID); errors.Is(err, pools.ErrGone) {
		t.Errorf("a throttled delete: %v", err)
	}
	h.calm()
	h.end(t, n.ID)
	h.lists(t, keep.ID)
}

// undeletable returns the case of a node that does not end when asked. It may
// be ended all the same, but never pass as gone while it is there.
func undeletable(f Fault) func(*testing.T, Harness) {
	return func(t *testing.T, h Harness) {
		n := h.launch(t, h.ask("c-held", 1))
		h.lists(t, n.ID)
		if !h.causes(t, f) {
			return
		}
		for range 5 {
			err := h.Driver.Delete(t.Context(), n.ID)
			if errors.Is(err, pools.ErrGone) && f == Stuck {
				t.Fatalf("a node that does not end passes as gone: %v", err)
			}
			if errors.Is(err, pools.ErrGone) {
				break
			}
			if f == Stuck && !h.listed(t, n.ID) {
				t.Fatal("a node that does not end is not listed any more")
			}
			time.Sleep(h.Patience / 100)
		}
		h.calm()
		h.end(t, n.ID)
		h.lists(t)
	}
}

func vanished(t *testing.T, h Harness) {
	l := h.ask("c-vanished", 1)
	n := h.launch(t, l)
	h.lists(t, n.ID)
	if !h.causes(t, Vanished) {
		return
	}
	h.lists(t)
	h.wait(t, "its launch never ends", func() bool {
		again, err := h.Driver.Launch(t.Context(), l)
		if err == nil && again.ID != n.ID {
			t.Fatalf("an attempt whose node ended was made again: %s and %s", n.ID, again.ID)
		}
		return errors.Is(err, pools.ErrEnded)
	})
	h.end(t, n.ID)
	h.lists(t, h.launch(t, h.ask("c-vanished", 2)).ID)
}

func crashedLaunch(t *testing.T, h Harness) {
	if !h.causes(t, Crash) {
		return
	}
	for call := range 2 * mostCalls {
		l := h.ask("c-crash", call+1)
		h.Trouble.Cut(call/2, call%2 == 1)
		_, err := h.Driver.Launch(t.Context(), l)
		unsure(t, err)
		h = h.crash(t)
		n := h.insist(t, l)
		h.lists(t, n.ID)
		h.end(t, n.ID)
		if err == nil && call%2 == 1 {
			return // it needs no more calls than that
		}
	}
}

func crashedDelete(t *testing.T, h Harness) {
	if !h.causes(t, Crash) {
		return
	}
	keep := h.launch(t, h.ask("c-keep", 1))
	for call := range 2 * mostCalls {
		n := h.launch(t, h.ask("c-crash", call+1))
		h.Trouble.Cut(call/2, call%2 == 1)
		var err error
		for range 3 * mostCalls {
			if err = h.Driver.Delete(t.Context(), n.ID); err != nil {
				break
			}
		}
		h = h.crash(t)
		h.end(t, n.ID)
		h.lists(t, keep.ID)
		if errors.Is(err, pools.ErrGone) {
			return
		}
	}
}

// withAgain is the harness of the next process, while the fault lasts.
func (h Harness) withAgain(t *testing.T) Harness {
	if h.Again != nil {
		h.Driver = h.Again(t)
	}
	return h
}
