package catalog_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/residency"
)

func carried(t *testing.T, key string) policy.Offer {
	t.Helper()
	all, err := catalog.Carried()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(o policy.Offer) bool { return o.Key() == key })
	if i < 0 {
		t.Fatalf("%s is not carried", key)
	}
	return all[i]
}

func TestEveryCarriedFileIsWhatItsSidecarSays(t *testing.T) {
	files, err := fs.Glob(catalog.Data, "data/*.csv")
	if err != nil || len(files) < 8 {
		t.Fatalf("files %q, %v", files, err)
	}
	for _, name := range files {
		b, _ := fs.ReadFile(catalog.Data, name)
		side, err := fs.ReadFile(catalog.Data, name+".prov.json")
		var p struct {
			File, SHA256, Redistributable, Transform string
			Rows                                     int `json:"data_rows"`
			Sources                                  []json.RawMessage
		}
		if err == nil {
			err = json.Unmarshal(side, &p)
		}
		sum := sha256.Sum256(b)
		if err != nil || p.SHA256 != hex.EncodeToString(sum[:]) || !strings.HasSuffix(p.File, name) ||
			p.Rows != bytes.Count(b, []byte("\n"))-1 || len(p.Sources) == 0 || !strings.HasPrefix(p.Redistributable, "yes") {
			t.Errorf("%s: %v, sidecar %+v, digest %x", name, err, p, sum)
		}
	}
}

func TestEveryCarriedOfferHasADateASourceAndAPriceOrNone(t *testing.T) {
	all, err := catalog.Carried()
	if err != nil {
		t.Fatal(err)
	}
	again, err := catalog.Parse(catalog.Format(all))
	if err != nil || !slices.Equal(again, all) {
		t.Errorf("what is written is not what is read: %v", err)
	}
	count := map[string]int{}
	for _, o := range all {
		count[o.At.Provider+" "+string(o.Market)]++
		if !o.PerHour.Known() {
			count["unknown"]++
		}
		if o.AsOf == "" || o.Source == "" || o.PerHour.Known() && o.Most().Micros < o.PerHour.Micros {
			t.Errorf("%+v", o)
		}
	}
	if len(all) < 3000 || count["aws "] != 1157 || count["azure "] != 1412 || count["aws spot"] < 800 ||
		count["unknown"] != 1 {
		t.Errorf("%d offers: %v", len(all), count)
	}
}

func TestASpotPriceIsAnEstimateAndBoundedByThePriceOnDemand(t *testing.T) {
	plain, spot := carried(t, "aws/eu-central-1 g5.xlarge"), carried(t, "aws/eu-central-1 g5.xlarge spot")
	if spot.Most() != plain.PerHour || spot.PerHour.Micros >= plain.PerHour.Micros || spot.AsOf != "2025-06-28" ||
		!strings.HasPrefix(spot.Source, "estimate") || plain.AsOf != "2026-01-21" {
		t.Errorf("spot %+v, on demand %+v", spot, plain)
	}
}

func TestANumberOfGPUsThatNobodySaysStaysUnknownAndDenies(t *testing.T) {
	o := carried(t, "azure/germanywestcentral Standard_NV6ads_A10_v5")
	if o.GPUs != 0 || carried(t, "azure/germanywestcentral Standard_NC24ads_A100_v4").GPUs != 1 {
		t.Fatalf("a sixth of a GPU counts as %d", o.GPUs)
	}
	usd := policy.Money{Micros: 1e12, Currency: "USD"}
	d := policy.Decide(policy.Request{Job: policy.Job{GPUs: 1, Lease: time.Hour, Budget: usd}}, policy.World{
		Offers: []policy.Offer{o}, Left: usd, MaxLease: time.Hour,
		Screen: func(residency.Address) residency.Verdict { return residency.Verdict{Allowed: true} }})
	if d.Plan != nil || d.Candidates[0].Strike.Kind != policy.KindSize {
		t.Errorf("decision %+v", d)
	}
}

func TestFactsAreOfTheVeryPlace(t *testing.T) {
	near := residency.Address{Provider: "azure", Region: "germanywestcentral"}
	of, err := catalog.FactsOf(catalog.Road{Near: near, Mbps: 2000})
	if err != nil {
		t.Fatal(err)
	}
	spot := carried(t, "aws/eu-central-1 g4dn.12xlarge spot")
	f := of(spot)
	if f.TakenBack == 0 || f.Mbps != 2000 || f.PerGB.Micros != 90_000 || f.Grams == 0 || f.Watts != 4*70 {
		t.Errorf("facts of %s: %+v", spot.Key(), f)
	}
	local := carried(t, "aws/eu-central-1/eu-central-1-waw-1 g4dn.2xlarge") // in Poland
	if f := of(local); f.Grams != 0 || f.Mbps != 0 || f.PerGB.Known() || f.Watts != 70 {
		t.Errorf("facts of %s are its region's: %+v", local.Key(), f)
	}
	zone := local
	zone.At.Zone = "eu-central-1a"
	if f := of(zone); f.Grams == 0 {
		t.Errorf("facts of %s are not its region's: %+v", zone.Key(), f)
	}
	all, err := catalog.Known(spot, catalog.Road{})
	for _, s := range all {
		if (s.Value == "unknown") != (s.AsOf == "") || (s.Value == "unknown") != (s.Source == "") {
			t.Errorf("%v: %+v has no date or no source", err, s)
		}
	}
}

func TestAnOldPriceIsFlaggedAndADatelessOneIsOld(t *testing.T) {
	o := carried(t, "aws/eu-central-1 g5.xlarge")
	day := time.Date(2026, 1, 21, 0, 0, 0, 0, time.UTC)
	const limit = 90 * 24 * time.Hour
	if catalog.Stale(o, day.AddDate(0, 0, 90), limit) || !catalog.Stale(o, day.AddDate(0, 0, 91), limit) ||
		catalog.Stale(o, day.AddDate(9, 0, 0), 0) || !catalog.Stale(policy.Offer{}, day, time.Hour) {
		t.Error("the age of a price is not counted from its date")
	}
}

func TestPricesHaveAHistory(t *testing.T) {
	h, err := catalog.History("p5.48xlarge")
	if err != nil || len(h) < 2 || h[0].AsOf >= h[len(h)-1].AsOf || h[0].Value != "98.3200 USD" {
		t.Errorf("history %+v, %v", h, err)
	}
}
