package residency

import (
	"cmp"
	"slices"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"
)

// Explanation is an answer with everything it rests on. Made by
// [Rules.Explain].
type Explanation struct {
	Verdict Verdict  `json:"verdict"`
	Decided []Reason `json:"decided"` // every rule that decided
	// Short are the permits that came nearest, if the answer is no and no
	// forbid said it: three at most, those that lack least first.
	Short        []Reason      `json:"short,omitempty"`
	Facts        []Fact        `json:"facts"` // the whole question
	Alternatives []Alternative `json:"alternatives,omitempty"`
	Hold         *Hold         `json:"hold,omitempty"` // legal hold on the dataset, which decides nothing
}

// Reason is one rule and what it looked at.
type Reason struct {
	Rule  Rule     `json:"rule"`
	Facts []Fact   `json:"facts"`           // those it looks at
	Lacks []string `json:"lacks,omitempty"` // its conditions that do not hold, in Cedar's words
}

// Fact is one fact of a question, as the rules name it.
type Fact struct {
	Name   string   `json:"name"`
	Value  string   `json:"value,omitempty"`
	Values []string `json:"values,omitempty"` // of a set
}

// String is "name value" or "name {one, two}".
func (f Fact) String() string {
	if f.Values != nil {
		return f.Name + " {" + strings.Join(f.Values, ", ") + "}"
	}
	return f.Name + " " + cmp.Or(f.Value, `""`)
}

// Explain answers s and says why: the rules that decided and the facts they
// looked at, the facts that are missing, and what else would be permitted. A
// nil catalogue leaves the other slices out.
func (r *Rules) Explain(t *Table, c *Catalogue, s Supposed) Explanation {
	q := s.question(known(t, s.At))
	e := Explanation{Verdict: r.answer(t, q), Decided: []Reason{}, Facts: []Fact{}}
	if hold, ok := c.Holds()[s.Ask.Slice.Dataset]; ok {
		e.Hold = &hold
	}
	q.fill(t)
	for number, name := range factNames {
		one, many := q.fact(number)
		e.Facts = append(e.Facts, Fact{name, one, many})
	}
	e.Facts = append(e.Facts, q.dayFacts()...)
	for _, rule := range e.Verdict.Rules {
		e.Decided = append(e.Decided, r.reason(rule, e.Facts))
	}
	if e.Verdict.Allowed {
		return e
	}
	if len(e.Decided) == 0 && len(e.Verdict.Missing) == 0 && r != nil {
		e.Short = r.short(&q, e.Facts)
	}
	e.Alternatives = r.Alternatives(t, c, s)
	return e
}

// reason is a rule with the facts it looks at; what the catalogue closes looks
// at the days.
func (r *Rules) reason(rule Rule, facts []Fact) Reason {
	looked := map[string]bool{}
	if rule.File == catalogueFile {
		return Reason{Rule: rule, Facts: facts[len(factNames):]}
	}
	p := r.set[r.order[cedar.PolicyID(rule.ID)]]
	for _, part := range parts((*ast.Policy)(p.p.AST())) {
		ast.Inspect(ast.NewNode(part), func(n ast.IsNode) bool {
			name := factOf(n)
			looked[name] = true
			return !slices.Contains(factNames, name)
		})
	}
	out := Reason{Rule: rule, Facts: []Fact{}}
	for _, f := range facts {
		if looked[f.Name] {
			out.Facts = append(out.Facts, f)
		}
	}
	return out
}

// short lists the permits of this stage that lack least.
func (r *Rules) short(q *question, facts []Fact) []Reason {
	request := q.request(placeRecord(q.place, q.country))
	env := eval.Env{Entities: cedar.EntityMap{}, Principal: request.Principal, Action: request.Action,
		Resource: request.Resource, Context: request.Context}
	var near []Reason
	for i, p := range r.set {
		if r.list[i].Effect != "permit" {
			continue
		}
		reason, other := r.reason(r.list[i], facts), false
		for _, part := range parts((*ast.Policy)(p.p.AST())) {
			if v, err := eval.Eval(part, env); err != nil || v == types.Boolean(false) {
				reason.Lacks = append(reason.Lacks, words(part))
				other = other || strings.HasPrefix(words(part), "action ")
			}
		}
		if !other {
			near = append(near, reason)
		}
	}
	slices.SortStableFunc(near, func(a, b Reason) int { return cmp.Compare(len(a.Lacks), len(b.Lacks)) })
	return near[:min(3, len(near))]
}

// words is a condition as it would stand in a rule file, on one line.
func words(n ast.IsNode) string {
	text := string((*cedarast.Policy)(ast.Permit().When(ast.NewNode(n))).MarshalCedar())
	_, text, _ = strings.Cut(text, "when {")
	text, _, _ = strings.Cut(text, "};\n")
	text = strings.TrimSuffix(strings.TrimSpace(text), "};")
	return strings.Join(strings.Fields(text), " ")
}
