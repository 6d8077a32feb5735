package burst

import "time"

// stepLaunch folds the events between a plan and a node.
func stepLaunch(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *LaunchIntent:
		if s.Phase != Planned || b.Launch.Attempt != s.Attempt || b.BootBy.IsZero() {
			return s, false
		}
		s.Phase, s.Launch, s.BootBy, s.Intended = Launching, &b.Launch, b.BootBy, e.At
	case *Launched:
		if s.Phase != Launching || s.Launch == nil || b.Node.Attempt != s.Attempt {
			return s, false
		}
		s.Phase, s.Node = Booting, &b.Node
		s.BootBy = s.bootBy(e.At)
		if s.Stopped != nil { // revoked while its outcome was unknown
			s.Phase = Deleting
		}
	case *LaunchFailed:
		if s.Phase != Launching || b.Attempt != s.Attempt {
			return s, false
		}
		s.Launch = nil
		s.Sunk = sum(s.Sunk, b.Spent)
		s.Tried = s.tried(b.Offer, b.Why)
		s.Phase = Asked // decide again, without this offer
		if b.Final || s.Stopped != nil {
			s.Phase, s.Outcome = Settling, "launch refused: "+b.Why
		}
	default:
		return s, false
	}
	return s, true
}

// bootBy is until when a node is waited for that was heard of at a time: as
// long as was meant when the launch was, but never past its lease. The intent
// may be older by as long as the controller was away.
func (s State) bootBy(at time.Time) time.Time {
	by := at.Add(s.BootBy.Sub(s.Intended))
	if end := s.Launch.Expires; !end.IsZero() && by.After(end) {
		by = end
	}
	return by
}
