// Package doctor looks over an installation for both commands: files, keys,
// certificates, rules, and whether what it needs is in reach.
//
// # Checks
//
// A [Check] has a name, the checks it rests on and a bound in time. [Examine]
// asks all of them at once, each as soon as those it rests on are known. One
// that rests on a broken check is not asked: who reads the answer sees the cause
// and not its nine symptoms. One that gives no answer within its bound has
// failed.
//
// # Answers
//
// A check answers with findings: ok, warn or fail, what was seen and what to do
// about it. No finding repeats a secret: errors of the readers do not, and
// nothing else is shown. [Command] prints them and exits 1 if one has failed.
//
// # Non-goals
//
// It mends nothing and writes nothing but a file it removes again. It makes no
// finding about a cloud's quota or prices.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
)

// Standing is how a check came out.
type Standing string

// The standings. Only Fail makes the command fail.
const (
	OK       Standing = "ok"
	Warn     Standing = "warn"
	Fail     Standing = "fail"
	NotAsked Standing = "not asked" // a check it rests on has failed
)

// Finding is one row of the answer. Made by [Good], [Warned], [Bad] and
// [Examine]; the zero Finding says nothing.
type Finding struct {
	Check    string   `json:"check"`
	Standing Standing `json:"standing"`
	What     string   `json:"what"`
	Fix      string   `json:"fix,omitempty"`
}

// Good is a finding that nothing is wrong.
func Good(format string, args ...any) []Finding {
	return []Finding{{Standing: OK, What: fmt.Sprintf(format, args...)}}
}

// Warned is a finding of what is wrong soon, or wrong for some.
func Warned(fix, format string, args ...any) []Finding {
	return []Finding{{Standing: Warn, What: fmt.Sprintf(format, args...), Fix: fix}}
}

// Bad is a finding of what is broken; of a configuration file, one for each
// mistake. An empty fix takes the one that goes with the error's code.
func Bad(err error, fix string) []Finding {
	if m, ok := errors.AsType[*configs.Errors](err); ok {
		var all []Finding
		for _, one := range m.Mistakes {
			what := fmt.Sprintf("%s:%d:%d: %s: %s", one.File, one.Line, one.Col, one.What, one.Why)
			all = append(all, Finding{Standing: Fail, What: what, Fix: one.Fix})
		}
		return all
	}
	if fix == "" {
		fix = frame.Explain(err).Remedy
	}
	return []Finding{{Standing: Fail, What: strings.Join(strings.Fields(err.Error()), " "), Fix: fix}}
}

// Coded is Bad for an error that has no code of its own.
func Coded(code frame.Code, err error) []Finding { return Bad(frame.Wrap(code, err, ""), "") }

// Check is one thing that is looked at. The zero Check answers nothing.
type Check struct {
	Name  string
	Needs []string      // names of checks before it in the list that it rests on
	Bound time.Duration // for an answer; 0 is 10 s
	Ask   func(ctx context.Context) []Finding
}

// defaultBound is that of a check that names none.
const defaultBound = 10 * time.Second

// asked is a check under way.
type asked struct {
	done     chan struct{}
	findings []Finding // once done
	broken   bool
}

// Examine asks every check and returns what was found in their order. It takes
// no longer than the longest chain of bounds; a check that does not heed its
// context is left behind.
func Examine(ctx context.Context, checks []Check) []Finding {
	all := map[string]*asked{}
	for _, c := range checks {
		a := &asked{done: make(chan struct{})}
		var needs []*asked
		for _, name := range c.Needs {
			if n := all[name]; n != nil {
				needs = append(needs, n)
			}
		}
		all[c.Name] = a
		go func() {
			defer close(a.done)
			a.findings = c.answer(ctx, needs)
			for i := range a.findings {
				a.findings[i].Check = c.Name
				s := a.findings[i].Standing
				a.broken = a.broken || s == Fail || s == NotAsked
			}
		}()
	}
	found := []Finding{}
	for _, c := range checks {
		<-all[c.Name].done
		found = append(found, all[c.Name].findings...)
	}
	return found
}

// answer waits for what a check rests on and asks it, no longer than its bound.
func (c Check) answer(ctx context.Context, needs []*asked) []Finding {
	for i, n := range needs {
		if <-n.done; n.broken {
			return []Finding{{Standing: NotAsked, What: "it rests on " + c.Needs[i]}}
		}
	}
	bound := c.Bound
	if bound <= 0 {
		bound = defaultBound
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	said := make(chan []Finding, 1)
	go func() { said <- c.Ask(ctx) }()
	select {
	case f := <-said:
		return f
	case <-ctx.Done():
	}
	select {
	case f := <-said: // its own words on the end of its time
		return f
	case <-time.After(time.Second):
		return Bad(fmt.Errorf("no answer within %v", bound),
			"find out what holds it up: a disk, a network or a driver that hangs")
	}
}

// Command makes the verb: it reads the file named with --config, whose default
// is config, as checks of says.
func Command(config string, of func(path string) []Check) func() *cobra.Command {
	return func() *cobra.Command {
		var path string
		c := &cobra.Command{
			Use:   "doctor",
			Short: "Look over this installation: files, keys, certificates, rules, and what must be in reach",
			Long: "Doctor asks many checks at once and prints a row for each finding: ok, warn or fail, and what\n" +
				"to do. A check that rests on a broken one is not asked. It changes nothing. Exit 0 if nothing\n" +
				"failed, warnings or not; else 1.",
			Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				found := Examine(c.Context(), of(path))
				err := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Checkup", found, func(w io.Writer) error {
					return table(w, found)
				})
				return errors.Join(err, failed(found))
			},
		}
		c.Flags().StringVar(&path, "config", config, "config file; configs/"+config+" explains it")
		return c
	}
}

// table writes a row for each finding.
func table(w io.Writer, found []Finding) error {
	rows := make([][]string, len(found))
	for i, f := range found {
		rows[i] = []string{f.Check, string(f.Standing), f.What, f.Fix}
	}
	return frame.Rows(w, []string{"check", "standing", "what", "fix"}, rows)
}

// failed is the error of an answer in which something failed.
func failed(found []Finding) error {
	n := 0
	for _, f := range found {
		if f.Standing == Fail {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	err := fmt.Errorf("%d findings failed", n)
	return &frame.Problem{Code: frame.CheckFailed, What: "look over installation", Err: err}
}

// Writable finds out whether a directory can be written to, by a file that is
// removed again.
func Writable(what, dir string) []Finding {
	f, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		return Coded(frame.FileFailed, fmt.Errorf("write to %s: %w", what, err))
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return Coded(frame.FileFailed, fmt.Errorf("write to %s: %w", what, err))
	}
	return Good("%s %s can be written to", what, dir)
}
