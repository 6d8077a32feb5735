package burst

import "slices"

// stepProve folds the events between a node and its first credential.
func stepProve(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *Unproven:
		if s.Phase != Booting || b.Attempt != s.Attempt {
			return s, false
		}
	case *PlacedAt:
		if s.Phase != Booting || b.Attempt != s.Attempt || !s.nodeIs(b.Instance) {
			return s, false
		}
		s.Phase, s.Place, s.Level, s.NodeKey = Placed, &b.Place, b.Level, b.NodeKey
	case *Denied:
		if s.Phase != Placed {
			return s, false
		}
		s.Phase, s.Stopped = Deleting, &Stop{Why: WhyDenied, Detail: b.Verdict.Why, By: b.StopBy}
	case *Cleared:
		if s.Phase != Placed || b.Grant == "" || b.Expires.IsZero() || !s.excepted(b) {
			return s, false
		}
		s.Phase = Granted
		s.Grant = &Grant{ID: b.Grant, Sealed: b.Sealed, Index: e.Index, Expires: b.Expires, NodeKey: b.NodeKey, Idle: b.Idle}
		if x := b.Verdict.Exception; x != nil {
			s.Grant.Exception = x.ID
		}
	case *IssueIntent:
		if (s.Phase != Granted && s.Phase != Running) || !s.grantIs(b.Grant) {
			return s, false
		}
		s.Issuing = b.CSR
	case *Issued:
		if s.Issuing == "" || !s.grantIs(b.Grant) || b.Serial == "" || s.serial(b.Serial) >= 0 {
			return s, false
		}
		s.Issuing = ""
		s.Serials = append(slices.Clone(s.Serials), Serial{Number: b.Serial, NotAfter: b.NotAfter})
		if s.Phase == Granted { // else a renewal, or it was stopped while it was being signed
			s.Phase = Running
		}
	default:
		return s, false
	}
	return s, true
}
