// Package replay samples a recorded day as if its GPUs were here.
//
// # From jobs to samples
//
// A [Day] packs a trace's jobs onto a pool of G GPUs, first in, first out, with no
// backfilling: a job starts when enough GPUs are free and nobody submitted before
// it still waits. From that follow, for every instant, which job holds which GPU
// and who waits. [Rule] turns a held GPU into readings and is printed by whoever
// shows the replay, since a trace of jobs holds no utilisation.
//
// # Two clocks
//
// A [Sampler] plays a day at a pace: 120 recorded seconds a real second, say. Its
// samples carry real time, so windows, signals and requests downstream know no
// other clock; only the load is faster than it was. [Sampler.Recorded] gives the
// time of the recorded day, and [Sampler.Played] what a duration of that day
// lasts here: a threshold of five recorded minutes is 2.5 s at 120.
//
// *Non-goals*: it is a realistic load, not a reconstruction of the machines that
// ran it; failures, preemption and the users' reactions to a longer wait are not played.
package replay

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/pools/onprem"
)

// Rule says in words how a job becomes readings; show it beside anything replayed.
const Rule = "FIFO onto the GPUs, no backfilling; a GPU held by a job is busy at a level drawn once per job, " +
	"uniform over 92..98 %, by seed, ±2 per sample; a free one is at 0 %; memory, power, clock and temperature " +
	"follow from that. The trace records jobs, not utilisation: the levels are synthetic, arrivals and durations are not"

// Day is one recorded day on a pool of GPUs. Made by [NewDay]; it does not change
// after that and may be read by many.
type Day struct {
	midnight time.Time
	gpus     int
	seed     uint64
	runs     []run // in order of submission
}

// run is one job with what the packing gave it, in time of the recorded day.
type run struct {
	job               Job
	submit, start, at time.Time // at is the end
	gpus              []int     // indices it holds
}

// NewDay packs jobs onto gpus GPUs. Job times count from epoch; midnight is the
// start of the day to play. It errs when there are no jobs, or when one is larger
// than the pool and would wait forever. Equal arguments give equal days.
func NewDay(jobs []Job, epoch, midnight time.Time, gpus int, seed uint64) (*Day, error) {
	if len(jobs) == 0 {
		return nil, errors.New("pack day: no jobs")
	}
	d := &Day{midnight: midnight, gpus: gpus, seed: seed}
	free := make([]time.Time, max(0, gpus)) // when each GPU is free again
	order := make([]int, len(free))
	var head time.Time // when the job before this one started
	for _, j := range slices.SortedStableFunc(slices.Values(jobs), func(a, b Job) int { return a.Submit - b.Submit }) {
		if j.GPUs < 1 || j.GPUs > gpus {
			return nil, fmt.Errorf("pack day: job %d needs %d GPUs, the pool has %d", j.ID, j.GPUs, gpus)
		}
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return free[a].Compare(free[b]) })
		r := run{job: j, submit: epoch.Add(time.Duration(j.Submit) * time.Second)}
		r.start = later(later(r.submit, head), free[order[j.GPUs-1]])
		r.at = r.start.Add(time.Duration(j.Duration) * time.Second)
		// Of the GPUs free by then, the lowest: what a person expects to see fill up.
		ready := slices.DeleteFunc(slices.Clone(order), func(i int) bool { return free[i].After(r.start) })
		slices.Sort(ready)
		r.gpus = ready[:j.GPUs]
		for _, i := range r.gpus {
			free[i] = r.at
		}
		head = r.start
		d.runs = append(d.runs, r)
	}
	return d, nil
}

// later gives the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// GPUs gives the size of the pool.
func (d *Day) GPUs() int { return d.gpus }

// Bounds gives the first instant of the day and the first after it.
func (d *Day) Bounds() (from, to time.Time) { return d.midnight, d.midnight.Add(24 * time.Hour) }

// Held counts the GPUs that jobs hold at an instant of the day.
func (d *Day) Held(at time.Time) int {
	n := 0
	for _, r := range d.runs {
		if r.holds(at) {
			n += r.job.GPUs
		}
	}
	return n
}

// holds says whether the job runs at an instant.
func (r run) holds(at time.Time) bool { return !at.Before(r.start) && at.Before(r.at) }

// Pressure gives the queue at an instant of the day, in recorded durations.
func (d *Day) Pressure(at time.Time) onprem.Pressure {
	var p onprem.Pressure
	for _, r := range d.runs {
		if !at.Before(r.submit) && at.Before(r.start) {
			wait := at.Sub(r.submit)
			p.Waiting++
			p.Oldest = max(p.Oldest, wait)
			p.Waits = append(p.Waits, wait)
		}
	}
	return p
}

// Peak gives the instant at which the day's largest queue begins to build: from it
// on, jobs wait without a break until the queue is at its longest. A
// demonstration starts a little before. On a day on which nobody waits it is midnight.
func (d *Day) Peak() time.Time {
	from, to := d.Bounds()
	peak, most, began := from, 0, from
	for at := from; at.Before(to); at = at.Add(time.Second) {
		n := d.waiting(at)
		if n == 0 {
			began = at.Add(time.Second)
		}
		if n > most {
			peak, most = began, n
		}
	}
	return peak
}

// waiting counts the jobs that wait at an instant.
func (d *Day) waiting(at time.Time) int {
	n := 0
	for _, r := range d.runs {
		if !at.Before(r.submit) && at.Before(r.start) {
			n++
		}
	}
	return n
}

// Describe says in a line what the day is, for whoever shows it.
func (d *Day) Describe() string {
	peak := d.Peak()
	first := cmp.Or(d.runs[0].job.VC, "unnamed")
	return fmt.Sprintf("%d jobs of queue %s on %s, on %d GPUs; its largest queue builds from %s",
		len(d.runs), first, d.midnight.Format("Mon 2006-01-02"), d.gpus, peak.Format("15:04:05"))
}
