package residency_test

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// adequate permits personal data where a decision of adequacy is in force.
const adequate = `
@id("adequate") @title("Adequate countries") @basis("GDPR Art. 45")
permit (principal, action, resource) when { context.place.groups.contains("ADEQUATE") };
`

func TestAGroupIsAskedForAtTheTimeOfTheDecision(t *testing.T) {
	tab, r := fullTable(t), rules(t, adequate)
	london := residency.Address{Provider: "aws", Region: "eu-west-2"}
	end := time.Date(2031, 12, 27, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		what string
		v    residency.Verdict
		want bool
	}{
		{"before the first day", r.Screen(tab.At(time.Date(2021, 6, 27, 23, 59, 59, 0, time.UTC)), ask, london), false},
		{"on the first day", r.Screen(tab.At(time.Date(2021, 6, 28, 0, 0, 0, 0, time.UTC)), ask, london), true},
		{"on the last day", r.Screen(tab.At(end.Add(-time.Second)), ask, london), true},
		{"on the day after", r.Screen(tab.At(end), ask, london), false},
		{"in another zone's last day", r.Screen(tab.At(end.In(time.FixedZone("west", -3600))), ask, london), false},
		{"on no day", r.Screen(tab, ask, london), false},
		{"on the zero day", r.Screen(tab.At(time.Time{}), ask, london), false},
	} {
		if tc.v.Allowed != tc.want || tc.v.PlacesDigest != tab.Digest() {
			t.Errorf("%s: allowed %t of table %s: %s", tc.what, tc.v.Allowed, tc.v.PlacesDigest, tc.v.Why)
		}
	}
	g, v := r.Clear(tab, proven(t, tab, london), ask, terms)
	if !v.Allowed || g.Place().Groups[0] != "ADEQUATE" {
		t.Fatalf("not cleared while the decision is in force: %s", v.Why)
	}
	if v := r.Still(tab.At(end.Add(-time.Second)), ask, g); !v.Allowed {
		t.Errorf("not in force any more on the last day: %s", v.Why)
	}
	if v := r.Still(tab.At(end), ask, g); v.Allowed {
		t.Errorf("still in force after the end: %s", v.Why)
	}
	withdrawn, err := tab.Without("ADEQUATE", "GB")
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Still(withdrawn.At(now), ask, g); v.Allowed || v.PlacesDigest == tab.Digest() {
		t.Errorf("still in force after the withdrawal: %s", v.Why)
	}
	late := terms
	late.NotBefore, late.Expires = end, end.Add(time.Hour)
	if _, v := r.Clear(tab, proven(t, tab, london), ask, late); v.Allowed {
		t.Errorf("cleared for after the end: %s", v.Why)
	}
}
