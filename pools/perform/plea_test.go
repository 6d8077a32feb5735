package perform_test

import (
	"crypto/ecdsa"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

// plea is an honest node's, made for tests that spoil it.
func (w *world) plea(s burst.State, key *ecdsa.PrivateKey) tunnel.Hello {
	w.t.Helper()
	h, err := w.Plea(w.engine(), *s.Node, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// booted asks for a burst and waits until its node runs and says nothing.
func (w *world) booted() burst.State {
	w.set(cast.Manners{Mute: true})
	w.ask()
	s := w.until(burst.Booting)
	time.Sleep(w.Boot)
	return s
}

func TestAForgedPleaIsRefusedAndEntered(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		s := w.booted()
		mine, other := cast.Key(t), cast.Key(t)
		for name, spoil := range map[string]func(h *tunnel.Hello) error{
			"a proof by another key":   func(h *tunnel.Hello) error { return cast.Sign(h, other) },
			"no proof":                 func(h *tunnel.Hello) error { h.Proof = nil; return nil },
			"a request that is none":   func(h *tunnel.Hello) error { h.CSR = []byte("x"); return cast.Sign(h, mine) },
			"a request of another key": func(h *tunnel.Hello) error { h.CSR = w.plea(s, other).CSR; return nil },
			"evidence of an unknown kind": func(h *tunnel.Hello) error {
				h.Evidence.Kind = "aws-iid"
				return cast.Sign(h, mine)
			},
			"evidence changed by one byte": func(h *tunnel.Hello) error {
				h.Evidence.Document[9] ^= 1
				return cast.Sign(h, mine)
			},
			"evidence bound to another key": func(h *tunnel.Hello) error {
				e, err := w.Cloud.Evidence(s.Node.ID, h.Nonce, cast.KeyDigest(other))
				h.Evidence = e
				return errors.Join(err, cast.Sign(h, mine))
			},
			"evidence of an older nonce": func(h *tunnel.Hello) error {
				e, err := w.Cloud.Evidence(s.Node.ID, "older", cast.KeyDigest(mine))
				h.Evidence = e
				return errors.Join(err, cast.Sign(h, mine))
			},
		} {
			before := w.count("unproven")
			h := w.plea(s, mine)
			if err := spoil(&h); err != nil {
				t.Fatal(err)
			}
			if name == "a request of another key" { // it drew a nonce of its own
				h.Nonce = w.plea(s, mine).Nonce
			}
			a, err := w.engine().Hello(t.Context(), h)
			if err != nil || a.Standing != tunnel.Refused || a.Credential != nil || w.count("unproven") != before+1 {
				t.Errorf("%s: %+v, %v, %d entries", name, a, err, w.count("unproven")-before)
			}
		}
		if now := w.state(); now.Phase != burst.Booting || now.NodeKey != "" {
			t.Errorf("phase %q, bound to key %q", now.Phase, now.NodeKey)
		}
		if s = w.until(burst.Ended); s.Outcome != burst.WhyBoot {
			t.Errorf("outcome %q", s.Outcome)
		}
	})
}

func TestANonceIsGoodForOneHello(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		s := w.booted()
		key := cast.Key(t)
		h := w.plea(s, key)
		spent := h
		h.Nonce = "one nobody drew"
		if err := cast.Sign(&h, key); err != nil {
			t.Fatal(err)
		}
		if a, err := w.engine().Hello(t.Context(), h); err != nil || a.Standing != tunnel.Wait || a.Credential != nil {
			t.Errorf("a nonce nobody drew: %+v, %v", a, err)
		}
		if a, err := w.engine().Hello(t.Context(), spent); err != nil || a.Standing != tunnel.Wait {
			t.Errorf("a nonce spent by the try before: %+v, %v", a, err)
		}
		h = w.plea(s, key)
		if a, err := w.engine().Hello(t.Context(), h); err != nil || a.Standing != tunnel.Granted {
			t.Fatalf("an honest plea: %+v, %v", a, err)
		}
		if a, err := w.engine().Hello(t.Context(), h); err != nil || a.Standing != tunnel.Wait || a.Credential != nil {
			t.Errorf("the same plea again: %+v, %v", a, err)
		}
		w.stop(burst.WhyRevoked)
		w.until(burst.Ended)
	})
}

func (w *world) stop(why string) {
	w.t.Helper()
	if err := w.engine().Stop(claim, "user:alice", why, "a test"); err != nil {
		w.t.Fatal(err)
	}
}

func TestAStrangersPleaDoesNotEndARunningBurst(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		w.ask()
		s := w.until(burst.Running)
		stranger := cast.Key(t)
		h := w.plea(s, stranger) // even with evidence that the machine really gave
		if a, err := w.engine().Hello(t.Context(), h); err != nil || a.Standing != tunnel.Refused || a.Credential != nil {
			t.Errorf("another key: %+v, %v", a, err)
		}
		h = w.plea(s, stranger)
		h.Proof = nil
		if a, err := w.engine().Hello(t.Context(), h); err != nil || a.Standing != tunnel.Refused {
			t.Errorf("no proof: %+v, %v", a, err)
		}
		if s = w.until(burst.Ended); s.Outcome != burst.WhyFinished {
			t.Errorf("outcome %q", s.Outcome)
		}
	})
}

func TestANodeThatMovedGetsNoRenewal(t *testing.T) {
	in(t, func(o *cast.Options) { o.Job = 20 * time.Minute }, func(t *testing.T, w *world) {
		s := w.booted()
		key := cast.Key(t)
		if a, err := w.engine().Hello(t.Context(), w.plea(s, key)); err != nil || a.Standing != tunnel.Granted {
			t.Fatalf("%+v, %v", a, err)
		}
		h := w.plea(s, key)
		moved, err := w.Document(s.Node.ID, "eu-west-1", h.Nonce, key)
		if err != nil {
			t.Fatal(err)
		}
		h.Evidence = moved
		if err := cast.Sign(&h, key); err != nil {
			t.Fatal(err)
		}
		a, err := w.engine().Hello(t.Context(), h)
		if err != nil || a.Standing != tunnel.Refused || a.Credential != nil || !strings.Contains(a.Why, "moved") {
			t.Errorf("%+v, %v", a, err)
		}
		if s = w.until(burst.Ended); s.Outcome != burst.WhyDenied || len(s.Serials) != 1 || !s.Serials[0].Revoked {
			t.Errorf("outcome %q, serials %+v", s.Outcome, s.Serials)
		}
	})
}

func TestAPleaBeforeThereIsANodeWaits(t *testing.T) {
	full := func(o *cast.Options) { o.Offerings[0].Capacity = 0 }
	in(t, full, func(t *testing.T, w *world) {
		w.Cloud.Set(sim.Faults{FailLaunches: 1 << 30})
		w.ask()
		w.until(burst.Launching)
		for attempt := range 4 {
			nonce, _, err := w.engine().Challenge(claim, attempt)
			if (err == nil) != (attempt == 1) {
				t.Errorf("challenge for attempt %d: %v", attempt, err)
			}
			h := tunnel.Hello{Claim: claim, Attempt: attempt, Nonce: nonce}
			if a, err := w.engine().Hello(t.Context(), h); err != nil || a.Standing == tunnel.Granted {
				t.Errorf("attempt %d: %+v, %v", attempt, a, err)
			}
		}
		w.Cloud.Set(sim.Faults{})
		s := w.until(burst.Ended) // it had no capacity, so an attempt ended without a node
		if s.Node != nil || s.Outcome != "refused: 1 offers: 1 capacity" {
			t.Errorf("%+v", s)
		}
		if _, err := w.engine().Hello(t.Context(), tunnel.Hello{Claim: "c-9"}); !errors.Is(err, perform.ErrUnknownClaim) {
			t.Errorf("a claim nobody made: %v", err)
		}
	})
}
