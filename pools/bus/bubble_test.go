package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/bus/busserver"
)

// inBubble connects an edge and the controller to a server in the bubble, and consumes.
func inBubble(t *testing.T) (*bus.Publisher, *recorder) {
	p, c, h := connectInBubble(t)
	_, pubs := pair()
	h.run(t, c, pubs)
	return p, h
}

func connectInBubble(t *testing.T) (*bus.Publisher, *bus.Conn, *recorder) {
	s := busserver.InBubble(t)
	keys, _ := pair()
	h := newRecorder()
	connect := func(name string) *bus.Conn {
		c, err := bus.Connect(t.Context(), bus.Config{
			InProcess: s, Name: name, InMemory: true, Rejected: func(r bus.Rejection) { h.rejected <- r },
		})
		must(t, err)
		t.Cleanup(c.Close)
		return c
	}
	c := connect(bus.Durable)
	must(t, c.Ensure(t.Context()))
	return bus.NewPublisher(connect("fra"), "fra", keys["fra"]), c, h
}

func TestSixFakeHoursOfAnnouncementsEachArriveOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := inBubble(t)
		const hours, every = 6, 15 * time.Second
		start, n := time.Now(), 0
		for time.Since(start) < hours*time.Hour {
			id := fmt.Sprintf("claim-%d", n)
			must(t, p.Request(t.Context(), request("fra", id)))
			if r := h.wantRequest(t, id); r.Delivery != 1 {
				t.Fatalf("delivery %d of %s", r.Delivery, id)
			}
			n++
			time.Sleep(every)
		}
		if n != int(hours*time.Hour/every) {
			t.Fatalf("%d announcements", n)
		}
		h.wantNothing(t)
	})
}

func TestAHandlerThatKeepsFailingIsAskedUntilTheAnnouncementIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := inBubble(t)
		var calls atomic.Int64
		h.answers(func(bus.Received) error { calls.Add(1); return errors.New("the log is away") })
		must(t, p.Request(t.Context(), request("fra", "claim-1")))
		// At 0, 1, 6 and 36 s; the next, at 156 s, finds it stale.
		time.Sleep(20 * time.Minute)
		if n := calls.Load(); n != 4 {
			t.Fatalf("called %d times", n)
		}
		for range 4 {
			<-h.got
		}
		h.wantRejected(t, bus.Stale)
		h.wantNothing(t)
	})
}

func TestASlowHandlerIsNotAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := inBubble(t)
		h.answers(func(bus.Received) error { time.Sleep(5 * time.Minute); return nil })
		must(t, p.Request(t.Context(), request("fra", "claim-1")))
		time.Sleep(30 * time.Minute)
		h.wantRequest(t, "claim-1")
		h.wantNothing(t)
	})
}

func TestAnAnnouncementThatStopsTheControllerSixTimesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c, h := connectInBubble(t)
		_, pubs := pair()
		must(t, p.Request(t.Context(), request("fra", "claim-1")))
		for n := range 6 {
			ctx, stop := context.WithCancel(t.Context())
			h.answers(func(bus.Received) error { stop(); return ctx.Err() })
			must(t, c.Consume(ctx, pubs, h))
			if r := <-h.got; r.Delivery != n+1 {
				t.Fatalf("delivery %d, want %d", r.Delivery, n+1)
			}
		}
		h.wantRejected(t, bus.Exhausted)
	})
}
