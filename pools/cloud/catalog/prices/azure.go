package prices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// AzureAPI is where the Azure Retail Prices API is.
const AzureAPI = "https://prices.azure.com/api/retail/prices"

// azurePage is one answer, as far as it matters.
type azurePage struct {
	Items        []azureItem
	NextPageLink string
}

type azureItem struct {
	CurrencyCode, ArmRegionName, ArmSkuName, ProductName, SkuName, UnitOfMeasure, Type string
	RetailPrice                                                                        json.Number
}

// Azure reads what the machines of the catalogue cost in the named regions.
func Azure(ctx context.Context, c *http.Client, api string, regions []string, carried []policy.Offer,
	today time.Time) ([]policy.Offer, error) {
	base, err := url.Parse(api)
	if err != nil {
		return nil, fmt.Errorf("read Azure prices: %w", err)
	}
	r, types, pages := newRead(), knownOf(carried, "azure"), 0
	for _, region := range regions {
		at := residency.Address{Provider: "azure", Region: region}
		if err := at.Check(); err != nil {
			return nil, fmt.Errorf("read Azure prices: %w", err)
		}
		next := *base
		next.RawQuery = url.Values{"$filter": {"serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and " +
			"armRegionName eq '" + region + "'"}}.Encode()
		for link := next.String(); link != ""; pages++ {
			if pages == maxPages {
				return nil, fmt.Errorf("read Azure prices of %s: %w", region, errPages)
			}
			page, err := azureGet(ctx, c, base, link)
			if err != nil {
				return nil, fmt.Errorf("read Azure prices of %s: %w", region, err)
			}
			for _, i := range page.Items {
				if o, ok := i.offer(at, types, today); ok {
					r.add(o)
				}
			}
			link = page.NextPageLink
		}
	}
	return r.all(), nil
}

// offer is what an item prices, if it is an hour of a machine we know, with Linux.
func (i azureItem) offer(at residency.Address, types known, today time.Time) (policy.Offer, bool) {
	o, ok := types[i.ArmSkuName]
	if !ok || i.ArmRegionName != at.Region || i.Type != "Consumption" || i.UnitOfMeasure != "1 Hour" ||
		strings.Contains(i.ProductName, "Windows") || strings.Contains(i.SkuName, "Low Priority") {
		return o, false
	}
	o.At, o.Market, o.AtMost = at, "", policy.Money{}
	if strings.HasSuffix(i.SkuName, " Spot") {
		o.Market = policy.Spot
	}
	o.AsOf, o.Source = today.UTC().Format(time.DateOnly), "Azure Retail Prices API"
	var err error
	o.PerHour, err = amount(i.RetailPrice, i.CurrencyCode)
	return o, err == nil
}

// azureGet fetches one page, a few times if the other side is busy.
func azureGet(ctx context.Context, c *http.Client, base *url.URL, link string) (page azurePage, err error) {
	at, err := url.Parse(link)
	if err != nil || at.Scheme != base.Scheme || at.Hostname() != base.Hostname() {
		return page, errors.Join(fmt.Errorf("the next page is at another place: %q", link), err)
	}
	tries := backoff.WithContext(backoff.WithMaxRetries(backoff.NewExponentialBackOff(), 4), ctx)
	return backoff.RetryWithData(func() (page azurePage, err error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
		if err != nil {
			return page, backoff.Permanent(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			return page, err
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
			return page, fmt.Errorf("status %s", resp.Status)
		}
		if resp.StatusCode != http.StatusOK {
			return page, backoff.Permanent(fmt.Errorf("status %s", resp.Status))
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxBytes)).Decode(&page); err != nil {
			return page, backoff.Permanent(fmt.Errorf("read answer: %w", err))
		}
		return page, nil
	}, tries)
}
