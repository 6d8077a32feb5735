package burst

// stepLaunch folds the events between a plan and a node.
func stepLaunch(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *LaunchIntent:
		if s.Phase != Planned || b.Launch.Attempt != s.Attempt || b.BootBy.IsZero() {
			return s, false
		}
		s.Phase, s.Launch, s.BootBy = Launching, &b.Launch, b.BootBy
	case *Launched:
		if s.Phase != Launching || b.Node.Attempt != s.Attempt {
			return s, false
		}
		s.Phase, s.Node = Booting, &b.Node
		if s.Stopped != nil { // revoked while its outcome was unknown
			s.Phase = Deleting
		}
	case *LaunchFailed:
		if s.Phase != Launching || b.Attempt != s.Attempt {
			return s, false
		}
		s.Launch = nil
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
