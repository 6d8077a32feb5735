package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency/review"
)

// answerFormat is -o of residency test, which can answer in JUnit's XML too.
type answerFormat struct {
	frame.Format
	junit bool
}

// String returns the format's name.
func (f *answerFormat) String() string {
	if f.junit {
		return "junit"
	}
	return f.Format.String()
}

// Type names the values for the help text.
func (f *answerFormat) Type() string { return "table|json|yaml|junit" }

// Set takes a format by name and refuses every other.
func (f *answerFormat) Set(s string) error {
	if f.junit = s == "junit"; f.junit {
		return nil
	}
	if err := f.Format.Set(s); err != nil {
		return fmt.Errorf("%q is no format; want table, json, yaml or junit", s)
	}
	return nil
}

func residencyTest() *cobra.Command {
	var l law
	var least int
	var out answerFormat
	c := &cobra.Command{
		Use:   "test [CASES.yaml|DIR ...]",
		Short: "Ask the rules the cases kept beside them; exit 1 if an answer is not the one wanted",
		Long: "Test reads files of cases, by default every *_test.yaml beside the rules, asks each case, and compares\n" +
			"the answer, the rules that decided and the facts that were missing with what the case wants. It counts\n" +
			"for every rule how many cases it decided: a rule that decides none is not covered.",
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("output") {
				out.Format = frame.FormatOf(c)
			}
			files, err := readCases(l, args)
			if err != nil {
				return err
			}
			r, t, catalogue, err := l.read(false)
			if err != nil {
				return err
			}
			rep := review.Test(r, t, catalogue, files)
			if out.junit {
				err = printJUnit(c.OutOrStdout(), rep)
			} else {
				err = frame.Print(c.OutOrStdout(), out.Format, "RulesTest", rep,
					func(w io.Writer) error { return printCases(w, rep) })
			}
			return errors.Join(err, caseProblem(rep, least))
		},
	}
	l.flags(c)
	c.Flags().VarP(&out, "output", "o", "how to answer; BURSTCTL_FORMAT sets it too")
	c.Flags().IntVar(&least, "cover", 0, "percent of the rules that must decide a case; fewer exit 1")
	return c
}

// caseProblem is the error behind a report, or nil.
func caseProblem(rep review.Report, least int) error {
	switch n := len(rep.Coverage); {
	case rep.Failed > 0:
		return &frame.Problem{Code: frame.CasesFailed, What: "test rules",
			Err: fmt.Errorf("%d of %d cases failed", rep.Failed, len(rep.Results)),
			Why: "the rules answer otherwise than a case wants", Fix: "correct the rule or the case that is named"}
	case len(rep.Results) == 0:
		return frame.Wrap(frame.CasesFailed, errors.New("test rules: there is no case"), "name a file of cases")
	case rep.Covered*100 < least*n:
		return &frame.Problem{Code: frame.CasesFailed, What: "test rules",
			Err: fmt.Errorf("%d of %d rules are covered, less than %d %%", rep.Covered, n, least),
			Why: "rules decide no case", Fix: "write a case for each rule that is not covered"}
	}
	return nil
}

// readCases reads every file of cases; of a directory its *_test.yaml.
func readCases(l law, paths []string) ([]review.File, error) {
	if len(paths) == 0 {
		paths = []string{l.rules}
	}
	if paths[0] == "" {
		return nil, frame.Wrap(frame.Usage, errors.New("test rules: neither cases nor rules are named"),
			"name a file of cases, or the rules' directory with --rules")
	}
	var files []review.File
	for _, path := range paths {
		names := []string{path}
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			if names, err = filepath.Glob(filepath.Join(path, "*_test.yaml")); err == nil && len(names) == 0 {
				err = fs.ErrNotExist
			}
		}
		if err != nil {
			return nil, frame.Wrap(frame.FileMissing, fmt.Errorf("read cases: %s: %w", path, err), "")
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, frame.Wrap(frame.FileMissing, fmt.Errorf("read cases: %w", err), "")
			}
			f := review.File{Name: filepath.Base(name)}
			if err := yaml.UnmarshalWithOptions(b, &f, yaml.Strict()); err != nil {
				return nil, frame.Wrap(frame.BadConfig, yamlError("cases", name, err), "")
			}
			files = append(files, f)
		}
	}
	return files, nil
}

func printCases(w io.Writer, rep review.Report) error {
	rows := [][]string{}
	for _, c := range rep.Coverage {
		state := strconv.Itoa(c.Decided)
		if c.Decided == 0 {
			state = "NOT COVERED"
		}
		rows = append(rows, []string{c.Rule.ID, c.Rule.Effect, c.Rule.File + ":" + strconv.Itoa(c.Rule.Line), state,
			strconv.Itoa(c.Held)})
	}
	if err := frame.Rows(w, []string{"rule", "effect", "at", "decided", "held"}, rows); err != nil {
		return err
	}
	for _, r := range rep.Results {
		if !r.Passed {
			fmt.Fprintln(w, frame.Clean("FAILED "+r.File+": "+r.Name+": "+r.Failure))
		}
	}
	_, err := fmt.Fprintf(w, "%d cases, %d failed; %d of %d rules covered\n", len(rep.Results), rep.Failed, rep.Covered,
		len(rep.Coverage))
	return err
}

// suite is a report as JUnit's readers take it.
type suite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []suiteCase `xml:"testcase"`
}

// suiteCase is one case of it.
type suiteCase struct {
	Class   string `xml:"classname,attr"`
	Name    string `xml:"name,attr"`
	Failure *struct {
		Message string `xml:"message,attr"`
	} `xml:"failure"`
}

func printJUnit(w io.Writer, rep review.Report) error {
	s := suite{Name: "residency", Tests: len(rep.Results), Failures: rep.Failed}
	for _, r := range rep.Results {
		one := suiteCase{Class: r.File, Name: r.Name}
		if !r.Passed {
			one.Failure = &struct {
				Message string `xml:"message,attr"`
			}{r.Failure}
		}
		s.Cases = append(s.Cases, one)
	}
	b, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("print cases: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, b)
	return err
}
