package residency

import (
	"slices"
	"testing"
	"time"
)

// spoilt changes one fact of an exception so that it must lift nothing for the
// question it was made for.
type spoilt struct {
	fact, kind string
	set        func(*Exception)
}

// spoilers are every field of an exception × every way to get it wrong.
func spoilers() []spoilt {
	var all []spoilt
	for fact, at := range map[string]func(*ExceptionTerms) *string{
		"id":      func(t *ExceptionTerms) *string { return &t.ID },
		"reason":  func(t *ExceptionTerms) *string { return &t.Reason },
		"words":   func(t *ExceptionTerms) *string { return &t.Words },
		"site":    func(t *ExceptionTerms) *string { return &t.Site },
		"slice":   func(t *ExceptionTerms) *string { return &t.Slice },
		"purpose": func(t *ExceptionTerms) *string { return &t.Purpose },
		"team":    func(t *ExceptionTerms) *string { return &t.Team },
	} {
		to := func(v string) func(*Exception) { return func(x *Exception) { *at(&x.terms) = v } }
		all = append(all, spoilt{fact, "absent", to("")}, spoilt{fact, "blank", to(" ")},
			spoilt{fact, "not text", to("\xff")}, spoilt{fact, "null", to("\x00")})
		if slices.Contains([]string{"site", "slice", "purpose", "team"}, fact) {
			all = append(all, spoilt{fact, "other", to("other/other")}, spoilt{fact, "glob", to("*")},
				spoilt{fact, "look-alike", func(x *Exception) { *at(&x.terms) = lookAlike(*at(&x.terms)) }},
				spoilt{fact, "padded", func(x *Exception) { *at(&x.terms) += " " }},
				spoilt{fact, "prefix", func(x *Exception) { s := at(&x.terms); *s = (*s)[:len(*s)-1] }})
		}
	}
	places := func(as ...Address) func(*Exception) { return func(x *Exception) { x.terms.Places = as } }
	lifts := func(ids ...string) func(*Exception) { return func(x *Exception) { x.terms.Lifts = ids } }
	return append(all,
		spoilt{"places", "absent", places()},
		spoilt{"places", "nowhere", places(Address{})},
		spoilt{"places", "third place", places(Address{"azure", "brazilsouth", ""})},
		spoilt{"places", "a zone of it", places(Address{"aws", "us-east-1", "us-east-1-bue-1"})},
		spoilt{"places", "glob", places(Address{"aws", "*", ""})},
		spoilt{"lifts", "absent", lifts()},
		spoilt{"lifts", "other", lifts("zone-follows-parent")},
		spoilt{"lifts", "glob", lifts("*")},
		spoilt{"lifts", "title", lifts("Personal data stays in the European Economic Area")},
		spoilt{"not_before", "absent", func(x *Exception) { x.terms.NotBefore = time.Time{} }},
		spoilt{"not_before", "later", func(x *Exception) { x.terms.NotBefore = glassAt.Add(time.Second) }},
		spoilt{"expires", "absent", func(x *Exception) { x.terms.Expires = time.Time{} }},
		spoilt{"expires", "expired", func(x *Exception) { x.terms.Expires = glassAt }},
		spoilt{"expires", "too late", func(x *Exception) { x.terms.NotBefore = x.terms.Expires.Add(-MaxException - 1) }},
		spoilt{"expires", "local time", func(x *Exception) { x.terms.Expires = x.terms.Expires.In(time.FixedZone("", 0)) }},
		spoilt{"digest", "absent", func(x *Exception) { x.digest = "" }},
		spoilt{"signatures", "absent", func(x *Exception) { x.signed = nil }},
		spoilt{"signatures", "one", func(x *Exception) { x.signed = x.signed[:1] }},
		spoilt{"exception", "absent", func(x *Exception) { *x = Exception{} }},
	)
}

// glassAt is when the questions are asked.
var glassAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// broken is an exception for exactly this question, that sets aside these rules.
func broken(q question, lifts ...string) Exception {
	return Exception{digest: digest([]byte("x")), signed: []string{"anna", "ben"}, terms: ExceptionTerms{ID: "x-1",
		Reason: "continuity", Words: "a test", Site: q.ask.Site, Slice: q.ask.Slice.Name, Purpose: q.ask.Purpose,
		Team: q.ask.Team, Places: []Address{q.place.Address}, Lifts: lifts, NotBefore: glassAt.Add(-time.Hour),
		Expires: glassAt.Add(time.Hour)}}
}

// The shipped rules and an exception that names every one of them: what it may
// lift is what the files say, and a single wrong fact, of the exception or of
// the question's scope, lifts nothing.
func TestNoMutantOfAnExceptionAllows(t *testing.T) {
	tab, r := shipped(t)
	tab = tab.At(oneDay)
	lifted := map[string]bool{"plan in Virginia": true, "read in Virginia": true, "read in Frankfurt on L1": true}
	var all []string
	for _, rule := range r.List() {
		all = append(all, rule.ID)
	}
	tried := 0
	for _, g := range goldens(t, tab) {
		x := broken(g.q, all...)
		known := r.With(glassAt, x)
		v, yes := known.answer(tab, g.q), g.allowed || lifted[g.name]
		if v.Allowed != yes || lifted[g.name] != (v.Exception != nil) {
			t.Errorf("%s: allowed %t: %s", g.name, v.Allowed, v.Why)
		}
		if v := known.answer(tab.At(oneDay.AddDate(0, 0, 1)), g.q); v.Allowed && g.q.ask.Slice.Retention != "" {
			t.Errorf("%s: allowed after the data's last day: %s", g.name, v.Why)
		}
		if g.allowed {
			continue
		}
		for _, m := range mutants() {
			q := g.q
			m.set(&q)
			tried++
			scope := slices.Contains([]string{"team", "purpose", "site", "slice"}, m.fact)
			if v := known.answer(tab, q); v.Allowed && (m.blind || scope || !lifted[g.name]) {
				t.Errorf("%s, %s %s: allowed: %s", g.name, m.fact, m.kind, v.Why)
			}
		}
		for _, s := range spoilers() {
			if g.name == "read in Frankfurt on L1" && s.fact == "lifts" && s.kind != "glob" && s.kind != "title" {
				continue // nothing forbids it: the exception stands for the permit
			}
			y := x
			y.terms = x.Terms()
			s.set(&y)
			tried++
			if v := r.With(glassAt, y).answer(tab, g.q); v.Allowed {
				t.Errorf("%s, exception's %s %s: allowed: %s", g.name, s.fact, s.kind, v.Why)
			}
		}
	}
	t.Logf("%d mutants of exceptions and of questions under one", tried)
}
