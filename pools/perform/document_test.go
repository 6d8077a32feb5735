package perform_test

import (
	"bytes"
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/forge"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

// onAWS makes the engine take documents of AWS, which hold no key of a node.
func (w *world) onAWS(test bool) *forge.Signer {
	w.t.Helper()
	dir := w.t.TempDir()
	s := forge.Open(dir)
	if _, err := s.AWS("eu-central-1", "", "1", "i-1", time.Now()); err != nil {
		w.t.Fatal(err)
	}
	keys, err := aws.ReadKeys(os.DirFS(filepath.Join(dir, "aws")))
	if err != nil {
		w.t.Fatal(err)
	}
	o := aws.Options{Keys: keys, MaxAge: 24 * time.Hour}
	if test {
		o = aws.Options{Test: keys, AllowTest: true, MaxAge: 24 * time.Hour}
	}
	w.engine().Verifiers[aws.Kind] = aws.New(o)
	return s
}

// shows is a plea with a document of AWS that was changed.
func (w *world) shows(s burst.State, by *forge.Signer, key *ecdsa.PrivateKey, change func([]byte) []byte) tunnel.Hello {
	w.t.Helper()
	h := w.plea(s, key)
	var err error
	if h.Evidence, err = by.AWS("eu-central-1", "", "1", s.Node.ID, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	h.Evidence.Document = change(h.Evidence.Document)
	if err := cast.Sign(&h, key); err != nil {
		w.t.Fatal(err)
	}
	return h
}

func as(b []byte) []byte { return b }

// placed is what the log says of the proven place.
func (w *world) placed() string {
	w.t.Helper()
	leaves, err := w.Entries()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range leaves {
		if l.Entry.Kind == "proven" {
			return string(l.Entry.Body)
		}
	}
	return ""
}

func TestTheFirstKeyThatComesWithAnInstancesDocumentIsBound(t *testing.T) {
	in(t, func(o *cast.Options) { o.Job = 20 * time.Minute }, func(t *testing.T, w *world) {
		s := w.booted()
		signer := w.onAWS(false)
		first, second := cast.Key(t), cast.Key(t)
		a, err := w.engine().Hello(t.Context(), w.shows(s, signer, first, as))
		if err != nil || a.Standing != tunnel.Granted {
			t.Fatalf("the first key: %+v, %v", a, err)
		}
		body := w.placed()
		if !strings.Contains(body, `"trust":"aws-rsa2048-first-use"`) || !strings.Contains(body, `"level":"L2"`) {
			t.Errorf("the decision does not say what it rests on: %s", body)
		}
		a, err = w.engine().Hello(t.Context(), w.shows(s, signer, second, as)) // a good document: any process can read it
		if err != nil || a.Standing != tunnel.Refused || !strings.Contains(a.Why, "another key was bound") {
			t.Errorf("the second key: %+v, %v", a, err)
		}
		a, err = w.engine().Hello(t.Context(), w.shows(s, signer, first, as))
		if err != nil || a.Standing != tunnel.Granted {
			t.Errorf("the first key again: %+v, %v", a, err)
		}
		worse := func(b []byte) []byte { return bytes.Replace(b, []byte("eu-central-1"), []byte("eu-central-2"), 1) }
		a, err = w.engine().Hello(t.Context(), w.shows(s, signer, first, worse))
		if err != nil || a.Standing != tunnel.Refused || !strings.Contains(a.Why, "content: ") {
			t.Errorf("a document that is not as it was signed: %+v, %v", a, err)
		}
		if s = w.until(burst.Ended); s.Outcome != burst.WhyDenied || !s.Serials[len(s.Serials)-1].Revoked {
			t.Errorf("the grant was not cut: outcome %q, serials %+v", s.Outcome, s.Serials)
		}
	})
}

func TestATestSignersDocumentIsOfLevel0InTheDecision(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		s := w.booted()
		signer := w.onAWS(true)
		a, err := w.engine().Hello(t.Context(), w.shows(s, signer, cast.Key(t), as))
		if err != nil || a.Standing != tunnel.Refused {
			t.Fatalf("%+v, %v", a, err)
		}
		if body := w.placed(); !strings.Contains(body, `"trust":"test"`) || !strings.Contains(body, `"level":"L0"`) {
			t.Errorf("the decision does not say what it rests on: %s", body)
		}
		if s = w.until(burst.Ended); s.Outcome != burst.WhyDenied {
			t.Errorf("outcome %q", s.Outcome)
		}
	})
}

func TestATestSignersDocumentIsTakenWhereARuleSaysSo(t *testing.T) {
	files := map[string][]byte{}
	for name, b := range rules.Files() {
		for _, ask := range []string{"context.level >= 1", "context.level >= 2"} {
			b = bytes.ReplaceAll(b, []byte(ask), []byte("("+ask+` || context.trust == "test")`))
		}
		files[name] = b
	}
	law, err := cast.Law(files)
	if err != nil {
		t.Fatal(err)
	}
	in(t, func(o *cast.Options) { o.Job, o.Law = time.Minute, law }, func(t *testing.T, w *world) {
		s := w.booted()
		a, err := w.engine().Hello(t.Context(), w.shows(s, w.onAWS(true), cast.Key(t), as))
		if err != nil || a.Standing != tunnel.Granted {
			t.Fatalf("%+v, %v", a, err)
		}
		if body := w.placed(); !strings.Contains(body, `"trust":"test"`) || !strings.Contains(body, `"level":"L0"`) {
			t.Errorf("the decision does not say what it rests on: %s", body)
		}
		w.stop(burst.WhyRevoked)
		w.until(burst.Ended)
	})
}
