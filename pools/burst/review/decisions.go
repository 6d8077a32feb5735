package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
)

// The stages at which a burst may be refused.
const (
	StageCreate   = "create"   // may we create a machine there?
	StageEvidence = "evidence" // did the node prove where it is?
	StageRead     = "read"     // may that node read the slice?
	StageServe    = "serve"    // may this peer have the bytes?
	StageRecall   = "recall"   // do the rules still permit it?
)

// Decision is one answer that a burst got. The offers struck out on the way to a plan are reasons too.
type Decision struct {
	Mark
	Stage       string   `json:"stage"`
	Allowed     bool     `json:"allowed"`
	Why         string   `json:"why"`
	Reasons     []Reason `json:"reasons"` // against it; with a plan, against the offers not taken
	Rules       []Cited  `json:"rules"`   // that permitted it
	Alternative string   `json:"alternative,omitempty"`
	Exception   string   `json:"exception,omitempty"` // it rests on this one, in words
	RulesUsed   string   `json:"rules_digest,omitempty"`
	PlacesUsed  string   `json:"places_digest,omitempty"`
	RulesSince  *Mark    `json:"rules_since,omitempty"`  // these rules came into force
	PlacesSince *Mark    `json:"places_since,omitempty"` // this table came into force
}

// Reason is a rule, a missing fact or another bound that spoke against something.
type Reason struct {
	Kind  string `json:"kind"` // "rule", "missing fact", "evidence", or an offer's: "residency", "price", "budget", …
	Name  string `json:"name"` // the rule's id, the fact
	Title string `json:"title,omitempty"`
	Basis string `json:"basis,omitempty"`
	Times int    `json:"times"` // offers it struck out; 1 for a single answer
}

// against counts a reason.
func against(reasons []Reason, one Reason) []Reason {
	for i, r := range reasons {
		if r.Kind == one.Kind && r.Name == one.Name {
			reasons[i].Times++
			return reasons
		}
	}
	one.Times = 1
	return append(reasons, one)
}

// decide folds an answer.
func (l *life) decide(m Mark, body burst.Body) {
	d := Decision{Mark: m, Reasons: []Reason{}, Rules: []Cited{}, Exception: l.excepted}
	l.excepted = ""
	switch b := body.(type) {
	case *burst.Decided:
		d.plan(b.Decision)
	case *burst.Cleared:
		d.Stage = StageRead
		d.verdict(b.Verdict)
	case *burst.Denied:
		d.Stage = StageRead
		d.verdict(b.Verdict)
		d.Allowed = false
	case *burst.Unproven:
		d.Stage, d.Why = StageEvidence, b.Why
		d.Reasons = against(d.Reasons, Reason{Kind: "evidence", Name: b.Why})
	case *burst.Turned:
		d.Stage, d.Why = StageServe, b.Why
		d.Reasons = against(d.Reasons, Reason{Kind: "turned away", Name: b.Reason, Title: b.Why})
	case *burst.Stop:
		d.Stage, d.Why = StageRecall, b.Detail
		d.Reasons = against(d.Reasons, Reason{Kind: "rules in force", Name: b.Detail})
	}
	l.decisions = append(l.decisions, d)
}

// plan takes over the first decision: an offer that was struck out has one reason.
func (d *Decision) plan(p policy.Decision) {
	d.Stage, d.Allowed, d.Why, d.Alternative = StageCreate, p.Plan != nil, p.Refusal, p.Alternative
	if p.Plan != nil {
		d.Why = "burst to " + p.Plan.Offer.Key() + ": " + p.Plan.Why
	}
	d.RulesUsed, d.PlacesUsed = p.Rules, p.Places
	for _, t := range p.Struck { // of more offers than the entry has room for
		why := Reason{Kind: cmp.Or(t.Kind, "unknown"), Name: t.Why, Times: t.N}
		if t.Rule != "" {
			why = Reason{Kind: "rule", Name: t.Rule, Title: t.Title, Basis: t.Basis, Times: t.N}
		}
		d.Reasons = append(d.Reasons, why)
	}
	for _, c := range p.Candidates {
		if len(p.Struck) > 0 {
			break
		}
		if s := c.Strike; s != nil && s.Rule != "" {
			d.Reasons = against(d.Reasons, Reason{Kind: "rule", Name: s.Rule, Title: s.Title, Basis: s.Basis})
		} else if s != nil {
			d.Reasons = against(d.Reasons, Reason{Kind: cmp.Or(s.Kind, "unknown"), Name: s.Why})
		}
	}
	if p.Plan == nil && len(d.Reasons) == 0 {
		d.Reasons = against(d.Reasons, Reason{Kind: "no offer", Name: p.Refusal})
	}
}

// verdict takes over the second decision.
func (d *Decision) verdict(v residency.Verdict) {
	d.Allowed, d.Why, d.Alternative = v.Allowed, v.Why, v.Alternative
	d.RulesUsed, d.PlacesUsed = v.RulesDigest, v.PlacesDigest
	if v.Allowed {
		d.Rules = cite(v.Rules)
		return
	}
	for _, rule := range v.Rules {
		d.Reasons = against(d.Reasons, Reason{Kind: "rule", Name: rule.ID, Title: rule.Title, Basis: rule.Basis})
	}
	for _, fact := range v.Missing {
		d.Reasons = against(d.Reasons, Reason{Kind: "missing fact", Name: fact})
	}
	if len(d.Reasons) == 0 {
		d.Reasons = against(d.Reasons, Reason{Kind: "no rule permits it", Name: v.Why})
	}
}

// Denial is one reason for refusals, with every request it refused.
type Denial struct {
	Stage    string    `json:"stage"`
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Title    string    `json:"title,omitempty"`
	Basis    string    `json:"basis,omitempty"`
	Refusals int       `json:"refusals"` // decisions
	Offers   int       `json:"offers"`   // struck out in them
	Requests []Refused `json:"requests"`
}

// Refused is one request that was refused.
type Refused struct {
	Mark
	Claim       string `json:"claim"`
	Job         string `json:"job"`
	Team        string `json:"team"`
	Slice       string `json:"slice"`
	Purpose     string `json:"purpose"`
	Alternative string `json:"alternative,omitempty"` // the nearest permitted
	Later       *Mark  `json:"later,omitempty"`       // an entry that allowed the same slice for the same purpose and team
}

// Denials groups every refusal by its reasons, the most frequent first. Refusing is no broken promise: the findings
// are only entries that could not be read.
func (r *Review) Denials() ([]Denial, []Finding) {
	all, granted := []Denial{}, r.granted()
	for _, l := range r.order {
		for _, d := range l.decisions {
			if d.Allowed {
				continue
			}
			for _, why := range d.Reasons {
				i := slices.IndexFunc(all, func(a Denial) bool {
					return a.Stage == d.Stage && a.Kind == why.Kind && a.Name == why.Name
				})
				if i < 0 {
					i = len(all)
					all = append(all, Denial{Stage: d.Stage, Kind: why.Kind, Name: why.Name, Title: why.Title, Basis: why.Basis})
				}
				all[i].Refusals++
				all[i].Offers += why.Times
				all[i].Requests = append(all[i].Requests, l.refused(d, granted))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Denial) int { return cmp.Compare(b.Refusals, a.Refusals) })
	return all, r.doubts()
}

// wish is what a job asks for, whoever hands it in and however often.
type wish struct{ slice, purpose, team string }

func (l *life) wish() wish {
	job := l.request.Job
	return wish{job.Slice, job.Purpose, job.Team}
}

// granted lists the grants of every wish in the order of the log.
func (r *Review) granted() map[wish][]Mark {
	all := map[wish][]Mark{}
	for _, l := range r.order {
		for _, g := range l.grants {
			all[l.wish()] = append(all[l.wish()], g.Mark)
		}
	}
	for _, marks := range all {
		slices.SortFunc(marks, func(a, b Mark) int { return cmp.Compare(a.Index, b.Index) })
	}
	return all
}

// refused names a request, and the first grant of the same wish after it.
func (l *life) refused(d Decision, granted map[wish][]Mark) Refused {
	job := l.request.Job
	f := Refused{Mark: d.Mark, Claim: l.claim, Job: job.Name, Team: job.Team, Slice: job.Slice, Purpose: job.Purpose,
		Alternative: d.Alternative}
	later := granted[l.wish()]
	if i := slices.IndexFunc(later, func(m Mark) bool { return m.Index > d.Index }); i >= 0 {
		f.Later = ptr(later[i])
	}
	return f
}

// Explained is everything the log says about why a claim was answered as it was.
type Explained struct {
	Claim     string     `json:"claim"`
	Asked     *Mark      `json:"asked"`
	Site      string     `json:"site"`
	Team      string     `json:"team"`
	Job       string     `json:"job"`
	Slice     string     `json:"slice"`
	Purpose   string     `json:"purpose"`
	Decisions []Decision `json:"decisions"`
	Facts     []Fact     `json:"facts"` // the last grant was decided on; none without a grant
}

// Explain says how a claim was decided. A decision under rules or a place table that no earlier entry put in force is
// a finding; so is a grant whose seal says something else. A claim the log does not name is an error.
func (r *Review) Explain(claim string) (Explained, []Finding, error) {
	l := r.lives[claim]
	if l == nil {
		return Explained{}, nil, fmt.Errorf("explain %q: the log does not name this claim", claim)
	}
	job := l.request.Job
	x := Explained{Claim: claim, Asked: ptr(l.asked), Site: l.request.Site, Team: job.Team, Job: job.Name,
		Slice: job.Slice, Purpose: job.Purpose, Decisions: []Decision{}, Facts: []Fact{}}
	for _, d := range l.decisions {
		x.Decisions = append(x.Decisions, r.underLaw(d))
	}
	for _, g := range l.grants {
		if g.known {
			x.Facts = g.facts.facts()
		}
	}
	return x, append(append(r.doubts(), l.findings...), r.lawless(l)...), nil
}

// underLaw says since when the law a decision names was in force.
func (r *Review) underLaw(d Decision) Decision {
	if d.RulesUsed != "" {
		from, _ := r.since(d.Mark, func(in law) string { return in.Rules }, d.RulesUsed)
		d.RulesSince = ptr(from)
	}
	if d.PlacesUsed != "" {
		from, _ := r.since(d.Mark, func(in law) string { return in.Places }, d.PlacesUsed)
		d.PlacesSince = ptr(from)
	}
	return d
}

// lawless finds the decisions of a burst that name rules or places that were never in force before them.
func (r *Review) lawless(l *life) []Finding {
	findings := []Finding{}
	for _, d := range l.decisions {
		d = r.underLaw(d)
		var never []string
		if d.RulesUsed != "" && d.RulesSince == nil {
			never = append(never, "rules "+d.RulesUsed)
		}
		if d.PlacesUsed != "" && d.PlacesSince == nil {
			never = append(never, "places "+d.PlacesUsed)
		}
		if len(never) > 0 {
			findings = append(findings, Finding{d.Mark, l.claim,
				"decided under " + strings.Join(never, " and ") + ", which no earlier entry put in force"})
		}
	}
	return findings
}
