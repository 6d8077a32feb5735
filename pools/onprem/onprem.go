// Package onprem watches the GPUs of one site and says when they are full.
//
// # The way of a fact
//
// A [Sampler] answers in rounds: one [Sample] per GPU, or an error. A [Window]
// folds the rounds, takes the site's queue [Pressure] beside them, and gives a
// [policy.Signal]. The samplers are pools/onprem/nvml (the driver) and
// pools/onprem/replay (a recorded day); both keep the contract that
// pools/onprem/samplertest checks.
//
// # Doubt never bursts
//
// A lost GPU, an error, a sample that is old, from the future or no longer
// advancing, a gap in the watch, a GPU that vanished, a queue that could not be
// read: each makes the signal not saturated and says why. Saturation has to be
// shown for the whole window, by every GPU, before it is declared.
//
// # Time
//
// The fold reads no clock: time comes with the samples and with the call to
// [Window.Signal], so a day can be replayed and a test needs no sleep.
//
// *Non-goals*: who leaves and when is policy's; publishing is pools/bus's;
// forecasts and per-process accounting are not made here.
package onprem

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// State says whether a sample may be believed. The zero State may not.
type State string

// The states of a sample.
const (
	OK     State = "ok"     // measured, and measured now
	Lost   State = "lost"   // the GPU has fallen off the bus or needs a reset
	Failed State = "failed" // the GPU is there but a needed reading errs
	Stale  State = "stale"  // the numbers are there but no longer move
)

// Sample is what was measured of one GPU at one instant. Made by a [Sampler];
// the zero Sample has no state and is never believed. Readings that a chip does
// not have are zero. It holds no process names and no user data.
type Sample struct {
	UUID  string `json:"uuid"`
	Index int    `json:"index"` // as the driver counts, from 0
	// At is when the driver measured, not when someone read it; [Stale] and
	// [Lost] samples carry the last time that was good.
	At             time.Time `json:"at"`
	Utilisation    int       `json:"utilisation"` // percent of the time a kernel ran: a duty cycle, not a load
	MemoryUsedMiB  int64     `json:"memory_used_mib"`
	MemoryTotalMiB int64     `json:"memory_total_mib"`
	PowerMilliwatt int64     `json:"power_mw"`
	EnergyMJ       uint64    `json:"energy_mj,omitempty"` // millijoules since the driver loaded
	TempC          int       `json:"temp_c"`
	SMClockMHz     int       `json:"sm_clock_mhz"`
	Processes      int       `json:"processes"` // compute processes that hold the GPU
	Throttle       Throttle  `json:"throttle,omitempty"`
	XID            uint64    `json:"xid,omitempty"` // last critical Xid seen, 0 for none
	State          State     `json:"state"`
	Err            string    `json:"err,omitempty"` // why State is not OK
}

// Sampler is a source of rounds. The sequence ends when ctx ends, when the
// caller breaks, or after an error the source cannot recover from. It must keep
// answering: a source that hangs is reported as [Stale] samples or an error
// within a stated bound, never as silence. A round is not shared with later ones.
type Sampler interface {
	Samples(ctx context.Context) iter.Seq2[[]Sample, error]
}

// Pressure is what waits in the site's queue. Made by the queue's reader; the
// zero Pressure means that nothing waits.
type Pressure struct {
	Waiting int           // jobs that wait for GPUs
	Oldest  time.Duration // how long the oldest of them has waited
	// Waits holds each job's wait. It is needed only where a threshold asks for
	// more than one job; without it such a threshold is not met.
	Waits []time.Duration
	Doubt string // why the queue could not be read; empty when it could
}

// longer counts the jobs that have waited at least d.
func (p Pressure) longer(d time.Duration) int {
	n := 0
	for _, w := range p.Waits {
		if w >= d {
			n++
		}
	}
	if n == 0 && p.Waiting > 0 && p.Oldest >= d {
		n = 1
	}
	return n
}

// fatalXID lists the Xid errors after which NVIDIA asks for a reset of the GPU or
// the node: double-bit ECC, firmware and row-remap failures, off the bus, GSP timeouts.
var fatalXID = []uint64{48, 62, 64, 74, 79, 95, 119, 120}

// wrong says why a sample proves nothing about load; empty when it may be believed.
func (s Sample) wrong() string {
	switch {
	case s.State != OK:
		state := string(s.State)
		if state == "" {
			state = "of no state"
		}
		return strings.TrimSuffix(state+": "+s.Err, ": ")
	case slices.Contains(fatalXID, s.XID):
		return fmt.Sprintf("failing with Xid %d", s.XID)
	case s.At.IsZero():
		return "measured at no time"
	case s.Utilisation < 0 || s.Utilisation > 100:
		return fmt.Sprintf("at %d %% utilisation", s.Utilisation)
	}
	return ""
}

// key names the GPU of a sample for the length of a window.
func (s Sample) key() string {
	if s.UUID != "" {
		return s.UUID
	}
	return fmt.Sprintf("index %d", s.Index)
}

// memory gives the percent of memory in use, 0 where the total is unknown.
func (s Sample) memory() int {
	if s.MemoryTotalMiB <= 0 {
		return 0
	}
	return int(min(100, max(0, s.MemoryUsedMiB*100/s.MemoryTotalMiB)))
}
