package catalog

import (
	"strings"
	"testing"
)

func TestTheDemosPricesAreKnownDatedAndSourced(t *testing.T) {
	offers, err := Parse(Demo)
	if err != nil {
		t.Fatal(err)
	}
	cheapest := offers[0]
	for _, o := range offers {
		if !o.PerHour.Known() || o.PerHour.Micros <= 0 || o.AsOf == "" || o.Source == "" {
			t.Errorf("%s: price %v of %q from %q", o.Key(), o.PerHour, o.AsOf, o.Source)
		}
		if o.PerHour.Micros < cheapest.PerHour.Micros {
			cheapest = o
		}
	}
	if cheapest.At.String() != "aws/us-east-1" {
		t.Errorf("the cheapest is %s; the demo tells of one that residency strikes out", cheapest.Key())
	}
}

func TestABadRowNamesItsLine(t *testing.T) {
	head := strings.Join(header, ",") + "\n"
	for name, c := range map[string]struct{ row, want string }{
		"an alias for a region":  {"aws,US East,,g4dn,T4,1,1,USD,2026-01-21,x", "line 2"},
		"a price with a sign":    {"aws,us-east-1,,g4dn,T4,1,-1,USD,2026-01-21,x", "line 2"},
		"no date":                {"aws,us-east-1,,g4dn,T4,1,1,USD,,x", "date of the price"},
		"no GPUs":                {"aws,us-east-1,,g4dn,T4,0,1,USD,2026-01-21,x", "GPUs"},
		"a column too few":       {"aws,us-east-1", "wrong number of fields"},
		"the same offer again":   {"aws,us-east-1,,g4dn,T4,1,1,USD,2026-01-21,x\naws,us-east-1,,g4dn,T4,1,2,USD,2026-01-21,x", "in line 2 already"},
		"a currency that is not": {"aws,us-east-1,,g4dn,T4,1,1,dollars,2026-01-21,x", "line 2"},
	} {
		if _, err := Parse([]byte(head + c.row + "\n")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnUnknownPriceStaysUnknown(t *testing.T) {
	offers, err := Parse([]byte(strings.Join(header, ",") + "\naws,us-east-1,,g4dn,T4,1,,USD,2026-01-21,x\n"))
	if err != nil || len(offers) != 1 || offers[0].PerHour.Known() {
		t.Errorf("%v, %v", offers, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Demo)
	f.Fuzz(func(t *testing.T, b []byte) {
		offers, err := Parse(b)
		if err != nil && offers != nil {
			t.Error("a table with an error offers something")
		}
	})
}
