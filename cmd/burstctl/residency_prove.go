package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/review"
)

// proved is the answer of residency prove.
type proved struct {
	Rules   string        `json:"rules"`  // digest
	Places  string        `json:"places"` // digest
	Asked   int           `json:"asked"`
	Allowed int           `json:"allowed"`
	Never   []neverProved `json:"never"`
	Lines   []review.Line `json:"lines"`
}

// neverProved is one --never and what speaks against it.
type neverProved struct {
	Never   string              `json:"never"`
	Holds   bool                `json:"holds"`
	Count   int                 `json:"count"`             // questions that are allowed and must not be
	Counter *residency.Supposed `json:"counter,omitempty"` // the first of them
	Why     string              `json:"why,omitempty"`     // what allows it
}

func residencyProve() *cobra.Command {
	var l law
	var nevers []string
	var csvPath, svgPath string
	c := &cobra.Command{
		Use:   "prove",
		Short: "Ask everything: which slice is reachable where, for what; exit 3 if --never has a counter-example",
		Long: "Prove asks the rules about every slice of the catalogue for every purpose, team and site that the\n" +
			"catalogue or a rule names and one that none names, at every place of the table, claimed (L0) and proven\n" +
			"(L1 to L4).\n" +
			"With --never it holds the answers against a sentence that must never be true, and names a\n" +
			"counter-example: conditions on the question (class, dataset, slice, origin, basis, pseudonymised, purpose,\n" +
			"declared, team, site, stage, level, trust), then \"leaves\" or \"reaches\", then a group, a country, or\n" +
			"parent=US and the like. A sentence that is true of nothing proves nothing and is refused.",
		Example: "  burstctl residency prove --catalogue configs/catalogue.yaml --never 'class=special leaves EEA'\n" +
			"  burstctl residency prove --catalogue configs/catalogue.yaml --never 'class>=personal & stage=proven leaves EEA'",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			parsed, err := parseNevers(nevers)
			if err != nil {
				return err
			}
			r, t, catalogue, err := l.read(true)
			if err != nil {
				return err
			}
			space, err := review.SpaceOf(t, catalogue, r)
			if err != nil {
				return frame.Wrap(frame.BadCatalogue, err, "")
			}
			m := review.Reach(r, t, space)
			v := proved{Rules: m.Rules, Places: m.Places, Asked: m.Asked, Allowed: m.Allowed, Never: []neverProved{},
				Lines: review.Merge(m.Lines())}
			for i, n := range parsed {
				one, err := proveNever(r, t, m, n, nevers[i])
				if err != nil {
					return frame.Wrap(frame.Usage, err, "")
				}
				v.Never = append(v.Never, one)
			}
			if err := writeFile(csvPath, m.WriteCSV); err != nil {
				return err
			}
			if err := writeFile(svgPath, m.WriteSVG); err != nil {
				return err
			}
			if err := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Reachability", v, v.print); err != nil {
				return err
			}
			return v.problem()
		},
	}
	l.flags(c)
	c.Flags().StringArrayVar(&nevers, "never", nil, "what must never be; exit 3 with a counter-example; repeatable")
	c.Flags().StringVar(&csvPath, "csv", "", "write every question and its answer to this file")
	c.Flags().StringVar(&svgPath, "svg", "", "draw slices and purposes against countries to this file")
	return c
}

// parseNevers reads every --never.
func parseNevers(texts []string) ([]review.Never, error) {
	parsed := make([]review.Never, len(texts))
	for i, text := range texts {
		var err error
		if parsed[i], err = review.ParseNever(text); err != nil {
			return nil, frame.Wrap(frame.Usage, err, "run \"burstctl residency prove --help\" to see the form")
		}
	}
	return parsed, nil
}

// proveNever holds the matrix against one sentence.
func proveNever(r *residency.Rules, t *residency.Table, m review.Matrix, n review.Never, text string,
) (neverProved, error) {
	q, count, err := m.Counter(n)
	one := neverProved{Never: text, Holds: err == nil && count == 0, Count: count}
	if count > 0 {
		one.Counter, one.Why = &q, r.Suppose(t, q).Why
	}
	return one, err
}

// writeFile writes what to the file of that name; "" is none.
func writeFile(path string, what func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err == nil {
		if err = what(f); err != nil {
			_ = f.Close()
		} else {
			err = f.Close()
		}
	}
	if err != nil {
		err = fmt.Errorf("write %s: %w", path, err)
	}
	return frame.Wrap(frame.FileFailed, err, "")
}

// problem is the error behind a sentence that does not hold, or nil.
func (v proved) problem() error {
	for _, n := range v.Never {
		if !n.Holds {
			return &frame.Problem{Code: frame.ResidencyDenied, What: fmt.Sprintf("prove %q", n.Never),
				Err: fmt.Errorf("it does not hold, %d answers are against it", n.Count),
				Why: "the rules allow what must never be", Fix: "see the counter-example; tighten the rule it names"}
		}
	}
	return nil
}

func (v proved) print(w io.Writer) error {
	rows := [][]string{}
	head := []string{"slice", "class", "purpose", "team", "site", "trust", "level", "places", "countries"}
	used := map[int]bool{}
	for _, l := range v.Lines {
		if l.Places == 0 {
			continue
		}
		countries := strings.Join(l.Countries[:min(8, len(l.Countries))], " ")
		if more := len(l.Countries) - 8; more > 0 {
			countries += " and " + strconv.Itoa(more) + " more"
		}
		level := l.Level.String()
		if l.To > l.Level {
			level += "-" + l.To.String()
		}
		row := []string{l.Slice, l.Class.String(), l.Purpose, l.Team, l.Site, l.Trust, level,
			strconv.Itoa(l.Places), countries}
		for i, cell := range row {
			used[i] = used[i] || cell != ""
		}
		rows = append(rows, row)
	}
	keep := func(row []string) []string {
		var kept []string
		for i, cell := range row {
			if used[i] {
				kept = append(kept, cell)
			}
		}
		return kept
	}
	for i := range rows {
		rows[i] = keep(rows[i])
	}
	if len(rows) > 0 {
		if err := frame.Rows(w, keep(slices.Clone(head)), rows); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%d questions asked, %d allowed; what no line shows is refused everywhere\n", v.Asked, v.Allowed)
	for _, n := range v.Never {
		if n.Holds {
			fmt.Fprintf(w, "holds: never %s\n", frame.Clean(n.Never))
			continue
		}
		fmt.Fprintf(w, "DOES NOT HOLD: never %s: %d answers against it, the first:\n  %s\n", frame.Clean(n.Never), n.Count,
			frame.Clean(n.Why))
	}
	return nil
}
