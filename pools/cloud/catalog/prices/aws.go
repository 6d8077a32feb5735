package prices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// product is one entry of AWS's price list, as far as it matters.
type product struct {
	Product struct {
		Attributes struct{ InstanceType, RegionCode, LocationType string }
	}
	Terms struct {
		OnDemand map[string]struct {
			PriceDimensions map[string]struct {
				Unit         string
				PricePerUnit map[string]json.Number
			}
		}
	}
}

// AWS reads what the machines of the catalogue cost on demand, with Linux on
// shared hosts, in the named regions.
func AWS(ctx context.Context, c *pricing.Client, regions []string, carried []policy.Offer,
	today time.Time) ([]policy.Offer, error) {
	r, pages := newRead(), 0
	machines := knownOf(carried, "aws")
	for _, typ := range slices.Sorted(maps.Keys(machines)) {
		in := &pricing.GetProductsInput{ServiceCode: aws.String("AmazonEC2"), FormatVersion: aws.String("aws_v1"),
			MaxResults: aws.Int32(100)}
		for _, f := range [][2]string{{"instanceType", typ}, {"operatingSystem", "Linux"}, {"preInstalledSw", "NA"},
			{"tenancy", "Shared"}, {"capacitystatus", "Used"}, {"locationType", "AWS Region"}} {
			in.Filters = append(in.Filters, types.Filter{Type: types.FilterTypeTermMatch, Field: &f[0], Value: &f[1]})
		}
		for p := pricing.NewGetProductsPaginator(c, in); p.HasMorePages(); pages++ {
			if pages == maxPages {
				return nil, fmt.Errorf("read AWS prices of %s: %w", typ, errPages)
			}
			page, err := awsPage(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("read AWS prices of %s: %w", typ, err)
			}
			for _, text := range page.PriceList {
				o, err := awsOffer(text, machines, today)
				if err == nil && slices.Contains(regions, o.At.Region) {
					r.add(o)
				}
			}
		}
	}
	return r.all(), nil
}

func awsPage(ctx context.Context, p *pricing.GetProductsPaginator) (*pricing.GetProductsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.NextPage(ctx)
}

// errNoPrice: an entry prices no hour on demand, or more than one.
var errNoPrice = errors.New("not one price of an hour in USD")

// awsOffer reads one entry of the list.
func awsOffer(text string, machines known, today time.Time) (policy.Offer, error) {
	var p product
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return policy.Offer{}, fmt.Errorf("read product: %w", err)
	}
	a := p.Product.Attributes
	o, ok := machines[a.InstanceType]
	o.At, o.Market, o.AtMost = residency.Address{Provider: "aws", Region: a.RegionCode}, "", policy.Money{}
	o.PerHour, o.AsOf, o.Source = policy.Money{}, today.UTC().Format(time.DateOnly), "AWS Price List API"
	if !ok || a.LocationType != "AWS Region" || o.At.Check() != nil {
		return o, fmt.Errorf("product is %q at %q, %s", a.InstanceType, a.RegionCode, a.LocationType)
	}
	for _, term := range p.Terms.OnDemand {
		for _, d := range term.PriceDimensions {
			usd, priced := d.PricePerUnit["USD"]
			m, err := amount(trimmed(usd), "USD")
			if !priced || d.Unit != "Hrs" || err != nil || o.PerHour.Known() {
				return o, errNoPrice
			}
			o.PerHour = m
		}
	}
	if !o.PerHour.Known() {
		return o, errNoPrice
	}
	return o, nil
}

// trimmed takes away zeros that say nothing: AWS writes ten decimals.
func trimmed(n json.Number) json.Number {
	for s := n.String(); ; s = s[:len(s)-1] {
		if len(s) < 8 || s[len(s)-1] != '0' || s[len(s)-7] == '.' {
			return json.Number(s)
		}
	}
}
