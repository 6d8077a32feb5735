package review

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// Weakness is something an auditor would want to know before relying on the log or on a grant in it.
type Weakness struct {
	Kind  string `json:"kind"` // "level", "trust", "seal", "silence", "clock", "heartbeat", "uncosigned" or "law"
	From  Mark   `json:"from"`
	To    Mark   `json:"to"`
	Claim string `json:"claim,omitempty"`
	Text  string `json:"text"`
}

// skew is how far the time of an entry may lie before that of the one before it: two seconds.
const skew = 2 * time.Second

// soft are the kinds of trust that prove a place to nobody outside.
var soft = []string{"local", "test"}

// pace looks at the time between an entry and the one before it.
func (r *Review) pace(m Mark, e audit.Entry) {
	if r.size == 0 {
		return
	}
	limit := r.silence
	if limit <= 0 {
		limit = Silence
	}
	between := m.At.Sub(r.last.At)
	switch {
	case between > limit:
		how := "the log is silent for "
		if e.Kind == "opened" {
			how = "until the controller opens it again the log is silent for "
		}
		r.gaps = append(r.gaps, Weakness{"silence", r.last, m, "", how + between.Round(time.Millisecond).String()})
	case between < -skew:
		r.gaps = append(r.gaps, Weakness{"clock", r.last, m, "",
			"the time goes back by " + (-between).Round(time.Millisecond).String()})
	}
}

// count folds a heartbeat: its numbers follow one another from each opening on.
func (r *Review) count(m Mark, e audit.Entry) {
	var b beat
	if err := json.Unmarshal(e.Body, &b); err != nil || b.N != r.beat.N+1 {
		r.gaps = append(r.gaps, Weakness{"heartbeat", m, m, "", fmt.Sprintf("heartbeat %d follows %d", b.N, r.beat.N)})
	}
	r.beat = b
}

// Weak lists the grants below a level or with trust in nobody outside, gaps in the log, decisions under rules never in
// force and, if nobody has cosigned the checkpoint, the whole log. Each is a finding as well.
func (r *Review) Weak(below residency.Level, cosigners int) ([]Weakness, []Finding) {
	all := slices.Clone(r.gaps)
	if cosigners == 0 && r.size > 0 {
		all = append(all, Weakness{"uncosigned", r.first, r.last, "",
			fmt.Sprintf("no witness has cosigned entries %d to %d", r.first.Index, r.last.Index)})
	}
	for _, l := range r.order {
		for _, g := range l.grants {
			all = append(all, l.weak(g, below)...)
		}
		for _, f := range r.lawless(l) {
			all = append(all, Weakness{"law", f.Mark, f.Mark, l.claim, f.Text})
		}
	}
	slices.SortStableFunc(all, func(a, b Weakness) int { return int(a.From.Index - b.From.Index) })
	findings := r.doubts()
	for _, w := range all {
		findings = append(findings, Finding{w.To, w.Claim, w.Text})
	}
	return append([]Weakness{}, all...), findings
}

// weak lists what is weak about one grant.
func (l *life) weak(g *grant, below residency.Level) []Weakness {
	var all []Weakness
	add := func(kind, format string, args ...any) {
		all = append(all, Weakness{kind, g.Mark, g.Mark, l.claim, "grant " + g.id + ": " + fmt.Sprintf(format, args...)})
	}
	where := g.placed.place.Address.String()
	if g.placed.level < below {
		add("level", "its place, %s, was known at %s, below %s", where, g.placed.level, below)
	}
	if slices.Contains(soft, g.placed.trust) || g.placed.trust == "" {
		add("trust", "its place, %s, rests on trust %q, which proves nothing to anybody outside", where, g.placed.trust)
	}
	if !g.known {
		add("seal", "its seal cannot be read by this version: %s", g.broken)
	}
	return all
}
