package catalog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

const head = "provider,region,zone,type,gpu,gpus,per_hour,currency,as_of,source\n"

func TestTheDemosOffersAreDatedPricedAndInKnownPlaces(t *testing.T) {
	offers, err := catalog.Parse(catalog.Demo)
	if err != nil {
		t.Fatal(err)
	}
	table, err := residency.ParseTable(places.CSV)
	if err != nil {
		t.Fatal(err)
	}
	cheapest := offers[0]
	struck, allowed := 0, 0
	for _, o := range offers {
		p, err := table.Lookup(o.At)
		if err != nil || !o.PerHour.Known() || o.AsOf == "" || o.Source == "" {
			t.Errorf("%s: %v, price %v of %q from %q", o.Key(), err, o.PerHour, o.AsOf, o.Source)
		}
		if o.PerHour.Micros < cheapest.PerHour.Micros {
			cheapest = o
		}
		if p.Country != "DE" && o.At.Region == "eu-central-1" {
			struck++
		}
		if p.Country == "DE" {
			allowed++
		}
	}
	if cheapest.At.Region != "us-east-1" || struck == 0 || allowed < 2 {
		t.Errorf("cheapest is %s; %d zones abroad, %d offers in Germany", cheapest.Key(), struck, allowed)
	}
}

func TestTheProvenanceIsOfThisFile(t *testing.T) {
	b, err := os.ReadFile("demo.csv.prov.json")
	if err != nil {
		t.Fatal(err)
	}
	var prov struct {
		SHA256 string `json:"sha256"`
	}
	if err := json.Unmarshal(b, &prov); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(catalog.Demo)
	if prov.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("provenance is of %s, the file is %x", prov.SHA256, sum)
	}
}

func TestABadRowNamesItsLine(t *testing.T) {
	good := "aws,eu-central-1,,g5.xlarge,a10g,1,1.258,USD,2026-01-21,list\n"
	if _, err := catalog.Parse([]byte(head + good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, csv, want string }{
		{"nothing", "", "line 1: the header"},
		{"another header", "provider,region\n" + good, "line 1: the header"},
		{"no rows", head, "line 2: there are no offers"},
		{"a field too few", head + good + "aws,eu-central-1\n", "line 3: "},
		{"the same offer twice", head + good + good, "line 3: aws/eu-central-1 g5.xlarge is on line 2"},
		{"an upper-case region", head + strings.Replace(good, "eu-", "EU-", 1), "line 2: "},
		{"no type", head + strings.Replace(good, "g5.xlarge", "", 1), "line 2: type"},
		{"no source", head + strings.Replace(good, "list", "", 1), "line 2: type"},
		{"no GPU count", head + strings.Replace(good, "a10g,1,", "a10g,,", 1), "line 2: gpus"},
		{"a GPU count with a sign", head + strings.Replace(good, "a10g,1,", "a10g,+1,", 1), "line 2: gpus"},
		{"a negative price", head + strings.Replace(good, "1.258", "-1.258", 1), "line 2: parse money"},
		{"a price of nothing", head + strings.Replace(good, "1.258", "0", 1), "line 2: per_hour is 0"},
		{"no currency", head + strings.Replace(good, "USD", "", 1), "line 2: parse money"},
		{"no date", head + strings.Replace(good, "2026-01-21", "", 1), "line 2: as_of"},
		{"no such day", head + strings.Replace(good, "2026-01-21", "2026-02-30", 1), "line 2: as_of"},
	} {
		if _, err := catalog.Parse([]byte(c.csv)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAnUnknownPriceStaysUnknownAndDenies(t *testing.T) {
	offers, err := catalog.Parse([]byte(head + "aws,eu-central-1,,g5.xlarge,a10g,1,,USD,2026-01-21,list\n"))
	if err != nil || offers[0].PerHour.Known() {
		t.Fatalf("offers %+v, %v", offers, err)
	}
	budget := policy.Money{Micros: 1e9, Currency: "USD"}
	r := policy.Request{Job: policy.Job{Team: "ml", GPUs: 1, Lease: time.Hour, Budget: budget}}
	d := policy.Decide(r, policy.World{Offers: offers, Left: r.Job.Budget, MaxLease: time.Hour,
		Screen: func(residency.Address) residency.Verdict { return residency.Verdict{Allowed: true} }})
	if d.Plan != nil || d.Candidates[0].Strike == nil || d.Candidates[0].Strike.Kind != "price" {
		t.Errorf("decision %+v", d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(catalog.Demo)
	f.Fuzz(func(t *testing.T, b []byte) {
		offers, err := catalog.Parse(b)
		if err == nil != (len(offers) > 0) {
			t.Errorf("%d offers with error %v", len(offers), err)
		}
	})
}
