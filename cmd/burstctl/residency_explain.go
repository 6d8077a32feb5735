package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/review"
)

// explained is the answer of residency explain.
type explained struct {
	Request   review.Case `json:"request"`
	Exception *excepting  `json:"exception,omitempty"` // the question was asked with it
	residency.Explanation
}

func residencyExplain() *cobra.Command {
	var l law
	var q review.Case
	var x exempt
	c := &cobra.Command{
		Use:   "explain [REQUEST.yaml]",
		Short: "Answer one request and say why, and what would be permitted instead; exit 3 if refused",
		Long: "Explain asks the rules one question, from a file in the form of a test case or from flags (a flag wins).\n" +
			"It says every rule that decided, the facts it looked at, the facts that are missing, and the nearest\n" +
			"things that would be permitted: another place, another slice of the dataset, another purpose, a stronger\n" +
			"proof. At L0, the default, the question is whether a node may be created; from L1 on, whether it may read.\n" +
			exempted,
		Example: "  burstctl residency explain --catalogue configs/catalogue.yaml --slice claims/2025-q3 \\\n" +
			"    --purpose model-training --at aws/us-east-1 --level L2",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			with, err := x.open()
			if err != nil {
				return err
			}
			f, err := requestOf(args, q, with.request())
			if err != nil {
				return err
			}
			r, t, catalogue, err := l.read(len(f.Slices) == 0)
			if err != nil {
				return err
			}
			s, err := f.Supposed(f.Defaults, catalogue)
			if err != nil {
				return frame.Wrap(frame.SliceMissing, fmt.Errorf("explain request: %w", err), "")
			}
			e := explained{f.Defaults, with, with.rules(r).Explain(t, catalogue, s)}
			if err = e.cuts(l.catalogue); err != nil {
				return err
			}
			err = frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Explanation", e, e.print)
			if err == nil && !e.Verdict.Allowed {
				err = &frame.Problem{Code: frame.ResidencyDenied, What: "explain request", Err: errors.New("it is refused"),
					Fix: "see the alternatives above; each still has to be proven"}
			}
			return err
		},
	}
	l.flags(c)
	x.flags(c)
	questionFlags(c, &q)
	return c
}

// questionFlags adds flags that ask one question.
func questionFlags(c *cobra.Command, q *review.Case) {
	for name, f := range map[string]struct {
		to  *string
		use string
	}{
		"slice": {&q.Slice, "slice of the catalogue"}, "purpose": {&q.Purpose, "what it is read for"},
		"team": {&q.Team, "who asks (default \"team\")"}, "site": {&q.Site, "whose data it is (default \"site\")"},
		"at": {&q.At, "place, as aws/eu-central-1"}, "level": {&q.Level, "how well the place is proven, L0 to L4"},
		"trust": {&q.Trust, "what the level rests on (default \"supposed\", at L0 \"claimed\")"},
	} {
		c.Flags().StringVar(f.to, name, "", f.use)
	}
}

// cuts says of each slice among the alternatives what it leaves out.
func (e explained) cuts(catalogue string) error {
	if catalogue == "" {
		return nil
	}
	ds, err := configs.ReadCatalogue(catalogue)
	if err != nil {
		return frame.Wrap(frame.BadCatalogue, err, "")
	}
	for i, a := range e.Alternatives {
		for _, d := range ds {
			for _, s := range d.Slices {
				if a.Change == "slice" && s.Name == a.To {
					e.Alternatives[i].With = s.Cuts()
				}
			}
		}
	}
	return nil
}

// request is a request file: a case without an answer, and facts of slices
// that no catalogue has.
type request struct {
	review.Case `yaml:",inline"`
	Slices      []residency.Slice `yaml:"slices"`
}

// requestOf reads the request of the file and flags, as the defaults of a file
// of cases. What neither says is as in base.
func requestOf(args []string, flags, base review.Case) (review.File, error) {
	var q request
	if len(args) > 0 {
		b, err := os.ReadFile(args[0])
		if err != nil {
			return review.File{}, frame.Wrap(frame.FileMissing, fmt.Errorf("read request: %w", err), "")
		}
		if err := yaml.UnmarshalWithOptions(b, &q, yaml.Strict()); err != nil {
			return review.File{}, frame.Wrap(frame.BadConfig, yamlError("request", args[0], err), "")
		}
	}
	for _, f := range []struct{ to, from, base *string }{{&q.Slice, &flags.Slice, &base.Slice},
		{&q.Purpose, &flags.Purpose, &base.Purpose}, {&q.Team, &flags.Team, &base.Team}, {&q.Site, &flags.Site, &base.Site},
		{&q.At, &flags.At, &base.At}, {&q.Level, &flags.Level, &base.Level}, {&q.Trust, &flags.Trust, &base.Trust}} {
		*f.to = cmp.Or(*f.from, *f.to, *f.base)
	}
	q.Team, q.Site = cmp.Or(q.Team, "team"), cmp.Or(q.Site, "site")
	return review.File{Defaults: q.Case, Slices: q.Slices}, nil
}

// yamlError is a mistake in a YAML file at file:line:col.
func yamlError(kind, path string, err error) error {
	if at, ok := errors.AsType[yaml.Error](err); ok && at.GetToken() != nil {
		p := at.GetToken().Position
		return fmt.Errorf("read %s: %s:%d:%d: %s", kind, path, p.Line, p.Column, at.GetMessage())
	}
	return fmt.Errorf("read %s: %s: %w", kind, path, err)
}

func (e explained) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, e.Verdict.Why)
	if e.Hold != nil {
		fmt.Fprintf(&b, "legal hold %v\n  nothing of the dataset is destroyed; it decides nothing here\n", e.Hold)
	}
	tell := func(head string, reasons []residency.Reason) {
		for _, r := range reasons {
			at := fmt.Sprintf("%s:%d", r.Rule.File, r.Rule.Line)
			if r.Rule.Line == 0 { // the catalogue closes it, whatever the rules say
				at = r.Rule.File
			}
			fmt.Fprintf(&b, "\n%s %s: %s\n  basis  %s\n  at     %s\n", head, r.Rule.ID, r.Rule.Title, r.Rule.Basis, at)
			for i, f := range r.Facts {
				fmt.Fprintf(&b, "  %-6s %v\n", []string{"facts", ""}[min(i, 1)], f)
			}
			for i, c := range r.Lacks {
				fmt.Fprintf(&b, "  %-6s %s\n", []string{"lacks", ""}[min(i, 1)], c)
			}
		}
	}
	if e.Verdict.Exception != nil {
		for _, rule := range e.Verdict.Exception.Aside {
			tell("set aside is", []residency.Reason{{Rule: rule}})
		}
	}
	if e.Verdict.Allowed {
		tell("permitted by", e.Decided)
	} else {
		tell("refused by", e.Decided)
	}
	tell("not permitted by", e.Short)
	for _, m := range e.Verdict.Missing {
		fmt.Fprintln(&b, "missing fact:", m)
	}
	for i, a := range e.Alternatives {
		if i == 0 {
			fmt.Fprintln(&b, "\nwould be permitted:")
		}
		fmt.Fprintln(&b, "  "+a.String())
	}
	if !e.Verdict.Allowed && len(e.Alternatives) == 0 {
		fmt.Fprintln(&b, "\nnothing near it would be permitted")
	}
	for _, line := range e.Exception.lines(e.Verdict) {
		fmt.Fprintln(&b, line)
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, frame.Clean(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
