package residency_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency"
)

// lifting is permits with two forbids that may be set aside and one that may not.
const lifting = `
@id("eu-only") @title("Personal data stays in the EEA") @basis("GDPR Art. 44") @lift("break-glass")
forbid (principal, action, resource) when { context.class >= 4 } unless { context.place.groups.contains("EEA") };
@id("declared-purpose") @title("Only declared purposes") @basis("GDPR Art. 5") @lift("break-glass")
forbid (principal, action, resource) unless { context.purposes.contains(context.purpose) };
@id("no-edge") @title("Not at the edge") @basis("policy 3")
forbid (principal, action, resource) when { context.place.kind == "edge" };
@id("plan") @title("May be planned") @basis("policy 1")
permit (principal, action == Action::"create", resource) when { context.class <= 4 };
@id("read") @title("May be read") @basis("policy 2")
permit (principal, action == Action::"read", resource) when { context.class <= 4 && context.level >= 2 };
`

// emergency is what the tests' exception says.
func emergency() residency.ExceptionTerms {
	return residency.ExceptionTerms{ID: "x-1", Reason: "patient-safety", Words: "ward 4 needs the model tonight",
		Site: ask.Site, Slice: ask.Slice.Name, Purpose: ask.Purpose, Team: ask.Team,
		Places: []residency.Address{virginia}, Lifts: []string{"eu-only"}, NotBefore: now, Expires: now.Add(4 * time.Hour)}
}

// person is an approver.
type person struct {
	note.Signer
	vkey string
}

func newPerson(t testing.TB, name string) person {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, "house.test/approver/"+name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return person{s, vkey}
}

func approversOf(t testing.TB, people ...person) residency.Approvers {
	t.Helper()
	var vkeys []string
	for _, p := range people {
		vkeys = append(vkeys, p.vkey)
	}
	a, err := residency.NewApprovers(vkeys...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// opened is the terms, approved by two people.
func opened(t testing.TB, x residency.ExceptionTerms) residency.Exception {
	t.Helper()
	anna, ben := newPerson(t, "anna"), newPerson(t, "ben")
	a := approversOf(t, anna, ben)
	e, err := a.Open(sealedBy(t, x, anna, ben))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sealedBy is the note of the terms with these people's signatures.
func sealedBy(t testing.TB, x residency.ExceptionTerms, people ...person) []byte {
	t.Helper()
	text, err := x.Text()
	if err != nil {
		t.Fatal(err)
	}
	return joined(t, text, people...)
}

// joined is any text with these people's signatures.
func joined(t testing.TB, text string, people ...person) []byte {
	t.Helper()
	var signers []note.Signer
	for _, p := range people {
		signers = append(signers, p)
	}
	b, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnExceptionLiftsExactlyWhatItNamesAndItsGrantEndsWithIt(t *testing.T) {
	tab, r := table(t), rules(t, lifting)
	p, x := proven(t, tab, virginia), opened(t, emergency())
	if _, v := r.Clear(tab, p, ask, terms); v.Allowed {
		t.Fatal("Virginia is allowed without an exception")
	}
	long := terms
	long.Expires = now.Add(20 * time.Hour)
	g, v := r.With(now, x).Clear(tab, p, ask, long)
	switch {
	case !v.Allowed || v.Exception == nil || v.Exception.ID != "x-1" || v.Exception.Digest != x.Digest():
		t.Fatalf("with the exception: %+v", v)
	case len(v.Exception.Aside) != 1 || v.Exception.Aside[0].ID != "eu-only", len(v.Rules) != 1 || v.Rules[0].ID != "read":
		t.Errorf("set aside %v, decided by %v", v.Exception.Aside, v.Rules)
	case !g.Expires().Equal(x.Expires()) || g.Exception() != x.Digest():
		t.Errorf("the grant ends %v and rests on %q", g.Expires(), g.Exception())
	case !strings.Contains(v.Why, "exception x-1 (patient-safety), which sets aside eu-only"):
		t.Error(v.Why)
	}
	s, k := keys(t, "grants")
	sealed, err := g.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := residency.OpenGrant(sealed, note.VerifierList(k)); err != nil || back.Exception() != x.Digest() {
		t.Errorf("the seal lost it: %v", err)
	}
	another := emergency()
	another.ID = "x-2"
	for what, known := range map[string]struct {
		rules *residency.Rules
		want  bool
	}{
		"with it":             {r.With(now, x), true},
		"after its end":       {r.With(x.Expires(), x), false},
		"before its start":    {r.With(now.Add(-time.Second), x), false},
		"without it":          {r, false},
		"with another, alike": {r.With(now, opened(t, another)), false},
	} {
		if v := known.rules.Still(tab, ask, g); v.Allowed != known.want {
			t.Errorf("still, %s: %+v", what, v)
		}
	}
	if v := r.With(now, x).Screen(tab, ask, virginia); !v.Allowed || v.Exception == nil {
		t.Errorf("planning there: %+v", v)
	}
	if v := r.With(now, x).Screen(tab, ask, frankf); !v.Allowed || v.Exception != nil {
		t.Errorf("where no exception is needed: %+v", v)
	}
}

func TestAGrantMadeWithoutAnExceptionIsNotKeptAliveByOne(t *testing.T) {
	tab := table(t)
	g := grant(t)
	none := rules(t, `@id("eu-only") @title("t") @basis("b") @lift("break-glass") forbid (principal, action, resource);`)
	e := emergency()
	e.Places = []residency.Address{frankf}
	if v := none.With(now, opened(t, e)).Still(tab, ask, g); v.Allowed {
		t.Error(v.Why)
	}
}

func TestAnExceptionStandsForAMissingPermitInItsScopeOnly(t *testing.T) {
	tab := table(t)
	r := rules(t, `@id("never") @title("t") @basis("b") forbid (principal, action, resource) when { context.class == 1 };`)
	e := emergency()
	e.Lifts = nil
	known := r.With(now, opened(t, e))
	v := known.Screen(tab, ask, virginia)
	if !v.Allowed || len(v.Rules) != 0 || !strings.Contains(v.Why, "stands for a permit") {
		t.Fatalf("%+v", v)
	}
	other := ask
	other.Team = "research"
	if known.Screen(tab, other, virginia).Allowed || known.Screen(tab, ask, frankf).Allowed {
		t.Error("another team or place is allowed as well")
	}
}

func TestWhatNoExceptionLifts(t *testing.T) {
	tab := table(t)
	everything := emergency()
	everything.Lifts = []string{"eu-only", "declared-purpose", "no-edge", "read", "errs", "test-trust"}
	x := opened(t, everything)
	secret := ask
	secret.Slice.Class = residency.SiteOnly
	unknown := ask
	unknown.Slice.Origin = ""
	const allLift = `@id("eu-only") @title("t") @basis("b") @lift("break-glass") forbid (principal, action, resource);`
	for what, tc := range map[string]struct {
		rules string
		ask   residency.Ask
	}{
		"site-only data, though its rule says it may be": {allLift, secret},
		"an unknown fact": {allLift, unknown},
		"a rule without @lift": {allLift + `@id("no-edge") @title("t") @basis("b")
			forbid (principal, action, resource);`, ask},
		"a rule it does not name": {allLift + `@id("other") @title("t") @basis("b") @lift("break-glass")
			forbid (principal, action, resource);`, ask},
		"a rule that errs": {allLift + `@id("errs") @title("t") @basis("b") @lift("break-glass")
			forbid (principal, action, resource) when { context.class + 9223372036854775807 < 0 };`, ask},
	} {
		if v := rules(t, tc.rules).With(now, x).Screen(tab, tc.ask, virginia); v.Allowed || v.Exception != nil {
			t.Errorf("%s: %s", what, v.Why)
		}
	}
	if (*residency.Rules)(nil).With(now, x).Screen(tab, ask, virginia).Allowed ||
		new(residency.Rules).With(now, x).Screen(tab, ask, virginia).Allowed {
		t.Error("no rules with an exception allow")
	}
	if v := rules(t, lifting).With(now, residency.Exception{}).Screen(tab, ask, virginia); v.Allowed {
		t.Error("the zero exception lifts a rule")
	}
}

func TestOnlyTwoApproversSignaturesOverTheOneSpellingOpenAnException(t *testing.T) {
	anna, ben, eve := newPerson(t, "anna"), newPerson(t, "ben"), newPerson(t, "eve")
	a := approversOf(t, anna, ben)
	text, err := emergency().Text()
	if err != nil {
		t.Fatal(err)
	}
	good := joined(t, text, anna, ben)
	x, err := a.Open(good)
	if err != nil || x.Digest() != residency.ExceptionDigest(text) || len(x.Signed()) != 2 {
		t.Fatalf("the good one: %v, %v", x, err)
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	last := lines[len(lines)-2]
	annaAgain := newPerson(t, "anna") // the same name, another key
	for what, b := range map[string][]byte{
		"nothing":                       nil,
		"nobody":                        []byte(text + "\n"),
		"one approver":                  joined(t, text, anna),
		"the same approver twice":       append(joined(t, text, anna), joined(t, text, anna)[len(text)+1:]...),
		"two and one of them again":     append(bytes.Clone(good), last...),
		"one and a stranger":            joined(t, text, anna, eve),
		"two and a stranger":            joined(t, text, anna, ben, eve),
		"one and a namesake":            joined(t, text, ben, annaAgain),
		"in another order":              joined(t, text, ben, anna),
		"bent":                          bytes.Replace(good, []byte("ward 4"), []byte("ward 5"), 1),
		"cut":                           good[:len(good)-2],
		"a blank more":                  joined(t, strings.Replace(text, `"v":1`, `"v": 1`, 1), anna, ben),
		"a key twice":                   joined(t, strings.Replace(text, `"v":1`, `"v":1,"v":1`, 1), anna, ben),
		"an unknown key":                joined(t, strings.Replace(text, `"v":1`, `"v":1,"w":1`, 1), anna, ben),
		"another version":               joined(t, strings.Replace(text, `"v":1`, `"v":2`, 1), anna, ben),
		"a grant's preamble":            joined(t, strings.Replace(text, "exception/v1", "grant/v1", 1), anna, ben),
		"five hours":                    joined(t, strings.Replace(text, "T16:00:00Z", "T17:00:00Z", 1), anna, ben),
		"an hour in another zone":       joined(t, strings.Replace(text, "T16:00:00Z", "T16:00:00+01:00", 1), anna, ben),
		"a glob for a place":            joined(t, strings.Replace(text, "us-east-1", "*", 1), anna, ben),
		"a reason nobody listed":        joined(t, strings.Replace(text, "patient-safety", "hurry", 1), anna, ben),
		"base64 with its unused bits":   respelt(good),
		"a signature line with a blank": bytes.Replace(good, last, append([]byte(" "), last...), 1),
	} {
		if x, err := a.Open(b); err == nil || x.Valid(now) {
			t.Errorf("%s: opens as %v", what, x.ID())
		}
	}
	if _, err := (residency.Approvers{}).Open(good); err == nil {
		t.Error("it opens where no approver is configured")
	}
	if _, err := approversOf(t, anna).Open(good); err == nil {
		t.Error("it opens where only one of its approvers is known")
	}
	for what, vkeys := range map[string][]string{"one name, two keys": {anna.vkey, annaAgain.vkey},
		"one key twice": {anna.vkey, anna.vkey}, "no key": {"anna"}, "an empty line": {""},
		"one key under two names": {anna.vkey, renamed(t, anna)}} {
		if _, err := residency.NewApprovers(vkeys...); err == nil {
			t.Errorf("%s are taken for approvers", what)
		}
	}
}

// renamed is a person's key under another name.
func renamed(t testing.TB, p person) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.SplitN(p.vkey, "+", 3)[2])
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey(p.Name()+"-2", ed25519.PublicKey(key[1:]))
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

// respelt sets a bit that base64 leaves unused in the last signature.
func respelt(b []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	c := bytes.Clone(b)
	i := bytes.LastIndexByte(c, '=')
	for c[i] == '=' {
		i--
	}
	c[i] = alphabet[strings.IndexByte(alphabet, c[i])^1]
	return c
}

func TestTermsThatAreNotNarrowMakeNoText(t *testing.T) {
	for i, change := range []func(*residency.ExceptionTerms){
		func(x *residency.ExceptionTerms) { x.ID = "" },
		func(x *residency.ExceptionTerms) { x.Reason = "because" },
		func(x *residency.ExceptionTerms) { x.Words = " " },
		func(x *residency.ExceptionTerms) { x.Words = "two\nlines" },
		func(x *residency.ExceptionTerms) { x.Words = "turned \u202e round" },
		func(x *residency.ExceptionTerms) { x.Words = strings.Repeat("a", 1001) },
		func(x *residency.ExceptionTerms) { x.Site = "" },
		func(x *residency.ExceptionTerms) { x.Slice = "claims/*" },
		func(x *residency.ExceptionTerms) { x.Slice = "claims" },
		func(x *residency.ExceptionTerms) { x.Purpose = "" },
		func(x *residency.ExceptionTerms) { x.Team = "" },
		func(x *residency.ExceptionTerms) { x.Places = nil },
		func(x *residency.ExceptionTerms) { x.Places = []residency.Address{{}} },
		func(x *residency.ExceptionTerms) { x.Places = []residency.Address{virginia, virginia} },
		func(x *residency.ExceptionTerms) { x.Lifts = []string{"*"} },
		func(x *residency.ExceptionTerms) { x.Lifts = []string{"a", "a"} },
		func(x *residency.ExceptionTerms) { x.NotBefore = time.Time{} },
		func(x *residency.ExceptionTerms) { x.Expires = x.NotBefore },
		func(x *residency.ExceptionTerms) { x.Expires = x.NotBefore.Add(residency.MaxException + time.Second) },
		func(x *residency.ExceptionTerms) { x.Expires = x.Expires.Add(-time.Millisecond) },
	} {
		x := emergency()
		change(&x)
		if _, err := x.Text(); err == nil {
			t.Errorf("change %d is taken: %+v", i, x)
		}
	}
}

func TestALiftAnnotationIsForForbidsAndOfOneSpelling(t *testing.T) {
	for _, head := range []string{`@lift("always") forbid`, `@lift("") forbid`, `@lift forbid`,
		`@lift("break-glass") permit`} {
		text := fmt.Sprintf(`@id("a") @title("t") @basis("b") %s (principal, action, resource);`, head)
		if _, err := residency.ParseRules(map[string][]byte{"a.cedar": []byte(text)}); err == nil {
			t.Errorf("%s is taken", head)
		}
	}
}

func FuzzAnExceptionOpensOnlyAsItWasWritten(f *testing.F) {
	anna, ben := newPerson(f, "anna"), newPerson(f, "ben")
	a := approversOf(f, anna, ben)
	good := sealedBy(f, emergency(), anna, ben)
	f.Add(good)
	f.Add([]byte("burstctl/exception/v1\n{}\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := a.Open(b); err == nil && !bytes.Equal(b, good) {
			t.Errorf("%q opens", b)
		}
	})
}
