package residency_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

// anything permits whatever is known.
const anything = `@id("any") @title("Anything") @basis("test") permit (principal, action, resource);`

func FuzzAPlaceThatIsNoRowIsDenied(f *testing.F) {
	tab, r := fullTable(f).At(now), rules(f, anything)
	for _, a := range []residency.Address{{}, {Provider: "aws", Region: "eu-central-1"},
		{Provider: "aws", Region: "eu-central-1", Zone: "euc1-az1"},
		{Provider: "aws", Region: "eu-central-1", Zone: "euc1-az9"},
		{Provider: "aws", Region: "eu-central-1", Zone: " "},
		{Provider: "aws", Region: "eu-central-1", Zone: "eu-central-1"},
		{Provider: "AWS", Region: "eu-central-1"}, {Provider: "aws", Region: "EU-Central-1"},
		{Provider: "aws", Region: "eu-central-1/"}, {Provider: "aws", Region: "eu-central-1\x00"},
		{Provider: "aws", Region: "\u0435u-central-1"}, {Provider: "aws", Region: "Europe (Frankfurt)"},
		{Provider: "aws", Region: "global"}, {Provider: "aws/eu-central-1", Region: "euc1-az1"}} {
		f.Add(a.Provider, a.Region, a.Zone)
	}
	row := map[residency.Address]bool{}
	for _, p := range tab.Places() {
		row[p.Address] = true
	}
	f.Fuzz(func(t *testing.T, provider, region, zone string) {
		a := residency.Address{Provider: provider, Region: region, Zone: zone}
		if v := r.Screen(tab, ask, a); v.Allowed != row[a] {
			t.Errorf("%q %q %q: allowed %t: %s", provider, region, zone, v.Allowed, v.Why)
		}
	})
}

func FuzzLearnZone(f *testing.F) {
	tab := fullTable(f)
	f.Add("aws", "eu-central-1", "az", "euc1-az2", "eu-central-1b", "eu-central-1", "Germany")
	f.Add("aws", "eu-central-1", "local-zone", "euc1-ber1-az1", "eu-central-1-ber-1a", "eu-central-1-ber-1", "")
	f.Add("aws", "eu-west-2", "wavelength", "euw2-wl1-lon-wlz1", "eu-west-2-wl1-lon-wlz-1", "eu-west-2-wl1-lon-wlz-1", "")
	prefix := map[string]string{"eu-central-1": "euc1-", "eu-west-2": "euw2-"}
	f.Fuzz(func(t *testing.T, provider, region, kind, id, name, border, country string) {
		p, known, err := tab.Learn(residency.Zone{Provider: provider, Region: region, Kind: residency.Kind(kind), ID: id,
			Name: name, Border: border, Country: country})
		if err != nil {
			return
		}
		home, herr := tab.Lookup(residency.Address{Provider: provider, Region: region})
		if herr != nil || p.Region != region || !strings.HasPrefix(id, prefix[region]) || !strings.HasPrefix(name, region) ||
			p.Address.Check() != nil || !known && (p.Country != home.Country || p.Zone != id || p.Kind != residency.AZ) {
			t.Errorf("learned %+v (known %t) of %q in %q", p, known, id, region)
		}
	})
}
