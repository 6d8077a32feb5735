package residency

// Still answers the second question once more, for a grant that was made
// before: would these rules and this table permit it today? The place is the
// one that was proven, looked up anew. The edge asks it of its own site's
// rules, the controller of rules that changed while the grant was out. The
// zero Grant is denied. Of the exceptions the rules know, only the one that the
// grant was made under counts: no other keeps it alive.
func (r *Rules) Still(t *Table, ask Ask, g Grant) Verdict {
	if g.ID() == "" || ask.Slice.Name != g.Slice().Name || ask.Purpose != g.Purpose() {
		return Verdict{Why: "the grant is not for this slice and purpose"}
	}
	return r.only(g.b.Exception).answer(t, question{stage: stageRead, ask: ask, place: known(t, g.Place().Address),
		proven: true, level: g.Level(), trust: g.b.Trust})
}
