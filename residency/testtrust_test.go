package residency_test

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency"
)

// A rule set that says in words that a test signer is enough for it.
var forTests = strings.Replace(permits, "context.level >= 2", `(context.level >= 2 || context.trust == "test")`, 1)

func TestATestSignersProofIsOfLevel0AndTheRulesSeeIt(t *testing.T) {
	tab := table(t)
	e, x := evidence(frankf)
	for what, tt := range map[string]struct {
		level residency.Level
		trust string
		good  bool
	}{
		"test at L0":    {residency.L0, residency.TestTrust, true},
		"test at L1":    {residency.L1, residency.TestTrust, false},
		"test at L2":    {residency.L2, residency.TestTrust, false},
		"another at L0": {residency.L0, "local", false},
	} {
		l := liar{Provider: "aws", Region: "eu-central-1", Instance: "i-1", Level: tt.level, Trust: tt.trust}
		p, err := residency.Prove(l, tab, e, x)
		if (err == nil) != tt.good {
			t.Errorf("%s: proven at %v by %q, %v", what, p.Level(), p.Trust(), err)
		}
		if err != nil {
			continue
		}
		if _, v := rules(t, permits).Clear(tab, p, ask, terms); v.Allowed || v.Level != residency.L0 {
			t.Errorf("%s: rules that ask for L2 say %+v", what, v)
		}
		g, v := rules(t, forTests).Clear(tab, p, ask, terms)
		if !v.Allowed || g.Level() != residency.L0 || g.Trust() != residency.TestTrust {
			t.Errorf("%s: rules that take a test signer say %+v", what, v)
		}
		keeps(t, g)
	}
}

// keeps: a grant sealed and opened says what it said.
func keeps(t *testing.T, g residency.Grant) {
	t.Helper()
	private, public, err := note.GenerateKey(nil, "grants")
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := g.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := residency.OpenGrant(sealed, note.VerifierList(v))
	if err != nil || again.Trust() != g.Trust() || again.Level() != g.Level() {
		t.Errorf("it opens as %v by %q, %v", again.Level(), again.Trust(), err)
	}
}
