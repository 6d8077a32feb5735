package residency

import (
	"fmt"
	"slices"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
)

// Ask is what someone wants: this slice, for this purpose, for this team, from
// this site. The zero Ask is denied.
type Ask struct {
	Slice   Slice  `json:"slice"`
	Purpose string `json:"purpose"`
	Team    string `json:"team"`
	Site    string `json:"site"`
}

// Rule is one policy of a rule file, as an officer cites it.
type Rule struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Basis  string `json:"basis"`  // the law or policy it rests on
	Effect string `json:"effect"` // "permit" or "forbid"
	File   string `json:"file"`
	Line   int    `json:"line"`
	Lift   string `json:"lift,omitempty"` // "break-glass" if an exception may set it aside
	Col    int    `json:"-"`
}

// Verdict is an answer with its reasons. Made by [Rules.Screen] and
// [Rules.Clear]; the zero Verdict denies.
type Verdict struct {
	Allowed      bool     `json:"allowed"`
	Rules        []Rule   `json:"rules,omitempty"`   // those that decided: forbids if denied, permits if allowed
	Missing      []string `json:"missing,omitempty"` // facts that are not known, by name
	Why          string   `json:"why"`               // one sentence
	Level        Level    `json:"level"`
	RulesDigest  string   `json:"rules_digest"`
	PlacesDigest string   `json:"places_digest"`
	Alternative  string   `json:"alternative,omitempty"` // set by callers that asked [Rules.Nearest]

	Exception *Excepted `json:"exception,omitempty"` // it is allowed only because of this one
}

// Screen answers the first question: may a machine for this be created where
// an offer claims to be? It knows nothing proven, whatever the offer says.
func (r *Rules) Screen(t *Table, ask Ask, a Address) Verdict {
	return r.answer(t, question{stage: stageCreate, ask: ask, place: known(t, a), level: L0, trust: claimedTrust})
}

// known is the place at a, or an address without facts, which denies.
func known(t *Table, a Address) Place {
	p, err := t.Lookup(a)
	if err != nil {
		return Place{Address: a}
	}
	return p
}

// fill takes the place's facts and the day from the table in force. A proven place that is
// not a row of this table any more keeps its address only, which denies.
func (q *question) fill(t *Table) {
	row := known(t, q.place.Address)
	if !row.equal(q.place) {
		row = Place{Address: q.place.Address}
	}
	q.place = row
	q.country = known(t, Address{Provider: row.Provider, Region: row.Region}).Country
	if q.day = ""; t != nil {
		q.day = t.day
	}
}

// answer is the one function behind both questions. Only an explicit permit,
// with every fact known, no forbid and no error, allows; or an [Exception] that
// is for exactly this question, see excepted.
func (r *Rules) answer(t *Table, q question) Verdict {
	v := Verdict{Level: q.level, RulesDigest: r.Digest(), PlacesDigest: t.Digest()}
	q.fill(t)
	if r == nil || len(r.set) == 0 {
		v.Why = q.what() + " is refused: no rules are loaded"
		return v
	}
	if v.Missing = q.missing(); len(v.Missing) > 0 {
		v.Why = fmt.Sprintf("%s is refused: not known: %s", q.what(), strings.Join(v.Missing, ", "))
		return v
	}
	if rule, closed := q.closed(); closed { // out of an exception's reach, too
		v.Rules = []Rule{rule}
		v.Why = q.why(v)
		return v
	}
	policies, place := r.index.about(&q), placeRecord(q.place, q.country)
	allowed, diagnostic := policies.evaluate(&q, place)
	if len(diagnostic.Errors) > 0 {
		ids := make([]cedar.PolicyID, 0, len(diagnostic.Errors))
		for _, e := range diagnostic.Errors {
			ids = append(ids, e.PolicyID)
		}
		v.Rules = r.cited(ids)
		v.Why = fmt.Sprintf("%s is refused: rule %s could not be evaluated", q.what(), v.Rules[0].ID)
		return v
	}
	v.Rules = r.cited(reasons(diagnostic))
	v.Allowed = allowed
	v.Why = q.why(v)
	if !allowed && len(r.except) > 0 {
		return r.excepted(&q, policies, place, v)
	}
	return v
}

// evaluate asks Cedar, once every fact is known. Only a permit that holds, no
// forbid that does and no error allow.
func (a about) evaluate(q *question, place cedar.Record) (bool, cedar.Diagnostic) {
	decision, diagnostic := cedar.Authorize(a, cedar.EntityMap{}, q.request(place))
	return decision == cedar.Allow && len(diagnostic.Errors) == 0 && len(diagnostic.Reasons) > 0, diagnostic
}

// cited returns the rules of these ids, by file and line.
func (r *Rules) cited(ids []cedar.PolicyID) []Rule {
	at := make([]int, 0, len(ids))
	for _, id := range ids {
		at = append(at, r.order[id])
	}
	slices.Sort(at)
	var rules []Rule
	for _, i := range slices.Compact(at) {
		rules = append(rules, r.list[i])
	}
	return rules
}

// why puts the verdict in a sentence.
func (q question) why(v Verdict) string {
	switch {
	case len(v.Rules) == 0:
		return q.what() + " is refused: no rule permits it"
	case v.Allowed:
		return fmt.Sprintf("%s is allowed: %s (%s; %s)", q.what(), v.Rules[0].Title, v.Rules[0].ID, v.Rules[0].Basis)
	}
	return fmt.Sprintf("%s is refused: %s (%s; %s)", q.what(), v.Rules[0].Title, v.Rules[0].ID, v.Rules[0].Basis)
}

// what names the question.
func (q question) what() string {
	place := "at " + q.place.Address.String()
	if q.place.Country != "" {
		place += " (" + q.place.Country + ")"
	}
	stage := "creating a node for"
	if q.stage == stageRead {
		stage = "reading"
	}
	return fmt.Sprintf("%s %q for %q %s", stage, q.ask.Slice.Name, q.ask.Purpose, place)
}
