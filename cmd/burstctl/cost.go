package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst/cost"
	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
)

// costFormat is how costs are told: as every answer, or as rows for another program.
type costFormat string

// The formats that costs have besides those of every answer.
const (
	asCSV   costFormat = "csv"
	asFOCUS costFormat = "focus"
)

func (f *costFormat) String() string { return string(*f) }

// Type names the values for the help text.
func (f *costFormat) Type() string { return "table|json|yaml|csv|focus" }

// Set takes a format by name and refuses every other.
func (f *costFormat) Set(s string) error {
	if v := costFormat(s); v == asCSV || v == asFOCUS {
		*f = v
		return nil
	}
	var plain frame.Format
	if plain.Set(s) != nil {
		return fmt.Errorf("%q is no format; want table, json, yaml, csv or focus", s)
	}
	*f = costFormat(s)
	return nil
}

// costs is what is asked about costs.
type costs struct {
	officer
	by      []string
	period  string
	units   bool
	account string
	format  costFormat
}

func costCommand() *cobra.Command {
	o := &costs{officer: officer{also: func() *cost.Book { return new(cost.Book) }}}
	c := &cobra.Command{
		Use:   "cost LOG",
		Short: "What bursts cost, by team, job or anything else, worked out of the log alone",
		Long: "Cost adds up what machines cost, from their launch until they were proven gone, at the price they were\n" +
			"planned with. Days and months are counted in UTC. It is an estimate: discounts, disks, traffic and taxes are\n" +
			"in the provider's bill only, which \"cost reconcile\" compares. What still runs is counted until the log's\n" +
			"last entry. -o csv gives the same rows for a spreadsheet, -o focus a row a machine and day in the columns\n" +
			"of FOCUS 1.2, marked as estimates." + reviewed,
		Example: "  burstctl cost state/log --trust trust.txt --by team,job --period 2026-10\n" +
			"  burstctl cost state/log --trust trust.txt --by team --units",
		Args: cobra.ExactArgs(1),
		RunE: o.run,
	}
	c.Flags().StringVar(&o.trust, "trust", "", "file that names the keys of log and witnesses")
	c.Flags().StringSliceVar(&o.by, "by", []string{"team"}, "what to group by, any of "+strings.Join(cost.Keys(), ", "))
	c.Flags().StringVar(&o.period, "period", "", "only this year, month or day, as 2026-10")
	c.Flags().BoolVar(&o.units, "units", false, "show what an epoch, a sample and a GPU-hour cost, and their energy")
	c.Flags().StringVar(&o.account, "account", "not-in-log", "billing account of FOCUS rows; the log does not hold it")
	c.Flags().VarP(&o.format, "output", "o", "how to answer; BURSTCTL_FORMAT sets it too")
	c.AddCommand(costReconcile())
	return c
}

func (o *costs) run(c *cobra.Command, args []string) error {
	period, err := cost.ParsePeriod(o.period)
	if err != nil {
		return frame.Wrap(frame.Usage, err, "")
	}
	r, err := o.open(c, args[0])
	if err != nil {
		return err
	}
	lines := r.book.Lines(period)
	if o.format == asFOCUS {
		return cost.WriteFOCUS(c.OutOrStdout(), o.account, lines)
	}
	facts, err := catalog.FactsOf(catalog.Road{}) // what a machine draws and emits does not depend on the road
	if err != nil {
		return frame.Wrap(frame.Failed, err, "")
	}
	groups, err := cost.By(lines, o.by, facts)
	if err != nil {
		return frame.Wrap(frame.Usage, err, "")
	}
	head, rows := o.table(groups)
	if o.format == asCSV {
		return writeCSV(c.OutOrStdout(), slices.Concat(o.by, costColumns, unitColumns), groups)
	}
	format := frame.FormatOf(c)
	if o.format != "" {
		format = frame.Format(o.format)
	}
	a := r.answer(asked{question: "what bursts cost, by " + strings.Join(o.by, ", ") + ": an estimate",
		items: append([]cost.Group{}, groups...)})
	return frame.Print(c.OutOrStdout(), format, "CostList", a, func(w io.Writer) error {
		return errors.Join(table(w, "nothing was spent", head, rows), estimated(w, r))
	})
}

// open verifies a log and folds it. A log that does not verify, or that a
// controller would not have written, has no costs.
func (o *officer) open(c *cobra.Command, path string) (reading, error) {
	t, err := readTrust(o.trust)
	if err != nil {
		return reading{}, err
	}
	log, err := openTree(path)
	if err != nil {
		return reading{}, err
	}
	defer log.Close()
	r, _, err := o.settled(c.Context(), log.tree, t)
	if err == nil {
		err = r.book.Err()
	}
	return r, frame.Wrap(frame.LogUnverified, err, "")
}

// estimated writes below a table what it rests on.
func estimated(w io.Writer, r reading) error {
	fmt.Fprintf(w, "\nestimate  launch to proven end at the planned price; what runs is counted until %s\n",
		stamp(r.book.Now()))
	return r.evidence(nil).print(w)
}

// costReconcile compares a provider's bill with the log.
func costReconcile() *cobra.Command {
	o := &officer{also: func() *cost.Book { return new(cost.Book) }}
	var path string
	var opts cost.Options
	c := &cobra.Command{
		Use:   "reconcile --focus BILL.csv LOG",
		Short: "Compare a provider's bill with the log; exit 3 if it bills a machine the log does not account for",
		Long: "Reconcile reads a FOCUS cost and usage file and looks every machine on it up in the log. A machine that no\n" +
			"entry launched, that is billed in another region than it was launched in, or for a time after it was proven\n" +
			"gone, is a violation. Differences in cost and time beyond --tolerance are listed, and so is what was launched\n" +
			"and not billed. Rows that bill no machine are counted and passed over." + reviewed,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if path == "" {
				return frame.Wrap(frame.Usage, errors.New("no bill was named"), "name it with --focus")
			}
			r, err := o.open(c, args[0])
			if err != nil {
				return err
			}
			return reconcile(c, r, path, opts)
		},
	}
	c.Flags().StringVar(&o.trust, "trust", "", "file that names the keys of log and witnesses")
	c.Flags().StringVar(&path, "focus", "", "the bill, a FOCUS file in CSV")
	c.Flags().StringVar(&opts.Tag, "tag", "", "only machines with this tag are ours; without it all of them are")
	c.Flags().Float64Var(&opts.Percent, "tolerance", 5, "differences up to so many percent are none")
	return c
}

// unaccounted turns violations into findings; one that no entry is behind has the index -1.
func unaccounted(all []cost.Violation) []review.Finding {
	found := []review.Finding{}
	for _, v := range all {
		f := review.Finding{Mark: review.Mark{Index: -1}, Claim: v.Claim, Text: fmt.Sprintf("%s in %s, row %d, %v: %s",
			v.Resource, v.Region, v.Row, v.Cost, v.Text)}
		if v.Entry != nil {
			f.Index = *v.Entry
		}
		found = append(found, f)
	}
	return found
}
