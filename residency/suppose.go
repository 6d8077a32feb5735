package residency

import (
	"slices"

	cedar "github.com/cedar-policy/cedar-go"
)

// Supposed is a question about a place that nobody has proven: what an officer
// asks of rules before they are in force. At L0 it is the first question, may
// a node be created there; from L1 on the second, may a node proven to be there
// this well read. The zero Supposed is denied.
type Supposed struct {
	Ask   Ask     `json:"ask"`
	At    Address `json:"at"`
	Level Level   `json:"level"`
	Trust string  `json:"trust,omitempty"` // what the level rests on; "" is "supposed", at L0 "claimed"
}

// question is s as the rules are asked it, at the place that stands at s.At.
func (s Supposed) question(at Place) question {
	q := question{stage: stageCreate, ask: s.Ask, place: at, level: s.Level, trust: s.Trust}
	if s.Level > L0 {
		q.stage, q.proven = stageRead, true
	}
	switch {
	case q.trust == "" && q.proven:
		q.trust = "supposed"
	case q.trust == "":
		q.trust = claimedTrust
	}
	return q
}

// Suppose answers s. It goes through the same function as [Rules.Screen] and
// [Rules.Clear], and makes no grant.
func (r *Rules) Suppose(t *Table, s Supposed) Verdict { return r.answer(t, s.question(known(t, s.At))) }

// Holding lists the @id of every rule that holds for s, whether it decides or
// not: a permit holds and decides nothing where a forbid holds too.
func (r *Rules) Holding(t *Table, s Supposed) []string {
	q := s.question(known(t, s.At))
	if q.fill(t); r == nil || len(q.missing()) > 0 {
		return nil
	}
	request := q.request(placeRecord(q.place, q.country))
	var ids []string
	for id, p := range r.index.about(&q).All() {
		alone := cedar.PolicyMap{id: p}
		if _, d := cedar.Authorize(alone, cedar.EntityMap{}, request); len(d.Reasons) > 0 {
			ids = append(ids, string(id))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
