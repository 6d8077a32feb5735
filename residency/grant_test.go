package residency_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"golang.org/x/mod/sumdb/note"
)

func TestZeroValuesRefuse(t *testing.T) {
	tab, r := table(t), rules(t, permits)
	var g residency.Grant
	for _, at := range []time.Time{{}, now, time.Unix(0, 0), now.AddDate(5000, 0, 0)} {
		if g.Valid(at) {
			t.Errorf("the zero grant is valid at %v", at)
		}
	}
	s, _ := keys(t, "grants")
	if _, err := g.Seal(s); err == nil {
		t.Error("the zero grant can be sealed")
	}
	if (residency.Verdict{}).Allowed {
		t.Error("the zero verdict allows")
	}
	for what, v := range map[string]residency.Verdict{
		"zero rules":  new(residency.Rules).Screen(tab, ask, frankf),
		"nil rules":   (*residency.Rules)(nil).Screen(tab, ask, frankf),
		"zero table":  r.Screen(new(residency.Table), ask, frankf),
		"nil table":   r.Screen(nil, ask, frankf),
		"zero ask":    r.Screen(tab, residency.Ask{}, frankf),
		"zero place":  r.Screen(tab, ask, residency.Address{}),
		"zero proven": second(r.Clear(tab, residency.Proven{}, ask, terms)),
		"zero terms":  second(r.Clear(tab, proven(t, tab, frankf), ask, residency.Terms{})),
	} {
		if v.Allowed || v.Why == "" {
			t.Errorf("%s: allowed %t, why %q", what, v.Allowed, v.Why)
		}
	}
	if residency.Class(0).Join(residency.Public).Known() {
		t.Error("the join with an unknown class is known")
	}
}

func second(_ residency.Grant, v residency.Verdict) residency.Verdict { return v }

func TestTheProvenPlaceDecidesAndNotTheClaimedOne(t *testing.T) {
	tab, r := table(t), rules(t, permits)
	if v := r.Screen(tab, ask, frankf); !v.Allowed || v.Level != residency.L0 {
		t.Fatalf("the claimed place is not allowed: %+v", v)
	}
	p := proven(t, tab, virginia)
	if !p.Moved() {
		t.Error("a node claimed in Frankfurt and proven in Virginia has not moved")
	}
	g, v := r.Clear(tab, p, ask, terms)
	if v.Allowed || g.Valid(now) || len(v.Rules) != 1 || v.Rules[0].ID != "eu-only" {
		t.Errorf("reading in Virginia: %+v", v)
	}
	if _, v := r.Clear(tab, proven(t, tab, frankf), ask, terms); !v.Allowed || v.Level != residency.L2 {
		t.Errorf("reading in Frankfurt: %+v", v)
	}
}

func TestAClaimNeverSatisfiesARuleAboutProof(t *testing.T) {
	r := rules(t, `@id("p") @title("t") @basis("b") permit (principal, action, resource) when { context.proven };`)
	if v := r.Screen(table(t), ask, frankf); v.Allowed {
		t.Error("a claimed place is taken for proven")
	}
}

func TestAPlaceThatChangedSinceItWasProvenIsUnknown(t *testing.T) {
	p := proven(t, table(t), frankf)
	text := strings.Replace(places, "EEA EU,US,US,Frankfurt", "EEA EU,DE,US,Frankfurt", 1)
	later, err := residency.ParseTable([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, v := rules(t, permits).Clear(later, p, ask, terms); v.Allowed || len(v.Missing) != 1 || v.Missing[0] != "place" {
		t.Errorf("under a table that says otherwise: %+v", v)
	}
}

func TestAGrantHoldsFromItsStartUntilBeforeItsEnd(t *testing.T) {
	g := grant(t)
	for at, want := range map[time.Time]bool{
		now.Add(-time.Nanosecond): false, now: true, now.Add(time.Hour - 1): true, now.Add(time.Hour): false, {}: false,
	} {
		if g.Valid(at) != want {
			t.Errorf("valid at %v is %t, want %t", at, !want, want)
		}
	}
}

func TestAnUnknownTermMakesNoGrant(t *testing.T) {
	tab, r := table(t), rules(t, permits)
	for what, change := range map[string]func(*residency.Terms){
		"terms.id":           func(x *residency.Terms) { x.ID = "Grant 1" },
		"terms.claim":        func(x *residency.Terms) { x.Claim = "" },
		"terms.attempt":      func(x *residency.Terms) { x.Attempt = 0 },
		"terms.payload":      func(x *residency.Terms) { x.Payload = "sha256:AB" },
		"terms.slice_digest": func(x *residency.Terms) { x.SliceDigest = "" },
		"terms.epoch":        func(x *residency.Terms) { x.Epoch = -1 },
		"terms.not_before":   func(x *residency.Terms) { x.NotBefore = time.Time{} },
		"terms.expires":      func(x *residency.Terms) { x.Expires = x.NotBefore },
	} {
		bad := terms
		change(&bad)
		g, v := r.Clear(tab, proven(t, tab, frankf), ask, bad)
		if v.Allowed || g.Valid(now) || len(v.Missing) != 1 || v.Missing[0] != what {
			t.Errorf("%s: %+v", what, v)
		}
	}
}

func TestASealedGrantComesBackAsItWas(t *testing.T) {
	s, v := keys(t, "grants")
	g := grant(t)
	sealed, err := g.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := residency.OpenGrant(sealed, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Seal(s)
	if err != nil || !bytes.Equal(sealed, again) {
		t.Errorf("sealed again it is\n%s\nnot\n%s\n(error %v)", again, sealed, err)
	}
	if back.ID() != "grant-1" || back.Place().Country != "DE" || back.NodeKey() != nodeKey || !back.Valid(now) ||
		back.Slice().Name != ask.Slice.Name || back.RulesDigest() == "" || back.Level() != residency.L2 {
		t.Errorf("came back as %+v", back)
	}
}

func TestNoOtherBytesOpenAsAGrant(t *testing.T) {
	s, v := keys(t, "grants")
	s2, v2 := keys(t, "grants-2")
	sealed, err := grant(t).Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	open := func(what string, b []byte, v note.Verifiers) {
		if g, err := residency.OpenGrant(b, v); err == nil || g.Valid(now) {
			t.Errorf("%s: opened", what)
		}
	}
	for i := range sealed {
		b := bytes.Clone(sealed)
		b[i] ^= 1 << (i % 8)
		open("bit flipped", b, note.VerifierList(v))
		open("cut", sealed[:i], note.VerifierList(v))
	}
	open("another key", sealed, note.VerifierList(v2))
	open("no key", sealed, note.VerifierList())
	n, err := note.Open(sealed, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	text := n.Text
	resign := func(text string, signers ...note.Signer) []byte {
		b, err := note.Sign(&note.Note{Text: text}, signers...)
		return must(t, b, err)
	}
	open("two signatures", resign(text, s, s2), note.VerifierList(v, v2))
	open("a foreign signature", resign(text, s, s2), note.VerifierList(v))
	for old, new := range map[string]string{
		`burstctl/grant/v1`:  `burstctl/places/v1`,
		`"v":1`:              `"v":2`,
		`{"v":1`:             `{"x":0,"v":1`,
		`"level":"L2"`:       `"level":"L0"`,
		`"trust":"local"`:    `"trust":"claimed"`,
		`"attempt":1`:        `"attempt":1.0`,
		`"class":"personal"`: `"class":""`,
		`"country":"DE"`:     `"country":"XX"`,
		`:00:00Z`:            `:00:00+00:00`,
		`"instance":"i-1"`:   `"instance":""`,
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("no %s in %s", old, text)
		}
		open(new, resign(strings.Replace(text, old, new, 1), s), note.VerifierList(v))
	}
	open("a blank more", resign(text+"\n", s), note.VerifierList(v))
	signed, err := residency.SignTable([]byte(places), s)
	open("a place table", must(t, signed, err), note.VerifierList(v))
}

func must(t *testing.T, b []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// liar vouches for whatever it is told to.
type liar residency.Identity

func (l liar) Verify(residency.Evidence, residency.Expect) (residency.Identity, error) {
	if l.Account == "error" {
		return residency.Identity(l), errors.New("no")
	}
	return residency.Identity(l), nil
}

func TestProveRefusesWhatDoesNotProve(t *testing.T) {
	tab := table(t)
	e, x := evidence(frankf)
	good := liar{Provider: "aws", Region: "eu-central-1", Instance: "i-1", Level: residency.L2, Trust: "local"}
	if _, err := residency.Prove(good, tab, e, x); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*liar, *residency.Expect){
		"another instance": func(l *liar, _ *residency.Expect) { l.Instance = "i-2" },
		"self-claim":       func(l *liar, _ *residency.Expect) { l.Level = residency.L0 },
		"level unheard of": func(l *liar, _ *residency.Expect) { l.Level = 9 },
		"no trust":         func(l *liar, _ *residency.Expect) { l.Trust = "" },
		"claimed trust":    func(l *liar, _ *residency.Expect) { l.Trust = "claimed" },
		"unknown zone":     func(l *liar, _ *residency.Expect) { l.Zone = "eu-central-1a" },
		"alias":            func(l *liar, _ *residency.Expect) { l.Region = "EU-Central-1" },
		"global":           func(l *liar, _ *residency.Expect) { l.Region = "global" },
		"identity + error": func(l *liar, _ *residency.Expect) { l.Account = "error" },
		"no instance":      func(l *liar, x *residency.Expect) { l.Instance, x.Instance = "", "" },
		"no nonce":         func(_ *liar, x *residency.Expect) { x.Nonce = "" },
		"no node key":      func(_ *liar, x *residency.Expect) { x.NodeKey = "" },
		"no time":          func(_ *liar, x *residency.Expect) { x.At = time.Time{} },
		"no claimed place": func(_ *liar, x *residency.Expect) { x.Claimed = residency.Address{} },
	} {
		l, y := good, x
		change(&l, &y)
		if p, err := residency.Prove(l, tab, e, y); err == nil || p.Level() != residency.L0 || p.Instance() != "" {
			t.Errorf("%s: proven %+v", what, p)
		}
	}
	if _, err := residency.Prove(nil, tab, e, x); err == nil {
		t.Error("no verifier proves")
	}
}
