package review

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// Exception is one exception of the log with all that became of it.
type Exception struct {
	glass.Life
	State    string `json:"state"`    // at the last entry
	Verified bool   `json:"verified"` // its signatures were checked again
}

// exception folds an entry about one. What does not follow is a finding of every answer.
func (r *Review) exception(m Mark, leaf audit.Leaf) {
	if err := r.glass.Add(leaf); err != nil {
		r.unreadable = append(r.unreadable, Finding{m, leaf.Entry.Burst, err.Error()})
	}
}

// BreakGlass lists the exceptions in the order they were asked for. Findings are uses outside an exception's scope or
// time or with fewer than two approvals, decisions that rest on one whose use no entry tells, uses nobody reviewed in
// time, and reviews by people who had a part. With approvers' keys their signatures are verified again.
func (r *Review) BreakGlass(approvers residency.Approvers) ([]Exception, []Finding) {
	all, findings := []Exception{}, r.doubts()
	for _, l := range r.glass.All() {
		all = append(all, Exception{l, l.State(r.last.At), len(approvers.Names()) > 0})
		for _, f := range l.Faults(r.last.At, approvers, r.ask) {
			findings = append(findings, Finding{Mark{f.Index, f.At}, f.Claim, f.Text})
		}
	}
	for _, l := range r.order {
		for _, g := range l.grants {
			if why := r.unfounded(l, g); why != "" {
				findings = append(findings, Finding{g.Mark, l.claim, "grant " + g.id + why})
			}
		}
	}
	return all, findings
}

// ask is what a claim asked for, as far as an exception's scope goes.
func (r *Review) ask(claim string) residency.Ask {
	l := r.lives[claim]
	if l == nil {
		return residency.Ask{}
	}
	job := l.request.Job
	return residency.Ask{Slice: residency.Slice{Name: job.Slice}, Purpose: job.Purpose, Team: job.Team,
		Site: l.request.Site}
}

// unfounded says what is wrong with the exception a grant rests on, if it rests on one: its use is not entered, it
// goes on after its end, or it rests on none that it says.
func (r *Review) unfounded(l *life, g *grant) string {
	x := g.verdict.Exception
	switch {
	case x == nil && g.facts.Exception != "":
		return " rests on an exception, and its verdict names none"
	case x == nil:
		return ""
	case g.known && g.facts.Exception != x.Digest:
		return " rests on another exception than its verdict names"
	}
	e, err := r.glass.Find(x.ID)
	used := err == nil && slices.ContainsFunc(e.Uses, func(u glass.Use) bool {
		return u.Claim == l.claim && u.Stage == burst.OnRead && u.Index < g.Index
	})
	switch {
	case !used || e.Digest != x.Digest:
		return " rests on exception " + x.ID + ", whose use no earlier entry tells"
	case g.expires.After(e.Terms.Expires):
		return " outlasts exception " + x.ID
	case g.facts.Ask.Slice.Class >= residency.SiteOnly:
		return " is of site-only data, which no exception lifts"
	case l.served(g).After(e.Over().Add(margin)):
		return fmt.Sprintf(" opened a window at %s, after the end of exception %s", clock(l.served(g)), x.ID)
	}
	return ""
}

// margin is what an edge may need to hear that an exception was ended early.
const margin = time.Minute

// served is when the last window of a grant was opened; zero if none was.
func (l *life) served(g *grant) (last time.Time) {
	for _, w := range l.windows {
		if w.grant == g.id {
			last = w.opened.At
		}
	}
	return last
}

// under puts an exception's use into a decision: the next one of the burst rests on it.
func (l *life) under(b *burst.Excepted) {
	l.excepted = "exception " + b.Exception
	if len(b.Aside) > 0 {
		l.excepted += ", which sets aside " + strings.Join(b.Aside, ", ")
	} else {
		l.excepted += ", which stands for a permit"
	}
}
