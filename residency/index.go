package residency

import (
	"iter"
	"slices"

	cedar "github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
)

// index finds the few policies that a question could be about among many.
// Each policy is filed under the values of one fact it cannot hold without, the
// one that tells it best from the others; a policy of which no such fact is
// known is always evaluated. What it leaves out would neither have held nor
// erred. The zero index leaves out everything, as there is nothing.
type index struct {
	facts  []int              // those that policies are filed under, by number
	by     []map[string][]int // for each of them, policies by its value
	always []int              // policies that could be about any question
	needs  [][]filed          // of each policy, those it is not filed under
	set    []policy
}

// filed is a need as the index asks it: the number of its fact, its values in
// order.
type filed struct {
	fact   int
	values []string
}

// newIndex files the policies.
func newIndex(set []policy) index {
	ix := index{set: set, needs: make([][]filed, len(set))}
	crowd := map[int]map[string]int{} // how many policies need this value of this fact
	for i, p := range set {
		for _, n := range needs((*xast.Policy)(p.p.AST())) {
			f := filed{slices.Index(factNames, n.fact), slices.Compact(slices.Sorted(slices.Values(n.values)))}
			if f.fact < 0 {
				continue
			}
			ix.needs[i] = append(ix.needs[i], f)
			if crowd[f.fact] == nil {
				crowd[f.fact] = map[string]int{}
			}
			for _, v := range f.values {
				crowd[f.fact][v]++
			}
		}
	}
	for i, ns := range ix.needs {
		best, least := -1, 0
		for j, n := range ns {
			most := 0
			for _, v := range n.values {
				most = max(most, crowd[n.fact][v])
			}
			if best < 0 || most < least {
				best, least = j, most
			}
		}
		ix.file(i, best)
	}
	return ix
}

// file puts policy i under its need j, or where it is always found.
func (ix *index) file(i, j int) {
	if j < 0 {
		ix.always = append(ix.always, i)
		return
	}
	n := ix.needs[i][j]
	ix.needs[i] = slices.Delete(slices.Clone(ix.needs[i]), j, j+1)
	at := slices.Index(ix.facts, n.fact)
	if at < 0 {
		at = len(ix.facts)
		ix.facts, ix.by = append(ix.facts, n.fact), append(ix.by, map[string][]int{})
	}
	for _, v := range n.values {
		ix.by[at][v] = append(ix.by[at][v], i)
	}
}

// about is the policies that a question could be about, as Cedar takes them.
type about struct {
	ix *index
	q  *question
}

// All yields them. A policy that is filed under two members of one set comes
// twice, which changes no answer.
func (a about) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		ask := func(list []int) bool {
			for _, i := range list {
				if a.could(i) && !yield(a.ix.set[i].id, a.ix.set[i].p) {
					return false
				}
			}
			return true
		}
		if !ask(a.ix.always) {
			return
		}
		for at, fact := range a.ix.facts {
			one, many := a.q.fact(fact)
			for _, v := range many {
				if !ask(a.ix.by[at][v]) {
					return
				}
			}
			if many == nil && !ask(a.ix.by[at][one]) {
				return
			}
		}
	}
}

// could reports whether policy i could hold, by what it needs besides.
func (a about) could(i int) bool {
	for _, n := range a.ix.needs[i] {
		one, many := a.q.fact(n.fact)
		has := func(v string) bool { _, ok := slices.BinarySearch(n.values, v); return ok }
		if many == nil && !has(one) || many != nil && !slices.ContainsFunc(many, has) {
			return false
		}
	}
	return true
}

// permits reports whether a permit is among the policies that q could be
// about. Without one nothing is allowed, whatever the others say.
func (ix *index) permits(q *question) bool {
	for _, p := range (about{ix, q}).All() {
		if p.Effect() == cedar.Permit {
			return true
		}
	}
	return false
}
