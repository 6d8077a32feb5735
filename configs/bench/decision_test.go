// Package bench compares the decision with the same rules in OPA's Go library,
// in a module of its own, so that nothing of OPA is in the program. Run it with
// "go test -run Same -bench . -benchtime 5s" in this directory.
package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/burstctl/burstctl/residency"
)

// datasets is how many the questions are about.
const datasets = 10_000

// cedarRules are n policies: those shipped, and for the rest one about a dataset
// each.
func cedarRules(t testing.TB, n int) *residency.Rules {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"10-never.cedar", "20-may.cedar"} {
		b, err := os.ReadFile(filepath.Join("..", "rules", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	var b strings.Builder
	for i := range n - 10 {
		fmt.Fprintf(&b, "@id(\"r-%d\") @title(\"t\") @basis(\"b\") ", i)
		if i%2 == 0 {
			fmt.Fprintf(&b, "permit (principal, action, resource) when { context.dataset == \"ds-%d\" && context.class <= 4 && "+
				"context.purpose == \"research\" && context.place.groups.contains(\"EU\") };\n", i)
		} else {
			fmt.Fprintf(&b, "forbid (principal, action, resource) when { context.dataset == \"ds-%d\" && "+
				"context.place.parent != \"US\" };\n", i)
		}
		if b.Len() > 60_000 || i == n-11 {
			files[fmt.Sprintf("30-%04d.cedar", i)] = []byte(b.String())
			b.Reset()
		}
	}
	r, err := residency.ParseRules(files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shipped are the shipped rules in Rego, written as its own guides do: one
// rule a policy, equalities first, so that its index can be used.
const shipped = `package residency
default allow := false
allow if { some_permit; not some_forbid }
in_group(g) if g in input.place.groups
some_forbid if { input.class >= 4; not in_group("EEA") }
some_forbid if { input.class >= 2; input.place.country != input.place.region_country }
some_forbid if input.class >= 6
some_forbid if { input.class >= 5; not input.pseudonymised }
some_forbid if not input.purpose in input.purposes
some_forbid if { input.action == "read"; not proven_one }
proven_one if { input.proven; input.level >= 1 }
trains if input.purpose in {"model-training", "research"}
some_permit if { input.action == "create"; input.class == 4; input.pseudonymised; trains; in_group("EU") }
some_permit if { input.action == "read"; input.class == 4; input.pseudonymised; trains; in_group("EU"); input.proven
  input.level >= 2 }
some_permit if { input.action == "create"; input.class == 1 }
some_permit if { input.action == "read"; input.class == 1; input.proven; input.level >= 1 }
`

// regoRules are the same n policies, prepared.
func regoRules(t testing.TB, n int) rego.PreparedEvalQuery {
	t.Helper()
	b := strings.Builder{}
	b.WriteString(shipped)
	for i := range n - 10 {
		if i%2 == 0 {
			fmt.Fprintf(&b, "some_permit if { input.dataset == \"ds-%d\"; input.class <= 4; input.purpose == \"research\"; "+
				"in_group(\"EU\") }\n", i)
		} else {
			fmt.Fprintf(&b, "some_forbid if { input.dataset == \"ds-%d\"; input.place.parent != \"US\" }\n", i)
		}
	}
	q, err := rego.New(rego.Query("data.residency.allow"), rego.Module("r.rego", b.String())).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// question is one question, for both.
type question struct {
	ours residency.Supposed
	opa  ast.Value
}

// questions are about every dataset, at every place.
func questions(t testing.TB, tab *residency.Table) []question {
	t.Helper()
	at := tab.Places()
	all := make([]question, datasets)
	for i := range all {
		id, p := fmt.Sprintf("ds-%d", i*7919%datasets), at[i*31%len(at)]
		region, err := tab.Lookup(residency.Address{Provider: p.Provider, Region: p.Region})
		if err != nil {
			t.Fatal(err)
		}
		s := residency.Slice{Name: id + "/all", Dataset: id, Class: residency.Class(i%5 + 1), Pseudonymised: i%3 > 0,
			Origin: "DE", Basis: "contract", Purposes: []string{"model-training", "research"}}
		q := residency.Supposed{Ask: residency.Ask{Slice: s, Purpose: s.Purposes[i%2], Team: "fraud", Site: "hq"},
			At: p.Address, Level: residency.Level(i % 4)}
		stage, trust := "create", "claimed"
		if q.Level > 0 {
			stage, trust = "read", "supposed"
		}
		input, err := ast.InterfaceToValue(map[string]any{"action": stage, "team": q.Ask.Team, "slice": s.Name,
			"site": q.Ask.Site, "purpose": q.Ask.Purpose, "purposes": s.Purposes, "dataset": id, "class": int(s.Class),
			"pseudonymised": s.Pseudonymised, "origin": s.Origin, "basis": s.Basis, "proven": q.Level > 0,
			"level": int(q.Level), "trust": trust, "place": map[string]any{"provider": p.Provider,
				"partition": p.Partition, "region": p.Region, "zone": p.Zone, "kind": string(p.Kind), "country": p.Country,
				"region_country": region.Country, "groups": p.Groups, "operator": p.Operator, "parent": p.Parent,
				"keys": p.Keys}})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = question{q, input}
	}
	return all
}

func table(t testing.TB) *residency.Table {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "residency", "places", "table.csv"))
	if err != nil {
		t.Fatal(err)
	}
	tab, err := residency.ParseTable(b)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func ask(t testing.TB, q rego.PreparedEvalQuery, input ast.Value) bool {
	rs, err := q.Eval(context.Background(), rego.EvalParsedInput(input))
	if err != nil {
		t.Fatal(err)
	}
	return rs.Allowed()
}

func TestBothGiveTheSameAnswers(t *testing.T) {
	tab := table(t)
	ready, q, allowed := cedarRules(t, 1000).Ready(tab), regoRules(t, 1000), 0
	for _, one := range questions(t, tab) {
		a, b := ready.Allows(one.ours), ask(t, q, one.opa)
		if a != b {
			t.Fatalf("%+v: ours %t, OPA %t", one.ours, a, b)
		}
		if a {
			allowed++
		}
	}
	t.Logf("%d questions answered alike, %d allowed", datasets, allowed)
}

// timed asks f every question and returns the times it took, sorted.
func timed(asked []question, f func(question) bool) []time.Duration {
	took := make([]time.Duration, len(asked))
	for i, q := range asked {
		start := time.Now()
		f(q)
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took
}

// BenchmarkRatio prints the medians of both and how many times faster ours is:
// of all questions, and of those alone that are allowed, for which ours asks
// Cedar in full. OPA's input is parsed beforehand; ours checks and writes the
// question within the time.
func BenchmarkRatio(b *testing.B) {
	tab := table(b)
	all := questions(b, tab)
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			ready, q := cedarRules(b, n).Ready(tab), regoRules(b, n)
			allowed := slices.DeleteFunc(slices.Clone(all), func(q question) bool { return !ready.Allows(q.ours) })
			ours := func(one question) bool { return ready.Allows(one.ours) }
			theirs := func(one question) bool { return ask(b, q, one.opa) }
			for b.Loop() {
				us, opa := timed(all, ours), timed(all, theirs)
				usYes, opaYes := timed(allowed, ours), timed(allowed, theirs)
				half := func(d []time.Duration) float64 { return float64(d[len(d)/2].Nanoseconds()) }
				b.ReportMetric(half(us), "ours-p50-ns")
				b.ReportMetric(float64(us[len(us)*99/100].Nanoseconds()), "ours-p99-ns")
				b.ReportMetric(half(opa), "opa-p50-ns")
				b.ReportMetric(half(opa)/half(us), "ratio")
				b.ReportMetric(half(usYes), "ours-allowed-p50-ns")
				b.ReportMetric(half(opaYes)/half(usYes), "ratio-allowed")
			}
		})
	}
}
