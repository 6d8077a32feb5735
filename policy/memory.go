package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// How long what failed is left alone, and how little of it is asked for then.
const (
	shortRest = 3 * time.Minute  // after the first lack of capacity; each further one doubles it
	longRest  = 30 * time.Minute // at most
	quotaRest = time.Hour        // after a quota was used up; each further time doubles it
	quotaMost = 24 * time.Hour   // at most
	hangRest  = 3 * time.Minute  // of a region that did not answer in time
	atEase    = 64               // so many launches at a time are no probe any more
)

// Closed says why nothing in a scope is asked for now.
type Closed struct {
	Kind  string    `json:"kind"` // KindQuota or KindCapacity
	Why   string    `json:"why"`
	Until time.Time `json:"until,omitzero"` // zero while a probe is under way
}

// Memory is what launches have taught of capacity: a fold of their outcomes, in
// the order of the log. Make one with [NewMemory]; it is for one goroutine at a
// time.
//
// An offer that had none rests, longer each time. After its rest it is not
// asked for by everybody at once: one launch probes it, and each success
// doubles how many may be under way, until nobody counts any more. The same
// budget, without the rest, holds for its family in the region, so that one
// missing chip is not asked for in forty sizes. A quota that is used up closes
// the family in its region for long, and a region that hangs closes for a while.
type Memory struct {
	scopes  map[string]memo
	pending map[string]Offer // launches under way, by attempt
}

// memo is what is remembered of one scope.
type memo struct {
	Closed
	missed int // in a row
	budget int // launches at a time; 0 is no limit
}

// NewMemory makes a memory that knows nothing and closes nothing.
func NewMemory() *Memory { return &Memory{map[string]memo{}, map[string]Offer{}} }

// Begin notes that an attempt will launch o. Beginning again changes nothing.
func (m *Memory) Begin(attempt string, o Offer) { m.pending[attempt] = o }

// Admit begins an attempt, unless a scope of o is closed by now.
func (m *Memory) Admit(attempt string, o Offer, now time.Time) bool {
	shut := m.Closed(now)
	for _, scope := range o.Scopes() {
		if _, is := shut[scope]; is {
			return false
		}
	}
	m.Begin(attempt, o)
	return true
}

// End notes that an attempt came to nothing that says anything of capacity.
func (m *Memory) End(attempt string) { delete(m.pending, attempt) }

// Made notes that an attempt got its machine.
func (m *Memory) Made(attempt string) {
	o, ok := m.pending[attempt]
	if !ok {
		return
	}
	m.End(attempt)
	for _, scope := range o.Scopes() {
		was, known := m.scopes[scope]
		if !known {
			continue
		}
		if was.budget *= 2; was.budget == 0 || was.budget > atEase {
			delete(m.scopes, scope)
			continue
		}
		was.missed, was.Until = 0, time.Time{}
		m.scopes[scope] = was
	}
}

// Missed notes that an attempt got nothing, for want of capacity or of quota.
func (m *Memory) Missed(attempt, kind, why string, at time.Time) {
	o, ok := m.pending[attempt]
	if !ok {
		return
	}
	m.End(attempt)
	scopes := o.Scopes()
	offer, family := m.scopes[scopes[0]], m.scopes[scopes[1]]
	family.budget = 1
	if kind == KindQuota {
		family.missed++
		family.Closed = Closed{KindQuota, "quota reached: " + why, at.Add(rest(quotaRest, quotaMost, family.missed))}
	} else {
		offer.missed, offer.budget = offer.missed+1, 1
		offer.Closed = Closed{KindCapacity, why, at.Add(rest(shortRest, longRest, offer.missed))}
		m.scopes[scopes[0]] = offer
	}
	m.scopes[scopes[1]] = family
}

// Hung notes that the region of o did not answer in time.
func (m *Memory) Hung(o Offer, at time.Time) {
	region := o.Scopes()[2]
	m.scopes[region] = memo{Closed: Closed{KindCapacity, region + " does not answer in time", at.Add(hangRest)}, budget: 1}
}

// rest doubles with each failure, up to most.
func rest(first, most time.Duration, n int) time.Duration {
	return min(first<<min(max(n-1, 0), 10), most)
}

// Closed lists the scopes in which nothing is asked for now.
func (m *Memory) Closed(now time.Time) map[string]Closed {
	if len(m.scopes) == 0 {
		return nil
	}
	pending := map[string]int{}
	for _, o := range m.pending {
		for _, scope := range o.Scopes() {
			pending[scope]++
		}
	}
	shut := map[string]Closed{}
	for scope, is := range m.scopes {
		switch {
		case now.Before(is.Until):
			c := is.Closed
			c.Why = fmt.Sprintf("%s; not asked for until %s", c.Why, c.Until.UTC().Format(time.RFC3339))
			shut[scope] = c
		case is.budget > 0 && pending[scope] >= is.budget:
			shut[scope] = Closed{Kind: KindCapacity,
				Why: fmt.Sprintf("%s had none, and %d probes of it are under way", scope, pending[scope])}
		}
	}
	return shut
}

// Quotas lists the scopes that are closed for want of quota, for a person to see to.
func (m *Memory) Quotas(now time.Time) []string {
	var all []string
	shut := m.Closed(now)
	for _, scope := range slices.Sorted(maps.Keys(shut)) {
		if shut[scope].Kind == KindQuota {
			all = append(all, scope+": "+shut[scope].Why)
		}
	}
	return all
}
