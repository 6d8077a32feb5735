package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

// placesCommand groups what an officer does with the place table.
func placesCommand() *cobra.Command {
	c := &cobra.Command{Use: "places", Short: "Read, compare, extend, sign and verify the place table"}
	c.AddCommand(placesList(), placesShow(), placesDiff(), placesLearn(), placesSign(), placesVerify())
	return c
}

// onDay is the day a table is asked for. It is a flag value; the zero onDay is
// today.
type onDay struct{ time.Time }

// String is the day, as the help text shows it.
func (d *onDay) String() string {
	if d.IsZero() {
		return "today"
	}
	return d.Format(time.DateOnly)
}

// Type names the values for the help text.
func (d *onDay) Type() string { return "2006-01-02" }

// Set takes a day.
func (d *onDay) Set(s string) (err error) {
	d.Time, err = time.Parse(time.DateOnly, s)
	return err
}

// now is the day, or this moment.
func (d *onDay) now() time.Time {
	if d.IsZero() {
		return time.Now()
	}
	return d.Time
}

// placeView is a table as asked for, with what it rests on.
type placeView struct {
	Digest  string            `json:"digest"`
	Version int               `json:"version"`
	Dated   string            `json:"dated"`
	On      string            `json:"on"` // the day groups are as of
	Places  []residency.Place `json:"places"`
}

// view makes the answer of list and show.
func view(t *residency.Table, at *onDay, ps []residency.Place) placeView {
	return placeView{t.Digest(), t.Version(), t.Dated(), at.now().UTC().Format(time.DateOnly), ps}
}

// basis is the last line of an answer to people.
func (v placeView) basis(w io.Writer) error {
	_, err := fmt.Fprintf(w, "\nplace table version %d of %s, %s; groups as of %s\n", v.Version, v.Dated, v.Digest, v.On)
	return err
}

// readPlaceFile reads a table for people, sealed or bare; "" is the one this
// program ships.
func readPlaceFile(path string) (*residency.Table, []string, error) {
	b := places.CSV
	if path != "" {
		var err error
		if b, err = os.ReadFile(path); err != nil {
			return nil, nil, frame.Wrap(frame.FileMissing, fmt.Errorf("read places: %w", err), "")
		}
	}
	t, by, err := residency.ReadTable(b)
	if err != nil && path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return t, by, frame.Wrap(frame.BadPlaces, err, "correct the line shown")
}

func placesList() *cobra.Command {
	var at onDay
	var want struct{ provider, kind, country, group string }
	c := &cobra.Command{
		Use:     "list [TABLE]",
		Short:   "List the places of a table, the shipped one if none is named; no signature is checked",
		Example: "  burstctl places list --group EEA --kind local-zone\n  burstctl places list places.note --on 2019-06-01",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, _, err := readPlaceFile(strings.Join(args, ""))
			if err != nil {
				return err
			}
			is := func(want, is string) bool { return want == "" || want == is }
			ps := slices.DeleteFunc(t.At(at.now()).Places(), func(p residency.Place) bool {
				return !is(want.provider, p.Provider) || !is(want.kind, string(p.Kind)) || !is(want.country, p.Country) ||
					want.group != "" && !slices.Contains(p.Groups, want.group)
			})
			v := view(t, &at, ps)
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "PlaceList", v, func(w io.Writer) error {
				rows := make([][]string, len(ps))
				for i, p := range ps {
					rows[i] = []string{p.Address.String(), string(p.Kind), p.Country, strings.Join(p.Groups, " "), p.Operator,
						p.Parent, p.Keys, p.Name}
				}
				err := frame.Rows(w, []string{"place", "kind", "country", "groups", "operator", "parent", "keys", "name"}, rows)
				if err != nil {
					return err
				}
				return v.basis(w)
			})
		},
	}
	f := c.Flags()
	f.Var(&at, "on", "the day whose groups are meant")
	f.StringVar(&want.provider, "provider", "", "only this provider's")
	f.StringVar(&want.kind, "kind", "", "only this kind: region, az, local-zone, wavelength, …")
	f.StringVar(&want.country, "country", "", "only in this country, ISO 3166-1 alpha-2")
	f.StringVar(&want.group, "group", "", "only in this group on the day, such as EEA")
	return c
}

func placesShow() *cobra.Command {
	var at onDay
	var file string
	c := &cobra.Command{
		Use:     "show PLACE | show PROVIDER NAME",
		Short:   "Show what is known of one place, found by its address or by an alias of the table",
		Example: "  burstctl places show aws/eu-west-3/eu-west-3-wl1-cmn1\n  burstctl places show azure \"East US\"",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			t, _, err := readPlaceFile(file)
			if err != nil {
				return err
			}
			provider, name, _ := strings.Cut(args[0], "/")
			if len(args) == 2 {
				provider, name = args[0], args[1]
			}
			p, err := lookUp(t.At(at.now()), provider, name)
			if err != nil {
				return &frame.Problem{Code: frame.ResidencyDenied, Err: err,
					Why: "a place that is not in the table is unknown, and every decision there is a denial",
					Fix: "spell it as \"burstctl places list\" does, or write its row, with its source, and have the table signed"}
			}
			v := view(t, &at, []residency.Place{p})
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "PlaceList", v, func(w io.Writer) error {
				err := frame.Rows(w, []string{"fact", "what is known"}, [][]string{
					{"place", p.Address.String()}, {"partition", p.Partition}, {"kind", string(p.Kind)}, {"country", p.Country},
					{"groups", strings.Join(p.Groups, " ")}, {"operator", p.Operator + ": " + p.Legal},
					{"parent", p.Parent}, {"keys", p.Keys}, {"name", p.Name}, {"source", p.Source}})
				if err != nil {
					return err
				}
				return v.basis(w)
			})
		},
	}
	c.Flags().Var(&at, "on", "the day whose groups are meant")
	c.Flags().StringVar(&file, "table", "", "the table to read; the shipped one if not named")
	return c
}

// lookUp finds a place by what its provider calls it.
func lookUp(t *residency.Table, provider, name string) (residency.Place, error) {
	a, err := t.Canonical(provider, name)
	if err != nil {
		return residency.Place{}, err
	}
	return t.Lookup(a)
}

func placesDiff() *cobra.Command {
	var at onDay
	c := &cobra.Command{
		Use:     "diff OLD NEW",
		Short:   "Say what differs between two tables, and what it means; no signature is checked",
		Example: "  burstctl places diff places.note table.csv --on 2026-12-01",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			older, _, err := readPlaceFile(args[0])
			if err != nil {
				return err
			}
			newer, _, err := readPlaceFile(args[1])
			if err != nil {
				return err
			}
			changes := residency.DiffTables(older.At(at.now()), newer.At(at.now()))
			if newer.Version() <= older.Version() && len(changes) > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "%s is version %d, %s is %d: give a changed table a higher one\n", args[1],
					newer.Version(), args[0], older.Version())
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "PlaceChangeList", changes, func(w io.Writer) error {
				if len(changes) == 0 {
					_, err := fmt.Fprintln(w, "nothing differs")
					return err
				}
				rows := make([][]string, len(changes))
				for i, d := range changes {
					rows[i] = []string{d.How, d.What, d.Name, d.Means, d.Was, d.Is}
				}
				return frame.Rows(w, []string{"how", "what", "name", "means", "was", "is"}, rows)
			})
		},
	}
	c.Flags().Var(&at, "on", "the day whose groups are meant")
	return c
}
