package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/residency/review"
)

func residencyReplay() *cobra.Command {
	var l law
	var withdraw, approvers []string
	var at string
	c := &cobra.Command{
		Use:   "replay LOG",
		Short: "Decide everything in a log again under other rules or places; exit 3 if a live grant would have to go",
		Long: "Replay reads the entries of a log directory, asks every decision in it again under the rules and the table\n" +
			"that are named, as they stood on the day of the decision, and lists the answers that flip. --withdraw takes\n" +
			"a group, or one country of it, out of the table first: what if the adequacy decision fell? Grants that are\n" +
			"still live and would not be permitted any more are listed to be recalled; \"burstctl revoke\" ends one.\n" +
			"A decision that rests on an exception is asked with it, where its approvers' keys are named.\n" +
			"It proves nothing about the log itself: \"burstctl audit verify\" does.",
		Example: "  burstctl residency replay LOG --rules rules --catalogue catalogue.yaml --withdraw adequacy:US-DPF",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			now := time.Now()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return frame.Wrap(frame.Usage, fmt.Errorf("read --at: %w", err), "write it as 2026-11-25T12:00:00Z")
				}
			}
			r, t, catalogue, err := l.read(false)
			if err != nil {
				return err
			}
			if t, err = without(t, withdraw); err != nil {
				return err
			}
			leaves, err := readLog(c.Context(), args[0])
			if err != nil {
				return err
			}
			known, err := keys.Approvers(approvers...)
			if err != nil {
				return frame.Wrap(frame.KeyMissing, err, "")
			}
			past, except, err := decisions(leaves, catalogue, known)
			if err != nil {
				return frame.Wrap(frame.LogUnverified, err, "")
			}
			v := review.Replay(review.Law{Rules: r, Places: t, Except: except}, past, now)
			if err := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Replay", v,
				func(w io.Writer) error { return printReplay(w, v) }); err != nil || len(v.Recall) == 0 {
				return err
			}
			return &frame.Problem{Code: frame.ResidencyDenied, What: "replay log",
				Err: fmt.Errorf("%d live grants would not be permitted", len(v.Recall)),
				Fix: "once the change is in force, \"burstctl reload\" ends them; \"burstctl revoke CLAIM\" ends one now"}
		},
	}
	l.flags(c)
	c.Flags().StringArrayVar(&withdraw, "withdraw", nil,
		"group to take out of the table first, or GROUP/COUNTRY; repeatable")
	c.Flags().StringSliceVar(&approvers, "approver", nil, "verifier key of an approver of exceptions; repeat for more")
	c.Flags().StringVar(&at, "at", "", "the time at which a grant counts as live (default: now)")
	return c
}

// without takes groups, or single countries of them, out of a table.
func without(t *residency.Table, withdraw []string) (_ *residency.Table, err error) {
	for _, w := range withdraw {
		group, country, _ := strings.Cut(strings.TrimPrefix(w, "adequacy:"), "/")
		if t, err = t.Without(group, country); err != nil {
			return nil, frame.Wrap(frame.BadPlaces, err, "name a group of the table, or GROUP/COUNTRY")
		}
	}
	return t, nil
}

// past folds the entries of a log into the decisions of its bursts.
type past struct {
	catalogue *residency.Catalogue
	requests  map[string]policy.Request
	placed    map[string]burst.PlacedAt
	slices    map[string]residency.Slice // as a grant of the burst knew it
	excepted  map[string]string          // exception that the next decision of a burst rests on
	book      glass.Book                 // exceptions
	approvers residency.Approvers        // whose keys are known; none leaves what rests on an exception unknown
	found     []review.Past
}

// decisions lists every decision of a log that can be asked again, and those
// that cannot, with the log's exceptions.
func decisions(leaves []audit.Leaf, catalogue *residency.Catalogue, approvers residency.Approvers) (
	[]review.Past, func(string, time.Time) (residency.Exception, bool), error,
) {
	p := past{catalogue: catalogue, approvers: approvers, requests: map[string]policy.Request{},
		placed: map[string]burst.PlacedAt{},
		slices: map[string]residency.Slice{}, excepted: map[string]string{}}
	for _, leaf := range leaves { // a grant knows its slice better than today's catalogue
		if leaf.Entry.Kind == "cleared" {
			if g, err := grantOf(leaf.Entry.Body); err == nil {
				p.slices[leaf.Entry.Burst] = g.Ask.Slice
			}
		}
	}
	for _, leaf := range leaves {
		err := p.book.Add(leaf)
		if err == nil {
			err = p.add(leaf)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read entry %d: %w", leaf.Index, err)
		}
	}
	return p.found, p.except, nil
}

// except opens the exception of this id if it is in force at this time.
func (p *past) except(id string, at time.Time) (residency.Exception, bool) {
	l, err := p.book.Find(id)
	if err != nil {
		return residency.Exception{}, false
	}
	sealed, err := l.Sealed(p.approvers)
	if err != nil {
		return residency.Exception{}, false
	}
	x, err := p.approvers.Open(sealed)
	return x, err == nil && x.Valid(at) && at.Before(l.Over())
}

// granted is what a sealed grant says of the question it answers.
type granted struct {
	Ask   residency.Ask   `json:"ask"`
	Place residency.Place `json:"place"`
	Level residency.Level `json:"level"`
	Trust string          `json:"trust"`
}

// grantOf reads the grant in a cleared entry. Its seal is the log's to vouch for.
func grantOf(body json.RawMessage) (granted, error) {
	var c burst.Cleared
	var g granted
	if err := json.Unmarshal(body, &c); err != nil {
		return g, err
	}
	lines := strings.SplitN(c.Sealed, "\n", 3)
	if len(lines) < 3 {
		return g, errors.New("the grant is not sealed")
	}
	return g, json.Unmarshal([]byte(lines[1]), &g)
}

// add folds one entry.
func (p *past) add(leaf audit.Leaf) error {
	e := leaf.Entry
	kind, ok := burst.Kinds[e.Kind]
	if !ok || e.Burst == "" {
		return nil
	}
	body := kind.New()
	if err := json.Unmarshal(e.Body, body); err != nil {
		return err
	}
	one := review.Past{Index: leaf.Index, At: e.At, Claim: e.Burst}
	one.Supposed, one.Unknown = p.asked(e.Burst)
	switch b := body.(type) {
	case *burst.Requested:
		p.requests[e.Burst] = b.Request
	case *burst.PlacedAt:
		p.placed[e.Burst] = *b
	case *burst.Excepted:
		p.excepted[e.Burst] = b.Exception
	case *burst.Decided:
		for _, c := range b.Decision.Candidates {
			one.Supposed.At, one.Allowed = c.Offer.At, c.Strike == nil || c.Strike.Kind != "residency"
			p.found = append(p.found, p.under(one))
		}
		delete(p.excepted, e.Burst)
	case *burst.Denied:
		at := p.placed[e.Burst]
		one.Supposed.At, one.Supposed.Level, one.Supposed.Trust = at.Place.Address, at.Level, at.Trust
		p.found = append(p.found, one)
	case *burst.Cleared:
		g, err := grantOf(e.Body)
		if err != nil {
			return err
		}
		one.Supposed = residency.Supposed{Ask: g.Ask, At: g.Place.Address, Level: g.Level, Trust: g.Trust}
		one.Allowed, one.Grant, one.Expires, one.Unknown = true, b.Grant, b.Expires, ""
		p.found = append(p.found, p.under(one))
	case *burst.Unmounted, *burst.Revoked, *burst.Gone, *burst.Over:
		for i := range p.found {
			p.found[i].Ended = p.found[i].Ended || p.found[i].Claim == e.Burst
		}
	}
	return nil
}

// under says which exception an answer rests on. One that does not open is not
// asked again: the rules alone would not repeat it.
func (p *past) under(one review.Past) review.Past {
	id := p.excepted[one.Claim]
	if id == "" || !one.Allowed {
		return one
	}
	one.Exception = id
	if _, ok := p.except(id, one.At); !ok {
		one.Unknown = "it rests on exception " + id + ", which two approvers whose keys are named have not signed"
	}
	return one
}

// asked is the question of a burst without its place, or why it is not known.
func (p *past) asked(claim string) (residency.Supposed, string) {
	r, ok := p.requests[claim]
	if !ok {
		return residency.Supposed{}, "the log does not hold the request"
	}
	s := residency.Supposed{Ask: residency.Ask{Purpose: r.Job.Purpose, Team: r.Job.Team, Site: r.Site}}
	if s.Ask.Slice, ok = p.slices[claim]; ok {
		return s, ""
	}
	var err error
	if s.Ask.Slice, err = p.catalogue.Slice(r.Job.Slice); err != nil {
		return s, err.Error()
	}
	return s, ""
}

func printReplay(w io.Writer, v review.Replayed) error {
	answer := map[bool]string{true: "allowed", false: "denied"}
	var rows [][]string
	for _, f := range v.Flips {
		rows = append(rows, []string{strconv.FormatInt(f.Index, 10), f.Claim, f.Supposed.Level.String(),
			f.Supposed.Ask.Slice.Name,
			f.Supposed.At.String(), answer[f.Allowed] + " -> " + answer[f.Now], strings.Join(f.Rules, " ")})
	}
	if len(rows) > 0 {
		head := []string{"entry", "claim", "level", "slice", "place", "flip", "by"}
		if err := frame.Rows(w, head, rows); err != nil {
			return err
		}
	}
	for _, g := range v.Recall {
		fmt.Fprintf(w, "RECALL grant %s of %s, live until %s: %s\n", frame.Clean(g.Grant), frame.Clean(g.Claim),
			g.Expires.UTC().Format(time.RFC3339), frame.Clean(g.Why))
	}
	for _, u := range v.Unknown {
		fmt.Fprintf(w, "not asked again: entry %d of %s: %s\n", u.Index, frame.Clean(u.Claim), frame.Clean(u.Unknown))
	}
	_, err := fmt.Fprintf(w, "%d decisions asked again: %d the same, %d flip, %d live grants to recall; %d not known\n",
		v.Asked, v.Same, len(v.Flips), len(v.Recall), len(v.Unknown))
	return err
}
