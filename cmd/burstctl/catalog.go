package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/residency"
)

// catalogCommand groups what is known of machines and prices. Only update
// speaks to anybody.
func catalogCommand() *cobra.Command {
	c := &cobra.Command{Use: "catalog", Short: "List, show, update and compare machines and dated prices",
		Long: "The verbs read the price lists this program carries, or a file of offers, and speak to nobody; update\n" +
			"alone asks the providers. A controller reads the file its configuration names, never these by itself."}
	c.AddCommand(catalogList(), catalogShow(), catalogUpdate(), catalogDiff())
	return c
}

// staleAfter is how old a price may be before it is flagged.
const staleAfter = 180 * 24 * time.Hour

// shelf is where a verb reads offers, and which of them it wants.
type shelf struct {
	file, place, gpu, typ, market string
	gpus                          int
	age                           time.Duration
}

func (s *shelf) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.file, "offers", "", "file of offers (default: the price lists this program carries)")
	f.StringVar(&s.place, "place", "", "only at places that begin so, as aws or aws/eu-central-1")
	f.StringVar(&s.gpu, "gpu", "", "only with this accelerator, as A100")
	f.StringVar(&s.typ, "type", "", "only types that begin so, as g5. or Standard_NC")
	f.StringVar(&s.market, "market", "", "only on-demand or spot")
	f.IntVar(&s.gpus, "gpus", 0, "only with at least so many whole GPUs")
	f.DurationVar(&s.age, "stale-after", staleAfter, "flag prices older than this; 0 flags none")
}

// read is the offers that are wanted, in order.
func (s *shelf) read() ([]policy.Offer, error) {
	all, err := readOfferFile(s.file)
	if err != nil {
		return nil, err
	}
	if s.market != "" && (s.market != string(policy.OnDemand) && s.market != string(policy.Spot)) {
		return nil, frame.Wrap(frame.Usage, fmt.Errorf("read --market: %q is neither on-demand nor spot", s.market), "")
	}
	return slices.DeleteFunc(catalog.Sorted(all), func(o policy.Offer) bool {
		at := o.At.String()
		return at != s.place && s.place != "" && !strings.HasPrefix(at, s.place+"/") ||
			s.gpu != "" && !strings.EqualFold(s.gpu, o.GPU) || !strings.HasPrefix(o.Type, s.typ) || o.GPUs < s.gpus ||
			s.market != "" && (s.market == string(policy.Spot)) != o.Market.Spot()
	}), nil
}

// readOfferFile reads a file of offers; "" is what is carried.
func readOfferFile(path string) ([]policy.Offer, error) {
	if path == "" {
		all, err := catalog.Carried()
		return all, frame.Wrap(frame.Failed, err, "")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, frame.Wrap(frame.FileMissing, fmt.Errorf("read offers: %w", err), "")
	}
	all, err := catalog.Parse(b)
	if err != nil {
		return nil, frame.Wrap(frame.BadConfig, fmt.Errorf("read offers: %s: %w", path, err), "")
	}
	return all, nil
}

// shelved is one offer as told, with whether its price is old.
type shelved struct {
	policy.Offer
	Stale bool `json:"stale"`
}

func catalogList() *cobra.Command {
	var s shelf
	var out string
	c := &cobra.Command{
		Use:   "list",
		Short: "List machines with prices, their dates and their sources; --write makes a file a controller reads",
		Example: "  burstctl catalog list --place aws/eu-central-1 --gpu A10G\n" +
			"  burstctl catalog list --place azure/germanywestcentral --gpus 1 --write offers.csv",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := s.read()
			if err != nil {
				return err
			}
			told := make([]shelved, len(all))
			old := 0
			for i, o := range all {
				told[i] = shelved{o, catalog.Stale(o, time.Now(), s.age)}
				if told[i].Stale {
					old++
				}
			}
			if out != "" {
				return writeOffers(c, out, all)
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "OfferList", told, func(w io.Writer) error {
				if err := frame.Rows(w, shelfHead, shelfRows(told)); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "%d offers, %d with a price older than %s\n", len(told), old, days(s.age))
				return err
			})
		},
	}
	s.flags(c)
	c.Flags().StringVar(&out, "write", "", "write what is listed to this file, as \"offers\" of a controller names one")
	return c
}

// writeOffers writes a file of offers that is not there yet.
func writeOffers(c *cobra.Command, path string, all []policy.Offer) error {
	if len(all) == 0 {
		return frame.Wrap(frame.Canceled, fmt.Errorf("write %s: there are no offers to write", path), "ask for more")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		if _, err = f.Write(catalog.Format(all)); err == nil {
			err = f.Sync()
		}
		err = firstOf(err, f.Close())
	}
	if err != nil {
		return frame.Wrap(frame.FileFailed, fmt.Errorf("write offers: %w", err), "")
	}
	fmt.Fprintf(c.ErrOrStderr(), "%d offers written to %s\n", len(all), path)
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var shelfHead = []string{"place", "type", "market", "gpu", "gpus", "an hour", "at most", "as of", "source"}

func shelfRows(all []shelved) [][]string {
	rows := make([][]string, len(all))
	for i, o := range all {
		market, gpus, most, asOf := string(o.Market), strconv.Itoa(o.GPUs), "", o.AsOf
		if market == "" {
			market = string(policy.OnDemand)
		}
		if o.GPUs < 1 {
			gpus = "unknown"
		}
		if o.AtMost.Known() {
			most = o.AtMost.String()
		}
		if o.Stale {
			asOf += " (old)"
		}
		rows[i] = []string{o.At.String(), o.Type, market, o.GPU, gpus, o.PerHour.String(), most, asOf, o.Source}
	}
	return rows
}

// days tells an age for people.
func days(d time.Duration) string {
	if d <= 0 {
		return "any age"
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// shown is everything known of the offers of one type at one place.
type shown struct {
	Offer   shelved          `json:"offer"`
	Known   []catalog.Source `json:"known"`
	History []catalog.Source `json:"history"` // of the type in AWS's us-east-1
}

func catalogShow() *cobra.Command {
	var s shelf
	var near string
	var mbps int64
	c := &cobra.Command{
		Use:   "show PLACE TYPE",
		Short: "Show everything that is known of a machine at a place, each with its date and its source",
		Example: "  burstctl catalog show aws/eu-central-1 g5.xlarge\n" +
			"  burstctl catalog show aws/eu-central-1 g4dn.12xlarge --near azure/germanywestcentral --uplink 2000",
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			road := catalog.Road{Mbps: mbps}
			if near != "" {
				var err error
				if road.Near, err = residency.ParseAddress(near); err != nil {
					return frame.Wrap(frame.Usage, fmt.Errorf("read --near: %w", err), "")
				}
			}
			all, err := s.read()
			if err != nil {
				return err
			}
			answer := []shown{}
			for _, o := range all {
				if o.At.String() != args[0] || o.Type != args[1] {
					continue
				}
				one := shown{Offer: shelved{o, catalog.Stale(o, time.Now(), s.age)}}
				if one.Known, err = catalog.Known(o, road); err == nil {
					one.History, err = catalog.History(o.Type)
				}
				if err != nil {
					return frame.Wrap(frame.Failed, err, "")
				}
				answer = append(answer, one)
			}
			if len(answer) == 0 {
				return frame.Wrap(frame.NoOffer, fmt.Errorf("show %s at %s: there is no such offer", args[1], args[0]),
					"\"burstctl catalog list --place\" lists what there is")
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "OfferFacts", answer, func(w io.Writer) error {
				return writeShown(w, answer)
			})
		},
	}
	s.flags(c)
	c.Flags().StringVar(&near, "near", "", "the cloud region your site's line ends nearest to")
	c.Flags().Int64Var(&mbps, "uplink", 0, "your site's own line in Mbit/s")
	return c
}

func writeShown(w io.Writer, all []shown) error {
	for _, one := range all {
		fmt.Fprintf(w, "%s: %s, %d GPUs%s\n", one.Offer.Key(), one.Offer.GPU, one.Offer.GPUs, map[bool]string{
			true: "; its price is OLD"}[one.Offer.Stale])
		rows := [][]string{}
		for _, k := range append(one.Known, one.History...) {
			rows = append(rows, []string{k.Name, k.Value, k.AsOf, k.Source})
		}
		if err := frame.Rows(w, []string{"what", "value", "as of", "source"}, rows); err != nil {
			return err
		}
	}
	return nil
}
