package review

import (
	"fmt"
	"strings"
	"time"
)

// grace is how long past its lease a machine may still be listed before that is a finding: ten minutes.
const grace = 10 * time.Minute

// Teardown says how one burst that had a machine was taken down. A nil mark is a step the log does not show.
type Teardown struct {
	Claim     string   `json:"claim"`
	Nodes     []string `json:"nodes"`
	Stopped   *Mark    `json:"stopped"`
	Why       string   `json:"why,omitempty"` // it was stopped
	Unmounted *Mark    `json:"unmounted"`
	Confirmed bool     `json:"confirmed"`   // by the node; else it was no longer waited for
	Issued    int      `json:"credentials"` // how many were out
	Revoked   *Mark    `json:"revoked"`     // the last of them
	Refused   *Mark    `json:"refused"`     // the newest one, when it was tried after that
	By        string   `json:"by,omitempty"`
	Gone      *Mark    `json:"gone"` // the last machine
	Ended     *Mark    `json:"ended"`
	Took      []Span   `json:"took"`
	State     string   `json:"state"` // "torn down", "alive" or "violation"
	Missing   []string `json:"missing,omitempty"`
}

// The states of a teardown, besides [Violation].
const (
	TornDown = "torn down"
	Alive    = "alive"
)

// Span is the time between two steps, to the millisecond.
type Span struct {
	From string `json:"from"`
	To   string `json:"to"`
	Took string `json:"took"`
}

// Teardowns lists every burst that had a machine or a credential, or the one claim if it is not "". What is missing
// after a burst's end, and a machine past its lease by more than ten minutes, is a finding.
func (r *Review) Teardowns(claim string) ([]Teardown, []Finding) {
	all, findings := []Teardown{}, r.doubts()
	for _, l := range r.order {
		if claim != "" && l.claim != claim || len(l.nodes)+len(l.serials)+len(l.grants) == 0 {
			continue
		}
		t := l.teardown(r.last.At)
		all = append(all, t)
		if t.State == Violation {
			at := l.ended
			if !at.is() {
				at = r.last
			}
			findings = append(findings, Finding{at, l.claim, "not torn down: " + strings.Join(t.Missing, "; ")})
		}
	}
	return all, findings
}

// teardown puts one burst into an answer, as of a time.
func (l *life) teardown(now time.Time) Teardown {
	t := Teardown{Claim: l.claim, Nodes: []string{}, Stopped: ptr(l.stop), Why: l.why, Unmounted: ptr(l.unmounted),
		Confirmed: l.confirmed, Issued: len(l.serials), Ended: ptr(l.ended), State: Alive, Took: []Span{}}
	missing := func(format string, args ...any) { t.Missing = append(t.Missing, fmt.Sprintf(format, args...)) }
	if len(l.serials) > 0 && !l.unmounted.is() {
		missing("no entry says that the slice was unmounted or the node given up")
	}
	for _, s := range l.serials {
		if !s.revoked.is() {
			missing("credential %s was not revoked", head(s.number))
		}
		t.Revoked = ptr(later(deref(t.Revoked), s.revoked))
		if s.refused.is() {
			t.Refused, t.By = ptr(s.refused), s.by
		}
		if s.revoked.is() && s.good.Index > s.revoked.Index && s.refused.Index < s.good.Index {
			missing("credential %s was still good in entry %d, after its revocation", head(s.number), s.good.Index)
		}
	}
	if n := len(l.serials); n > 0 && !l.serials[n-1].refused.is() {
		missing("no probe saw the newest credential refused")
	}
	overdue := false
	for _, n := range l.nodes {
		t.Nodes = append(t.Nodes, n.id)
		if !n.gone.is() {
			missing("node %s is not proven gone", n.id)
			overdue = overdue || !n.expires.IsZero() && now.After(n.expires.Add(grace))
		}
		t.Gone = ptr(later(deref(t.Gone), n.gone))
	}
	switch {
	case l.ended.is() && len(t.Missing) == 0:
		t.State = TornDown
	case l.ended.is() || overdue:
		t.State = Violation
	default:
		t.Missing = nil
	}
	t.Took = spans(t)
	return t
}

// spans are the times between the steps that the log shows.
func spans(t Teardown) []Span {
	took, last, from := []Span{}, (*Mark)(nil), ""
	for _, step := range []struct {
		name string
		at   *Mark
	}{
		{"stopped", t.Stopped}, {"unmounted", t.Unmounted}, {"revoked", t.Revoked}, {"refused", t.Refused},
		{"gone", t.Gone}, {"ended", t.Ended},
	} {
		if step.at == nil {
			continue
		}
		if last != nil {
			took = append(took, Span{from, step.name, step.at.At.Sub(last.At).Round(time.Millisecond).String()})
		}
		last, from = step.at, step.name
	}
	return took
}

// deref is the mark, or none.
func deref(m *Mark) Mark {
	if m == nil {
		return Mark{}
	}
	return *m
}

// head is enough of a serial number to recognise it.
func head(s string) string { return s[:min(len(s), 12)] }

// clock is a time of day with its date, UTC.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
