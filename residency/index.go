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

// about is the policies that a question could be about, by their number; as
// Cedar takes them, too.
type about struct {
	ix   *index
	list []int
}

// about finds them. A policy that is filed under two members of one set comes
// twice, which changes no answer.
func (ix *index) about(q *question) about {
	a := about{ix, make([]int, 0, 16)}
	add := func(list []int) {
		for _, i := range list {
			if ix.could(i, q) {
				a.list = append(a.list, i)
			}
		}
	}
	add(ix.always)
	for at, fact := range ix.facts {
		one, many := q.fact(fact)
		for _, v := range many {
			add(ix.by[at][v])
		}
		if many == nil {
			add(ix.by[at][one])
		}
	}
	return a
}

// All yields them.
func (a about) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, i := range a.list {
			if !yield(a.ix.set[i].id, a.ix.set[i].p) {
				return
			}
		}
	}
}

// permits reports whether a permit is among them. Without one nothing is
// allowed, whatever the others say.
func (a about) permits() bool {
	return slices.ContainsFunc(a.list, func(i int) bool { return a.ix.set[i].p.Effect() == cedar.Permit })
}

// could reports whether policy i could hold, by what it needs besides.
func (ix *index) could(i int, q *question) bool {
	for _, n := range ix.needs[i] {
		one, many := q.fact(n.fact)
		has := func(v string) bool { _, ok := slices.BinarySearch(n.values, v); return ok }
		if many == nil && !has(one) || many != nil && !slices.ContainsFunc(many, has) {
			return false
		}
	}
	return true
}
