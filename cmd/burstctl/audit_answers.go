package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency"
)

func auditTransfers() *cobra.Command {
	var from, until string
	c, _ := question("transfers LOG", "What left the site: where to, under which grant and rules, and how much",
		"Transfers says what left the site, to which proven place, country and level, under which grant, rules and\n"+
			"legal basis, how many bytes, and when.",
		0, func(_ *cobra.Command, r reading, _ []string) (asked, error) {
			since, err := moment("from", from)
			if err != nil {
				return asked{}, err
			}
			before, err := moment("to", until)
			if err != nil {
				return asked{}, err
			}
			all, found := r.review.Transfers(since, before)
			return transfers(all, found), nil
		})
	c.Flags().StringVar(&from, "from", "", "only what left at this time or later (RFC 3339, or a date)")
	c.Flags().StringVar(&until, "to", "", "only what left before this time")
	return c
}

func transfers(all []review.Transfer, found []review.Finding) asked {
	return asked{"TransferList", "what left the site", all, found, func(w io.Writer) error {
		var rows [][]string
		for _, t := range all {
			to := fmt.Sprintf("%s, %s (%s, %s)", orNone(t.Place), orNone(t.Country), t.Level, t.Trust)
			rows = append(rows, []string{t.Site, t.What, t.Class, t.Purpose, to, t.Grant, cited(t.Rules),
				amount(t.Bytes, t.Upto), stamp(t.First.At), stamp(t.Last.At)})
		}
		return table(w, "nothing left the site", []string{"from", "what", "class", "for", "to", "grant", "rules [basis]",
			"bytes", "first", "last"}, rows)
	}}
}

func auditExplain() *cobra.Command {
	var claim string
	c, o := question("explain LOG CLAIM", "Say in words how a claim was decided, with its rules, facts and digests",
		"Explain says how one claim was decided: the logged decisions in words, the rules that decided, the facts they\n"+
			"used, and the digests of rules and place table with the entry that put them in force.",
		1, func(_ *cobra.Command, r reading, args []string) (asked, error) {
			x, found, err := r.review.Explain(args[0])
			if err != nil {
				return asked{}, frame.Wrap(frame.NoSuchClaim, err, "\"burstctl audit list\" shows the claims of a log")
			}
			return explain(x, r.lines[x.Claim], found), nil
		})
	o.told = func(name string) bool { return name == claim }
	c.PreRun = func(_ *cobra.Command, args []string) { claim = args[1] }
	return c
}

// explanation is a decision as a program reads it, with the words for people.
type explanation struct {
	review.Explained
	Words []line `json:"words"`
}

func explain(x review.Explained, lines []line, found []review.Finding) asked {
	a := explanation{x, append([]line{}, lines...)}
	return asked{"Explanation", "how claim " + x.Claim + " was decided", a, found, func(w io.Writer) error {
		fmt.Fprintf(w, "%s: job %q of team %s at site %s asked for %s, to %s\n", frame.Clean(x.Claim), frame.Clean(x.Job),
			frame.Clean(x.Team), frame.Clean(x.Site), frame.Clean(x.Slice), frame.Clean(x.Purpose))
		for _, l := range lines {
			fmt.Fprintf(w, "%4d  %s  %s\n", l.Index, stamp(l.At), frame.Clean(l.Text))
			for _, m := range l.More {
				fmt.Fprintln(w, "        "+frame.Clean(m))
			}
		}
		for _, d := range x.Decisions {
			fmt.Fprintf(w, "entry %d, %s, rests on\n", d.Index, d.Stage)
			if d.Exception != "" {
				fmt.Fprintln(w, "        "+frame.Clean(d.Exception))
			}
			for _, rule := range d.Rules {
				fmt.Fprintln(w, "        permitted by "+frame.Clean(rule.ID+": "+rule.Title+" ["+rule.Basis+"]"))
			}
			if d.RulesUsed != "" {
				inForce(w, "rules", d.RulesUsed, d.RulesSince)
				inForce(w, "places", d.PlacesUsed, d.PlacesSince)
			}
		}
		for i, f := range x.Facts {
			if i == 0 {
				fmt.Fprintln(w, "the grant was decided on these facts")
			}
			fmt.Fprintln(w, "        "+frame.Clean(pad(f.Name, 16)+" "+f.Value))
		}
		return nil
	}}
}

// inForce writes a digest and since when it was in force.
func inForce(w io.Writer, what, digest string, since *review.Mark) {
	fmt.Fprintf(w, "        %-6s %s, in force since %s\n", what, frame.Clean(digest), marked(since, "no entry"))
}

func auditDenials() *cobra.Command {
	c, _ := question("denials LOG", "What was refused, by which rule, how often, and for which requests",
		"Denials groups every refusal by the rule, missing fact or other bound that refused it, with counts, the requests,\n"+
			"and the entry that allowed the same thing later, if one did. A refusal is no violation.",
		0, func(_ *cobra.Command, r reading, _ []string) (asked, error) {
			all, found := r.review.Denials()
			return denials(all, found), nil
		})
	return c
}

func denials(all []review.Denial, found []review.Finding) asked {
	return asked{"DenialList", "what was refused, and why", all, found, func(w io.Writer) error {
		var rows [][]string
		for _, d := range all {
			name := d.Name
			if d.Title != "" {
				name += ": " + d.Title
			}
			if d.Basis != "" {
				name += " [" + d.Basis + "]"
			}
			for i, q := range d.Requests {
				row := []string{d.Stage, d.Kind, name, fmt.Sprint(d.Refusals), fmt.Sprint(d.Offers)}
				if i > 0 {
					row = []string{"", "", "", "", ""}
				}
				rows = append(rows, append(row, q.Claim, fmt.Sprintf("%s (%s) for %s, to %s", q.Job, q.Team, q.Slice, q.Purpose),
					stamp(q.At), marked(q.Later, "")))
			}
		}
		return table(w, "nothing was refused", []string{"stage", "kind", "why", "refusals", "offers", "claim", "request",
			"when", "allowed later"}, rows)
	}}
}

func auditServes() *cobra.Command {
	var unmatched bool
	c, _ := question("serves LOG", "Every serve window, and whether an entry accounts for its bytes",
		"Serves lists every serve window with what came of it; with --unmatched only those without a matching outcome, and\n"+
			"bytes that no earlier entry granted.",
		0, func(_ *cobra.Command, r reading, _ []string) (asked, error) {
			all, found := r.review.Serves()
			return serves(all, found, unmatched), nil
		})
	c.Flags().BoolVar(&unmatched, "unmatched", false, "only windows that do not match")
	return c
}

func serves(all []review.Serve, found []review.Finding, unmatched bool) asked {
	shown := []review.Serve{}
	for _, s := range all {
		if !unmatched || s.State != review.Matched {
			shown = append(shown, s)
		}
	}
	return asked{"ServeList", "whether every byte that was served was granted before", shown, found,
		func(w io.Writer) error {
			var rows [][]string
			for _, s := range shown {
				out := size(s.Served)
				if s.Closed == nil {
					out = "up to " + size(s.Allowed)
				}
				rows = append(rows, []string{s.Claim, s.Grant, fmt.Sprint(s.N), s.What, size(s.Allowed), out,
					marked(s.Opened, "no entry"), marked(s.Closed, "no entry"), s.State})
			}
			none := "nothing was served"
			if unmatched {
				none = fmt.Sprintf("each of %d serve windows has its grant before it and its outcome after it", len(all))
			}
			return table(w, none, []string{"claim", "grant", "window", "what", "allowed", "served", "opened", "closed",
				"state"}, rows)
		}}
}

func auditWhere() *cobra.Command {
	c, _ := question("where LOG DATASET|SLICE", "Every place where a byte of a dataset or slice has been",
		"Where lists every place that a byte of a dataset or slice was sent to, how well that place was proven, within how\n"+
			"many kilometres of cable its round trip puts it, from when until when, whether the machine is proven gone, and\n"+
			"what was made from it.",
		1, func(_ *cobra.Command, r reading, args []string) (asked, error) {
			all, found := r.review.Where(args[0])
			return where(args[0], all, found), nil
		})
	return c
}

func where(name string, all []review.Stay, found []review.Finding) asked {
	return asked{"StayList", "where " + name + " has been", all, found, func(w io.Writer) error {
		var rows [][]string
		for _, s := range all {
			now := marked(s.Gone, "may still be there")
			if s.Gone != nil {
				now = "gone " + now
			}
			if s.Note != "" {
				now = s.Note
			}
			rows = append(rows, []string{s.What, s.Place, s.Country, s.Level, near(s.Near), s.Instance, s.Claim,
				amount(s.Bytes, s.Upto),
				stamp(s.First.At), stamp(s.Last.At), now})
		}
		return table(w, "no byte of "+frame.Clean(name)+" left the site by this log", []string{"what", "place", "country",
			"level", "within", "machine", "claim", "bytes", "first", "last", "now"}, rows)
	}}
}

// near tells a bound on the distance between edge and node.
func near(n *review.Near) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("%d km of cable (%v)", n.Within, time.Duration(n.Micros)*time.Microsecond)
}

func auditTeardown() *cobra.Command {
	var claim string
	c, _ := question("teardown LOG", "Whether every burst was unmounted, revoked, probed and deleted, and how fast",
		"Teardown says for each burst when its slice was unmounted, its credentials revoked, a probe refused and its\n"+
			"machine gone, with the time between; what is missing after the end is a violation.",
		0, func(_ *cobra.Command, r reading, _ []string) (asked, error) {
			all, found := r.review.Teardowns(claim)
			return teardown(all, found), nil
		})
	c.Flags().StringVar(&claim, "claim", "", "only this burst")
	return c
}

func teardown(all []review.Teardown, found []review.Finding) asked {
	return asked{"TeardownList", "whether everything was torn down", all, found, func(w io.Writer) error {
		var rows [][]string
		for _, t := range all {
			let := stampOf(t.Unmounted)
			if t.Unmounted != nil && !t.Confirmed {
				let += " (not confirmed by the node)"
			}
			refused := stampOf(t.Refused)
			if t.By != "" {
				refused += " by " + t.By
			}
			var took []string
			for _, s := range t.Took {
				took = append(took, s.From+" → "+s.To+" "+s.Took)
			}
			rows = append(rows, []string{t.Claim, strings.Join(t.Nodes, " "), t.State, t.Why, stampOf(t.Stopped), let,
				stampOf(t.Revoked), refused, stampOf(t.Gone), strings.Join(took, ", ")})
		}
		return table(w, "no burst had a machine", []string{"claim", "machine", "state", "why", "stopped", "unmounted",
			"revoked", "probe refused", "gone", "time between"}, rows)
	}}
}

func auditWeak() *cobra.Command {
	below := residency.L2.String()
	c, o := question("weak LOG", "Grants on weak evidence, ranges nobody cosigned, gaps in the log",
		"Weak lists grants below an assurance level or resting on trust local or test, ranges that no witness has\n"+
			"cosigned, and times at which the log was silent or its clock went back; each is a violation.",
		0, func(_ *cobra.Command, r reading, _ []string) (asked, error) {
			var level residency.Level
			if err := level.UnmarshalText([]byte(below)); err != nil {
				return asked{}, frame.Wrap(frame.Usage, fmt.Errorf("read --below: %w", err), "name a level from L0 to L4")
			}
			all, found := r.review.Weak(level, len(r.report.Cosigners))
			return weak(all, found), nil
		})
	c.Flags().StringVar(&below, "below", below, "the level that a grant's place must reach")
	c.Flags().DurationVar(&o.silence, "silence", review.Silence, "how long the log may say nothing")
	return c
}

func weak(all []review.Weakness, found []review.Finding) asked {
	return asked{"WeaknessList", "what rests on weak evidence", all, found, func(w io.Writer) error {
		kinds := map[string]int{}
		for _, k := range all {
			kinds[k.Kind]++
		}
		var rows [][]string
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			rows = append(rows, []string{kind, fmt.Sprint(kinds[kind])})
		}
		return table(w, "nothing rests on weak evidence", []string{"weak", "times"}, rows)
	}}
}

// table writes rows, or one sentence if there are none.
func table(w io.Writer, none string, head []string, rows [][]string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, none)
		return err
	}
	return frame.Rows(w, head, rows)
}

// cited names rules with what they rest on.
func cited(rules []review.Cited) string {
	var names []string
	for _, rule := range rules {
		name := rule.ID
		if rule.Basis != "" {
			name += " [" + rule.Basis + "]"
		}
		names = append(names, name)
	}
	return orNone(strings.Join(names, ", "))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// amount is what was served, and what may have been.
func amount(served, upto int64) string {
	if upto == 0 {
		return size(served)
	}
	return size(served) + ", up to " + size(served+upto)
}

// stampOf is the time of an entry, "" if there is none.
func stampOf(m *review.Mark) string {
	if m == nil {
		return ""
	}
	return stamp(m.At)
}
