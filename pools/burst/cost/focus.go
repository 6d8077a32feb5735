package cost

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Columns are those of FOCUS 1.2 that an estimate can fill, all mandatory ones
// among them, then ours, which begin with x_.
var Columns = []string{
	"AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
	"BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
	"ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
	"InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit",
	"ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType",
	"ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "Tags",
	"x_Estimate", "x_Standing", "x_BurstClaim", "x_BurstAttempt", "x_LogEntry", "x_PriceAsOf", "x_PriceSource",
}

// WriteFOCUS writes a row of FOCUS 1.2 for each line, machine by day. The log
// does not hold the billing account; account stands for it and must not be "".
func WriteFOCUS(w io.Writer, account string, lines []Line) error {
	out := csv.NewWriter(w)
	if err := out.Write(Columns); err != nil {
		return fmt.Errorf("write FOCUS: %w", err)
	}
	for _, l := range lines {
		fields := focus(l, account)
		row := make([]string, len(Columns))
		for i, c := range Columns {
			row[i] = fields[c]
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write FOCUS: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write FOCUS: %w", err)
	}
	return nil
}

// focus is one row by column; what is missing is null.
func focus(l Line, account string) map[string]string {
	month := time.Date(l.From.UTC().Year(), l.From.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	hours := strconv.FormatFloat(l.Hours(), 'f', 9, 64)
	amount, price := decimal(l.Cost), decimal(l.Offer.PerHour)
	provider, service := provider(l.Offer.At.Provider)
	category := "Standard"
	if l.Offer.Market.Spot() {
		category = "Dynamic"
	}
	return map[string]string{
		"AvailabilityZone": l.Offer.At.Zone, "BillingAccountId": account, "BillingCurrency": l.Cost.Currency,
		"BilledCost": amount, "ContractedCost": amount, "EffectiveCost": amount, "ListCost": amount,
		"BillingPeriodStart": stamp(month), "BillingPeriodEnd": stamp(month.AddDate(0, 1, 0)),
		"ChargePeriodStart": stamp(l.From), "ChargePeriodEnd": stamp(l.To.Add(time.Second - 1)),
		"ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
		"ChargeDescription": fmt.Sprintf("Estimate by burstctl, %s: %s in %s for job %s of team %s", l.Standing, l.Offer.Type,
			l.Offer.At, l.Request.Job.Name, l.Request.Job.Team),
		"ConsumedQuantity": hours, "ConsumedUnit": "Hours", "PricingQuantity": hours, "PricingUnit": "Hours",
		"ContractedUnitPrice": price, "ListUnitPrice": price, "PricingCategory": category,
		"ProviderName": provider, "PublisherName": provider, "InvoiceIssuerName": provider,
		"RegionId": l.Offer.At.Region, "RegionName": l.Offer.At.Region,
		"ResourceId": l.Node, "ResourceName": l.Node, "ResourceType": "Virtual Machine",
		"ServiceCategory": "Compute", "ServiceSubcategory": "Virtual Machines", "ServiceName": service,
		"SkuId": l.Offer.Type, "Tags": tags(l),
		"x_Estimate": "true", "x_Standing": string(l.Standing), "x_BurstClaim": l.Claim,
		"x_BurstAttempt": strconv.Itoa(l.Attempt), "x_LogEntry": strconv.FormatInt(l.Entry, 10),
		"x_PriceAsOf": l.Offer.AsOf, "x_PriceSource": l.Offer.Source,
	}
}

// provider is how a provider and its machines are called on bills.
func provider(name string) (provider, service string) {
	switch name {
	case "aws":
		return "AWS", "Amazon Elastic Compute Cloud"
	case "azure":
		return "Microsoft", "Virtual Machines"
	}
	return name, "Virtual Machines"
}

// tags says who pays and for what, as a JSON object.
func tags(l Line) string {
	j := l.Request.Job
	dataset, _, _ := strings.Cut(j.Slice, "/")
	t := map[string]string{"team": j.Team, "job": j.Name, "dataset": dataset, "site": l.Request.Site, "claim": l.Claim}
	for key, value := range map[string]string{"queue": j.Queue, "project": j.Project} {
		if value != "" {
			t[key] = value
		}
	}
	b, err := json.Marshal(t)
	if err != nil {
		panic("encode tags: " + err.Error()) // plain text: cannot happen
	}
	return string(b)
}

// stamp is a time as FOCUS writes it, whole seconds in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// decimal is an amount without its currency, to the millionth.
func decimal(m policy.Money) string {
	sign, micros := "", uint64(m.Micros)
	if m.Micros < 0 {
		sign, micros = "-", -micros
	}
	return fmt.Sprintf("%s%d.%06d", sign, micros/1e6, micros%1e6)
}
