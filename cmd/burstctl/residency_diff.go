package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency/review"
)

func residencyDiff() *cobra.Command {
	var l law
	var newPlaces string
	var accept bool
	c := &cobra.Command{
		Use:   "diff OLD [NEW]",
		Short: "Say what other rules newly allow and newly deny; exit 3 if anything is newly allowed",
		Long: "Diff asks two sets of rules everything prove asks, and says for what and where the answers differ. NEW is\n" +
			"the rules that --rules names, if it is left out. With --new-places the second are asked over another table\n" +
			"of places. Whatever is newly allowed ends in exit 3, unless --accept says that this is meant.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			after := l.rules
			if len(args) > 1 {
				after = args[1]
			}
			d, err := l.diff(args[0], after, newPlaces)
			if err != nil {
				return err
			}
			if err := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "RulesDiff", d,
				func(w io.Writer) error { return printDiff(w, d) }); err != nil {
				return err
			}
			if err := d.Err(); err != nil && !accept {
				return &frame.Problem{Code: frame.ResidencyDenied, What: "compare rules", Err: err,
					Why: "the new rules allow what the old ones deny",
					Fix: "have it reviewed, then say --accept; what changes is listed above"}
			}
			return nil
		},
	}
	l.flags(c)
	c.Flags().StringVar(&newPlaces, "new-places", "", "table of places for the second rules (default: --places)")
	c.Flags().BoolVar(&accept, "accept", false, "what is newly allowed is meant: do not exit 3")
	return c
}

// diff reads both laws and compares them.
func (l law) diff(before, after, newPlaces string) (review.Diff, error) {
	oldRules, err := l.readRules(before)
	if err != nil {
		return review.Diff{}, err
	}
	newRules, err := l.readRules(after)
	if err != nil {
		return review.Diff{}, err
	}
	table, err := l.readPlaces()
	if err != nil {
		return review.Diff{}, err
	}
	newTable := table
	if newPlaces != "" {
		l.places.Table = newPlaces
		if newTable, err = l.readPlaces(); err != nil {
			return review.Diff{}, err
		}
	}
	catalogue, err := l.readCatalogue(true)
	if err != nil {
		return review.Diff{}, err
	}
	d, err := review.Compare(review.Law{Rules: oldRules, Places: table}, review.Law{Rules: newRules, Places: newTable},
		catalogue)
	return d, frame.Wrap(frame.BadCatalogue, err, "")
}

func printDiff(w io.Writer, d review.Diff) error {
	for _, e := range d.Edited {
		fmt.Fprintf(w, "rule %s %s\n", e.ID, e.What)
	}
	var rows [][]string
	add := func(what string, changes []review.Change) {
		for _, c := range changes {
			level := c.Level.String()
			if c.To > c.Level {
				level += "-" + c.To.String()
			}
			var who []string
			for _, s := range []string{c.Team, c.Site, c.Trust} {
				if s != "" {
					who = append(who, s)
				}
			}
			countries := strings.Join(c.Countries[:min(8, len(c.Countries))], " ")
			if more := len(c.Countries) - 8; more > 0 {
				countries += " and " + strconv.Itoa(more) + " more"
			}
			rows = append(rows, []string{what, c.Slice, c.Class.String(), c.Purpose, strings.Join(who, " "), level,
				strconv.Itoa(len(c.At)), countries, strings.Join(c.Rules, " ")})
		}
	}
	add("ALLOWED", d.Allowed)
	add("denied", d.Denied)
	if len(rows) > 0 {
		head := []string{"newly", "slice", "class", "purpose", "who", "level", "places", "countries", "by"}
		if err := frame.Rows(w, head, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d questions asked of both: %d lines newly allowed, %d newly denied\n", d.Asked,
		len(d.Allowed), len(d.Denied))
	return err
}
