package main

import (
	"cmp"
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
	var newPlaces, newCatalogue string
	var accept bool
	c := &cobra.Command{
		Use:   "diff OLD [NEW]",
		Short: "Say what other rules newly allow and newly deny; exit 3 if anything is newly allowed",
		Long: "Diff asks two sets of rules everything prove asks, and says for what and where the answers differ. NEW\n" +
			"is the rules that --rules names, if it is left out. With --new-places and --new-catalogue the second are\n" +
			"asked over another table of places and about another catalogue. Whatever is newly allowed ends in exit\n" +
			"3, unless --accept says that this is meant.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			after := l.rules
			if len(args) > 1 {
				after = args[1]
			}
			d, err := l.diff(args[0], after, newPlaces, newCatalogue)
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
	c.Flags().StringVar(&newCatalogue, "new-catalogue", "", "catalogue for the second rules (default: --catalogue)")
	c.Flags().BoolVar(&accept, "accept", false, "what is newly allowed is meant: do not exit 3")
	return c
}

// diff reads both laws and compares them.
func (l law) diff(before, after, newPlaces, newCatalogue string) (review.Diff, error) {
	var was, is review.Law
	var err error
	if was, err = l.at(before); err != nil {
		return review.Diff{}, err
	}
	l.places.Table = cmp.Or(newPlaces, l.places.Table)
	l.catalogue = cmp.Or(newCatalogue, l.catalogue)
	if is, err = l.at(after); err != nil {
		return review.Diff{}, err
	}
	d, err := review.Compare(was, is)
	return d, frame.Wrap(frame.BadCatalogue, err, "")
}

// at reads one law, with the rules at path.
func (l law) at(path string) (review.Law, error) {
	l.rules = path
	r, t, c, err := l.read(true)
	return review.Law{Rules: r, Places: t, Catalogue: c}, err
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
