package residency_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency"
)

// dated is what the question is about, with days: used from the second of March
// on, kept until the fourth.
func dated() residency.Ask {
	a := ask
	a.Slice.Embargo, a.Slice.Retention = "2026-03-02", "2026-03-04"
	return a
}

// march is a time of a day of March, shortly before midnight.
func march(day int) time.Time { return time.Date(2026, 3, day, 23, 59, 59, 0, time.UTC) }

func TestADatasetIsClosedBeforeItsEmbargoEndsAndAfterItsRetentionDoes(t *testing.T) {
	tab, r, a := table(t), rules(t, permits), dated()
	p := proven(t, tab, frankf)
	on := terms
	on.NotBefore, on.Expires = march(3), march(3).Add(time.Hour)
	made, v := r.Clear(tab, p, a, on)
	if !v.Allowed {
		t.Fatalf("between its days: %s", v.Why)
	}
	for day, want := range map[int]string{1: "under embargo until 2026-03-02, and it is 2026-03-01", 2: "", 3: "", 4: "",
		5: "to be kept until 2026-03-04, and it is 2026-03-05"} {
		at := terms
		at.NotBefore, at.Expires = march(day), march(day).Add(time.Hour)
		g, read := r.Clear(tab, p, a, at)
		for what, v := range map[string]residency.Verdict{
			"screen": r.Screen(tab.At(march(day)), a, frankf), "clear": read, "still": r.Still(tab.At(march(day)), a, made),
			"suppose": r.Suppose(tab.At(march(day)), residency.Supposed{Ask: a, At: frankf, Level: residency.L2}),
		} {
			closed := len(v.Rules) == 1 && v.Rules[0].Basis == a.Slice.Basis && slices.Contains([]string{"embargo", "retention"},
				v.Rules[0].ID) && strings.Contains(v.Why, want) && strings.Contains(v.Why, a.Slice.Basis)
			if v.Allowed != (want == "") || !v.Allowed && !closed {
				t.Errorf("%s on day %d: allowed %t by %v: %s", what, day, v.Allowed, v.Rules, v.Why)
			}
		}
		if g.Valid(at.NotBefore) != (want == "") {
			t.Errorf("day %d: the grant is valid: %t", day, g.Valid(at.NotBefore))
		}
	}
}

func TestADayThatIsNotSaidClosesADatasetThatHasDays(t *testing.T) {
	tab, r := table(t), rules(t, permits)
	if v := r.Screen(tab, dated(), frankf); v.Allowed || !slices.Equal(v.Missing, []string{"day"}) {
		t.Errorf("on no day: allowed %t, missing %v", v.Allowed, v.Missing)
	}
	if v := r.Screen(tab, ask, frankf); !v.Allowed {
		t.Errorf("without days: %s", v.Why)
	}
}

func TestAnExplanationNamesTheDaysAndNoOtherPlace(t *testing.T) {
	tab, r := table(t).At(march(1)), rules(t, permits)
	e := r.Explain(tab, nil, residency.Supposed{Ask: dated(), At: frankf})
	if len(e.Decided) != 1 || e.Decided[0].Rule.ID != "embargo" || len(e.Short)+len(e.Alternatives) != 0 {
		t.Fatalf("%+v", e)
	}
	var facts []string
	for _, f := range e.Decided[0].Facts {
		facts = append(facts, f.String())
	}
	if got := strings.Join(facts, ", "); got != "day 2026-03-01, embargo 2026-03-02, retention 2026-03-04" {
		t.Errorf("it looked at %s", got)
	}
}

func TestAGrantKeepsTheDaysOfItsSliceAndOlderOnesOpen(t *testing.T) {
	s, key := keys(t, "grants")
	open := func(g residency.Grant) (residency.Grant, string) {
		t.Helper()
		sealed, err := g.Seal(s)
		if err != nil {
			t.Fatal(err)
		}
		g, err = residency.OpenGrant(sealed, note.VerifierList(key))
		if err != nil {
			t.Fatal(err)
		}
		return g, string(sealed)
	}
	if _, text := open(grant(t)); strings.Contains(text, "embargo") || strings.Contains(text, "retention") {
		t.Errorf("a grant of data without days is sealed otherwise than before: %s", text)
	}
	at := terms
	at.NotBefore, at.Expires = march(3), march(3).Add(time.Hour)
	tab := table(t)
	g, v := rules(t, permits).Clear(tab, proven(t, tab, frankf), dated(), at)
	if !v.Allowed {
		t.Fatal(v.Why)
	}
	if back, _ := open(g); back.Slice().Embargo != "2026-03-02" || back.Slice().Retention != "2026-03-04" {
		t.Errorf("it comes back with %+v", back.Slice())
	}
}
