package residency_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

func zone(change func(*residency.Zone)) residency.Zone {
	z := residency.Zone{Provider: "aws", Region: "eu-central-1", Kind: residency.AZ, ID: "euc1-az2",
		Name: "eu-central-1b", Border: "eu-central-1", Country: "Germany"}
	if change != nil {
		change(&z)
	}
	return z
}

func TestAZoneIsLearnedFromItsProviderAndCheckedAgainstItsRegion(t *testing.T) {
	tab := fullTable(t)
	p, known, err := tab.Learn(zone(nil))
	if err != nil || known || p.Address.String() != "aws/eu-central-1/euc1-az2" || p.Country != "DE" ||
		p.Kind != residency.AZ || p.Groups[0] != "EEA" || !strings.Contains(p.Source, "provider") {
		t.Errorf("learned %+v, known %t, error %v", p, known, err)
	}
	if _, err := tab.Lookup(p.Address); err == nil {
		t.Error("what is learned is in the table before anyone signed it")
	}
	for what, z := range map[string]residency.Zone{
		"a zone of the table": zone(func(z *residency.Zone) { z.ID, z.Name = "euc1-az1", "eu-central-1c" }),
		"one without country": zone(func(z *residency.Zone) { z.ID, z.Country = "euc1-az1", "" }),
		"a local zone": zone(func(z *residency.Zone) {
			z.Kind, z.ID, z.Name, z.Border = residency.LocalZone, "euc1-ber1-az1", "eu-central-1-ber-1a", "eu-central-1-ber-1"
		}),
		"a Wavelength zone": {Provider: "aws", Region: "eu-west-2", Kind: residency.Wavelength, ID: "euw2-wl1-lon-wlz1",
			Name: "eu-west-2-wl1-lon-wlz-1", Border: "eu-west-2-wl1-lon-wlz-1", Country: "United Kingdom"},
	} {
		if p, known, err := tab.Learn(z); err != nil || !known || p.Kind != z.Kind {
			t.Errorf("%s: %+v, known %t, error %v", what, p, known, err)
		}
	}
}

func TestAZoneThatDoesNotFitIsNotLearned(t *testing.T) {
	tab := fullTable(t)
	for what, change := range map[string]func(*residency.Zone){
		"nothing":                  func(z *residency.Zone) { *z = residency.Zone{} },
		"no provider":              func(z *residency.Zone) { z.Provider = "" },
		"unknown region":           func(z *residency.Zone) { z.Region = "eu-central-9" },
		"another region's ID":      func(z *residency.Zone) { z.ID = "euw2-az2" },
		"an unknown prefix":        func(z *residency.Zone) { z.ID = "euc9-az2" },
		"a name for an ID":         func(z *residency.Zone) { z.ID = "eu-central-1b" },
		"no ID":                    func(z *residency.Zone) { z.ID = "" },
		"an ID in capitals":        func(z *residency.Zone) { z.ID = "EUC1-AZ2" },
		"an ID without number":     func(z *residency.Zone) { z.ID = "euc1-az" },
		"an ID with a long number": func(z *residency.Zone) { z.ID = "euc1-az02" },
		"another region's name":    func(z *residency.Zone) { z.Name = "eu-west-2b" },
		"a name without letter":    func(z *residency.Zone) { z.Name = "eu-central-1" },
		"another border group":     func(z *residency.Zone) { z.Border = "eu-central-1-waw-1" },
		"another country":          func(z *residency.Zone) { z.Country = "France" },
		"a known zone abroad":      func(z *residency.Zone) { z.ID, z.Country = "euc1-az1", "France" },
		"a country nobody knows":   func(z *residency.Zone) { z.Country = "Deutschland" },
		"a code for a country":     func(z *residency.Zone) { z.Country = "DE" },
		"no country":               func(z *residency.Zone) { z.Country = "" },
		"no kind":                  func(z *residency.Zone) { z.Kind = "" },
		"an outpost":               func(z *residency.Zone) { z.Kind = residency.Outpost },
		"a region":                 func(z *residency.Zone) { z.Kind = residency.Region },
		"a zone of another kind":   func(z *residency.Zone) { z.Kind = residency.LocalZone },
		"a local zone without row": func(z *residency.Zone) {
			z.Kind, z.ID, z.Name, z.Border = residency.LocalZone, "euc1-waw1-az1", "eu-central-1-waw-1a", "eu-central-1-waw-1"
		},
		"a local zone that plays another": func(z *residency.Zone) {
			z.Kind, z.ID, z.Name, z.Border = residency.LocalZone, "euc1-waw1-az1", "eu-central-1-ber-1a", "eu-central-1-ber-1"
		},
	} {
		if p, _, err := tab.Learn(zone(change)); err == nil {
			t.Errorf("%s: learned %+v", what, p)
		}
	}
	if _, _, err := new(residency.Table).Learn(zone(nil)); err == nil {
		t.Error("the zero table learns")
	}
}
