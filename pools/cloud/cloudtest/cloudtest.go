// Package cloudtest is the contract of pools.Driver as a test that every driver runs.
//
// # What it asks
//
// A launch is idempotent by its token, also when two callers race or when the
// first caller gave up waiting; another attempt is another node; a listing is
// complete and says whose each node is; delete goes on until gone and is never
// afraid of a stranger's id; a node ends at its expiry though nobody asks.
//
// # And in trouble
//
// The harness's [Trouble] makes the cloud lose calls and answers, lag, throttle,
// run out, stick, protect and forget, and cuts it off at each single call, as a
// process does that dies there. Then too there is one node an attempt, a listing
// is whole or an error, and nothing passes as gone that is there. What a cloud
// cannot have, its harness says with the reason.
//
// # Non-goals
//
// What only one cloud does (a node without its network card) is tested there;
// many claims at once, with money, in scenarios.
package cloudtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
)

// Harness is a fresh driver, empty, and what the test may ask of it. Made by
// the caller for each case.
type Harness struct {
	Driver pools.Driver
	// Offer can be launched four times at once.
	Offer policy.Offer
	// Scarce is sold and has no capacity.
	Scarce policy.Offer
	// Patience is how long a listing may lag, and how long a delete may take.
	Patience time.Duration
	// Short is a lease that is long enough to launch within, and short to wait for.
	Short time.Duration
	// UserData is handed to every node; claim and attempt are filled in.
	UserData pools.UserData
	// Trouble makes the cloud misbehave. Nil only if Cannot names every fault.
	Trouble Trouble
	// Cannot names the faults this cloud cannot be given, each with the reason.
	Cannot map[Fault]string
	// Again is the driver of the next process on the same cloud. Nil is Driver.
	Again func(t *testing.T) pools.Driver
}

// TestDriver runs the contract against drivers that newDriver makes, in real time.
func TestDriver(t *testing.T, newDriver func(t *testing.T) Harness) {
	run(t, func(t *testing.T, f func(*testing.T)) { f(t) }, newDriver)
}

// TestInBubble is TestDriver with each case in a testing/synctest bubble.
func TestInBubble(t *testing.T, newDriver func(t *testing.T) Harness) {
	run(t, synctest.Test, newDriver)
}

// run runs every case, each with a driver of its own.
func run(t *testing.T, in func(*testing.T, func(*testing.T)), newDriver func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"the same launch is the same node", sameLaunch},
		{"racing launches make one node", racingLaunches},
		{"another attempt is another node", anotherAttempt},
		{"changed parameters are never a second node of the attempt", changedParameters},
		{"a listing names claim, attempt, place and expiry", listing},
		{"a node is deleted until it is gone", deleteUntilGone},
		{"a stranger's id is gone", deleteStranger},
		{"a launch whose node is gone is refused", launchAfterGone},
		{"a launch that was cancelled is not made twice", cancelledLaunch},
		{"no capacity is told apart", noCapacity},
		{"a node ends at its expiry", expiry},
		{"a launch without claim or lease is refused", emptyLaunch},
		{"a launch that got lost is made once", lost(LostCall)},
		{"a launch whose answer got lost is made once", lost(LostAnswer)},
		{"a delete whose answer got lost is a delete", lostDelete},
		{"half a listing is no listing", lostList},
		{"a node that is not listed yet is neither gone nor made again", listLag},
		{"a throttled call is asked again", throttled},
		{"capacity that is gone may come back", capacityComesAndGoes},
		{"a quota is told apart", noQuota},
		{"a node that does not end is not gone", undeletable(Stuck)},
		{"a protected node is not gone", undeletable(Protected)},
		{"a node that ended by itself is gone", vanished},
		{"a crash at any call of a launch makes one node", crashedLaunch},
		{"a crash at any call of a delete ends in no node", crashedDelete},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) { c.test(t, newDriver(t)) })
		})
	}
}

// ask is a launch of claim that lasts an hour.
func (h Harness) ask(claim string, attempt int) pools.Launch {
	u := h.UserData
	u.Claim, u.Attempt = claim, attempt
	return pools.Launch{Claim: claim, Attempt: attempt, Offer: h.Offer, UserData: u,
		Expires: time.Now().UTC().Add(time.Hour).Truncate(time.Millisecond)}
}

// launch launches l or ends the test.
func (h Harness) launch(t *testing.T, l pools.Launch) pools.Node {
	t.Helper()
	n, err := h.Driver.Launch(t.Context(), l)
	if err != nil {
		t.Fatalf("launch: %v", err)
	}
	if n.ID == "" || n.Reach == "" || n.State == "" || n.Launched.IsZero() {
		t.Fatalf("launch returned an incomplete node: %+v", n)
	}
	return n
}

// ids lists the driver's nodes.
func (h Harness) ids(t *testing.T) []string {
	t.Helper()
	nodes, err := h.Driver.List(t.Context())
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	var ids []string
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	return ids
}

// wait polls until ok or the harness's patience is over.
func (h Harness) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(h.Patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v: %s", h.Patience, what)
		}
	}
}

// lists waits until exactly these ids are listed.
func (h Harness) lists(t *testing.T, ids ...string) {
	t.Helper()
	slices.Sort(ids)
	h.wait(t, "listing is not as expected", func() bool { return slices.Equal(h.ids(t), ids) })
}

// end deletes a node until it is gone.
func (h Harness) end(t *testing.T, id string) {
	t.Helper()
	h.wait(t, "node "+id+" is not gone", func() bool {
		err := h.Driver.Delete(t.Context(), id)
		if err != nil && !errors.Is(err, pools.ErrGone) {
			t.Fatalf("delete: %v", err)
		}
		return err != nil
	})
}

func sameLaunch(t *testing.T, h Harness) {
	l := h.ask("c-same", 1)
	first, second := h.launch(t, l), h.launch(t, l)
	if first.ID != second.ID {
		t.Errorf("one launch made %s and %s", first.ID, second.ID)
	}
	h.lists(t, first.ID)
}

func racingLaunches(t *testing.T, h Harness) {
	l := h.ask("c-race", 1)
	var wg sync.WaitGroup
	got := make([]string, 6)
	for i := range got {
		wg.Go(func() {
			n, err := h.Driver.Launch(t.Context(), l)
			if err != nil {
				t.Errorf("launch: %v", err)
			}
			got[i] = n.ID
		})
	}
	wg.Wait()
	if ids := slices.Compact(slices.Sorted(slices.Values(got))); len(ids) != 1 {
		t.Fatalf("racing launches made %v", ids)
	}
	h.lists(t, got[0])
}

func anotherAttempt(t *testing.T, h Harness) {
	first := h.launch(t, h.ask("c-again", 1))
	second := h.launch(t, h.ask("c-again", 2))
	if first.ID == second.ID {
		t.Errorf("two attempts share node %s", first.ID)
	}
	h.lists(t, first.ID, second.ID)
}

func changedParameters(t *testing.T, h Harness) {
	l := h.ask("c-changed", 1)
	n := h.launch(t, l)
	l.Expires = l.Expires.Add(time.Hour)
	if _, err := h.Driver.Launch(t.Context(), l); !errors.Is(err, pools.ErrRefused) {
		t.Errorf("attempt launched with other parameters: %v, want %v", err, pools.ErrRefused)
	}
	h.lists(t, n.ID)
}

func listing(t *testing.T, h Harness) {
	asked := map[string]pools.Launch{}
	var ids []string
	for attempt := range 3 {
		l := h.ask("c-listed", attempt+1)
		n := h.launch(t, l)
		asked[n.ID], ids = l, append(ids, n.ID)
	}
	h.lists(t, ids...)
	nodes, err := h.Driver.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		l := asked[n.ID]
		if n.Claim != l.Claim || n.Attempt != l.Attempt || n.At != l.Offer.At || n.Type != l.Offer.Type ||
			!n.Expires.Equal(l.Expires) || n.Reach == "" || n.Launched.IsZero() {
			t.Errorf("listed %+v\nfor launch %+v", n, l)
		}
	}
}

func deleteUntilGone(t *testing.T, h Harness) {
	keep, n := h.launch(t, h.ask("c-keep", 1)), h.launch(t, h.ask("c-delete", 1))
	if err := h.Driver.Delete(t.Context(), n.ID); err != nil {
		t.Errorf("first delete of a living node: %v, want the wish heard", err)
	}
	h.end(t, n.ID)
	h.lists(t, keep.ID)
	if err := h.Driver.Delete(t.Context(), n.ID); !errors.Is(err, pools.ErrGone) {
		t.Errorf("delete of a gone node: %v, want %v", err, pools.ErrGone)
	}
}

func deleteStranger(t *testing.T, h Harness) {
	for _, id := range []string{"i-00000000ff", "", "../../etc/passwd", "i-"} {
		if err := h.Driver.Delete(t.Context(), id); !errors.Is(err, pools.ErrGone) {
			t.Errorf("delete %q: %v, want %v", id, err, pools.ErrGone)
		}
	}
}

func launchAfterGone(t *testing.T, h Harness) {
	l := h.ask("c-gone", 1)
	h.end(t, h.launch(t, l).ID)
	if n, err := h.Driver.Launch(t.Context(), l); !errors.Is(err, pools.ErrEnded) {
		t.Errorf("launch after its node is gone: %+v, %v, want %v", n, err, pools.ErrEnded)
	}
	h.lists(t)
	h.launch(t, h.ask("c-gone", 2))
}

func cancelledLaunch(t *testing.T, h Harness) {
	l := h.ask("c-cancel", 1)
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	hurried, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	for _, ctx := range []context.Context{dead, hurried} {
		_, err := h.Driver.Launch(ctx, l)
		unsure(t, err)
	}
	h.lists(t, h.launch(t, l).ID)
}

func noCapacity(t *testing.T, h Harness) {
	l := h.ask("c-scarce", 1)
	l.Offer = h.Scarce
	if _, err := h.Driver.Launch(t.Context(), l); !errors.Is(err, pools.ErrCapacity) {
		t.Errorf("launch of what cannot be had: %v, want %v", err, pools.ErrCapacity)
	}
	h.lists(t)
}

func expiry(t *testing.T, h Harness) {
	l := h.ask("c-expires", 1)
	l.Expires = time.Now().UTC().Add(h.Short).Truncate(time.Millisecond)
	n := h.launch(t, l)
	time.Sleep(time.Until(n.Expires))
	h.lists(t)
	h.end(t, n.ID)
}

func emptyLaunch(t *testing.T, h Harness) {
	for _, l := range []pools.Launch{h.ask("", 1), h.ask("c-empty", 0)} {
		if n, err := h.Driver.Launch(t.Context(), l); !errors.Is(err, pools.ErrRefused) {
			t.Errorf("launch %+v: %+v, %v, want %v", l, n, err, pools.ErrRefused)
		}
	}
	late := h.ask("c-empty", 1)
	late.Expires = time.Now().UTC().Add(-time.Second)
	h.wait(t, "a launch after its lease is not refused", func() bool { // an earlier call may have made it
		n, err := h.Driver.Launch(t.Context(), late)
		if err == nil {
			t.Fatalf("launch %+v: %+v", late, n)
		}
		return errors.Is(err, pools.ErrRefused)
	})
	h.lists(t)
}
