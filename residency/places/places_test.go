package places_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

// The members, written out once more: nothing in the table is trusted here.
const (
	eu  = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"
	eea = eu + " IS LI NO"
)

func table(t *testing.T) *residency.Table {
	t.Helper()
	tab, err := residency.ParseTable(places.CSV)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestTwentyFourOfFiftySevenLocalZonesLieAbroad(t *testing.T) {
	tab := table(t)
	zones, abroad := 0, 0
	for _, p := range tab.Places() {
		if p.Kind != residency.LocalZone {
			continue
		}
		zones++
		home, err := tab.Lookup(residency.Address{Provider: p.Provider, Region: p.Region})
		if err != nil {
			t.Fatal(err)
		}
		if home.Country != p.Country {
			abroad++
		}
	}
	if zones != 57 || abroad != 24 {
		t.Errorf("%d of %d local zones lie in another country than their region, want 24 of 57", abroad, zones)
	}
}

func TestEveryRowsGroupsFollowFromItsCountry(t *testing.T) {
	for _, p := range table(t).Places() {
		var want []string
		if slices.Contains(strings.Fields(eea), p.Country) {
			want = append(want, "EEA")
		}
		if slices.Contains(strings.Fields(eu), p.Country) {
			want = append(want, "EU")
		}
		if want == nil {
			want = []string{"none"}
		}
		if !slices.Equal(p.Groups, want) {
			t.Errorf("%v in %s is in groups %v, want %v", p.Address, p.Country, p.Groups, want)
		}
	}
}

func TestKnownTraps(t *testing.T) {
	tab := table(t)
	for at, want := range map[string]string{
		"aws/ap-southeast-5":                  "MY", // the source says NZ
		"aws/eu-central-1/eu-central-1-waw-1": "PL",
		"aws/us-east-1/us-east-1-bue-1":       "AR",
		"aws/us-east-1/us-east-1-qro-1":       "MX",
		"aws/eu-north-1/eu-north-1-osl-1":     "NO",
		"azure/germanywestcentral":            "DE",
		"aws/eu-central-1/eu-central-1a":      "", // an AZ: never its region
		"aws/eu-central-1/euc1-az1":           "",
		"aws/eu-west-3/eu-west-3-wl1-cmn1":    "", // Casablanca, sold under Paris
		"aws/us-east-1/us-east-1-pilot-1":     "",
		"azure/eastus2euap":                   "",
		"azure/eastusstg":                     "",
		"azure/global":                        "",
		"gcp/europe-west5":                    "",
	} {
		a, err := residency.ParseAddress(at)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := tab.Lookup(a); p.Country != want || (err == nil) != (want != "") {
			t.Errorf("%s is in %q (error %v), want %q", at, p.Country, err, want)
		}
	}
}

func TestTheSidecarDescribesThisTable(t *testing.T) {
	b, err := os.ReadFile("table.csv.prov.json")
	if err != nil {
		t.Fatal(err)
	}
	var prov struct {
		SHA256, File string
		Rows, Bytes  int
		Licences     []string
	}
	if err := json.Unmarshal(b, &prov); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(places.CSV)
	n := len(table(t).Places())
	if prov.SHA256 != hex.EncodeToString(sum[:]) || prov.Rows != n || prov.Bytes != len(places.CSV) {
		t.Errorf("the sidecar describes %+v, the table has %d rows and %d bytes", prov, n, len(places.CSV))
	}
	for _, l := range prov.Licences {
		if _, err := os.Stat("LICENSES/" + l); err != nil {
			t.Error(err)
		}
	}
}
