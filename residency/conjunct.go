package residency

import (
	"slices"
	"strconv"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// need is a condition a policy cannot hold without: the fact is, or for a set
// holds, one of these values.
type need struct {
	fact   string
	values []string
}

// domains are the facts whose values can be counted.
var domains = map[string][]int64{"class": {1, 2, 3, 4, 5, 6}, "level": {0, 1, 2, 3, 4}}

// needs reads what a policy cannot hold without from its scope and conditions,
// in the order Cedar evaluates them. It stops at the first part that might err,
// since what errs must be seen to err. Whatever it does not understand it
// leaves out, so that the policy is evaluated more often, never less.
func needs(p *ast.Policy) []need {
	var found []need
	for _, part := range parts(p) {
		if !sure(part) {
			break
		}
		if n, ok := needOf(part); ok {
			found = append(found, n)
		}
	}
	return found
}

// parts are the conjuncts of a policy, scope first. An "unless" is a "when not".
func parts(p *ast.Policy) []ast.IsNode {
	var all []ast.IsNode
	scope := func(variable string, s ast.IsScopeNode) {
		v := ast.NewNode(ast.NodeTypeVariable{Name: types.String(variable)})
		switch s := s.(type) {
		case ast.ScopeTypeAll:
		case ast.ScopeTypeEq:
			all = append(all, v.Equal(ast.Value(s.Entity)).AsIsNode())
		case ast.ScopeTypeIn:
			all = append(all, v.Equal(ast.Value(s.Entity)).AsIsNode()) // no entity has a parent
		case ast.ScopeTypeInSet:
			var any ast.IsNode = ast.Boolean(false).AsIsNode()
			for _, e := range s.Entities {
				any = ast.NewNode(any).Or(v.Equal(ast.Value(e))).AsIsNode()
			}
			all = append(all, any)
		default:
			all = append(all, ast.NodeTypeVariable{Name: "principal"}) // says nothing, errs never
		}
	}
	scope("principal", p.Principal)
	scope("action", p.Action)
	scope("resource", p.Resource)
	for _, c := range p.Conditions {
		if c.Condition == ast.ConditionUnless {
			all = appendParts(all, ast.NodeTypeNot{UnaryNode: ast.UnaryNode{Arg: c.Body}})
			continue
		}
		all = appendParts(all, c.Body)
	}
	return all
}

// appendParts cuts a condition at its conjunctions: a && b, !(a || b), !!a.
func appendParts(all []ast.IsNode, n ast.IsNode) []ast.IsNode {
	not := func(n ast.IsNode) ast.IsNode { return ast.NodeTypeNot{UnaryNode: ast.UnaryNode{Arg: n}} }
	switch n := n.(type) {
	case ast.NodeTypeAnd:
		return appendParts(appendParts(all, n.Left), n.Right)
	case ast.NodeTypeNot:
		switch arg := n.Arg.(type) {
		case ast.NodeTypeOr:
			return appendParts(appendParts(all, not(arg.Left)), not(arg.Right))
		case ast.NodeTypeNot:
			return appendParts(all, arg.Arg)
		}
	}
	return append(all, n)
}

// sure reports whether an expression that fits the question's type cannot err:
// it adds nothing up and calls no extension.
func sure(n ast.IsNode) bool {
	ok := true
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		switch n := n.(type) {
		case ast.NodeTypeAnd, ast.NodeTypeOr, ast.NodeTypeNot, ast.NodeTypeEquals, ast.NodeTypeNotEquals,
			ast.NodeTypeLessThan, ast.NodeTypeLessThanOrEqual, ast.NodeTypeGreaterThan, ast.NodeTypeGreaterThanOrEqual,
			ast.NodeTypeContains, ast.NodeTypeContainsAll, ast.NodeTypeContainsAny, ast.NodeTypeIsEmpty,
			ast.NodeTypeLike, ast.NodeTypeSet, ast.NodeValue, ast.NodeTypeVariable:
		case ast.NodeTypeAccess:
			ok = ok && factOf(n) != ""
		default:
			ok = false
		}
		return ok
	})
	return ok
}

// factOf is the name of the fact an expression reads: "class",
// "place.country", "principal". It is "" for anything else.
func factOf(n ast.IsNode) string {
	switch n := n.(type) {
	case ast.NodeTypeVariable:
		return string(n.Name)
	case ast.NodeTypeAccess:
		switch of := factOf(n.Arg); of {
		case "context":
			return string(n.Value)
		case "place":
			return "place." + string(n.Value)
		}
	}
	return ""
}

// needOf reads one conjunct.
func needOf(n ast.IsNode) (need, bool) {
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		return oneOf(factOf(n), "true")
	case ast.NodeTypeNot:
		return negated(n.Arg)
	case ast.NodeTypeOr:
		a, okA := needOf(n.Left)
		b, okB := needOf(n.Right)
		if b.fact == a.fact || len(a.values) == 0 {
			return need{b.fact, append(slices.Clone(a.values), b.values...)}, okA && okB
		}
	case ast.NodeValue:
		return need{}, n.Value == types.Boolean(false) // holds for no value of any fact
	case ast.NodeTypeEquals:
		if n, ok := equality(n.Left, n.Right); ok {
			return n, true
		}
		return equality(n.Right, n.Left)
	case ast.NodeTypeContains:
		return containing(n)
	case ast.NodeTypeLessThan, ast.NodeTypeLessThanOrEqual, ast.NodeTypeGreaterThan, ast.NodeTypeGreaterThanOrEqual:
		return compared(n, false)
	}
	return need{}, false
}

// negated reads the conjunct "not n".
func negated(n ast.IsNode) (need, bool) {
	if a, ok := n.(ast.NodeTypeAccess); ok {
		return oneOf(factOf(a), "false")
	}
	return compared(n, true)
}

// oneOf is the need of a fact for one value.
func oneOf(fact, value string) (need, bool) { return need{fact, []string{value}}, fact != "" }

// equality reads fact == value.
func equality(fact, value ast.IsNode) (need, bool) {
	v, ok := textOf(value)
	n, named := oneOf(factOf(fact), v)
	return n, ok && named
}

// containing reads set.contains(value) and [values].contains(fact).
func containing(n ast.NodeTypeContains) (need, bool) {
	if fact := factOf(n.Left); fact != "" {
		v, ok := textOf(n.Right)
		return need{fact, []string{v}}, ok
	}
	set, ok := n.Left.(ast.NodeTypeSet)
	fact := factOf(n.Right)
	if !ok || fact == "" {
		return need{}, false
	}
	values := make([]string, 0, len(set.Elements))
	for _, e := range set.Elements {
		v, ok := textOf(e)
		if !ok {
			return need{}, false
		}
		values = append(values, v)
	}
	return need{fact, values}, true
}

// textOf is a literal as a fact's value is written.
func textOf(n ast.IsNode) (string, bool) {
	v, ok := n.(ast.NodeValue)
	if !ok {
		return "", false
	}
	switch v := v.Value.(type) {
	case types.String:
		return string(v), true
	case types.Long:
		return strconv.FormatInt(int64(v), 10), true
	case types.Boolean:
		return strconv.FormatBool(bool(v)), true
	case types.EntityUID:
		return string(v.ID), true
	}
	return "", false
}

// compared reads fact < number and its like, as the values of the fact for
// which it holds, or for which it does not.
func compared(n ast.IsNode, not bool) (need, bool) {
	var sides ast.BinaryNode
	var holds func(a, b int64) bool
	switch n := n.(type) {
	case ast.NodeTypeLessThan:
		sides, holds = n.BinaryNode, func(a, b int64) bool { return a < b }
	case ast.NodeTypeLessThanOrEqual:
		sides, holds = n.BinaryNode, func(a, b int64) bool { return a <= b }
	case ast.NodeTypeGreaterThan:
		sides, holds = n.BinaryNode, func(a, b int64) bool { return a > b }
	case ast.NodeTypeGreaterThanOrEqual:
		sides, holds = n.BinaryNode, func(a, b int64) bool { return a >= b }
	case ast.NodeTypeEquals:
		sides, holds = n.BinaryNode, func(a, b int64) bool { return a == b }
	default:
		return need{}, false
	}
	bound, ok := sides.Right.(ast.NodeValue)
	number, isLong := bound.Value.(types.Long)
	domain, counted := domains[factOf(sides.Left)]
	if !ok || !isLong || !counted {
		return need{}, false
	}
	n1 := need{fact: factOf(sides.Left)}
	for _, v := range domain {
		if holds(v, int64(number)) != not {
			n1.values = append(n1.values, strconv.FormatInt(v, 10))
		}
	}
	return n1, true
}
