package residency_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

func TestWhatChangesBetweenTwoTablesIsSaidInWords(t *testing.T) {
	older := fullTable(t)
	text := edition
	for _, r := range [][2]string{
		{"7,2026-03-01", "8,2026-04-01"},
		{"local-zone,DE", "local-zone,PL"},
		{`aws,eu-central-1,euc1-az1,aws,az,DE,US,US,US,"Amazon Web Services, Inc.",Germany,test` + "\n", ""},
		{"2031-12-27", "2026-02-01"},
		{"EEA,DE", "EEA,PL,2004-05-01,,treaty\nEEA,DE"},
		{"aws,Berlin,eu-central-1/eu-central-1-ber-1", "aws,Berlin,eu-central-1"},
		{"FR,France", "FR,Frankreich"},
		{"US,US,US,\"Amazon Web Services, Inc.\",London,test\naws,eu-west-2,eu-w",
			"GB,US,US,\"Amazon Web Services, Inc.\",London,test\naws,eu-west-2,eu-w"},
	} {
		text = strings.Replace(text, r[0], r[1], 1)
	}
	newer, err := residency.ParseTable([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range residency.DiffTables(older.At(now), newer.At(now)) {
		got = append(got, strings.Join([]string{c.How, c.What, c.Name, c.Means}, ": "))
	}
	want := []string{
		"changed: place: aws/eu-central-1/eu-central-1-ber-1: moves from DE to PL",
		"removed: place: aws/eu-central-1/euc1-az1: unknown from now on: every decision there is a denial",
		"changed: place: aws/eu-west-2: operator is under the law of GB, no longer of US; leaves ADEQUATE",
		"changed: group: ADEQUATE GB: ADEQUATE loses 2 places in GB",
		"added: group: EEA PL: EEA gains 1 place in PL",
		"changed: alias: aws Berlin: is read as aws/eu-central-1, no longer aws/eu-central-1/eu-central-1-ber-1",
		"removed: name of country: France: unknown from now on, which denies",
		"added: name of country: Frankreich: is FR from now on",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changes are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if changes := residency.DiffTables(older, older); len(changes) != 0 {
		t.Errorf("a table differs from itself: %v", changes)
	}
	if n := len(residency.DiffTables(nil, older)); n != 15 {
		t.Errorf("against no table %d rows are added, want 15", n)
	}
	if n := len(residency.DiffTables(older, new(residency.Table))); n != 15 {
		t.Errorf("to the zero table %d rows are removed, want 15", n)
	}
}
