package residency

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// mutant changes one fact of a question. A blind one is a fact no question may
// hold (absent, misspelt, not listed): it denies always. Of the others, all
// well-formed but worse, none may turn a denial into an allowance.
type mutant struct {
	fact, kind string
	blind      bool
	set        func(*question)
}

// texts are the ways to get a plain name wrong.
func texts(fact string, at func(*question) *string, alias, wrong string) []mutant {
	to := func(v string) func(*question) { return func(q *question) { *at(q) = v } }
	return []mutant{
		{fact, "absent", true, to("")},
		{fact, "blank", true, to(" ")},
		{fact, "alias", true, to(alias)},
		{fact, "unknown", true, to("\u2603")},
		{fact, "not text", true, to("\xff")},
		{fact, "padded", true, func(q *question) { *at(q) += " " }},
		{fact, "look-alike", true, func(q *question) { *at(q) = lookAlike(*at(q)) }},
		{fact, "wrong type", true, to("[]")},
		{fact, "null", true, to("\x00")},
		{fact, "out of range", true, to(strings.Repeat("a", 300))},
		{fact, "wrong", false, to(wrong)},
	}
}

// lookAlike writes the first letter that has one in another alphabet.
func lookAlike(s string) string {
	for i, c := range s {
		if j := strings.IndexRune("aceopxyAEHIMOPTX", c); j >= 0 {
			return s[:i] + string([]rune("асеорхуАЕНІМОРТХ")[j]) + s[i+1:]
		}
	}
	return s + "\u200b"
}

func mutants() []mutant {
	place := func(f func(*Place) *string) func(*question) *string {
		return func(q *question) *string { return f(&q.place) }
	}
	all := slices.Concat(
		texts("action", func(q *question) *string { return &q.stage }, "Read", "read"),
		texts("principal", func(q *question) *string { return &q.ask.Team }, "Fraud", "other"),
		texts("resource", func(q *question) *string { return &q.ask.Slice.Name }, "Claims/2025-q3", "claims/other"),
		texts("site", func(q *question) *string { return &q.ask.Site }, "Munich", "other"),
		texts("purpose", func(q *question) *string { return &q.ask.Purpose }, "Model Training", "marketing"),
		texts("dataset", func(q *question) *string { return &q.ask.Slice.Dataset }, "Claims", "other"),
		texts("origin", func(q *question) *string { return &q.ask.Slice.Origin }, "UK", "US"),
		texts("trust", func(q *question) *string { return &q.trust }, "Local", "other"),
		texts("provider", place(func(p *Place) *string { return &p.Provider }), "AWS", "gcp"),
		texts("region", place(func(p *Place) *string { return &p.Region }), "EU (Frankfurt)", "us-east-1"),
		texts("zone", place(func(p *Place) *string { return &p.Zone }), "eu-central-1a", "us-east-1-bue-1")[2:],
		texts("partition", place(func(p *Place) *string { return &p.Partition }), "AWS", "aws-cn"),
		texts("kind", place(func(p *Place) *string { return (*string)(&p.Kind) }), "Region", "edge"),
		texts("country", place(func(p *Place) *string { return &p.Country }), "Germany", "US"),
		texts("operator", place(func(p *Place) *string { return &p.Operator }), "USA", "CN"),
		texts("keys", place(func(p *Place) *string { return &p.Keys }), "USA", "CN"),
		texts("parent", place(func(p *Place) *string { return &p.Parent }), "EU", "CN"),
		texts("keys", place(func(p *Place) *string { return &p.Keys }), "on site", "CN"),
	)
	return append(all, typedMutants()...)
}

// typedMutants change the facts that are not plain text.
func typedMutants() []mutant {
	return []mutant{
		{"class", "absent", true, func(q *question) { q.ask.Slice.Class = 0 }},
		{"class", "unknown", true, func(q *question) { q.ask.Slice.Class = SiteOnly + 1 }},
		{"class", "negative", true, func(q *question) { q.ask.Slice.Class = -1 }},
		{"class", "wrong", false, func(q *question) { q.ask.Slice.Class = SiteOnly }},
		{"pseudonymised", "wrong", false, func(q *question) { q.ask.Slice.Pseudonymised = false }},
		{"basis", "absent", true, func(q *question) { q.ask.Slice.Basis = "" }},
		{"basis", "not text", true, func(q *question) { q.ask.Slice.Basis = "\xff" }},
		{"purposes", "absent", true, func(q *question) { q.ask.Slice.Purposes = nil }},
		{"purposes", "blank", true, func(q *question) { q.ask.Slice.Purposes = []string{""} }},
		{"purposes", "alias", true, func(q *question) { q.ask.Slice.Purposes = []string{"Model Training"} }},
		{"purposes", "doubled", true, func(q *question) { q.ask.Slice.Purposes = []string{"research", "research"} }},
		{"purposes", "wrong", false, func(q *question) { q.ask.Slice.Purposes = []string{"billing"} }},
		{"groups", "absent", true, func(q *question) { q.place.Groups = nil }},
		{"groups", "alias", true, func(q *question) { q.place.Groups = []string{"eea", "eu"} }},
		{"groups", "unknown", true, func(q *question) { q.place.Groups = []string{"EEA", "EU", "none"} }},
		{"groups", "wrong", false, func(q *question) { q.place.Groups = []string{"none"} }},
		{"place", "absent", true, func(q *question) { q.place = Place{} }},
		{"place", "address only", false, func(q *question) { q.place = Place{Address: Address{"aws", "us-east-1", ""}} }},
		{"proven", "other stage", true, func(q *question) { q.proven = !q.proven }},
		{"level", "unknown", true, func(q *question) { q.level = 9 }},
		{"level", "negative", true, func(q *question) { q.level = -1 }},
		{"level", "other stage", true, func(q *question) { q.level = map[bool]Level{true: L0, false: L2}[q.proven] }},
		{"embargo", "blank", true, func(q *question) { q.ask.Slice.Embargo = " " }},
		{"embargo", "alias", true, func(q *question) { q.ask.Slice.Embargo = "1 May 2025" }},
		{"embargo", "no such day", true, func(q *question) { q.ask.Slice.Embargo = "2025-02-30" }},
		{"embargo", "with time", true, func(q *question) { q.ask.Slice.Embargo = "2025-01-01T00:00:00Z" }},
		{"embargo", "short", true, func(q *question) { q.ask.Slice.Embargo = "2025-1-1" }},
		{"embargo", "not text", true, func(q *question) { q.ask.Slice.Embargo = "\xff" }},
		{"embargo", "wrong", false, func(q *question) { q.ask.Slice.Embargo = "2026-05-02" }},
		{"retention", "blank", true, func(q *question) { q.ask.Slice.Retention = " " }},
		{"retention", "alias", true, func(q *question) { q.ask.Slice.Retention = "forever" }},
		{"retention", "no such day", true, func(q *question) { q.ask.Slice.Retention = "2035-13-01" }},
		{"retention", "out of range", true, func(q *question) { q.ask.Slice.Retention = "99999-01-01" }},
		{"retention", "look-alike", true, func(q *question) { q.ask.Slice.Retention = "2035\u201001\u201001" }},
		{"retention", "wrong", false, func(q *question) { q.ask.Slice.Retention = "2026-04-30" }},
		{"ask", "absent", true, func(q *question) { q.ask = Ask{} }},
		{"question", "absent", true, func(q *question) { *q = question{} }},
	}
}

// golden is a question whose answer is known.
type golden struct {
	name    string
	allowed bool
	q       question
}

func goldens(t *testing.T, tab *Table) []golden {
	at := func(s string) Place {
		a, err := ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		p, err := tab.Lookup(a)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	pseudo := Slice{Name: "claims/2025-q3-pseudonymised", Dataset: "claims", Class: Personal, Pseudonymised: true,
		Origin: "DE", Purposes: []string{"model-training"}, Basis: "GDPR"}
	special, public, dated := pseudo, pseudo, pseudo
	dated.Embargo, dated.Retention = "2026-05-01", "2026-05-01" // the day they are asked on alone
	special.Name, special.Class, special.Pseudonymised = "claims/2025-q3", Special, false
	public.Name, public.Dataset, public.Class = "roads/2025", "roads", Public
	create := func(s Slice, place string) question {
		ask := Ask{Slice: s, Purpose: "model-training", Team: "fraud", Site: "munich"}
		return question{stage: stageCreate, ask: ask, place: at(place), trust: claimedTrust}
	}
	read := func(s Slice, place string, l Level) question {
		q := create(s, place)
		q.stage, q.proven, q.level, q.trust = stageRead, true, l, "local"
		return q
	}
	return []golden{
		{"plan in Frankfurt", true, create(pseudo, "aws/eu-central-1")},
		{"read in Frankfurt", true, read(pseudo, "aws/eu-central-1", L2)},
		{"plan on the one day", true, create(dated, "aws/eu-central-1")},
		{"read on the one day", true, read(dated, "aws/eu-central-1", L2)},
		{"read in Germany", true, read(pseudo, "azure/germanywestcentral", L3)},
		{"plan roads anywhere", true, create(public, "aws/us-east-1/us-east-1-bue-1")},
		{"read roads anywhere", true, read(public, "aws/us-east-1", L1)},
		{"read in Frankfurt on L1", false, read(pseudo, "aws/eu-central-1", L1)},
		{"plan in Virginia", false, create(pseudo, "aws/us-east-1")},
		{"read in Virginia", false, read(pseudo, "aws/us-east-1", L2)},
		{"plan in Warsaw under Frankfurt", false, create(pseudo, "aws/eu-central-1/eu-central-1-waw-1")},
		{"plan special", false, create(special, "aws/eu-central-1")},
		{"read special", false, read(special, "aws/eu-central-1", L2)},
	}
}

// shipped reads the files the demo runs under.
func shipped(t testing.TB) (*Table, *Rules) {
	tab, err := ParseTable(contentOf(t, "places/table.csv"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRules(shippedRules(t))
	if err != nil {
		t.Fatal(err)
	}
	return tab, r
}

// shippedRules are the rule files of the demo.
func shippedRules(t testing.TB) map[string][]byte {
	return map[string][]byte{"10-never.cedar": contentOf(t, "../configs/rules/10-never.cedar"),
		"20-may.cedar": contentOf(t, "../configs/rules/20-may.cedar")}
}

func contentOf(t testing.TB, name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oneDay is the day that questions are asked on here.
var oneDay = time.Date(2026, 5, 1, 23, 59, 59, 0, time.UTC)

// supposed is a question as an officer asks it.
func supposed(q question) Supposed { return Supposed{q.ask, q.place.Address, q.level, q.trust} }

func TestNoMutantOfAQuestionIsAllowed(t *testing.T) {
	undated, r := shipped(t)
	tab := undated.At(oneDay)
	tried, denied := 0, 0
	for _, g := range goldens(t, tab) {
		if v := r.answer(tab, g.q); v.Allowed != g.allowed {
			t.Fatalf("%s: allowed %t: %s", g.name, v.Allowed, v.Why)
		}
		for _, m := range mutants() {
			q := g.q
			m.set(&q)
			v := r.answer(tab, q)
			tried++
			if !v.Allowed {
				denied++
			}
			if v.Allowed && (m.blind || !g.allowed) {
				t.Errorf("%s, %s %s: allowed: %s", g.name, m.fact, m.kind, v.Why)
			}
			if m.blind && len(v.Missing) == 0 {
				t.Errorf("%s, %s %s: denied without naming the fact: %s", g.name, m.fact, m.kind, v.Why)
			}
		}
		on := map[string]*Table{"no table": nil, "empty table": {}}
		if g.q.ask.Slice.Embargo != "" {
			on["no day"], on["the day before"], on["the day after"] = undated, tab.At(oneDay.AddDate(0, 0, -1)),
				tab.At(oneDay.AddDate(0, 0, 1))
		}
		for what, tab := range on {
			if tried++; r.answer(tab, g.q).Allowed || r.Ready(tab).Allows(supposed(g.q)) {
				t.Errorf("%s: allowed with %s", g.name, what)
			}
			denied++
		}
	}
	t.Logf("%d mutants of %d questions: %d denied, the rest changed facts no rule looks at",
		tried, len(goldens(t, tab)), denied)
}

func TestAForbidThatErrsDenies(t *testing.T) {
	tab, _ := shipped(t)
	r, err := ParseRules(map[string][]byte{"a.cedar": []byte(`
		@id("all") @title("t") @basis("b") permit (principal, action, resource);
		@id("errs") @title("t") @basis("b") forbid (principal, action, resource)
		when { context.class + 9223372036854775807 < 0 };`)})
	if err != nil {
		t.Fatal(err)
	}
	tab = tab.At(oneDay)
	for _, g := range goldens(t, tab) {
		if v := r.answer(tab, g.q); v.Allowed || len(v.Rules) != 1 || v.Rules[0].ID != "errs" {
			t.Errorf("%s: %+v", g.name, v)
		}
	}
}
