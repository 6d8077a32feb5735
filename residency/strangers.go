package residency

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Literal is a value that a rule compares a fact with.
type Literal struct {
	Rule  string `json:"rule"` // its @id
	Fact  string `json:"fact"` // "purpose", "place.country", "principal", …
	Value string `json:"value"`
}

// Literals lists the values that rules compare facts with, by rule, fact and
// value.
func (r *Rules) Literals() []Literal {
	if r == nil {
		return nil
	}
	var all []Literal
	for i, p := range r.set {
		for _, part := range parts((*ast.Policy)(p.p.AST())) {
			ast.Inspect(ast.NewNode(part), func(n ast.IsNode) bool {
				for _, c := range comparisons(n) {
					for _, v := range c.values {
						all = append(all, Literal{r.list[i].ID, c.fact, v})
					}
				}
				return true
			})
		}
	}
	slices.SortFunc(all, func(a, b Literal) int {
		return strings.Compare(a.Rule+"\x00"+a.Fact+"\x00"+a.Value, b.Rule+"\x00"+b.Fact+"\x00"+b.Value)
	})
	return slices.Compact(all)
}

// Samples lists, for every pattern that a rule holds a fact against, a value
// that fits it: "train-x" for like "train-*".
func (r *Rules) Samples() []Literal {
	if r == nil {
		return nil
	}
	var all []Literal
	for i, p := range r.set {
		for _, part := range parts((*ast.Policy)(p.p.AST())) {
			ast.Inspect(ast.NewNode(part), func(n ast.IsNode) bool {
				if like, ok := n.(ast.NodeTypeLike); ok && factOf(like.Arg) != "" {
					all = append(all, Literal{r.list[i].ID, factOf(like.Arg), fitting(like.Value)})
				}
				return true
			})
		}
	}
	return all
}

// fitting is a value that fits a pattern: an "x" for each star.
func fitting(p types.Pattern) string {
	text := strings.Trim(string(p.MarshalCedar()), `"`)
	star := strings.ReplaceAll(strings.ReplaceAll(text, `\*`, "\x00"), "*", "x")
	return strings.ReplaceAll(star, "\x00", "*")
}

// comparisons are what one node compares with literals.
func comparisons(n ast.IsNode) []need {
	var found []need
	add := func(n need, ok bool) {
		if ok {
			found = append(found, n)
		}
	}
	switch n := n.(type) {
	case ast.NodeTypeEquals:
		add(equality(n.Left, n.Right))
		add(equality(n.Right, n.Left))
	case ast.NodeTypeNotEquals:
		add(equality(n.Left, n.Right))
		add(equality(n.Right, n.Left))
	case ast.NodeTypeContains:
		add(containing(n))
	case ast.NodeTypeContainsAny:
		add(containing(ast.NodeTypeContains(n)))
		add(members(n.BinaryNode))
	case ast.NodeTypeContainsAll:
		add(members(n.BinaryNode))
	}
	return found
}

// members reads fact.containsAny([values]).
func members(n ast.BinaryNode) (need, bool) {
	return containing(ast.NodeTypeContains{BinaryNode: ast.BinaryNode{Left: n.Right, Right: n.Left}})
}

// Strangers lists, at the rules that name them, the values that nothing in the
// table and the catalogue has: a country that is none, a purpose no dataset
// declares. Such a comparison never holds, so that a forbid with a slip of the
// pen forbids nothing. A nil catalogue leaves out what only it knows.
func (r *Rules) Strangers(t *Table, c *Catalogue) Mistakes {
	has := t.values()
	if c != nil {
		c.values(has)
	}
	var found Mistakes
	for _, l := range r.Literals() {
		if of, ok := has[l.Fact]; ok && !of[l.Value] {
			rule := r.list[slices.IndexFunc(r.list, func(o Rule) bool { return o.ID == l.Rule })]
			found = append(found, Mistake{File: rule.File, Line: rule.Line, Col: rule.Col, Rule: l.Rule,
				Why: fmt.Sprintf("%s is never %q in this table and catalogue", l.Fact, l.Value)})
		}
	}
	return found
}

// values are the values that each fact of a place takes, and of class and level.
func (t *Table) values() map[string]map[string]bool {
	has := map[string]map[string]bool{"class": {}, "level": {}}
	for fact, domain := range domains {
		for _, v := range domain {
			has[fact][fmt.Sprint(v)] = true
		}
	}
	for number, name := range factNames {
		if !strings.HasPrefix(name, "place.") {
			continue
		}
		has[name] = map[string]bool{}
		for _, p := range t.Places() {
			one, many := p.fact(number, p.Country)
			if has[name][one] = true; many != nil {
				delete(has[name], one)
			}
			for _, v := range many {
				has[name][v] = true
			}
		}
	}
	has["place.region_country"] = has["place.country"]
	return has
}

// values adds those that each fact of a slice takes.
func (c *Catalogue) values(has map[string]map[string]bool) {
	for _, fact := range []string{"resource", "dataset", "purpose", "purposes", "origin", "basis"} {
		has[fact] = map[string]bool{}
	}
	for _, name := range c.Names() {
		s, err := c.Slice(name)
		if err != nil {
			continue
		}
		has["resource"][s.Name], has["dataset"][s.Dataset] = true, true
		has["origin"][s.Origin], has["basis"][s.Basis] = true, true
		for _, p := range s.Purposes {
			has["purpose"][p], has["purposes"][p] = true, true
		}
	}
}
