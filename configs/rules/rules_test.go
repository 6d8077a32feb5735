package rules_test

import (
	"testing"

	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

// The demo's catalogue, in the least words.
func catalogue(t *testing.T) *residency.Catalogue {
	t.Helper()
	c, err := residency.NewCatalogue([]residency.Dataset{{
		ID: "claims", Title: "Health insurance claims", Owner: "claims department", Class: residency.Special,
		Origin: "DE", Basis: "GDPR Art. 9(2)(h)", Purposes: []string{"model-training", "fraud-detection"},
		Slices: []residency.SliceSpec{
			{Name: "claims/2025-q3", Dir: "claims"},
			{Name: "claims/2025-q3-pseudonymised", Class: residency.Personal, Pseudonymised: true, Dir: "pseudo"},
			{Name: "claims/originals", Class: residency.SiteOnly, Dir: "originals"},
		},
	}, {
		ID: "roads", Title: "Road network", Owner: "research", Class: residency.Public, Origin: "DE",
		Basis: "open data", Purposes: []string{"model-training"},
		Slices: []residency.SliceSpec{{Name: "roads/2025", Dir: "roads"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheDemoRulesAnswerAsTheStoryTellsIt(t *testing.T) {
	table, err := residency.ParseTable(places.CSV)
	if err != nil {
		t.Fatal(err)
	}
	r, err := residency.ParseRules(rules.Files())
	if err != nil {
		t.Fatal(err)
	}
	c := catalogue(t)
	for _, tc := range []struct{ slice, purpose, at, want string }{
		{"claims/2025-q3-pseudonymised", "model-training", "aws/eu-central-1", "pseudonymised-training"},
		{"claims/2025-q3-pseudonymised", "model-training", "azure/germanywestcentral", "pseudonymised-training"},
		{"claims/2025-q3-pseudonymised", "model-training", "aws/us-east-1", "eu-only"},
		{"claims/2025-q3-pseudonymised", "model-training", "aws/eu-central-1/eu-central-1-waw-1", "zone-follows-parent"},
		{"claims/2025-q3-pseudonymised", "model-training", "aws/us-east-1/us-east-1-bue-1", "eu-only"},
		{"claims/2025-q3-pseudonymised", "marketing", "aws/eu-central-1", "declared-purpose"},
		{"claims/2025-q3-pseudonymised", "fraud-detection", "aws/eu-central-1", ""},
		{"claims/2025-q3-pseudonymised", "model-training", "aws/eu-north-1/eu-north-1-osl-1", "zone-follows-parent"},
		{"claims/2025-q3-pseudonymised", "model-training", "azure/norwayeast", ""},
		{"claims/2025-q3", "model-training", "aws/eu-central-1", "special-needs-pseudonyms"},
		{"claims/originals", "model-training", "aws/eu-central-1", "site-only-stays"},
		{"roads/2025", "model-training", "aws/us-east-1/us-east-1-bue-1", "public-anywhere"},
		{"roads/2025", "model-training", "aws/eu-central-1/eu-central-1a", ""},
	} {
		a, err := residency.ParseAddress(tc.at)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Slice(tc.slice)
		if err != nil {
			t.Fatal(err)
		}
		ask := residency.Ask{Slice: s, Purpose: tc.purpose, Team: "fraud", Site: "munich"}
		v, got := r.Screen(table, ask, a), ""
		if len(v.Rules) > 0 {
			got = v.Rules[0].ID
		}
		permitted := tc.want == "pseudonymised-training" || tc.want == "public-anywhere"
		if got != tc.want || v.Allowed != permitted {
			t.Errorf("%s at %s: rule %q, allowed %t, want %q: %s", tc.slice, tc.at, got, v.Allowed, tc.want, v.Why)
		}
	}
}

func TestTheRefusedSliceHasANearestAlternative(t *testing.T) {
	table, err := residency.ParseTable(places.CSV)
	if err != nil {
		t.Fatal(err)
	}
	r, err := residency.ParseRules(rules.Files())
	if err != nil {
		t.Fatal(err)
	}
	c := catalogue(t)
	s, err := c.Slice("claims/2025-q3")
	if err != nil {
		t.Fatal(err)
	}
	among := []residency.Address{
		{Provider: "aws", Region: "us-east-1"}, {Provider: "aws", Region: "eu-central-1"},
		{Provider: "azure", Region: "germanywestcentral"},
	}
	ask := residency.Ask{Slice: s, Purpose: "model-training", Team: "fraud", Site: "munich"}
	want := "claims/2025-q3-pseudonymised at aws/eu-central-1, azure/germanywestcentral"
	if got := r.Nearest(table, c, ask, among); got != want {
		t.Errorf("nearest is %q, want %q", got, want)
	}
	ask.Purpose = "marketing"
	if got := r.Nearest(table, c, ask, among); got != "" {
		t.Errorf("for a purpose nobody declared the nearest is %q, want none", got)
	}
}
