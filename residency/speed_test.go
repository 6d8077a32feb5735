package residency

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// manyRules are n policies: what the shipped rules say, and for the rest
// permits and forbids that each are about one of the datasets, as a site with
// an agreement for each of them would write.
func manyRules(t testing.TB, n int) *Rules {
	_, shipped := shipped(t)
	var b strings.Builder
	for i := range n - len(shipped.List()) {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "@id(\"may-%d\") @title(\"t\") @basis(\"b\") permit (principal, action, resource)\n"+
				"when { context.dataset == \"ds-%d\" && context.class <= 4 && context.purpose == \"model-training\" &&\n"+
				"context.place.groups.contains(\"EU\") && (context.level >= 2 || !context.proven) };\n", i, i)
		case 1:
			fmt.Fprintf(&b, "@id(\"never-%d\") @title(\"t\") @basis(\"b\") forbid (principal, action, resource)\n"+
				"when { context.dataset == \"ds-%d\" } unless { context.place.parent == \"US\" };\n", i, i)
		case 2:
			fmt.Fprintf(&b, "@id(\"slice-%d\") @title(\"t\") @basis(\"b\") permit (principal == Team::\"team-%d\", action,\n"+
				"resource == Slice::\"ds-%d/all\") when { context.class <= 2 };\n", i, i%50, i)
		default:
			fmt.Fprintf(&b, "@id(\"site-%d\") @title(\"t\") @basis(\"b\")\n"+
				"forbid (principal, action == Action::\"read\", resource)\n"+
				"when { [\"ds-%d\", \"ds-%d\"].contains(context.dataset) && context.level < 2 };\n", i, i, i+1)
		}
	}
	files := shippedRules(t)
	const each = 60 << 10
	for i, rest := 0, b.String(); rest != ""; i++ {
		cut := len(rest)
		if cut > each {
			cut = strings.LastIndex(rest[:each], ";\n") + 2
		}
		files[fmt.Sprintf("30-%03d.cedar", i)], rest = []byte(rest[:cut]), rest[cut:]
	}
	r, err := ParseRules(files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// manyAsked are questions about n datasets, at every place and level.
func manyAsked(t testing.TB, n int) []Supposed {
	tab, _ := shipped(t)
	at := tab.Places()
	asked := make([]Supposed, n)
	for i := range asked {
		id := fmt.Sprintf("ds-%d", i*7919%n)
		s := Slice{Name: id + "/all", Dataset: id, Class: Class(i%5 + 1), Pseudonymised: i%3 > 0, Origin: "DE",
			Basis:    "contract",
			Purposes: []string{"model-training", "research"}}
		asked[i] = Supposed{Ask: Ask{Slice: s, Purpose: s.Purposes[i%2], Team: fmt.Sprintf("team-%d", i%50), Site: "hq"},
			At: at[i*31%len(at)].Address, Level: Level(i % 4)}
	}
	return asked
}

// TestHowManyPoliciesAreEvaluatedDoesNotGrowWithTheirNumber counts instead of
// measuring: a thousand policies cost what ten do.
func TestHowManyPoliciesAreEvaluatedDoesNotGrowWithTheirNumber(t *testing.T) {
	tab, _ := shipped(t)
	evaluated := map[int]int{}
	for _, n := range []int{10, 1000} {
		r := manyRules(t, n)
		y := r.Ready(tab)
		for _, s := range manyAsked(t, 10_000) {
			q := s.question(y.places[s.At].place)
			q.country = y.places[s.At].country
			evaluated[n] += len(r.index.about(&q).list)
		}
	}
	t.Logf("evaluated for 10,000 questions: %d of 10 policies each, %d of 1,000", evaluated[10], evaluated[1000])
	if evaluated[1000] > evaluated[10]*3/2 {
		t.Errorf("of 10 policies %d were evaluated, of 1,000 %d", evaluated[10], evaluated[1000])
	}
}

// BenchmarkDecision prints the median and the 99th percentile of one decision,
// evaluation only, over questions about 10,000 datasets; and the median of those
// that are allowed alone, for which Cedar evaluates every policy they could be
// about, where many others are refused because no permit could be.
func BenchmarkDecision(b *testing.B) {
	tab, _ := shipped(b)
	asked := manyAsked(b, 10_000)
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			y := manyRules(b, n).Ready(tab)
			all, allowed := make([]time.Duration, 0, 1<<20), make([]time.Duration, 0, 1<<20)
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				ok := y.Allows(asked[i%len(asked)])
				took := time.Since(start)
				if all = append(all, took); ok {
					allowed = append(allowed, took)
				}
			}
			slices.Sort(all)
			slices.Sort(allowed)
			b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
			b.ReportMetric(float64(allowed[len(allowed)/2].Nanoseconds()), "p50-allowed-ns")
			b.ReportMetric(100*float64(len(allowed))/float64(len(all)), "%allowed")
		})
	}
}

// BenchmarkAnswer is the decision as the controller takes it, the place looked
// up and every reason in words.
func BenchmarkAnswer(b *testing.B) {
	tab, _ := shipped(b)
	asked, r := manyAsked(b, 10_000), manyRules(b, 1000)
	for i := 0; b.Loop(); i++ {
		r.Suppose(tab, asked[i%len(asked)])
	}
}
