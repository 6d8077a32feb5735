package places_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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

// day reads a day.
func day(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// abroad are the local zones that lie in another country than their region, as
// the source has them, and those that this project wrote.
const abroad = `
af-south-1/af-south-1-los-1 NG        af-south-1/af-south-1-nbo-1 KE        ap-northeast-1/ap-northeast-1-tpe-1 TW
ap-southeast-1/ap-southeast-1-bkk-1 TH  ap-southeast-1/ap-southeast-1-han-1 VN  ap-southeast-1/ap-southeast-1-mnl-1 PH
ap-southeast-2/ap-southeast-2-akl-1 NZ  eu-central-1/eu-central-1-ams-1 NL      eu-central-1/eu-central-1-prg-1 CZ
eu-central-1/eu-central-1-vie-1 AT      eu-central-1/eu-central-1-waw-1 PL      eu-north-1/eu-north-1-cph-1 DK
eu-north-1/eu-north-1-hel-1 FI          eu-north-1/eu-north-1-osl-1 NO          eu-south-1/eu-south-1-ath-1 GR
eu-south-2/eu-south-2-lis-1 PT          eu-west-3/eu-west-3-bru-1 BE            me-south-1/me-south-1-mct-1 OM
us-east-1/us-east-1-bog-1 CO            us-east-1/us-east-1-bue-1 AR            us-east-1/us-east-1-lim-1 PE
us-east-1/us-east-1-qro-1 MX            us-east-1/us-east-1-rio-1 BR            us-east-1/us-east-1-scl-1 CL`

// written are those beyond the source: Istanbul under Frankfurt, and the two
// Wavelength zones in Africa under Paris.
const written = `
eu-central-1/eu-central-1-ist-1 TR  eu-west-3/eu-west-3-wl1-cmn1 MA  eu-west-3/eu-west-3-wl1-dss1 SN`

func TestEveryZoneAbroadIsInItsOwnCountry(t *testing.T) {
	tab := table(t)
	fields := strings.Fields(abroad + written)
	if n := len(strings.Fields(abroad)) / 2; n != 24 {
		t.Fatalf("the list has %d zones of the source, want 24", n)
	}
	want := map[string]string{}
	for i := 0; i < len(fields); i += 2 {
		want["aws/"+fields[i]] = fields[i+1]
	}
	got := map[string]string{}
	fromSource := 0
	for _, p := range tab.Places() {
		home, err := tab.Lookup(residency.Address{Provider: p.Provider, Region: p.Region})
		if err != nil {
			t.Fatal(err)
		}
		if home.Country != p.Country {
			got[p.Address.String()] = p.Country
		}
		if p.Kind == residency.LocalZone && p.Source == "aws-regions-location" {
			fromSource++
		}
	}
	if !maps.Equal(got, want) || fromSource != 57 {
		t.Errorf("%d local zones of the source, want 57; zones abroad are\n%v, want\n%v", fromSource, got, want)
	}
}

func TestAZoneAbroadIsNoPartOfWhatItsRegionIs(t *testing.T) {
	tab := table(t).At(day(t, "2026-11-25"))
	for at, want := range map[string]string{"eu-west-3": "EEA EU", "eu-west-3/eu-west-3-bru-1": "EEA EU",
		"eu-west-3/eu-west-3-wl1-cmn1": "none", "eu-west-3/eu-west-3-wl1-dss1": "none", "eu-west-3/euw3-az1": "EEA EU",
		"eu-central-1/eu-central-1-ist-1": "none", "eu-north-1/eu-north-1-osl-1": "EEA"} {
		a, err := residency.ParseAddress("aws/" + at)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := tab.Lookup(a); err != nil || strings.Join(p.Groups, " ") != want {
			t.Errorf("%s is in %v (error %v), want %s", at, p.Groups, err, want)
		}
	}
}

func TestEveryRowsGroupsFollowFromItsCountryAndTheDay(t *testing.T) {
	adequate := "AD AR BR CH FO GB GG IL IM JE JP KR NZ UY"
	for _, p := range table(t).At(day(t, "2026-11-25")).Places() {
		var want []string
		for _, g := range []struct{ name, members string }{{"ADEQUATE", adequate}, {"CA-PIPEDA", "CA"}, {"EEA", eea},
			{"EU", eu}, {"US-DPF", "US"}} {
			if slices.Contains(strings.Fields(g.members), p.Country) {
				want = append(want, g.name)
			}
		}
		if want == nil {
			want = []string{"none"}
		}
		if !slices.Equal(p.Groups, want) {
			t.Errorf("%v in %s is in groups %v, want %v", p.Address, p.Country, p.Groups, want)
		}
	}
}

func TestGroupsAreThoseOfTheDay(t *testing.T) {
	tab := table(t)
	for _, tc := range []struct{ day, region, want string }{
		{"2019-06-01", "aws/eu-west-2", "EEA EU"},
		{"2020-01-31", "aws/eu-west-2", "EEA EU"},
		{"2020-02-01", "aws/eu-west-2", "none"},
		{"2021-06-27", "aws/eu-west-2", "none"},
		{"2021-06-28", "aws/eu-west-2", "ADEQUATE"},
		{"2025-12-27", "aws/eu-west-2", "ADEQUATE"},
		{"2031-12-26", "aws/eu-west-2", "ADEQUATE"},
		{"2031-12-27", "aws/eu-west-2", "none"},
		{"", "aws/eu-west-2", "none"}, // a membership that ends may have ended
		{"", "aws/eu-central-1", "EEA EU"},
		{"0001-01-01", "aws/eu-central-1", "none"},
		{"2020-07-15", "aws/us-east-1", "US-PRIVACY-SHIELD"},
		{"2020-07-16", "aws/us-east-1", "none"},
		{"2023-07-10", "aws/us-east-1", "US-DPF"},
		{"2026-01-25", "aws/sa-east-1", "none"},
		{"2026-01-26", "aws/sa-east-1", "ADEQUATE"},
		{"2013-06-30", "aws/eu-central-1", "EEA EU"},
		{"1993-12-31", "aws/eu-north-1", "none"},
	} {
		on := tab
		if tc.day != "" {
			on = tab.At(day(t, tc.day))
		}
		a, err := residency.ParseAddress(tc.region)
		if err != nil {
			t.Fatal(err)
		}
		p, err := on.Lookup(a)
		if err != nil || strings.Join(p.Groups, " ") != tc.want || on.Digest() != tab.Digest() {
			t.Errorf("on %q %s is in %v (error %v), want %s", tc.day, tc.region, p.Groups, err, tc.want)
		}
	}
}

func TestKnownTraps(t *testing.T) {
	tab := table(t)
	for at, want := range map[string]string{
		"aws/ap-southeast-5":                             "MY", // the source says NZ
		"aws/ap-east-2":                                  "TW",
		"aws/ap-southeast-7":                             "TH",
		"aws/mx-central-1":                               "MX",
		"aws/us-west-2/us-west-2-hnl-1":                  "US",
		"azure/germanywestcentral":                       "DE",
		"aws/eu-central-1/euc1-az1":                      "DE",
		"aws/eu-central-1/euc1-az4":                      "", // no such zone
		"aws/eu-central-1/euc2-az1":                      "", // Zurich's
		"aws/eu-central-1/eu-central-1a":                 "", // a name, which differs from account to account
		"aws/eu-west-3/eu-west-3-wl1-cmn-wlz-1":          "", // nobody has said so
		"aws/us-east-1/us-east-1-pilot-1":                "",
		"aws/ap-southeast-1/ap-southeast-1-sggov-sin-1a": "",
		"azure/eastus2euap":                              "",
		"azure/eastusstg":                                "",
		"azure/global":                                   "",
		"azure/europe":                                   "",
		"gcp/europe-west5":                               "",
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

func TestJurisdictionsAreFourAndOfTheirOwn(t *testing.T) {
	for at, want := range map[string]string{"aws/eu-central-1": "DE US US US", "aws/eusc-de-east-1": "DE DE US DE",
		"aws/cn-north-1": "CN CN CN CN", "azure/westeurope": "NL US US US", "gcp/europe-west6": "CH US US US"} {
		a, err := residency.ParseAddress(at)
		if err != nil {
			t.Fatal(err)
		}
		p, err := table(t).Lookup(a)
		if got := strings.Join([]string{p.Country, p.Operator, p.Parent, p.Keys}, " "); err != nil || got != want {
			t.Errorf("%s: %s (error %v), want %s", at, got, err, want)
		}
	}
}

func TestNamesAreFoundByTableAndNeverByGuess(t *testing.T) {
	tab := table(t)
	for _, tc := range []struct{ provider, name, want string }{
		{"azure", "eastus", "azure/eastus"},
		{"azure", "East US", "azure/eastus"},
		{"azure", "US East", "azure/eastus"},
		{"azure", "East US 2", "azure/eastus2"},
		{"aws", "Europe (Frankfurt)", "aws/eu-central-1"},
		{"aws", "us-east-1-wl1-atl1", "aws/us-east-1/us-east-1-wl1-atl-wlz-1"},
		{"aws", "eu-central-1/euc1-az1", "aws/eu-central-1/euc1-az1"},
		{"aws", "US East", ""}, {"aws", "East US", ""}, {"azure", "EastUS", ""}, {"azure", "east us", ""},
		{"azure", "EASTUS", ""}, {"azure", " East US", ""}, {"azure", "East  US", ""}, {"azure", "East\u00a0US", ""},
		{"azure", "E\u0430st US", ""}, {"azure", "\uff25ast US", ""}, {"azure", "eastus\u200b", ""}, {"azure", "", ""},
		{"azure", "global", ""}, {"azure", "Global", ""}, {"azure", "Europe", ""}, {"azure", "*", ""}, {"", "eastus", ""},
		{"Azure", "eastus", ""}, {"aws", "euc1-az1", ""}, {"aws", "eu-central-1/", ""}, {"aws/eu-west-3", "euw3-az1", ""},
		{"gcp", "europe-west5", ""}, {"azure", "East US STG", ""},
	} {
		a, err := tab.Canonical(tc.provider, tc.name)
		if got := a.String(); (err == nil) != (tc.want != "") || err == nil && got != tc.want {
			t.Errorf("%q of %q is %s (error %v), want %q", tc.name, tc.provider, got, err, tc.want)
		}
	}
}

func TestEveryRowSaysWhereItWasRead(t *testing.T) {
	for _, p := range table(t).Places() {
		if p.Source == "" || p.Legal == "" || p.Legal == "not said" {
			t.Errorf("%v: source %q, legal operator %q", p.Address, p.Source, p.Legal)
		}
	}
	for _, m := range table(t).Memberships() {
		if m.Source == "" || m.From == "" {
			t.Errorf("%+v", m)
		}
	}
}

func FuzzNamesOfPlaces(f *testing.F) {
	tab, err := residency.ParseTable(places.CSV)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"US East", "eastus", "East US", "EASTUS", "E\u0430st US", "", "global",
		"eu-west-3-wl1-cmn1"} {
		f.Add("azure", s)
		f.Add("aws", s)
	}
	text := string(places.CSV)
	f.Fuzz(func(t *testing.T, provider, name string) {
		a, err := tab.Canonical(provider, name)
		if err != nil {
			if (a != residency.Address{}) {
				t.Errorf("%q of %q: an error and %v", name, provider, a)
			}
			return
		}
		p, err := tab.Lookup(a)
		if err != nil || a.Provider != provider || len(p.Country) != 2 {
			t.Errorf("%q of %q is %v in %q, error %v", name, provider, a, p.Country, err)
		}
		// A name that is found stands in the file, letter by letter: as an alias, or as a place.
		asPlace := provider + "," + strings.Replace(name, "/", ",", 1) + ","
		if !strings.Contains(text, "\n"+provider+","+name+",") && !strings.Contains(text, "\n"+asPlace) &&
			!strings.Contains(text, "\n"+provider+",\""+name+"\",") {
			t.Errorf("%q of %q is found and not in the file", name, provider)
		}
	})
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
