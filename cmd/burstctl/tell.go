package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
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

// tell puts an entry into words. An entry of a kind it does not know is told by
// its kind alone.
func tell(leaf audit.Leaf) line {
	e := leaf.Entry
	l := line{At: e.At, Index: leaf.Index, Code: e.Code, Kind: e.Kind, Claim: e.Burst, Actor: e.Actor, Text: e.Kind}
	kind, ok := burst.Kinds[e.Kind]
	if !ok {
		l.Text = tellHouse(e)
		return l
	}
	body := kind.New()
	if err := audit.DecodeStrict(e.Body, body); err != nil {
		l.Text = "cannot be read: " + err.Error()
		return l
	}
	for _, f := range []func(burst.Body) (string, []string){tellDecision, tellNode, tellServe, tellTeardown} {
		if text, more := f(body); text != "" {
			l.Text, l.More = text, more
			break
		}
	}
	return l
}

// tellHouse tells an entry about the house itself.
func tellHouse(e audit.Entry) string {
	switch e.Kind {
	case "opened":
		return "the controller opened the log"
	case "law":
		return "rules, places and catalogue in force, by digest"
	case "heartbeat":
		return "heartbeat: the log was not merely silent"
	case "job-submitted":
		return "a job was handed in by " + e.Actor
	}
	return e.Kind
}

func tellDecision(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.Requested:
		r := b.Request
		return fmt.Sprintf("signed request of site %s for job %q", r.Site, r.Job.Name), []string{
			"because " + r.Signal.Rule,
			fmt.Sprintf("needs %d GPUs and slice %s for %q", r.Job.GPUs, r.Job.Slice, r.Job.Purpose),
			"slice manifest " + short(r.SliceDigest) + ", program " + short(r.PayloadDigest),
		}
	case *burst.Decided:
		return tellOffers(b.Decision)
	case *burst.Cleared:
		return "second decision: the proven place may read the slice", []string{b.Verdict.Why,
			"grant " + b.Grant + ", bound to node key " + short(b.NodeKey)}
	case *burst.Denied:
		return "second decision: the proven place may not read the slice", []string{b.Verdict.Why}
	case *burst.Settled:
		return fmt.Sprintf("settled: %v spent of %v reserved, the node ran %v", b.Spent, b.Reserved, b.Ran.Round(time.Millisecond)), nil
	case *burst.Over:
		return "ended: " + b.Outcome, nil
	}
	return "", nil
}

// tellOffers tells the first decision, every offer with what speaks against it.
func tellOffers(d policy.Decision) (string, []string) {
	var more []string
	for _, c := range d.Candidates {
		mark, why := "✓", "nothing speaks against it"
		if c.Strike != nil {
			mark, why = "✗", c.Strike.Kind
			if c.Strike.Rule == "" {
				why += ": " + c.Strike.Why
			}
		}
		if d.Plan != nil && c.Offer.Key() == d.Plan.Offer.Key() {
			mark, why = "→", "chosen"
		}
		more = append(more, fmt.Sprintf("%s %-40s %s/h  %s", mark, c.Offer.Key(), c.Offer.PerHour, why))
		if s := c.Strike; s != nil && s.Rule != "" {
			more = append(more, fmt.Sprintf("    rule %s: %s [%s]", s.Rule, s.Title, s.Basis))
		}
	}
	if d.Plan == nil {
		if d.Alternative != "" {
			more = append(more, "nearest permitted: "+d.Alternative)
		}
		return "first decision: refused (" + d.Refusal + ")", more
	}
	p := d.Plan
	more = append(more, fmt.Sprintf("%s; reserved %v for at most %v; price of %s (%s)", p.Why, p.Reserve, p.Lease, p.Offer.AsOf, p.Offer.Source))
	return "first decision: burst to " + p.Offer.Key(), more
}

func tellNode(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.LaunchIntent:
		return fmt.Sprintf("intent to launch %s, attempt %d", b.Launch.Offer.Key(), b.Launch.Attempt), []string{
			"token " + b.Token[:12] + "…, ends itself at " + clock(b.Launch.Expires)}
	case *burst.Launched:
		return "node " + b.Node.ID + " was made, by our own create call", nil
	case *burst.LaunchFailed:
		return "nothing was launched at " + b.Offer + ": " + b.Why, nil
	case *burst.PlacedAt:
		moved := ""
		if b.Moved {
			moved = " — not where it was claimed to be"
		}
		return fmt.Sprintf("place proven: %s, %s (%s, %s)%s", b.Place.Address, b.Place.Country, b.Level, b.Trust, moved), []string{
			"evidence " + short(b.Evidence) + ", node key " + short(b.NodeKey)}
	case *burst.Unproven:
		return "evidence refused: " + b.Why, nil
	case *burst.IssueIntent:
		return "intent to issue a certificate for " + b.TTL.String(), []string{"for a key born on the node, CSR " + short(b.CSR)}
	case *burst.Issued:
		return "certificate " + shortHex(b.Serial) + " issued, until " + clock(b.NotAfter), nil
	}
	return "", nil
}

func tellServe(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.Window:
		return fmt.Sprintf("serve window %d: up to %s of %s", b.N, size(b.Bytes), short(b.Manifest)), nil
	case *burst.Served:
		return fmt.Sprintf("served in window %d: %s in %d chunks (%s)", b.N, size(b.Bytes), b.Chunks, b.Why), nil
	case *burst.Started:
		how := "slice mounted read-only (FUSE)"
		if b.Mount != "fuse" {
			how = "slice copied and verified (no FUSE here)"
		}
		return how + "; the job runs", []string{"program " + short(b.Payload)}
	case *burst.Progress:
		return fmt.Sprintf("epoch %d of %d: %s %d.%06d", b.Epoch, b.Epochs, b.Metric, b.Micros/1e6, b.Micros%1e6), nil
	case *burst.Artefact:
		return fmt.Sprintf("%s returned by the tunnel: %s, class %s, in quarantine", b.Name, size(b.Bytes), b.Class),
			[]string{"digest " + b.Digest}
	}
	return "", nil
}

func tellTeardown(body burst.Body) (string, []string) {
	switch b := body.(type) {
	case *burst.Stop:
		return "stop: " + b.Why + " (" + b.Detail + ")", nil
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
		return "probe: the old credential is refused, by " + b.By, []string{b.Detail}
	case *burst.DeleteIntent:
		return "intent to delete node " + b.Node, nil
	case *burst.Gone:
		return "node " + b.Node + " is gone, proven", nil
	}
	return "", nil
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
