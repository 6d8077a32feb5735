// Package burst is the life of one burst, from request to teardown, as a pure
// function of what the log says.
//
// # One function, live and in recovery
//
// [Step] folds one [Event] into a [State] and returns every [Effect] that is
// then due. Effects are level, not edge: they follow from the state alone, so a
// controller that restarts folds the log and finds the same effects due. An
// effect that touches the world carries its Intent until that intent has been
// entered; afterwards it is due without one, to be carried out again with the
// same idempotency token.
//
// # The order that keeps the promise
//
// intent → node → proof of place → grant → credential → serve windows, and
// backwards: unmount → revoke → probe → delete until gone → settle. No phase can
// be skipped: [Accepts] refuses an event that does not follow.
//
// # Non-goals
//
// The package knows no clock, no cloud and no log. Times arrive in events;
// deadlines leave through [State.Deadline].
package burst

import (
	"cmp"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// Phase is where a burst is in its life.
type Phase string

// The phases, in order. The empty Phase is a burst nobody asked for.
const (
	Asked     Phase = "asked"     // a signed request is entered
	Planned   Phase = "planned"   // an offer is chosen and paid for at worst case
	Launching Phase = "launching" // the launch intent is entered; its outcome is unknown
	Booting   Phase = "booting"   // the cloud made a node; its place is only claimed
	Placed    Phase = "placed"    // the node's place is proven
	Granted   Phase = "granted"   // the rules cleared the slice for the proven place
	Running   Phase = "running"   // a credential is out; bytes may be served
	Unmount   Phase = "unmount"   // the node is told to let go
	Revoking  Phase = "revoking"  // credentials are being revoked
	Probing   Phase = "probing"   // the old credential must be refused
	Deleting  Phase = "deleting"  // the node is deleted until it is gone
	Settling  Phase = "settling"  // gone; the cost is to be settled
	Ended     Phase = "ended"     // nothing is left
)

// Grant is what the log says of the current grant. The sealed text is opened
// only through residency.
type Grant struct {
	ID      string
	Sealed  string
	Index   int64 // its leaf in the log
	Expires time.Time
	NodeKey string
	Idle    time.Duration // without a report from its job, it is stopped; 0 is never

	Exception string // id of the one it rests on, with which it ends
}

// Serial is one credential issued under the grant.
type Serial struct {
	Number   string
	NotAfter time.Time
	Asked    bool // its revocation was entered as an intent
	Revoked  bool
}

// State is what the log says of one burst. Made by [Step] alone; the zero
// State is a burst nobody asked for.
type State struct {
	Claim     string
	Phase     Phase
	Actor     string // who asked
	Request   policy.Request
	Digest    string // of the signed request
	Decision  policy.Decision
	Tried     map[string]string // offers of this claim that had no capacity, and why
	Attempt   int               // counts from 1
	Launch    *pools.Launch
	Node      *pools.Node
	Intended  time.Time        // when the launch intent was entered
	BootBy    time.Time        // when a silent node is given up
	Place     *residency.Place // proven
	Level     residency.Level
	NodeKey   string // bound to the instance by the first evidence accepted
	Grant     *Grant
	Issuing   string // CSR digest of an issue intent without outcome
	Serials   []Serial
	Windows   map[int]int64 // serve windows open, by number: bytes allowed
	WindowN   int           // the highest window number entered
	Served    int64         // bytes served in closed windows
	Allowed   int64         // bytes allowed by windows still open
	Epoch     int           // last epoch the job reported
	Heard     time.Time     // when its job last started, reported or returned something
	Reports   int           // of progress
	Artefacts []Artefact
	Excepted  string    // digest of the exception that a decision rests on
	Released  []Let     // those that were let out of quarantine
	Flags     []Flagged // those made from what was called back
	Turned    []string  // reasons for which peers were turned away
	Stopped   *Stop
	ProbeBy   time.Time
	Probes    []Probed
	Deleting  bool // the delete intent is entered
	GoneAt    time.Time
	Settled   *Settled
	Sunk      policy.Money // spent on attempts that ended before they were known to be made
	Outcome   string
}

// Spent is what the burst has cost so far, as far as it is settled.
func (s State) Spent() policy.Money {
	if s.Settled == nil {
		return s.Sunk
	}
	return sum(s.Sunk, s.Settled.Spent)
}

// sum adds amounts of one currency; an amount of none is nothing.
func sum(a, b policy.Money) policy.Money {
	if all, err := a.Plus(b); err == nil {
		return all
	}
	return cmp.Or(b, a)
}

// Live reports whether the burst still holds or may hold something.
func (s State) Live() bool { return s.Phase != "" && s.Phase != Ended }

// Current is the newest credential's serial, or "".
func (s State) Current() string {
	if len(s.Serials) == 0 {
		return ""
	}
	return s.Serials[len(s.Serials)-1].Number
}

// grantIs reports whether the burst has this grant.
func (s State) grantIs(id string) bool { return s.Grant != nil && s.Grant.ID == id }

// nodeIs reports whether the burst has this node.
func (s State) nodeIs(id string) bool { return s.Node != nil && s.Node.ID == id }

// Event is one fact, as entered. Index is the leaf that holds it.
type Event struct {
	Claim string
	At    time.Time
	Actor string
	Index int64
	Body  Body
}

// Step folds e into s and returns every effect then due. An event that does
// not follow changes nothing.
func Step(s State, e Event) (State, []Effect) {
	if next, ok := apply(s, e); ok {
		s = next
	}
	return s, Due(s)
}

// Accepts reports whether e follows in state s; what does not follow is not entered.
func Accepts(s State, e Event) bool {
	_, ok := apply(s, e)
	return ok
}

// apply tries the phases' transitions in the order of a burst's life.
func apply(s State, e Event) (State, bool) {
	for _, step := range []func(State, Event) (State, bool){stepAsk, stepExcept, stepLaunch, stepProve, stepServe,
		stepArtefact, stepTeardown} {
		if next, ok := step(s, e); ok {
			return next, true
		}
	}
	return s, false
}
