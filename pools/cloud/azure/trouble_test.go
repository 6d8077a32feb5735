package azure_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/azure"
	"github.com/burstctl/burstctl/pools/cloud/azure/azuretest"
)

// Every call that a launch makes is cut, before its effect and after it, and the
// next process finds what the first one left: a key, a card without a machine, a
// machine without a mark, a disk without tags.
func TestAPartialCreateIsAdoptedByTheNextProcess(t *testing.T) {
	for effect, said := range map[bool]string{false: "before", true: "after"} {
		cuts := 0
		for call, whole := 0, false; !whole; call++ {
			synctest.Test(t, func(t *testing.T) {
				c := newCloud()
				w := &world{t, c, open(t, options(c))}
				l := ask("c-1")
				c.Cut(call, effect)
				_, err := w.d.Launch(t.Context(), l)
				whole = err == nil
				c.Calm()
				left := fmt.Sprint(c.Left())
				w.d = open(t, options(c))
				n := w.launch(l)
				if all := w.list(); len(all) != 1 || all[0].ID != n.ID || len(c.Machines()) != 1 {
					t.Errorf("cut %s call %d left %s; then %+v of %d machines", said, call, left, all, len(c.Machines()))
				}
				w.left("machine", "card", "disk")
				w.end(n.ID, 10)
				w.left()
			})
			cuts = call
		}
		if cuts < 10 {
			t.Errorf("a launch was cut %s only %d calls", said, cuts)
		}
	}
}

func TestACardThatIsKeptForAFailedMachineHoldsUpNobodyAndIsSweptLater(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cloud.Set(azuretest.Faults{Fails: azuretest.NoRoom, Reserve: 3 * time.Minute})
		w.refuses(ask("c-1"), pools.ErrCapacity)
		w.left("card")
		all := w.list()
		if len(all) != 1 || all[0].State != pools.Stopping || all[0].Claim != "c-1" || all[0].Launched.IsZero() {
			w.Fatalf("a card without a machine is listed as %+v", all)
		}
		w.end(all[0].ID, 5)
		w.left()
	})
}

func TestADiskThatOutlivesItsMachineIsDeletedByName(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.launch(ask("c-1"))
		w.cloud.Set(azuretest.Faults{KeepDisks: true})
		w.cloud.Vanish()
		w.left("disk")
		if all := w.list(); len(all) != 1 || all[0].Claim != "c-1" || all[0].State != pools.Stopping {
			w.Errorf("a disk without a machine is listed as %+v", all)
		}
		w.end(n.ID, 5)
		w.left()
	})
}

// A first PUT got lost, and a second one is refused: the first may yet have made
// the machine, so the refusal proves nothing until its absence is proven.
func TestARefusalAfterAnUnknownOutcomeIsNotBelievedAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		l := ask("c-1")
		w.cloud.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1})
		w.refuses(l, nil)
		w.cloud.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1000, Answer: azuretest.NoSKU})
		start := time.Now()
		err := w.refuses(l, nil)
		if !strings.Contains(err.Error(), "an earlier call may have made the machine") {
			w.Errorf("launch: %v", err)
		}
		for time.Since(start) < 4*time.Minute {
			time.Sleep(time.Minute)
			w.refuses(l, nil)
		}
		time.Sleep(time.Minute)
		w.refuses(l, pools.ErrCapacity)
		w.left()
	})
}

func TestAMachineThatALostCallMadeIsAdoptedThoughTheNextOneIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		l := ask("c-1")
		w.cloud.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1, Lose: true})
		w.refuses(l, nil)
		w.cloud.Set(azuretest.Faults{BlindGets: 1}) // and the GET is behind
		w.cloud.Spoil(azuretest.Spoil{Action: machines + "write", Times: 1, Answer: azuretest.NoSKU})
		if w.launch(l); len(w.cloud.Machines()) != 1 {
			w.Errorf("%d machines", len(w.cloud.Machines()))
		}
	})
}

func TestOneAnswerThatIsBehindProvesNoEnd(t *testing.T) {
	for _, behind := range []azuretest.Faults{{BlindGets: 1}, {BlindDels: 1}} {
		inWorld(t, func(w *world) {
			n := w.launch(ask("c-1"))
			w.cloud.Set(behind)
			if err := w.d.Delete(w.Context(), n.ID); err != nil {
				w.Fatalf("delete: %v", err)
			}
			w.left("machine", "card", "disk")
			w.end(n.ID, 5)
			w.left()
		})
	}
}

func TestALongThrottleIsToldAndNeverHoldsUpADelete(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.launch(ask("c-1"))
		w.cloud.Spoil(azuretest.Spoil{Action: cards + "write", Times: 1, Answer: azuretest.Throttled("1200")})
		w.cloud.Spoil(azuretest.Spoil{Action: machines + "read", Times: 1, Answer: azuretest.Throttled("1200")})
		l, start := ask("c-2"), time.Now()
		w.refuses(l, nil) // the read
		if _, err := w.d.List(w.Context()); !errors.Is(err, azure.ErrThrottled) {
			w.Errorf("list: %v, want it throttled", err)
		}
		calls := len(w.cloud.Calls())
		err := w.refuses(l, nil)
		if !errors.Is(err, azure.ErrThrottled) || !strings.Contains(err.Error(), start.Add(20*time.Minute).Format("15:04")) {
			w.Errorf("launch: %v, want until when it is throttled", err)
		}
		if now := len(w.cloud.Calls()); now != calls {
			w.Errorf("%d calls while Azure wants none", now-calls)
		}
		if time.Since(start) > time.Minute {
			w.Errorf("callers waited %v", time.Since(start))
		}
		_ = w.d.Delete(w.Context(), n.ID) // its reads are throttled, and its deletes go through
		time.Sleep(time.Minute)
		w.left()
		time.Sleep(20 * time.Minute)
		w.end(n.ID, 1)
		w.refuses(l, nil) // the card
		time.Sleep(21 * time.Minute)
		w.launch(l)
	})
}

func TestAThrottledDeleteIsAskedAgainWithinAMinuteWhateverAzureSays(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.launch(ask("c-1"))
		w.cloud.Spoil(azuretest.Spoil{Action: machines + "delete", Times: 1, Answer: azuretest.Throttled("1200")})
		if err := w.d.Delete(w.Context(), n.ID); !errors.Is(err, azure.ErrThrottled) {
			w.Errorf("delete: %v, want it throttled", err)
		}
		start := time.Now()
		w.end(n.ID, 5)
		if took := time.Since(start); took > 4*time.Minute {
			w.Errorf("a throttled delete took %v", took)
		}
	})
}

func TestALockedMachineIsNoLongerBilled(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.launch(ask("c-1"))
		w.cloud.Protect()
		err := w.d.Delete(w.Context(), n.ID)
		if err == nil || errors.Is(err, pools.ErrGone) || !strings.Contains(err.Error(), "ScopeLocked") {
			w.Errorf("delete: %v, want the lock told", err)
		}
		if m := w.cloud.Machines()[0]; !m.Deallocated {
			w.Error("a machine that may not be deleted is still billed")
		}
		w.cloud.Calm()
		w.end(n.ID, 5)
	})
}

func TestADeleteThatHangsIsAskedForByForceAndTheMachineStaysListed(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.launch(ask("c-1"))
		w.cloud.Set(azuretest.Faults{Stuck: true})
		deletes := func() (n int) {
			for _, c := range w.cloud.Calls() {
				if c.Action == machines+"delete" {
					n++
				}
			}
			return n
		}
		for range 12 {
			if err := w.d.Delete(w.Context(), n.ID); err != nil {
				w.Fatalf("delete: %v", err)
			}
			time.Sleep(time.Minute)
		}
		if deletes() < 2 || len(w.list()) != 1 || w.list()[0].State != pools.Stopping {
			w.Errorf("%d deletes; listed %+v", deletes(), w.list())
		}
		w.cloud.Calm()
		w.end(n.ID, 5)
	})
}

func TestAMissingGroupIsNoProofThatAnythingIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		n := (&world{t, c, open(t, options(c))}).launch(ask("c-1"))
		o := options(c)
		o.Group = "burst" // a slip in the config file
		d := open(t, o)
		if err := d.Delete(t.Context(), n.ID); err == nil || errors.Is(err, pools.ErrGone) {
			t.Errorf("delete in a group that is not there: %v", err)
		}
		if nodes, err := d.List(t.Context()); err == nil {
			t.Errorf("a group that is not there is listed: %+v", nodes)
		}
	})
}

// A stale controller and its successor launch the same attempt at once.
func TestTwoProcessesThatLaunchTheSameAttemptMakeOneMachine(t *testing.T) {
	inWorld(t, func(w *world) {
		l, other := ask("c-1"), open(w.T, options(w.cloud))
		ids := make([]string, 2)
		var both sync.WaitGroup
		for i, d := range []*azure.Driver{w.d, other} {
			both.Go(func() {
				for range 5 { // what it cannot know it asks again
					if n, err := d.Launch(w.Context(), l); err == nil {
						ids[i] = n.ID
						return
					}
				}
			})
		}
		both.Wait()
		if ids[0] == "" || ids[0] != ids[1] || len(w.cloud.Machines()) != 1 {
			w.Errorf("%v of %d machines", ids, len(w.cloud.Machines()))
		}
	})
}
