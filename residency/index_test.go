package residency

import (
	"maps"
	"slices"
	"strings"
	"testing"

	cedar "github.com/cedar-policy/cedar-go"
)

func TestEveryFactOfTheSchemaHasAName(t *testing.T) {
	q := question{place: Place{Groups: []string{"EEA"}}}
	place, _ := q.request(placeRecord(q.place, "")).Context.Get("place")
	want := []string{"action", "principal", "resource"}
	for name := range q.request(cedar.Record{}).Context.All() {
		if name != "place" {
			want = append(want, string(name))
		}
	}
	for name := range place.(cedar.Record).All() {
		want = append(want, "place."+string(name))
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(factNames)); !slices.Equal(got, want) {
		t.Errorf("facts are %v, Cedar is given %v", got, want)
	}
	for i, name := range factNames {
		if one, many := q.fact(i); (many != nil) != (name == "purposes" || name == "place.groups") || len(one) > 5 {
			t.Errorf("%s reads %q, %q", name, one, many)
		}
	}
}

// slicing are rules of many forms; each is skipped or evaluated as it deserves.
var slicing = map[string]string{
	"scope": `permit (principal == Team::"fraud", action == Action::"read", resource == Slice::"a/b");`,
	"in":    `permit (principal in Team::"fraud", action in [Action::"read"], resource in Slice::"a/b");`,
	"is": `permit (principal is Team, action, resource is Slice) when {
		context.dataset == "x" };`,
	"equal":     `permit all when { "claims" == context.dataset };`,
	"many":      `permit all when { ["x", "claims", "x"].contains(context.dataset) };`,
	"or":        `forbid all when { context.dataset == "x" || context.dataset == "claims" };`,
	"or of two": `forbid all when { context.dataset == "x" || context.site == "hq" };`,
	"class":     `forbid all when { context.class >= 5 } unless { context.pseudonymised };`,
	"not class": `forbid all unless { context.class < 4 || context.class == 6 };`,
	"group":     `permit all when { context.place.groups.contains("EU") };`,
	"not group": `forbid all unless { context.place.groups.contains("EU") };`,
	"two groups": `permit all when {
		context.place.groups.contains("EU") || context.place.groups.contains("EEA") };`,
	"errs first": `forbid all when {
		context.class + 9223372036854775807 > 0 && context.dataset == "x" };`,
	"errs later": `forbid all when {
		context.dataset == "x" && context.class + 9223372036854775807 > 0 };`,
	"errs here": `forbid all when {
		context.dataset == "claims" && context.class + 9223372036854775807 > 0 };`,
	"not not":  `permit all when { !!context.proven };`,
	"if":       `permit all when { if context.proven then context.dataset == "x" else true };`,
	"like":     `permit all when { context.place.zone like "eu-*" };`,
	"false":    `permit all when { false };`,
	"false or": `permit all when { (false || context.dataset == "claims") };`,
	"never":    `permit all when { context.class > 9 };`,
	"decimal": `permit all when {
		decimal("1.0").lessThan(decimal("2.0")) && context.dataset == "claims" };`,
	"two facts":       `permit all when { context.place.country == context.place.region_country };`,
	"declared":        `permit all when { context.purposes.contains(context.purpose) };`,
	"purposes":        `permit all when { context.purposes.contains("model-training") };`,
	"has":             `permit all when { context has dataset && context.dataset == "claims" };`,
	"record":          `permit all when { {a: context.dataset}.a == "claims" };`,
	"not equal":       `permit all when { context.dataset != "claims" };`,
	"compared across": `permit all when { 4 <= context.class && context.level > context.class };`,
}

// whole asks Cedar about every policy, as the index must not.
func whole(r *Rules, q question) (bool, []string) {
	set := cedar.PolicyMap{}
	for _, p := range r.set {
		set[p.id] = p.p
	}
	decision, d := cedar.Authorize(set, cedar.EntityMap{}, q.request(placeRecord(q.place, q.country)))
	return decision == cedar.Allow && len(d.Errors) == 0, told(d)
}

// told names what decided, and what erred.
func told(d cedar.Diagnostic) []string {
	names := map[string]bool{}
	for _, e := range d.Errors {
		names["errs "+string(e.PolicyID)] = true
	}
	for _, e := range d.Reasons {
		names[string(e.PolicyID)] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func TestTheIndexLeavesOutNothingThatHoldsOrErrs(t *testing.T) {
	var all strings.Builder
	tab, _ := shipped(t)
	parse := func(text string) *Rules {
		r, err := ParseRules(map[string][]byte{"a.cedar": []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	sets := map[string]*Rules{}
	for name, text := range slicing {
		text = strings.Replace(text, " all ", " (principal, action, resource) ", 1)
		text = `@id("` + strings.ReplaceAll(name, " ", "-") + `") @title("t") @basis("b") ` + text
		all.WriteString(text + "\n")
		sets[name] = parse(text)
	}
	sets["all"] = parse(all.String())
	asked, evaluated := 0, 0
	for _, g := range goldens(t, tab) {
		for _, m := range mutants() {
			q := g.q
			m.set(&q)
			if q.fill(tab); len(q.missing()) > 0 {
				continue
			}
			for name, r := range sets {
				want, why := whole(r, q)
				got, d := r.index.about(&q).evaluate(&q, placeRecord(q.place, q.country))
				if got != want || !slices.Equal(told(d), why) {
					t.Fatalf("%s, %s %s, rules %q: allowed %t by %v, without the index %t by %v", g.name, m.fact, m.kind,
						name, got, told(d), want, why)
				}
				if name == "all" {
					asked += len(r.set)
					evaluated += len(r.index.about(&q).list)
				}
			}
		}
	}
	t.Logf("of %d policies %d were evaluated", asked, evaluated)
}

// FuzzIndex asks whatever rules parse with and without the index.
func FuzzIndex(f *testing.F) {
	for _, text := range slicing {
		f.Add(strings.Replace(text, " all ", " (principal, action, resource) ", 1))
	}
	tab, _ := shipped(f)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRules(map[string][]byte{"a.cedar": []byte(`@id("r") @title("t") @basis("b") ` + text)})
		if err != nil {
			return
		}
		y := r.Ready(tab)
		for _, s := range asked {
			at := y.places[s.At]
			q := s.question(at.place)
			q.country = at.country
			want, why := whole(r, q)
			got, d := r.index.about(&q).evaluate(&q, at.record)
			if got != want || !slices.Equal(told(d), why) || y.Allows(s) != want {
				t.Errorf("%+v: allowed %t by %v, without the index %t by %v", s, got, told(d), want, why)
			}
		}
	})
}

// asked are questions that differ in what the rules above look at.
var asked = func() (all []Supposed) {
	for i, at := range []string{"aws/eu-central-1", "aws/us-east-1", "aws/eu-central-1/eu-central-1-waw-1"} {
		for class := Public; class <= SiteOnly; class++ {
			for level := L0; level <= L4; level++ {
				s := Slice{Name: "claims/q3", Dataset: []string{"claims", "x", "a"}[i], Class: class, Origin: "DE",
					Pseudonymised: i == 0, Basis: "contract", Purposes: []string{"model-training"}}
				a, _ := ParseAddress(at)
				all = append(all, Supposed{At: a, Level: level,
					Ask: Ask{Slice: s, Purpose: "model-training", Team: "fraud", Site: []string{"hq", "b"}[i%2]}})
			}
		}
	}
	return all
}()
