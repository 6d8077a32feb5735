// Package policy turns saturation into a request, and a request into a decision.
//
// # One direction
//
// A [Signal] says that a site's pool is full and why. A [Request] asks for a
// place for one [Job]. [Decide] weighs every [Offer] against the residency
// rules, the budget and what is known of capacity, and returns a [Decision]
// that explains each of them. It never errs: a refusal is an answer.
//
// The package is pure: no I/O, no clock, no logger, no dice. Time comes in as a
// value, so a decision can be replayed from the log years later.
//
// # Non-goals
//
// Waiting policies, forecasts and queues of other schedulers are not decided here.
package policy

import "time"

// Signal is what a site says about one pool: level state, announced again and
// again, so a lost message changes nothing. Made by pools/onprem; the zero
// Signal is not saturated.
type Signal struct {
	Site string `json:"site"`
	Pool string `json:"pool"`
	// Saturated is the level itself. Stale or doubtful facts make it false.
	Saturated bool      `json:"saturated"`
	Since     time.Time `json:"since"` // when the present level began
	At        time.Time `json:"at"`    // newest sample used
	Rule      string    `json:"rule"`  // the rule that declared it, in words
	// Utilisation and MemoryUsed are means over the window in percent.
	Utilisation int           `json:"utilisation"`
	MemoryUsed  int           `json:"memory_used"`
	GPUs        int           `json:"gpus"`
	Waiting     int           `json:"waiting"`     // jobs that wait on site
	OldestWait  time.Duration `json:"oldest_wait"` // nanoseconds
	Stale       bool          `json:"stale"`
	Reason      string        `json:"reason,omitempty"` // why not saturated, or why unknown
}

// Threshold is the trigger grammar of a pool: saturation of at least
// Utilisation for at least For, and JobsWaiting jobs that waited at least
// WaitedFor. The zero Threshold never triggers.
type Threshold struct {
	Utilisation int           // percent, mean over the window
	For         time.Duration // how long it must hold
	JobsWaiting int           // at least so many jobs
	WaitedFor   time.Duration // each for at least so long
	Release     int           // percent below which saturation ends (hysteresis)
	CoolDown    time.Duration // how long after a release before it may hold again
	StaleAfter  time.Duration // a sample older than this proves nothing
}
