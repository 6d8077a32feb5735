package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

// residencyCommand groups what an officer does with rules before and after
// they are in force. None of its verbs speaks to a controller.
func residencyCommand() *cobra.Command {
	c := &cobra.Command{Use: "residency", Short: "Check, test, explain, prove, compare and replay residency rules",
		Long: "The verbs read rules, places and catalogue from files and speak to nobody. Without --rules and --places\n" +
			"they take those that are shipped with the program, which the demo runs under."}
	c.AddCommand(residencyCheck(), residencyTest(), residencyExplain(), residencyProve(),
		residencyDiff(), residencyReplay())
	return c
}

// law is where a verb reads rules, places and catalogue.
type law struct {
	rules, catalogue string
	places           configs.Places
	on               string // the day the table is asked for; "" is today
}

// flags adds them to a verb.
func (l *law) flags(c *cobra.Command) {
	c.Flags().StringVar(&l.rules, "rules", "", "directory of .cedar files, or one file (default: those shipped)")
	c.Flags().StringVar(&l.places.Table, "places", "", "table of places (default: the one shipped)")
	c.Flags().StringSliceVar(&l.places.Keys, "places-key", nil, "verifier key that must have signed the table; repeatable")
	c.Flags().StringVar(&l.on, "on", "", "day, as 2026-11-25, whose groups of countries count (default: today)")
	c.Flags().StringVar(&l.catalogue, "catalogue", "", "catalogue of datasets and slices")
}

// readRules reads the rules that a path names; "" is the shipped ones.
func (l law) readRules(path string) (*residency.Rules, error) {
	if path != "" {
		return readRules(path)
	}
	r, err := residency.ParseRules(rules.Files())
	return r, frame.Wrap(frame.BadRules, err, "")
}

// readPlaces reads the table as it is on the day.
func (l law) readPlaces() (*residency.Table, error) {
	day := time.Now()
	if l.on != "" {
		var err error
		if day, err = time.Parse(time.DateOnly, l.on); err != nil {
			return nil, frame.Wrap(frame.Usage, fmt.Errorf("read --on: %w", err), "write it as 2026-11-25")
		}
	}
	if l.places.Table != "" {
		t, err := readPlaces(l.places)
		return t.At(day), err
	}
	t, err := residency.ParseTable(places.CSV)
	return t.At(day), frame.Wrap(frame.BadPlaces, err, "")
}

// readCatalogue reads the catalogue; a verb that can do without gets nil.
func (l law) readCatalogue(needed bool) (*residency.Catalogue, error) {
	if l.catalogue == "" && !needed {
		return nil, nil
	}
	if l.catalogue == "" {
		return nil, frame.Wrap(frame.Usage, fmt.Errorf("read catalogue: none is named"),
			"name the site's catalogue with --catalogue; configs/catalogue.yaml is an example")
	}
	return readCatalogue(l.catalogue)
}

// read reads all three.
func (l law) read(catalogueNeeded bool) (*residency.Rules, *residency.Table, *residency.Catalogue, error) {
	r, err := l.readRules(l.rules)
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := l.readPlaces()
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := l.readCatalogue(catalogueNeeded)
	return r, t, c, err
}

// checked is the answer of residency check.
type checked struct {
	Rules     string              `json:"rules"`  // digest
	Places    string              `json:"places"` // digest
	Policies  []residency.Rule    `json:"policies"`
	Strangers []residency.Mistake `json:"strangers"`
}

// everyMistake tells all of them, a line each.
type everyMistake struct{ residency.Mistakes }

// Error is the number of mistakes, then each.
func (m everyMistake) Error() string {
	text := fmt.Sprintf("check rules: %d mistakes", len(m.Mistakes))
	for _, one := range m.Mistakes {
		text += "\n" + one.String()
	}
	return text
}

func residencyCheck() *cobra.Command {
	var l law
	var strict bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check rules against the type of the question; every mistake at file:line:col; exit 1 if there is one",
		Long: "Check reads rule files as the controller would and reports every mistake at once, each at file:line:col\n" +
			"with its @id. It also names values that nothing in the table of places (and the catalogue, if one is\n" +
			"named) has: a comparison with such a value never holds, so a forbid with a slip of the pen forbids nothing.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, t, catalogue, err := l.read(false)
			if wrong, ok := errors.AsType[residency.Mistakes](err); ok {
				return frame.Wrap(frame.BadRules, everyMistake{wrong}, "")
			}
			if err != nil {
				return err
			}
			v := checked{Rules: r.Digest(), Places: t.Digest(), Policies: r.List(), Strangers: r.Strangers(t, catalogue)}
			if err := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "RulesCheck", v, v.print); err != nil {
				return err
			}
			if strict && len(v.Strangers) > 0 {
				return frame.Wrap(frame.BadRules, fmt.Errorf("check rules: %d values nothing has", len(v.Strangers)), "")
			}
			return nil
		},
	}
	l.flags(c)
	c.Flags().BoolVar(&strict, "strict", false, "exit 1 on a value nothing has")
	return c
}

func (v checked) print(w io.Writer) error {
	rows := make([][]string, 0, len(v.Policies))
	for _, p := range v.Policies {
		rows = append(rows, []string{p.ID, p.Effect, p.File + ":" + strconv.Itoa(p.Line), p.Title, p.Basis})
	}
	if err := frame.Rows(w, []string{"rule", "effect", "at", "title", "basis"}, rows); err != nil {
		return err
	}
	for _, s := range v.Strangers {
		fmt.Fprintln(w, "warning:", frame.Clean(s.String()))
	}
	_, err := fmt.Fprintf(w, "%d rules, no mistake, %d values nothing has\nrules  %s\nplaces %s\n", len(v.Policies),
		len(v.Strangers), v.Rules, v.Places)
	return err
}
