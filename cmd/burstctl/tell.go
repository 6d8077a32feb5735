package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// line is one entry of the log in a person's words. More holds what belongs
// under it.
type line struct {
	At    time.Time `json:"at"`
	Index int64     `json:"index"`
	Code  string    `json:"code"`
	Kind  string    `json:"entry"`
	Claim string    `json:"claim,omitempty"`
	Actor string    `json:"actor"`
	Text  string    `json:"text"`
	More  []string  `json:"more,omitempty"`
}

// teller puts entries into words. The zero teller knows nothing that the entry
// itself does not say.
type teller struct {
	place func(residency.Address) (residency.Place, error) // nil knows no place
	names map[string]string                                // what a digest is of; nil names none
}

// tell puts an entry into words that need nothing but the entry.
func tell(leaf audit.Leaf) line { return teller{}.line(leaf) }

// line puts an entry into words. An entry of a kind it does not know is told by
// its kind alone.
func (t teller) line(leaf audit.Leaf) line {
	e := leaf.Entry
	l := line{At: e.At, Index: leaf.Index, Code: e.Code, Kind: e.Kind, Claim: e.Burst, Actor: e.Actor, Text: e.Kind}
	kind, ok := burst.Kinds[e.Kind]
	if !ok {
		l.Text, l.More = tellHouse(e)
		return l
	}
	body := kind.New()
	if err := audit.DecodeStrict(e.Body, body); err != nil {
		l.Text = "cannot be read: " + err.Error()
		return l
	}
	for _, f := range []func(burst.Body) (string, []string){t.decision, tellNode, t.serve, tellArtefact,
		tellTeardown} {
		if text, more := f(body); text != "" {
			l.Text, l.More = text, more
			break
		}
	}
	return l
}

// tellHouse tells an entry about the house itself.
func tellHouse(e audit.Entry) (string, []string) {
	switch e.Kind {
	case "opened":
		return "the controller opened the log", nil
	case "law":
		return "rules, places and catalogue in force, by digest", nil
	case "heartbeat":
		return "heartbeat: the log was not merely silent", nil
	case "budget-alert":
		var a perform.Alert
		if err := audit.DecodeStrict(e.Body, &a); err != nil {
			return "cannot be read: " + err.Error(), nil
		}
		return fmt.Sprintf("budget alert: %s has reached %d %%", a.Account, a.Threshold),
			[]string{fmt.Sprintf("%v of %v are reserved or spent", a.Held, a.Limit)}
	case "recalled":
		var r perform.Recall
		if err := audit.DecodeStrict(e.Body, &r); err != nil {
			return "cannot be read: " + err.Error(), nil
		}
		return "data called back: " + r.Data + ", because " + r.Reason, more(r.Digest)
	case "job-submitted":
		var s perform.Submitted
		if err := audit.DecodeStrict(e.Body, &s); err != nil {
			return "cannot be read: " + err.Error(), nil
		}
		return fmt.Sprintf("job %q was handed in for site %s and waits there", s.Job.Name, s.Site),
			[]string{fmt.Sprintf("it wants %s for %s, %d GPU, at most %v", s.Job.Slice, s.Job.Purpose, s.Job.GPUs,
				s.Job.Budget)}
	}
	if c, err := audit.OpenChange(e); err == nil {
		return tellKeys(c)
	}
	if text, more := tellGlass(e); text != "" {
		return text, more
	}
	if text, more := tellHold(e); text != "" {
		return text, more
	}
	return e.Kind, nil
}

// more is a line on the slice digest a recall is of; none if it is of all.
func more(digest string) []string {
	if digest == "" {
		return nil
	}
	return []string{"only what read " + digest}
}

// tellKeys tells a change of keys.
func tellKeys(c audit.Change) (string, []string) {
	name, _, _ := strings.Cut(c.Old, "+")
	if c.Revokes() {
		return fmt.Sprintf("key of %s revoked, %s: %s", c.Role, name, c.Reason),
			[]string{"what it signs from here on proves nothing: " + c.Old}
	}
	return fmt.Sprintf("key of %s rotated, %s: signed by old and new", c.Role, name),
		[]string{"old " + c.Old, "new " + c.Next}
}

func (t teller) decision(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.Requested:
		r := b.Request
		return fmt.Sprintf("signed request of site %s for job %q", r.Site, r.Job.Name), []string{
			"a CloudEvent over JetStream, signed with the site's key, taken once: " + short(b.Digest),
			"because " + r.Signal.Rule,
			fmt.Sprintf("needs %d GPU and slice %s for %s", r.Job.GPUs, r.Job.Slice, r.Job.Purpose),
			"slice manifest " + short(r.SliceDigest) + ", program " + short(r.PayloadDigest),
		}
	case *burst.Decided:
		return t.offers(b.Decision)
	case *burst.Cleared:
		return "second decision: the proven place may read the slice", []string{b.Verdict.Why,
			"grant " + b.Grant + ", bound to node key " + short(b.NodeKey)}
	case *burst.Excepted:
		return tellExcepted(b)
	case *burst.Denied:
		return "second decision: the proven place may not read the slice", []string{b.Verdict.Why}
	case *burst.Settled:
		ran := b.Ran.Round(time.Millisecond)
		return fmt.Sprintf("settled: %v spent of %v reserved, the node ran %v", b.Spent, b.Reserved, ran), nil
	case *burst.Over:
		return "ended: " + b.Outcome, nil
	}
	return "", nil
}

// tellOffers tells the first decision in words that need nothing else.
func tellOffers(d policy.Decision) (string, []string) { return teller{}.offers(d) }

// offers tells the first decision, every offer with what speaks against it.
func (t teller) offers(d policy.Decision) (string, []string) {
	if d.Plan == nil {
		more := t.strikes(d)
		if d.Alternative != "" {
			more = append(more, "nearest permitted alternative: "+d.Alternative)
		}
		return "first decision: refused (" + d.Refusal + ")", more
	}
	wide, allowed := 0, 0
	for _, c := range d.Candidates {
		wide = max(wide, len(c.Offer.Key()))
		if c.Strike == nil {
			allowed++
		}
	}
	var more []string
	told := map[string]bool{}
	for _, c := range d.Candidates {
		mark, why := "✓", "allowed"
		if c.Strike != nil {
			mark, why = "✗", "struck out: "+c.Strike.Why
			if c.Strike.Rule != "" {
				why = "struck out by " + c.Strike.Rule
			}
		}
		if c.Offer.Key() == d.Plan.Offer.Key() {
			mark, why = "→", "chosen"
		}
		more = append(more, fmt.Sprintf("%s %-*s  %10s/h  %s%s", mark, wide, c.Offer.Key(), c.Offer.PerHour,
			t.country(c.Offer.At), why))
		if s := c.Strike; s != nil && s.Rule != "" && !told[s.Rule] {
			told[s.Rule] = true
			more = append(more, fmt.Sprintf("    rule %s: %s [%s]", s.Rule, s.Title, s.Basis))
		}
	}
	p := d.Plan
	why := p.Why
	if strings.HasPrefix(why, "cheapest of ") {
		why = fmt.Sprintf("the cheapest of the %d allowed", allowed)
	}
	return "first decision: burst to " + p.Offer.Key(), append(more,
		fmt.Sprintf("reason: %s; price %v/h as of %s (%s)", why, p.Offer.PerHour, p.Offer.AsOf, p.Offer.Source),
		fmt.Sprintf("reserved %v, the price of %v: it can cost no more", p.Reserve, p.Lease))
}

// strikes tells what speaks against every offer, each reason once.
func (t teller) strikes(d policy.Decision) []string {
	var reasons []string
	at := map[string][]string{} // places by reason
	for _, c := range d.Candidates {
		if c.Strike == nil {
			continue
		}
		reason := c.Strike.Kind + ": " + c.Strike.Why
		if c.Strike.Rule != "" {
			reason = fmt.Sprintf("rule %s: %s [%s]", c.Strike.Rule, c.Strike.Title, c.Strike.Basis)
		}
		if at[reason] == nil {
			reasons = append(reasons, reason)
		}
		if place := t.at(c.Offer.At); !slices.Contains(at[reason], place) {
			at[reason] = append(at[reason], place)
		}
	}
	var more []string
	for _, reason := range reasons {
		more = append(more, "✗ "+reason, "    strikes out "+strings.Join(at[reason], ", "))
	}
	return more
}

// country tells where a place lies, and where its region does if that is elsewhere.
func (t teller) country(at residency.Address) string {
	if t.place == nil {
		return ""
	}
	p, err := t.place(at)
	if err != nil {
		return "in an unknown country: "
	}
	where := "in " + p.Country
	at.Zone = ""
	if region, err := t.place(at); err == nil && region.Country != p.Country {
		where += ", its region in " + region.Country
	}
	return where + ": "
}

// at names a place and its country, if that is known.
func (t teller) at(a residency.Address) string {
	if t.place == nil {
		return a.String()
	}
	p, err := t.place(a)
	if err != nil {
		return a.String()
	}
	return a.String() + " (" + p.Country + ")"
}

// name tells what a digest is of, if that is known, and the digest's head.
func (t teller) name(digest string) string {
	if n := t.names[digest]; n != "" {
		return n + " " + short(digest)
	}
	return short(digest)
}

func tellNode(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.LaunchIntent:
		return fmt.Sprintf("intent to launch %s, attempt %d", b.Launch.Offer.Key(), b.Launch.Attempt), []string{
			"token " + shortHex(b.Token) + ", ends itself at " + clock(b.Launch.Expires)}
	case *burst.Launched:
		return "node " + b.Node.ID + " was made, by our own create call", nil
	case *burst.LaunchFailed:
		if b.Spent.Micros > 0 {
			return fmt.Sprintf("attempt %d has no node any more: %s; %v at most is owed for it", b.Attempt, b.Why, b.Spent), nil
		}
		return "nothing was launched at " + b.Offer + ": " + b.Why, nil
	case *burst.PlacedAt:
		moved := ""
		if b.Moved {
			moved = " — not where it was claimed to be"
		}
		at := fmt.Sprintf("%s, %s (%s, %s)", b.Place.Address, b.Place.Country, b.Level, b.Trust)
		return "place proven: " + at + moved, []string{
			"evidence " + short(b.Evidence) + ", node key " + short(b.NodeKey)}
	case *burst.Unproven:
		return "evidence refused: " + b.Why, nil
	case *burst.IssueIntent:
		return "intent to issue a certificate for " + b.TTL.String(), []string{
			"for a key born on the node, CSR " + short(b.CSR)}
	case *burst.Issued:
		return "certificate " + shortHex(b.Serial) + " issued, until " + clock(b.NotAfter), nil
	}
	return "", nil
}

func (t teller) serve(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.Window:
		return fmt.Sprintf("may serve up to %s of %s (window %d)", size(b.Bytes), t.name(b.Manifest), b.N), nil
	case *burst.Served:
		return fmt.Sprintf("served %s in %d chunks (window %d, %s)", size(b.Bytes), b.Chunks, b.N, closed(b.Why)), nil
	case *burst.RoundTrip:
		took := time.Duration(b.Micros) * time.Microsecond
		return fmt.Sprintf("round trip to the node in %v: %d km of cable at most", took, b.Within()), nil
	case *burst.Turned:
		return "a peer was turned away before the first byte: " + b.Reason, []string{b.Why}
	case *burst.Started:
		how := "slice mounted read-only (FUSE)"
		if b.Mount != "fuse" {
			how = "slice copied and verified (no FUSE here)"
		}
		return how + "; the job runs", []string{"program " + short(b.Payload)}
	case *burst.Progress:
		return fmt.Sprintf("epoch %d of %d: %s %d.%06d", b.Epoch, b.Epochs, b.Metric, b.Micros/1e6, b.Micros%1e6), nil
	}
	return "", nil
}

func tellTeardown(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.Stop:
		return "stop: " + b.Why + detail(b.Detail), nil
	case *burst.Unmounted:
		if !b.Confirmed {
			return "the node did not say that it let go; not waited for any longer", nil
		}
		return "slice unmounted", nil
	case *burst.RevokeIntent:
		return "intent to revoke " + shortHex(b.Serial), nil
	case *burst.Revoked:
		return "certificate " + shortHex(b.Serial) + " revoked", nil
	case *burst.Probed:
		if !b.Refused {
			return "probe: the old credential is STILL GOOD (" + b.Detail + ")", nil
		}
		by := strings.Replace(b.By, "control", "control endpoint", 1)
		return "probe: the old credential is refused by the " + by, []string{b.Detail}
	case *burst.DeleteIntent:
		return "intent to delete node " + b.Node, nil
	case *burst.Gone:
		return "node " + b.Node + " is gone, proven", nil
	}
	return "", nil
}

// closed tells why a serve window was closed.
func closed(why string) string {
	switch why {
	case "bye":
		return "closed by the node"
	case "cut":
		return "closed with the road"
	case "spent":
		return "used up"
	}
	return why
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// short is the head of a digest, enough to recognise it.
func short(digest string) string {
	algo, hex, ok := strings.Cut(digest, ":")
	if !ok {
		return shortHex(digest)
	}
	return algo + ":" + shortHex(hex)
}

func shortHex(s string) string {
	if len(s) <= 12 {
		return s
	}
	return s[:12] + "…"
}

// size prints bytes in binary units.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// clock is the time of day, UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
