package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst/cost"
	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency/audit"
)

// reading is a log that was read once: verified and folded together.
type reading struct {
	review *review.Review
	report audit.Report
	lines  map[string][]line // decisions in words, of the claims that were asked for
	book   *cost.Book        // what bursts cost, if that was asked for
}

// evidence says which log an answer is from and that it verified.
type evidence struct {
	Verifier  string       `json:"verifier"` // "verifies" or "does not verify"
	Origin    string       `json:"origin"`
	First     *review.Mark `json:"first"`
	Last      *review.Mark `json:"last"`
	Size      int64        `json:"size"` // of the checkpoint, like Root and Cosigners
	Root      string       `json:"root"`
	Cosigners []string     `json:"cosigners"`
	Problems  []string     `json:"problems,omitempty"`
}

// answer is what an officer gets to a question. Items are rows of the question's own type; nil without an answer.
type answer struct {
	Question   string           `json:"question"`
	Log        evidence         `json:"log"`
	Clean      bool             `json:"clean"`
	Violations []review.Finding `json:"violations"`
	Items      any              `json:"items"`
}

// asked is a question with the answer that a reading gives.
type asked struct {
	kind, question string
	items          any
	findings       []review.Finding
	human          func(io.Writer) error
}

// decisive are the kinds of entry that explain tells in words.
var decisive = []string{"requested", "decided", "proven", "unproven", "cleared", "denied", "stop",
	"break-glass-used"}

// read verifies a tree and folds its entries on the way. Without an error the log verified.
func (o officer) read(ctx context.Context, tree fs.FS, t audit.Trust) (reading, error) {
	r := reading{review: review.New(o.silence), lines: map[string][]line{}}
	if o.also != nil {
		r.book = o.also()
	}
	var err error
	r.report, err = audit.VerifyEntries(ctx, tree, t, func(leaf audit.Leaf) {
		r.review.Add(leaf)
		if r.book != nil {
			r.book.Add(leaf)
		}
		claim := leaf.Entry.Burst
		if o.told != nil && o.told(claim) && slices.Contains(decisive, leaf.Entry.Kind) {
			r.lines[claim] = append(r.lines[claim], tell(leaf))
		}
	})
	return r, err
}

// tries is how often a log is read that goes on under the reader.
const tries = 5

// settled is read, once more whenever the log did not verify and its checkpoint has changed since: a controller that
// writes is no violation. With the reading comes the tree as it was read.
func (o officer) settled(ctx context.Context, tree fs.FS, t audit.Trust) (r reading, at fs.FS, err error) {
	for range tries {
		before, _ := fs.ReadFile(tree, "checkpoint") // if it cannot be read, read says so
		at = stillTree{tree, before}
		if before == nil {
			at = tree
		}
		if r, err = o.read(ctx, at, t); err == nil {
			return r, at, nil
		}
		if after, _ := fs.ReadFile(tree, "checkpoint"); bytes.Equal(before, after) {
			break
		}
	}
	return r, at, err
}

// stillTree is a log under the checkpoint it had, while a controller may go on writing.
type stillTree struct {
	fs.FS
	checkpoint []byte
}

// ReadFile reads a file of the tree.
func (s stillTree) ReadFile(name string) ([]byte, error) {
	if name == "checkpoint" {
		return slices.Clone(s.checkpoint), nil
	}
	return fs.ReadFile(s.FS, name)
}

// evidence says what the answers of r rest on.
func (r reading) evidence(err error) evidence {
	e := evidence{Verifier: "verifies", Origin: r.report.Origin, Size: r.report.Size, Root: r.report.Root,
		Cosigners: append([]string{}, r.report.Cosigners...)}
	if err != nil {
		e.Verifier, e.Problems = "does not verify", append([]string{}, r.report.Problems...)
		if len(e.Problems) == 0 {
			e.Problems = []string{err.Error()}
		}
		return e // what was read does not count
	}
	if first, last := r.review.Range(); r.report.Size > 0 {
		e.First, e.Last = &first, &last
	}
	return e
}

// answer joins what was asked with what it rests on.
func (r reading) answer(a asked) answer {
	return answer{a.question, r.evidence(nil), len(a.findings) == 0, append([]review.Finding{}, a.findings...), a.items}
}

// officer is who asks: how the log is to be read. The zero officer tells no claim.
type officer struct {
	trust   string            // file
	silence time.Duration     // see review.New
	told    func(string) bool // claims whose decisions are put into words; nil is none
	also    func() *cost.Book // a new one for each try; nil adds nothing up
}

// ask answers one question from a log that verified.
type ask func(c *cobra.Command, r reading, args []string) (asked, error)

// reviewed is what every question's help ends with.
const reviewed = `

LOG is the directory of a log, or the file that "burstctl audit bundle" wrote. It
is verified first: if it does not verify, that is said and nothing is answered
(exit 7). A violation ends with exit 3.`

// question makes a verb that verifies a log and answers one question: exit 0 if the answer is clean, 3 if it holds a
// violation, 7 without an answer if the log does not verify.
func question(use, short, long string, args int, q ask) (*cobra.Command, *officer) {
	o := &officer{}
	c := &cobra.Command{
		Use: use, Short: short, Long: long + reviewed, Args: cobra.ExactArgs(args + 1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args, q) },
	}
	c.Flags().StringVar(&o.trust, "trust", "", "file that names the keys of log and witnesses")
	return c, o
}

func (o *officer) run(c *cobra.Command, args []string, answers ask) error {
	t, err := readTrust(o.trust)
	if err != nil {
		return err
	}
	log, err := openTree(args[0])
	if err != nil {
		return err
	}
	defer log.Close()
	r, _, err := o.settled(c.Context(), log.tree, t)
	if err != nil {
		a := answer{Question: c.Short, Log: r.evidence(err), Violations: []review.Finding{}}
		perr := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Answer", a, func(w io.Writer) error {
			return a.Log.print(w)
		})
		return errors.Join(perr, frame.Wrap(frame.LogUnverified, err, ""))
	}
	q, err := answers(c, r, args[1:])
	if err != nil {
		return err
	}
	a := r.answer(q)
	err = frame.Print(c.OutOrStdout(), frame.FormatOf(c), q.kind, a, func(w io.Writer) error {
		return errors.Join(q.human(w), a.print(w))
	})
	return errors.Join(err, violated(a))
}

// violated is the error of an answer that is not clean.
func violated(a answer) error {
	if a.Clean {
		return nil
	}
	return &frame.Problem{Code: frame.ViolationFound, What: "review log",
		Err: fmt.Errorf("%d found: %s", len(a.Violations), a.Violations[0].Text)}
}

// print writes what goes below an answer: what is wrong, and what the answer rests on.
func (a answer) print(w io.Writer) error {
	fmt.Fprintln(w)
	for _, f := range a.Violations {
		claim := f.Claim
		if claim != "" {
			claim = " of " + claim
		}
		fmt.Fprintf(w, "FOUND     entry %d%s, %s: %s\n", f.Index, frame.Clean(claim), stamp(f.At), frame.Clean(f.Text))
	}
	if a.Clean {
		fmt.Fprintln(w, "clean     nothing was found against it")
	}
	return a.Log.print(w)
}

func (e evidence) print(w io.Writer) error {
	if e.First != nil {
		fmt.Fprintf(w, "log       %s, entry %d (%s) to %d (%s)\n", frame.Clean(e.Origin), e.First.Index, stamp(e.First.At),
			e.Last.Index, stamp(e.Last.At))
	}
	by := "nobody"
	if len(e.Cosigners) > 0 {
		by = strings.Join(e.Cosigners, ", ")
	}
	fmt.Fprintf(w, "signed    %d entries, root %s, cosigned by %s\n", e.Size, e.Root, frame.Clean(by))
	_, err := fmt.Fprintln(w, "verifier  "+e.Verifier)
	for _, p := range e.Problems {
		_, err = fmt.Fprintln(w, "          "+frame.Clean(p))
	}
	return err
}

// stamp is a time to the millisecond, UTC; "" if there is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// marked is the time of an entry, or what is said instead.
func marked(m *review.Mark, none string) string {
	if m == nil {
		return none
	}
	return fmt.Sprintf("%s (entry %d)", stamp(m.At), m.Index)
}

// moment reads a time: RFC 3339, or a date, which is its midnight in UTC. "" is no bound.
func moment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, frame.Wrap(frame.Usage, fmt.Errorf("read --%s: %q is no time", flag, s),
		"write it as 2026-11-25 or 2026-11-25T10:00:00Z")
}
