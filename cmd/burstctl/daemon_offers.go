package main

import (
	"time"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/residency"
)

// weights is how the configuration ranks offers.
func (d *daemon) weights() policy.Weights {
	c := d.conf.Choice
	return policy.Weights{Restart: c.Restart, Transfer: c.Transfer, Egress: c.Egress, Returned: c.Returned,
		CarbonPerKg: c.Carbon}
}

// facts says what is known of the offers beside their prices, for each site,
// and flags prices that are old.
func (d *daemon) facts(offers []policy.Offer) (func(site string) func(policy.Offer) policy.Facts, error) {
	old := 0
	for _, o := range offers {
		if catalog.Stale(o, time.Now(), d.conf.Choice.Stale) {
			old++
		}
	}
	if old > 0 {
		d.lg.Warn("prices are old", "offers", old, "of", len(offers), "older_than", d.conf.Choice.Stale.String())
	}
	by := map[string]func(policy.Offer) policy.Facts{}
	for _, s := range d.conf.Sites {
		road := catalog.Road{Mbps: s.Uplink}
		if s.Near != "" {
			var err error
			if road.Near, err = residency.ParseAddress(s.Near); err != nil {
				return nil, frame.Wrap(frame.BadConfig, err, "")
			}
		}
		of, err := catalog.FactsOf(road)
		if err != nil {
			return nil, frame.Wrap(frame.Failed, err, "")
		}
		by[s.ID] = of
	}
	return func(site string) func(policy.Offer) policy.Facts { return by[site] }, nil
}
