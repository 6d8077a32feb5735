package residency_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"golang.org/x/mod/sumdb/note"
)

// edition is a small table in the full form.
const edition = `version,dated
7,2026-03-01

group,country,from,until,source
EEA,DE,1994-01-01,,treaty
EEA,GB,1994-01-01,2020-02-01,treaty
ADEQUATE,GB,2021-06-28,2031-12-27,decision

country,called,source
DE,Germany,test
GB,United Kingdom,test
FR,France,test

provider,prefix,region,source
aws,euc1,eu-central-1,test
aws,euw2,eu-west-2,test

provider,alias,place,source
aws,Europe (Frankfurt),eu-central-1,test
aws,Berlin,eu-central-1/eu-central-1-ber-1,test

provider,region,zone,partition,kind,country,operator,parent,keys,legal,name,source
aws,eu-central-1,,aws,region,DE,US,US,US,"Amazon Web Services, Inc.",Frankfurt,test
aws,eu-central-1,eu-central-1-ber-1,aws,local-zone,DE,US,US,US,"Amazon Web Services, Inc.",Berlin,test
aws,eu-central-1,euc1-az1,aws,az,DE,US,US,US,"Amazon Web Services, Inc.",Germany,test
aws,eu-west-2,,aws,region,GB,US,US,US,"Amazon Web Services, Inc.",London,test
aws,eu-west-2,eu-west-2-wl1-lon-wlz-1,aws,wavelength,GB,US,US,US,"Amazon Web Services, Inc.",London,test
`

func fullTable(t testing.TB) *residency.Table {
	t.Helper()
	tab, err := residency.ParseTable([]byte(edition))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestAnEditionThatIsNotSureIsRefused(t *testing.T) {
	if tab := fullTable(t); tab.Version() != 7 || tab.Dated() != "2026-03-01" || len(tab.Memberships()) != 3 {
		t.Fatalf("version %d of %s, %v", tab.Version(), tab.Dated(), tab.Memberships())
	}
	for what, change := range map[string][2]string{
		"no version":                    {"version,dated\n7,2026-03-01\n", ""},
		"version nought":                {"7,2026-03-01", "0,2026-03-01"},
		"version with a sign":           {"7,2026-03-01", "+7,2026-03-01"},
		"two versions":                  {"7,2026-03-01", "7,2026-03-01\n8,2026-03-01"},
		"a day that is none":            {"7,2026-03-01", "7,2026-02-30"},
		"a group in small letters":      {"EEA,DE", "eea,DE"},
		"a group of no country":         {"EEA,DE", "EEA,EU"},
		"a group called none":           {"EEA,DE", "none,DE"},
		"a group without a first day":   {"EEA,DE,1994-01-01", "EEA,DE,"},
		"an end before the beginning":   {"2031-12-27", "2021-06-28"},
		"a membership without a source": {",,treaty", ",,"},
		"two memberships on one day":    {"ADEQUATE,GB,2021-06-28", "EEA,GB,2020-01-31"},
		"a section twice":               {"\nprovider,prefix", "\nversion,dated\n\nprovider,prefix"},
		"an unknown section":            {"country,called,source", "country,name,source"},
		"a short row":                   {"DE,Germany,test", "DE,Germany"},
		"a long row":                    {"DE,Germany,test", "DE,Germany,test,test"},
		"a name of two countries":       {"GB,United Kingdom", "GB,Germany"},
		"an alias twice":                {"aws,Berlin", "aws,Europe (Frankfurt)"},
		"an alias of nothing":           {"Berlin,eu-central-1/eu-central-1-ber-1", "Berlin,eu-central-1/eu-central-1-ham-1"},
		"an alias of another spelling":  {"aws,Berlin", "aws,EUROPE (Frankfurt)"},
		"an alias of a place's name":    {"aws,Berlin", "aws,EU-West-2"},
		"an alias with blanks about it": {"aws,Berlin", "aws,Berlin "},
		"a blank alias":                 {"aws,Berlin", "aws,"},
		"an alias global":               {"aws,Berlin", "aws,Global"},
		"a prefix of no region":         {"aws,euw2,eu-west-2", "aws,euw2,eu-west-9"},
		"a prefix twice":                {"aws,euw2", "aws,euc1"},
		"no keys":                       {"region,GB,US,US,US", "region,GB,US,US,"},
		"no legal operator":             {`region,GB,US,US,US,"Amazon Web Services, Inc."`, "region,GB,US,US,US,"},
		"an unknown kind":               {"aws,az,DE", "aws,zone,DE"},
		"a control character":           {",London,test", ",Lon\u009bdon,"},
		"bytes that are not UTF-8":      {"Frankfurt,test", "Frankfurt,\xff"},
		"both forms":                    {"provider,prefix,", strings.SplitAfter(places, "\n")[0] + "\nprovider,prefix,"},
	} {
		text := strings.Replace(edition, change[0], change[1], 1)
		if text == edition {
			t.Fatalf("%s: nothing to change", what)
		}
		if _, err := residency.ParseTable([]byte(text)); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}

func TestAnErrorNamesItsLine(t *testing.T) {
	text := strings.Replace(edition, "aws,euw2,eu-west-2", "aws,EUW2,eu-west-2", 1)
	_, err := residency.ParseTable([]byte(text))
	if err == nil || !strings.Contains(err.Error(), "line 16: ") {
		t.Errorf("error %v, want one of line 16", err)
	}
}

func TestWhatIsWithdrawnIsGone(t *testing.T) {
	tab := fullTable(t).At(now)
	london := residency.Address{Provider: "aws", Region: "eu-west-2"}
	if p, err := tab.Lookup(london); err != nil || p.Groups[0] != "ADEQUATE" {
		t.Fatalf("%v, %v", p, err)
	}
	for _, country := range []string{"GB", ""} {
		without, err := tab.Without("ADEQUATE", country)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := without.Lookup(london); err != nil || p.Groups[0] != "none" || without.Digest() == tab.Digest() {
			t.Errorf("after the withdrawal London is in %v, error %v", p.Groups, err)
		}
	}
	if p, _ := tab.Lookup(london); p.Groups[0] != "ADEQUATE" {
		t.Error("the withdrawal changed the table itself")
	}
	for _, w := range [][2]string{{"ADEQUATE", "FR"}, {"US-DPF", ""}, {"", ""}} {
		if _, err := tab.Without(w[0], w[1]); err == nil {
			t.Errorf("%v is withdrawn and never was", w)
		}
	}
}

func TestTwoKeysCanBeRequired(t *testing.T) {
	a, va := keys(t, "places-office")
	b, vb := keys(t, "places-council")
	c, _ := keys(t, "places-stranger")
	one, err := residency.SignTable([]byte(edition), a)
	if err != nil {
		t.Fatal(err)
	}
	both, err := residency.SignTable(one, b)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := residency.SignTable(one, c)
	if err != nil {
		t.Fatal(err)
	}
	twice := string(one) + lastLine(string(one))
	for _, tc := range []struct {
		what string
		note string
		need int
		ok   bool
	}{
		{"one signature, one wanted", string(one), 1, true},
		{"one signature, two wanted", string(one), 2, false},
		{"both", string(both), 2, true},
		{"both, three wanted", string(both), 3, false},
		{"the same signature twice", twice, 2, false},
		{"one and a stranger's", string(stranger), 2, false},
		{"none wanted", string(both), 0, false},
		{"changed after both", strings.Replace(string(both), "Frankfurt", "Paris", 1), 2, false},
	} {
		tab, by, err := residency.OpenTableBy([]byte(tc.note), note.VerifierList(va, vb), tc.need)
		if (err == nil) != tc.ok || tc.ok && (tab.Version() != 7 || len(by) < tc.need) {
			t.Errorf("%s: signed by %v, error %v", tc.what, by, err)
		}
	}
	tab, err := residency.OpenTable(both, note.VerifierList(va, vb))
	if err != nil || tab.Digest() != fullTable(t).Digest() {
		t.Errorf("the digest is of something else than the table, error %v", err)
	}
	sealed, err := grant(t).Seal(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := residency.SignTable(sealed, b); err == nil {
		t.Error("a grant is signed as a table")
	}
}

// lastLine is the last line of a note: its one signature.
func lastLine(s string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(s, "\n"), "\n")
	return lines[len(lines)-1] + "\n"
}
