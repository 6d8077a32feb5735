package burst

import (
	"maps"
	"math"
	"slices"
)

// stepServe folds what happens while a credential is out. A window opens only
// while the burst runs; it may close at any later time, since bytes already on
// the wire are counted whatever happened since.
func stepServe(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *RoundTrip: // evidence for a reader of the log; nothing here rests on it
		if s.Phase != Running || !s.grantIs(b.Grant) {
			return s, false
		}
		if b.Micros <= 0 || b.Micros > longestTrip || b.Samples <= 0 {
			return s, false
		}
	case *Window:
		if s.Phase != Running || !s.grantIs(b.Grant) || b.N != s.WindowN+1 {
			return s, false
		}
		if b.Bytes <= 0 || b.Bytes > math.MaxInt64-s.Allowed-s.Served {
			return s, false
		}
		s.Windows = cloned(s.Windows)
		s.Windows[b.N] = b.Bytes
		s.WindowN, s.Allowed = b.N, s.Allowed+b.Bytes
	case *Served:
		limit, open := s.Windows[b.N]
		if !open || !s.grantIs(b.Grant) || b.Bytes < 0 || b.Bytes > limit {
			return s, false
		}
		s.Windows = cloned(s.Windows)
		delete(s.Windows, b.N)
		s.Allowed, s.Served = s.Allowed-limit, s.Served+b.Bytes
	case *Turned:
		if s.Grant == nil || !s.Live() || b.Reason == "" || slices.Contains(s.Turned, b.Reason) {
			return s, false
		}
		s.Turned = append(slices.Clone(s.Turned), b.Reason)
	case *Started:
		if s.Phase != Running || !s.grantIs(b.Grant) {
			return s, false
		}
		s.Heard = e.At
	case *Progress:
		if s.Phase != Running || !s.grantIs(b.Grant) {
			return s, false
		}
		s.Epoch, s.Heard, s.Reports = b.Epoch, e.At, s.Reports+1
	case *Artefact:
		if (s.Phase != Running && s.Phase != Unmount) || !s.grantIs(b.Grant) {
			return s, false
		}
		s.Artefacts, s.Heard = append(slices.Clone(s.Artefacts), *b), e.At
	default:
		return s, false
	}
	return s, true
}

// cloned copies a map of windows, so that older states keep theirs.
func cloned(m map[int]int64) map[int]int64 {
	if m == nil {
		return map[int]int64{}
	}
	return maps.Clone(m)
}
