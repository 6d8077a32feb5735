package burst

import "slices"

// stepTeardown folds the way back: unmount, revoke, probe, delete, settle.
func stepTeardown(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *Stop:
		return stop(s, b)
	case *Unmounted:
		if s.Phase != Unmount {
			return s, false
		}
		s.Phase, s.Issuing = Revoking, ""
		if len(s.Serials) == 0 { // its certificate was never heard of; it dies with its TTL
			s.Phase = Deleting
		}
	case *RevokeIntent, *Revoked, *Probed:
		return stepRevoke(s, e)
	case *DeleteIntent:
		if s.Phase != Deleting || !s.nodeIs(b.Node) {
			return s, false
		}
		s.Deleting = true
	case *Gone:
		if s.Phase != Deleting || !s.Deleting || !s.nodeIs(b.Node) {
			return s, false
		}
		s.Phase, s.GoneAt = Settling, e.At
	case *Settled:
		if s.Phase != Settling || s.Launch == nil || s.Settled != nil {
			return s, false
		}
		s.Settled = b
	default:
		return s, false
	}
	return s, true
}

// stop turns a burst around, once, wherever it is.
func stop(s State, b *Stop) (State, bool) {
	if s.Stopped != nil || b.By.IsZero() {
		return s, false
	}
	switch s.Phase {
	case Asked, Planned:
		s.Phase, s.Outcome = Settling, b.Why
	case Launching: // its node, if there is one, is found first
	case Booting, Placed:
		s.Phase = Deleting
	case Granted, Running:
		s.Phase = Unmount
		if len(s.Serials) == 0 && s.Issuing == "" {
			s.Phase = Deleting
		}
	default:
		return s, false
	}
	s.Stopped = b
	return s, true
}

// stepRevoke folds revocation and its probe. The node is deleted only after
// every credential was revoked and the newest was seen to be refused.
func stepRevoke(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *RevokeIntent:
		i := s.serial(b.Serial)
		if s.Phase != Revoking || i < 0 || s.Serials[i].Asked {
			return s, false
		}
		s.Serials = slices.Clone(s.Serials)
		s.Serials[i].Asked = true
	case *Revoked:
		i := s.serial(b.Serial)
		if s.Phase != Revoking || i < 0 || !s.Serials[i].Asked || s.Serials[i].Revoked || b.ProbeBy.IsZero() {
			return s, false
		}
		s.Serials = slices.Clone(s.Serials)
		s.Serials[i].Revoked = true
		if !slices.ContainsFunc(s.Serials, func(c Serial) bool { return !c.Revoked }) {
			s.Phase, s.ProbeBy = Probing, b.ProbeBy
		}
	case *Probed:
		if s.Phase != Probing && s.Phase != Deleting || s.serial(b.Serial) < 0 {
			return s, false
		}
		s.Probes = append(slices.Clone(s.Probes), *b)
		if b.Refused && b.By != "edge" && b.Serial == s.Current() {
			s.Phase = Deleting
		}
	}
	return s, true
}

// serial is the index of a credential, or -1.
func (s State) serial(number string) int {
	return slices.IndexFunc(s.Serials, func(c Serial) bool { return c.Number == number })
}
