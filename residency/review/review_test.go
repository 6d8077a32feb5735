package review_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
	"github.com/burstctl/burstctl/residency/review"
)

// text is rules that use every axis.
const text = `
@id("eu-only") @title("Stays in the EEA") @basis("GDPR Art. 44")
forbid (principal, action, resource) when { context.class >= 4 } unless { context.place.groups.contains("EEA") };
@id("plan") @title("May be planned") @basis("policy 1")
permit (principal == Team::"fraud", action == Action::"create", resource)
when { context.class <= 4 && context.purpose == "research" };
@id("read") @title("May be read") @basis("policy 2")
permit (principal == Team::"fraud", action == Action::"read", resource)
when { context.class <= 4 && context.level >= 2 && context.purpose == "research" && context.trust != "weak" };
`

func parsed(t testing.TB, text string) *residency.Rules {
	t.Helper()
	r, err := residency.ParseRules(map[string][]byte{"a.cedar": []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func shipped(t testing.TB) *residency.Table {
	t.Helper()
	tab, err := residency.ParseTable(places.CSV)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// catalogue has n datasets of rising class, one slice each.
func catalogue(t testing.TB, n int) *residency.Catalogue {
	t.Helper()
	var ds []residency.Dataset
	for i := range n {
		id := fmt.Sprintf("ds-%d", i)
		ds = append(ds, residency.Dataset{ID: id, Title: "t", Owner: "o", Class: residency.Class(i%6 + 1), Origin: "DE",
			Basis: "contract", Purposes: []string{"research"}, Slices: []residency.SliceSpec{{Name: id + "/all", Dir: "d"}}})
	}
	c, err := residency.NewCatalogue(ds)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reached(t testing.TB, r *residency.Rules, tab *residency.Table, c *residency.Catalogue) review.Matrix {
	t.Helper()
	space, err := review.SpaceOf(tab, c, r)
	if err != nil {
		t.Fatal(err)
	}
	return review.Reach(r, tab, space)
}

func TestTheMatrixAnswersAsTheRulesDo(t *testing.T) {
	r, tab, c := parsed(t, text), shipped(t), catalogue(t, 6)
	m := reached(t, r, tab, c)
	got := strings.Join(m.Space.Teams, " ") + "; " + strings.Join(m.Space.Trusts, " ")
	if got != "fraud other; other weak" {
		t.Errorf("teams and trusts are %s", got)
	}
	for _, row := range m.Rows {
		for i, p := range m.Space.Places {
			q := row.Supposed
			if q.At = p.Address; row.Allows(i) != r.Suppose(tab, q).Allowed {
				t.Fatalf("%+v: the matrix says %t", q, row.Allows(i))
			}
		}
	}
	if m.Allowed == 0 || m.Allowed == m.Asked || m.Asked != m.Space.Size() {
		t.Errorf("%d of %d questions allowed, want some and not all of %d", m.Allowed, m.Asked, m.Space.Size())
	}
}

func TestWhatMustNeverBeIsHeldOrHasACounterExample(t *testing.T) {
	r, tab := parsed(t, text), shipped(t)
	m := reached(t, r, tab, catalogue(t, 6))
	for sentence, holds := range map[string]bool{
		"class=personal leaves EEA":                            true,
		"class>=personal, stage=proven leaves EEA":             true,
		"class=special reaches DE":                             true,
		"class<=confidential leaves EEA":                       false,
		"class=personal & level>=L2 leaves DE":                 false,
		"class=personal & level<=L1 & stage=proven leaves EEA": true,
		"class=personal & trust=weak reaches EEA":              true,
		"team!=fraud reaches EEA":                              true,
		"team=fraud reaches parent=US":                         false,
		"declared=false reaches EEA":                           true,
		"purpose=research & dataset=ds-3 reaches FR":           false,
	} {
		n, err := review.ParseNever(sentence)
		if err != nil {
			t.Fatal(err)
		}
		q, count, err := m.Counter(n)
		if err != nil || holds != (count == 0) {
			t.Errorf("never %s: %d against it, error %v", sentence, count, err)
		}
		if count > 0 && !r.Suppose(tab, q).Allowed {
			t.Errorf("never %s: the counter-example %+v is refused", sentence, q)
		}
	}
}

func TestASentenceThatSaysNothingIsRefused(t *testing.T) {
	m := reached(t, parsed(t, text), shipped(t), catalogue(t, 3))
	for _, sentence := range []string{"", "leaves EEA", "class=special", "class=special leaves",
		"class=spezial leaves EEA",
		"klass=special leaves EEA", "class leaves EEA", "team>=fraud leaves EEA", "class=special goes EEA",
		"level=L9 leaves EEA"} {
		if _, err := review.ParseNever(sentence); err == nil {
			t.Errorf("%q is read", sentence)
		}
	}
	for _, sentence := range []string{"class=special leaves EEA", "class=public leaves EAE",
		"class=public reaches moon=US",
		"dataset=none leaves EEA"} {
		n, err := review.ParseNever(sentence)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Counter(n); err == nil {
			t.Errorf("%q is held of nothing", sentence)
		}
	}
	if _, _, err := m.Counter(review.Never{}); err == nil {
		t.Error("the zero Never is held")
	}
}

func TestARuleThatGoesByAPatternIsAskedOfANameThatFitsIt(t *testing.T) {
	const byPattern = `@id("p") @title("t") @basis("b") permit (principal, action, resource)
		when { context.purpose like "tr*ing" && context.site like "*-eu" };`
	m := reached(t, parsed(t, byPattern), shipped(t), catalogue(t, 1))
	n, err := review.ParseNever("purpose=trxing & site=x-eu & declared=false reaches US")
	if err != nil {
		t.Fatal(err)
	}
	if _, count, err := m.Counter(n); err != nil || count == 0 {
		t.Errorf("%d counter-examples, error %v", count, err)
	}
}

func TestTheMatrixIsWrittenAndDrawn(t *testing.T) {
	m := reached(t, parsed(t, text), shipped(t), catalogue(t, 6))
	var b bytes.Buffer
	if err := m.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(b.String(), "\n"); lines != m.Asked+1 {
		t.Errorf("%d lines for %d questions", lines, m.Asked)
	}
	if got := strings.Count(b.String(), ",true\n"); got != m.Allowed {
		t.Errorf("%d lines allow, want %d", got, m.Allowed)
	}
	b.Reset()
	if err := m.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&b)
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkProve asks a million questions: 200 slices, two purposes and teams,
// five levels, every place.
func BenchmarkProve(b *testing.B) {
	r, tab := parsed(b, text), shipped(b)
	space, err := review.SpaceOf(tab, catalogue(b, 1_000_000/(5*2*2*2*len(tab.Places()))*2), r)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		start := time.Now()
		m := review.Reach(r, tab, space)
		b.ReportMetric(float64(m.Asked), "questions")
		b.ReportMetric(time.Since(start).Seconds()*1e6/float64(m.Asked), "s/million")
	}
}
