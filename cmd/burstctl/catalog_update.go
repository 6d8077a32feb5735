package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/pools/cloud/catalog/prices"
)

func catalogUpdate() *cobra.Command {
	var places []string
	var out, mirror string
	c := &cobra.Command{
		Use:   "update",
		Short: "Ask the providers what machines cost today, and write a new file of offers",
		Long: "Ask the providers what machines cost today, and write a new file of offers. AWS is asked with the\n" +
			"credentials of the environment, which need pricing:GetProducts and nothing else; Azure's list is public.\n" +
			"Compare the file with \"burstctl catalog diff\" before a controller reads it.",
		Example: "  burstctl catalog update --place aws/eu-central-1 --place azure/germanywestcentral --write new.csv",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := askPrices(c.Context(), places, mirror)
			if err != nil {
				return err
			}
			return writeOffers(c, out, all)
		},
	}
	c.Flags().StringArrayVar(&places, "place", nil, "a region, as aws/eu-central-1; repeatable")
	c.Flags().StringVar(&out, "write", "", "the file to write")
	c.Flags().StringVar(&mirror, "azure-prices", prices.AzureAPI, "the Azure Retail Prices API, or your mirror of it")
	_ = c.MarkFlagRequired("place")
	_ = c.MarkFlagRequired("write")
	return c
}

// askPrices asks each provider for its regions.
func askPrices(ctx context.Context, places []string, mirror string) (all []policy.Offer, err error) {
	carried, err := catalog.Carried()
	if err != nil {
		return nil, frame.Wrap(frame.Failed, err, "")
	}
	regions := map[string][]string{}
	for _, p := range places {
		provider, region, ok := strings.Cut(p, "/")
		if !ok || provider != "aws" && provider != "azure" {
			return nil, frame.Wrap(frame.Usage, fmt.Errorf("read --place: %q is no region of aws or azure", p),
				"write it as aws/eu-central-1")
		}
		regions[provider] = append(regions[provider], region)
	}
	if len(regions["azure"]) > 0 {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		all, err = prices.Azure(ctx, client, mirror, regions["azure"], carried, time.Now())
		if err != nil {
			return nil, frame.Wrap(frame.Failed, err, "")
		}
	}
	if len(regions["aws"]) == 0 {
		return all, nil
	}
	conf, err := config.LoadDefaultConfig(ctx, config.WithRegion("eu-central-1")) // one of the API's own
	if err != nil {
		return nil, frame.Wrap(frame.Failed, fmt.Errorf("read AWS credentials: %w", err), "")
	}
	more, err := prices.AWS(ctx, pricing.NewFromConfig(conf), regions["aws"], carried, time.Now())
	return append(all, more...), frame.Wrap(frame.Failed, err, "")
}

// moved is how one offer differs between two files.
type moved struct {
	Offer string       `json:"offer"`
	How   string       `json:"how"` // "new", "gone", "dearer", "cheaper" or "changed"
	Was   policy.Money `json:"was"`
	Is    policy.Money `json:"is"`
	Moved string       `json:"moved,omitempty"` // in percent
	AsOf  string       `json:"as_of"`
}

func catalogDiff() *cobra.Command {
	c := &cobra.Command{
		Use:     "diff OLD NEW",
		Short:   "Say what differs between two files of offers; \"\" is what this program carries",
		Example: "  burstctl catalog diff offers.csv new.csv",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			older, err := readOfferFile(args[0])
			if err != nil {
				return err
			}
			newer, err := readOfferFile(args[1])
			if err != nil {
				return err
			}
			all := diffOffers(older, newer)
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "OfferChangeList", all, func(w io.Writer) error {
				rows := make([][]string, len(all))
				for i, m := range all {
					rows[i] = []string{m.Offer, m.How, m.Was.String(), m.Is.String(), m.Moved, m.AsOf}
				}
				if err := frame.Rows(w, []string{"offer", "how", "was", "is", "moved", "as of"}, rows); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "%d offers differ\n", len(all))
				return err
			})
		},
	}
	return c
}

// diffOffers lists what differs, dearer ones first.
func diffOffers(older, newer []policy.Offer) []moved {
	had := map[string]policy.Offer{}
	for _, o := range older {
		had[o.Key()] = o
	}
	all := []moved{}
	for _, o := range catalog.Sorted(newer) {
		was, ok := had[o.Key()]
		delete(had, o.Key())
		m := moved{Offer: o.Key(), How: "changed", Was: was.PerHour, Is: o.PerHour, AsOf: o.AsOf}
		by, err := o.PerHour.Minus(was.PerHour)
		switch {
		case !ok:
			m.How = "new"
		case err == nil && by.Micros != 0:
			m.How = map[bool]string{true: "dearer", false: "cheaper"}[by.Micros > 0]
			m.Moved = fmt.Sprintf("%+.1f %%", float64(by.Micros)*100/float64(was.PerHour.Micros))
		case err == nil && o.GPUs == was.GPUs && o.AtMost == was.AtMost && o.GPU == was.GPU,
			!o.PerHour.Known() && !was.PerHour.Known():
			continue
		}
		all = append(all, m)
	}
	for _, o := range catalog.Sorted(older) {
		if _, gone := had[o.Key()]; gone {
			all = append(all, moved{Offer: o.Key(), How: "gone", Was: o.PerHour, AsOf: o.AsOf})
		}
	}
	order := map[string]int{"dearer": 0, "new": 1, "changed": 2, "cheaper": 3, "gone": 4}
	slices.SortStableFunc(all, func(a, b moved) int { return cmp.Compare(order[a.How], order[b.How]) })
	return all
}
