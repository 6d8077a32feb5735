package residency_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

func claims() residency.Dataset {
	return residency.Dataset{ID: "claims", Title: "Claims", Owner: "claims department", Class: residency.Special,
		Origin: "DE", Basis: "GDPR Art. 9(2)(h)", Purposes: []string{"research", "model-training"},
		Slices: []residency.SliceSpec{
			{Name: "claims/2025-q3", Dir: "a"},
			{Name: "claims/2025-q3-pseudonymised", Class: residency.Personal, Pseudonymised: true, Dir: "b"},
		}}
}

func TestASliceJoinsWhatDatasetAndSpecSay(t *testing.T) {
	c, err := residency.NewCatalogue([]residency.Dataset{claims()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Slice("claims/2025-q3")
	if err != nil || s.Class != residency.Special || s.Pseudonymised || s.Origin != "DE" ||
		!slices.Equal(s.Purposes, []string{"model-training", "research"}) {
		t.Errorf("%+v, error %v", s, err)
	}
	if s, _ := c.Slice("claims/2025-q3-pseudonymised"); s.Class != residency.Personal || !s.Pseudonymised {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"", "claims", "Claims/2025-q3", "claims/2025-q", "claims/2025-q3 "} {
		if s, err := c.Slice(name); err == nil || s.Class.Known() {
			t.Errorf("%q: %+v", name, s)
		}
	}
	if got := c.Names(); len(got) != 2 || got[0] != "claims/2025-q3" || len(c.Digest()) != 71 {
		t.Errorf("names %q, digest %q", got, c.Digest())
	}
}

func TestACatalogueThatIsNotSureIsRefused(t *testing.T) {
	for what, change := range map[string]func(*residency.Dataset){
		"no id":          func(d *residency.Dataset) { d.ID = "" },
		"no title":       func(d *residency.Dataset) { d.Title = "" },
		"no owner":       func(d *residency.Dataset) { d.Owner = "" },
		"no basis":       func(d *residency.Dataset) { d.Basis = "" },
		"no class":       func(d *residency.Dataset) { d.Class = 0 },
		"alias origin":   func(d *residency.Dataset) { d.Origin = "UK" },
		"no purpose":     func(d *residency.Dataset) { d.Purposes = nil },
		"odd purpose":    func(d *residency.Dataset) { d.Purposes = []string{"Research"} },
		"lowered class":  func(d *residency.Dataset) { d.Slices[0].Class = residency.Personal },
		"not personal":   func(d *residency.Dataset) { d.Slices[1].Class = residency.Internal },
		"unknown class":  func(d *residency.Dataset) { d.Slices[0].Class = 7 },
		"no dir":         func(d *residency.Dataset) { d.Slices[0].Dir = "" },
		"foreign name":   func(d *residency.Dataset) { d.Slices[0].Name = "roads/2025" },
		"name with path": func(d *residency.Dataset) { d.Slices[0].Name = "claims/../x" },
		"twice":          func(d *residency.Dataset) { d.Slices[1].Name = d.Slices[0].Name },
	} {
		d := claims()
		change(&d)
		if _, err := residency.NewCatalogue([]residency.Dataset{d}); err == nil {
			t.Errorf("%s: read", what)
		}
	}
	if _, err := residency.NewCatalogue([]residency.Dataset{claims(), claims()}); err == nil {
		t.Error("a dataset is there twice")
	}
}

func TestClassesFormALattice(t *testing.T) {
	for c := residency.Public; c <= residency.SiteOnly; c++ {
		for d := residency.Public; d <= residency.SiteOnly; d++ {
			if j := c.Join(d); j != d.Join(c) || j < c || j < d || j.Join(c) != j {
				t.Errorf("%v join %v is %v", c, d, j)
			}
		}
		if c.Join(0).Known() {
			t.Errorf("%v joined with the unknown is known", c)
		}
		var back residency.Class
		if text, _ := c.MarshalText(); back.UnmarshalText(text) != nil || back != c {
			t.Errorf("%v is read back as %v", c, back)
		}
	}
	var c residency.Class
	for _, text := range []string{`"Personal"`, `"siteonly"`, `4`, `"4"`, `" "`} {
		if json.Unmarshal([]byte(text), &c) == nil {
			t.Errorf("%s is read as class %v", text, c)
		}
	}
	var l residency.Level
	for _, text := range []string{`"L5"`, `"l2"`, `2`, `""`} {
		if json.Unmarshal([]byte(text), &l) == nil {
			t.Errorf("%s is read as level %v", text, l)
		}
	}
}
