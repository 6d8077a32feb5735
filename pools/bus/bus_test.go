package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/burstctl/burstctl/pools/bus"
)

func TestAnAnnouncementArrivesAsItWasSigned(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	p := w.publisher("fra")
	must(t, p.Request(t.Context(), request("fra", "claim-1")))
	r := h.wantRequest(t, "claim-1")
	if r.Site != "fra" || r.Delivery != 1 || !r.Request.At.Equal(r.At) || time.Since(r.At) > time.Minute ||
		!strings.HasPrefix(r.ID, "claim-1/") || r.Request.Job.Budget.Micros != 50e6 {
		t.Fatalf("got %+v", r)
	}
	must(t, p.Signal(t.Context(), request("fra", "").Signal))
	if s := <-h.got; s.Signal.Pool != "a100" || !s.Signal.Saturated || s.Request.ID != "" || s.Site != "fra" {
		t.Fatalf("got %+v", s)
	}
}

func TestTheAckComesOnlyAfterTheHandlerReturned(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	release := make(chan struct{})
	h.answers(func(bus.Received) error { <-release; return nil })
	must(t, w.publisher("fra").Request(t.Context(), request("fra", "claim-1")))
	h.wantRequest(t, "claim-1")
	cons, err := w.superStream().Consumer(t.Context(), bus.Stream, bus.Durable)
	must(t, err)
	info, err := cons.Info(t.Context())
	must(t, err)
	if info.NumAckPending != 1 || info.AckFloor.Stream != 0 {
		t.Fatalf("acknowledged before the handler returned: %+v", info)
	}
	close(release)
	eventually(t, "acknowledged", func() bool {
		info, err := cons.Info(t.Context())
		return err == nil && info.AckFloor.Stream == 1 && info.NumAckPending == 0
	})
}

func TestAFailedHandlerIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	h.answers(func(r bus.Received) error {
		if r.Delivery == 1 {
			return errors.New("the disk is full")
		}
		return nil
	})
	must(t, w.publisher("fra").Request(t.Context(), request("fra", "claim-1")))
	first := h.wantRequest(t, "claim-1")
	second := h.wantRequest(t, "claim-1")
	if second.Delivery != 2 || first.Digest != second.Digest || first.ID != second.ID {
		t.Fatalf("first %+v, second %+v", first, second)
	}
}

func TestWhoeverElseHoldsTheBusCannotSpeakForASite(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	nc := w.super()
	now := time.Now()

	r, at := stamped("muc", "claim-1", now)
	m, err := bus.SealRequest("muc", at, r, w.edge["fra"])
	must(t, err)
	must(t, nc.PublishMsg(m))
	h.wantRejected(t, bus.Forged)

	r.ID = "claim-2"
	m, err = bus.SealRequest("fra", at, r, w.edge["fra"])
	must(t, err)
	must(t, nc.PublishMsg(m))
	if rej := h.wantRejected(t, bus.Foreign); rej.Site != "fra" || !strings.HasPrefix(rej.Digest, "sha256:") {
		t.Fatalf("rejection does not say whose it was: %+v", rej)
	}

	must(t, nc.Publish("burst.fra.request", []byte("{}")))
	h.wantRejected(t, bus.Forged)
	h.wantNothing(t)
}

func TestAReplayIsRefusedOrRecognised(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	js := w.superStream()

	r, at := stamped("fra", "claim-1", time.Now().Add(-bus.MaxAge-time.Second))
	m, err := bus.SealRequest("fra", at, r, w.edge["fra"])
	must(t, err)
	_, err = js.PublishMsg(t.Context(), m)
	must(t, err)
	h.wantRejected(t, bus.Stale)

	r, at = stamped("fra", "claim-2", time.Now())
	m, err = bus.SealRequest("fra", at, r, w.edge["fra"])
	must(t, err)
	for i := range 2 {
		ack, err := js.PublishMsg(t.Context(), m)
		must(t, err)
		if ack.Duplicate != (i == 1) {
			t.Fatalf("publish %d: duplicate %v", i, ack.Duplicate)
		}
	}
	first := h.wantRequest(t, "claim-2")

	// The stream forgets its ids with its messages. The handler does not.
	must(t, js.DeleteStream(t.Context(), bus.Stream))
	eventually(t, "the stream is back", func() bool {
		_, err := js.PublishMsg(t.Context(), m)
		return err == nil
	})
	again := h.wantRequest(t, "claim-2")
	if again.Digest != first.Digest || again.ID != first.ID || again.Delivery != 1 {
		t.Fatalf("a replay is not recognisable: %+v, %+v", first, again)
	}
}

func TestAWipedStreamLosesNothingThatIsAnnouncedAgain(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	p := w.publisher("fra")
	must(t, p.Request(t.Context(), request("fra", "claim-1")))
	h.wantRequest(t, "claim-1")
	must(t, w.superStream().DeleteStream(t.Context(), bus.Stream))
	must(t, p.Request(t.Context(), request("fra", "claim-2")))
	h.wantRequest(t, "claim-2")
}

func TestADeletedConsumerIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	p := w.publisher("fra")
	must(t, p.Request(t.Context(), request("fra", "claim-1")))
	h.wantRequest(t, "claim-1")
	must(t, w.superStream().DeleteConsumer(t.Context(), bus.Stream, bus.Durable))
	must(t, p.Request(t.Context(), request("fra", "claim-2")))
	h.wantRequest(t, "claim-2")
}

func TestAStoppedServerIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	cfg := w.config("fra")
	states := make(chan bus.State, 100)
	cfg.OnState = func(s bus.State) { states <- s }
	p := bus.NewPublisher(w.connect(cfg), "fra", w.edge["fra"])
	must(t, p.Request(t.Context(), request("fra", "claim-1")))
	h.wantRequest(t, "claim-1")
	listen := strings.TrimPrefix(w.server.URL(), "tls://")
	w.server.Shutdown()
	for s := range states {
		if !s.Up {
			break
		}
	}
	start := time.Now()
	err := p.PublishFor(time.Second).Request(t.Context(), request("fra", "claim-2"))
	if err == nil || !strings.Contains(err.Error(), "NATS is away") || time.Since(start) > 10*time.Second {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	w.start(listen)
	must(t, p.PublishFor(20*time.Second).Request(t.Context(), request("fra", "claim-3")))
	if r := h.wantRequest(t, "claim-3"); r.Delivery != 1 {
		t.Fatalf("got %+v", r)
	}
}

func TestAnEntirelyNewStoreIsTakenIntoUse(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	p := w.publisher("fra")
	must(t, p.Request(t.Context(), request("fra", "claim-1")))
	h.wantRequest(t, "claim-1")
	listen := strings.TrimPrefix(w.server.URL(), "tls://")
	w.server.Shutdown()
	w.wipe()
	w.start(listen)
	must(t, p.Request(t.Context(), request("fra", "claim-2")))
	h.wantRequest(t, "claim-2")
}

func TestAFullStreamRefusesAndSaysSo(t *testing.T) {
	w := newWorld(t)
	w.consume()
	js := w.superStream()
	s, err := js.Stream(t.Context(), bus.Stream)
	must(t, err)
	cfg := s.CachedInfo().Config
	cfg.MaxBytes = 1024
	_, err = js.UpdateStream(t.Context(), cfg)
	must(t, err)
	p := w.publisher("fra").PublishFor(time.Second)
	for range 3 {
		err = p.Request(t.Context(), request("fra", "claim-1"))
	}
	if err == nil || !strings.Contains(err.Error(), "maximum bytes exceeded") {
		t.Fatalf("got %v", err)
	}
}

func TestTheStreamIsWhatWeSayItIs(t *testing.T) {
	w := newWorld(t)
	c := w.connect(w.config(bus.Durable))
	js := w.superStream()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: bus.Stream, Subjects: []string{"burst.>"}, MaxBytes: 10 << 20, AllowDirect: true, Discard: jetstream.DiscardOld,
	})
	must(t, err)
	must(t, c.Ensure(t.Context()))
	must(t, c.Ensure(t.Context()))
	s, err := js.Stream(t.Context(), bus.Stream)
	must(t, err)
	got := s.CachedInfo().Config
	if got.AllowDirect || got.Discard != jetstream.DiscardNew || !got.DenyDelete || !got.DenyPurge ||
		got.Duplicates != 10*time.Minute || got.MaxAge != 7*24*time.Hour || got.Storage != jetstream.FileStorage {
		t.Fatalf("got %+v", got)
	}
}

func TestConsumeWithoutKeysNeverBegins(t *testing.T) {
	w := newWorld(t)
	c := w.connect(w.config(bus.Durable))
	if err := c.Consume(t.Context(), nil, newRecorder()); err == nil {
		t.Fatal("consumed with no keys")
	}
	fra := w.connect(w.config("fra"))
	wantErr(t, fra.Consume(t.Context(), w.keys, newRecorder()), bus.ErrForbidden)
}

func TestConsumeEndsWithItsContextOrItsConnection(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := w.connect(w.config(bus.Durable))
	ended := make(chan error, 1)
	go func() { ended <- c.Consume(ctx, w.keys, newRecorder()) }()
	cancel()
	must(t, <-ended)
	go func() { ended <- c.Consume(t.Context(), w.keys, newRecorder()) }()
	eventually(t, "consuming", func() bool {
		_, err := w.superStream().Consumer(t.Context(), bus.Stream, bus.Durable)
		return err == nil
	})
	c.Close()
	must(t, <-ended)
}
