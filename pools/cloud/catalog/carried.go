package catalog

import (
	"embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// Data is the files that are carried, each beside its sidecar.
//
//go:embed data
var Data embed.FS

// The dates and names of the sources, as each sidecar has them.
const (
	awsListDay    = "2026-01-21"
	awsListSource = "AWS list price, via tsaol/aws-gpu 77fcd9fe"
	awsSpotDay    = "2025-06-28"
	awsSpotSource = "estimate: saving of the AWS Spot Advisor of 2025-06-28 on the list price of 2026-01-21"
	azureDay      = "2026-06-18"
	azureSource   = "Azure list price, via karpenter-provider-azure 352646f5"
)

// table reads a carried file; columns are fetched by name. That each of them
// reads is tested, so an error never reaches a user.
func table(name string, row func(get func(string) string) error) error {
	f, err := Data.Open("data/" + name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		return fmt.Errorf("read %s: no rows: %w", name, err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for i, r := range rows[1:] {
		var missing string
		get := func(name string) string {
			at, ok := column[name]
			if !ok {
				missing = name
				return ""
			}
			return r[at]
		}
		err := row(get)
		if missing != "" {
			err = fmt.Errorf("no column %q", missing)
		}
		if err != nil {
			return fmt.Errorf("read %s: row %d: %w", name, i+2, err)
		}
	}
	return nil
}

// Carried is every offer of the price lists that are carried, in the order of
// their keys. Do not change it.
var Carried = sync.OnceValues(func() ([]policy.Offer, error) {
	var all []policy.Offer
	err := table("aws_gpu.csv", func(get func(string) string) error {
		o, spot, err := awsOffers(get)
		all = append(all, o)
		if spot.Market.Spot() {
			all = append(all, spot)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	gpus := map[string]int{}
	err = table("azure_gpus.csv", func(get func(string) string) (err error) {
		gpus[get("instance_type")], err = strconv.Atoi(get("gpus"))
		return err
	})
	if err != nil {
		return nil, err
	}
	err = table("azure_gpu_ondemand.csv", func(get func(string) string) error {
		o := policy.Offer{At: residency.Address{Provider: "azure", Region: get("region")}, Type: get("instance_type"),
			GPU: strings.ToUpper(get("accel_model")), GPUs: gpus[get("instance_type")], AsOf: azureDay, Source: azureSource}
		var err error
		o.PerHour, err = price("ondemand_usd_h", get("ondemand_usd_h"), "USD")
		all = append(all, o)
		return err
	})
	return Sorted(all), err
})

// awsOffers reads one row: a machine on demand and, where there is one, its
// spot price, which can rise to the price on demand.
func awsOffers(get func(string) string) (o, spot policy.Offer, err error) {
	o = policy.Offer{At: residency.Address{Provider: "aws", Region: get("region")}, Type: get("instance_type"),
		GPU: strings.ToUpper(get("accel_model")), AsOf: awsListDay, Source: awsListSource}
	if zone := get("zone_or_region"); zone != o.At.Region {
		o.At.Zone = zone
	}
	if o.GPUs, err = strconv.Atoi(get("accel_count")); err != nil {
		return o, spot, err
	}
	if o.PerHour, err = price("ondemand_usd_h", get("ondemand_usd_h"), "USD"); err != nil {
		return o, spot, err
	}
	spot = o
	spot.PerHour, err = price("spot_usd_h_est", get("spot_usd_h_est"), "USD")
	if err == nil && spot.PerHour.Known() && o.PerHour.Known() {
		spot.Market, spot.AtMost, spot.AsOf, spot.Source = policy.Spot, o.PerHour, awsSpotDay, awsSpotSource
		if spot.Most() != spot.AtMost { // an estimate above the price on demand is no price
			spot.PerHour, spot.AtMost = policy.Money{}, policy.Money{}
		}
	}
	return o, spot, err
}
