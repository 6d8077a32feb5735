package catalog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// Road is how a site's bytes reach the clouds. The zero Road knows nothing.
type Road struct {
	// Near is the cloud region that the site's line ends nearest to: what was
	// measured from there stands for the site.
	Near residency.Address
	Mbps int64 // of the site's own line; 0 is not said
}

// Source is one thing that is known of an offer, and how.
type Source struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	AsOf   string `json:"as_of"`
	Source string `json:"source"`
}

// pair is a way from one region to another.
type pair struct{ from, to string }

// facts are the carried tables beside the prices.
type facts struct {
	taken  map[string]int // "region type" → percent a month, at most
	watts  map[string]int // model → of one accelerator
	grams  map[string]dated
	mbps   map[pair]int64
	perGB  map[pair]policy.Money // region → region
	leaves map[string]policy.Money
}

type dated struct {
	n    int
	year string
}

// loadFacts reads the tables once.
var loadFacts = sync.OnceValues(func() (*facts, error) {
	f := &facts{map[string]int{}, map[string]int{}, map[string]dated{}, map[pair]int64{}, map[pair]policy.Money{},
		map[string]policy.Money{}}
	for _, t := range []struct {
		name string
		row  func(func(string) string) error
	}{
		{"aws_spot_advisor_gpu_2025-06.csv", f.advice}, {"accelerator_watts.csv", f.power},
		{"carbon_intensity_by_region_apache2.csv", f.carbon}, {"intercloud_throughput_rtt_cost.csv", f.way},
		{"aws_transfer_cost_usd_gb.csv", f.leaving},
	} {
		if err := table(t.name, t.row); err != nil {
			return nil, err
		}
	}
	return f, nil
})

func (f *facts) advice(get func(string) string) (err error) {
	f.taken[get("region")+" "+get("instance_type")], err = strconv.Atoi(get("band_max_pct"))
	return err
}

func (f *facts) power(get func(string) string) (err error) {
	f.watts[get("accel_model")], err = strconv.Atoi(get("watts"))
	return err
}

// carbon keeps the newest year of each region.
func (f *facts) carbon(get func(string) string) error {
	g, err := strconv.ParseFloat(get("g_co2e_per_kwh"), 64)
	at, year := get("provider")+"/"+get("region"), get("year")
	if had, ok := f.grams[at]; !ok || strings.Trim(year, "~") > strings.Trim(had.year, "~") {
		f.grams[at] = dated{max(1, int(math.Round(g))), year}
	}
	return err
}

func (f *facts) way(get func(string) string) error {
	p := pair{strings.Replace(get("src"), ":", "/", 1), strings.Replace(get("dst"), ":", "/", 1)}
	gbps, err := strconv.ParseFloat(get("gbps_64conn"), 64)
	if err != nil {
		return err
	}
	f.mbps[p] = int64(gbps * 1000)
	cost, err := price("egress_usd_gb", get("egress_usd_gb"), "USD")
	if err != nil || !cost.Known() {
		return nil // not every pair has one, and some are 0
	}
	f.perGB[p] = cost
	from, _, _ := strings.Cut(p.from, "/")
	if to, _, _ := strings.Cut(p.to, "/"); from != to && cost.Micros > f.leaves[p.from].Micros {
		f.leaves[p.from] = cost // to another cloud is out to the internet
	}
	return nil
}

func (f *facts) leaving(get func(string) string) error {
	if get("dst") != "internet" {
		return nil
	}
	cost, err := price("cost", get("cost"), "USD")
	f.leaves["aws/"+get("src")] = cost
	return err
}

// region is the offer's region, if what is known of that holds for the offer's
// zone too: a Local Zone lies elsewhere, on another grid and another line.
func region(a residency.Address) string {
	own, ok := strings.CutPrefix(a.Zone, a.Region)
	if a.Zone != "" && !strings.Contains(a.Zone, "-az") && (!ok || len(own) != 1) {
		return ""
	}
	return a.Provider + "/" + a.Region
}

// FactsOf says what is known of offers beside their price, for a site at the
// end of road.
func FactsOf(road Road) (func(policy.Offer) policy.Facts, error) {
	f, err := loadFacts()
	if err != nil {
		return nil, err
	}
	return func(o policy.Offer) policy.Facts { return f.of(o, road) }, nil
}

// of looks one offer up.
func (f *facts) of(o policy.Offer, road Road) (k policy.Facts) {
	near, at := region(road.Near), region(o.At)
	if o.Market.Spot() && o.At.Provider == "aws" && o.At.Zone == "" {
		k.TakenBack = f.taken[o.At.Region+" "+o.Type]
	}
	k.Watts = f.watts[o.GPU] * o.GPUs
	k.Grams = f.grams[at].n
	k.PerGB = f.leaves[at]
	k.Mbps = f.mbps[pair{near, at}]
	if road.Mbps > 0 && (k.Mbps == 0 && (road.Near == residency.Address{} || near == at) || k.Mbps > road.Mbps) {
		k.Mbps = road.Mbps
	}
	return k
}

// Known lists what is known of an offer with dates and sources, its price first.
func Known(o policy.Offer, road Road) ([]Source, error) {
	f, err := loadFacts()
	if err != nil {
		return nil, err
	}
	k := f.of(o, road)
	all := []Source{{"price of an hour", o.PerHour.String(), o.AsOf, o.Source}}
	add := func(known bool, name, value, day, source string) {
		if !known {
			value, day, source = "unknown", "", ""
		}
		all = append(all, Source{name, value, day, source})
	}
	if o.Market.Spot() {
		add(o.Most().Known(), "at most", o.Most().String(), awsListDay, awsListSource)
		add(k.TakenBack > 0, "taken back a month, at most", fmt.Sprintf("%d %%", k.TakenBack), awsSpotDay,
			"AWS Spot Advisor, via alexei-led/spotinfo 05e93313")
	}
	add(k.Grams > 0, "carbon of a kWh", fmt.Sprintf("%d g CO2e", k.Grams), strings.Trim(f.grams[region(o.At)].year, "~"),
		"GCP region-carbon-info and cloud-carbon-coefficients")
	add(k.Watts > 0, "power of its accelerators", fmt.Sprintf("%d W", k.Watts), "2026-11-25",
		"makers' data sheets: the limit")
	add(k.PerGB.Known(), "a GB that leaves", k.PerGB.String(), "2024-01-09",
		"list prices of 2022-2023, via skyplane 4602d9ce")
	add(k.Mbps > 0, "throughput from the site", fmt.Sprintf("%d Mbit/s", k.Mbps), "2022-01",
		"iperf3 between regions, via skyplane 4602d9ce, and the site's own line")
	return all, nil
}

// History is the list prices that a machine type had in AWS's us-east-1, oldest first.
func History(typ string) (all []Source, err error) {
	err = table("aws_us_east_1_gpu_ondemand_history.csv", func(get func(string) string) error {
		if get("instance_type") != typ {
			return nil
		}
		p, err := price("ondemand_usd_h", get("ondemand_usd_h"), "USD")
		all = append(all, Source{"us-east-1 on demand", p.String(), get("snapshot_date"), "karpenter-provider-aws"})
		return err
	})
	return all, err
}
