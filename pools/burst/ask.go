package burst

import "maps"

// stepAsk folds the events of a request and its first decision.
func stepAsk(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *Requested:
		if s.Phase != "" {
			return s, false // a claim is used once
		}
		s.Phase, s.Claim, s.Actor, s.Request, s.Digest = Asked, e.Claim, e.Actor, b.Request, b.Digest
	case *Decided:
		if s.Phase != Asked {
			return s, false
		}
		s.Decision = b.Decision
		s.Phase, s.Outcome = Settling, "refused: "+b.Decision.Refusal
		if b.Decision.Plan != nil {
			s.Phase, s.Outcome = Planned, ""
			s.Attempt++
		}
	case *Over:
		if s.Phase != Settling || (s.Launch != nil && s.Settled == nil) {
			return s, false
		}
		s.Phase, s.Outcome = Ended, b.Outcome
	default:
		return s, false
	}
	return s, true
}

// tried remembers that an offer had no capacity, without changing the map the
// older state still holds.
func (s State) tried(offer, why string) map[string]string {
	m := maps.Clone(s.Tried)
	if m == nil {
		m = map[string]string{}
	}
	m[offer] = why
	return m
}
