package burst

import "time"

// Do names what an effect does to the world.
type Do string

// The effects. Decide and Settle touch nothing outside; the others follow a
// durable intent.
const (
	DoDecide Do = "decide"
	DoLaunch Do = "launch"
	DoRevoke Do = "revoke"
	DoProbe  Do = "probe" // ask the issuer, when the node did not try in time
	DoDelete Do = "delete"
	DoSettle Do = "settle"
	DoEnd    Do = "end"
)

// Effect is something due. NeedsIntent says that its intent is still to be
// entered; without it the effect is carried out again under the same token.
type Effect struct {
	Do          Do
	NeedsIntent bool
	Serial      string // of DoRevoke and DoProbe
}

// Due lists every effect that follows from s. Nothing is due while the burst
// waits for its node or its edge.
func Due(s State) []Effect {
	switch s.Phase {
	case Asked:
		return []Effect{{Do: DoDecide}}
	case Planned:
		return []Effect{{Do: DoLaunch, NeedsIntent: true}}
	case Launching:
		return []Effect{{Do: DoLaunch}}
	case Revoking:
		for _, c := range s.Serials {
			if !c.Revoked {
				return []Effect{{Do: DoRevoke, Serial: c.Number, NeedsIntent: !c.Asked}}
			}
		}
	case Deleting:
		return []Effect{{Do: DoDelete, NeedsIntent: !s.Deleting}}
	case Settling:
		if s.Launch != nil && s.Settled == nil {
			return []Effect{{Do: DoSettle}}
		}
		return []Effect{{Do: DoEnd}}
	}
	return nil
}

// Late is what follows when a deadline passes: an event to enter, or an effect
// to carry out. A zero At is no deadline.
type Late struct {
	At     time.Time
	Body   Body
	Effect *Effect
}

// Deadline says until when s waits for somebody else, and what follows then.
func (s State) Deadline() Late {
	switch s.Phase {
	case Booting, Placed:
		return Late{At: s.BootBy, Body: &Stop{Why: WhyBoot, Detail: "the node did not prove itself in time"}}
	case Granted, Running:
		if s.Grant == nil {
			return Late{} // no log leads here
		}
		if at, idle := s.silent(); idle && at.Before(s.Grant.Expires) {
			return Late{At: at, Body: &Stop{Why: WhyIdle, Detail: "its job reported nothing for " + s.Grant.Idle.String()}}
		}
		detail := "the lease ran out"
		if s.Grant.Exception != "" {
			detail = "the grant ended, which rests on exception " + s.Grant.Exception
		}
		return Late{At: s.Grant.Expires, Body: &Stop{Why: WhyExpired, Detail: detail}}
	case Unmount:
		if s.Stopped == nil {
			return Late{} // nor here
		}
		return Late{At: s.Stopped.By, Body: &Unmounted{Confirmed: false}}
	case Probing:
		return Late{At: s.ProbeBy, Effect: &Effect{Do: DoProbe, Serial: s.Current()}}
	}
	return Late{}
}

// silent is when a job that runs will have been silent for too long. One that
// has not begun, because its slice is still on the way, is not silent.
func (s State) silent() (time.Time, bool) {
	if s.Grant.Idle <= 0 || s.Heard.IsZero() {
		return time.Time{}, false
	}
	return s.Heard.Add(s.Grant.Idle), true
}
