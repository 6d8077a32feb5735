package replay

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/burstctl/burstctl/pools/onprem"
)

// Sampler plays a day. Made by [Day.Play]; it keeps [onprem.Sampler], and any
// number of callers may range over it at once and see the same day.
type Sampler struct {
	day   *Day
	from  time.Time // recorded time at began
	began time.Time // real time
	pace  int
	every time.Duration
}

// Play gives a sampler that stands at from, in the recorded day, at the real time
// began, and moves pace recorded seconds each real second, with a round each every
// of real time. Its sequence ends with the day. It errs on a pace or an interval
// that is not positive, and on a start outside the day.
func (d *Day) Play(from, began time.Time, pace int, every time.Duration) (*Sampler, error) {
	start, end := d.Bounds()
	switch {
	case pace < 1 || pace > 86400:
		return nil, fmt.Errorf("play day: pace %d is not between 1 and 86400", pace)
	case every <= 0:
		return nil, fmt.Errorf("play day: interval %s is not positive", every)
	case from.Before(start) || !from.Before(end):
		return nil, fmt.Errorf("play day: %s is not on %s", from.Format(time.RFC3339), start.Format(time.DateOnly))
	}
	return &Sampler{day: d, from: from, began: began, pace: pace, every: every}, nil
}

// Recorded gives the time of the recorded day at a real time.
func (s *Sampler) Recorded(at time.Time) time.Time {
	return s.from.Add(at.Sub(s.began) * time.Duration(s.pace))
}

// Played gives how long a duration of the recorded day lasts here.
func (s *Sampler) Played(recorded time.Duration) time.Duration {
	return recorded / time.Duration(s.pace)
}

// Pressure gives the queue at a real time, its waits as they were lived here, so
// that it goes with thresholds in real time.
func (s *Sampler) Pressure(at time.Time) onprem.Pressure {
	p := s.day.Pressure(s.Recorded(at))
	p.Oldest = s.Played(p.Oldest)
	for i := range p.Waits {
		p.Waits[i] = s.Played(p.Waits[i])
	}
	return p
}

// Round gives the samples of a real time.
func (s *Sampler) Round(at time.Time) []onprem.Sample {
	round := s.day.Round(s.Recorded(at))
	for i := range round {
		round[i].At = at
	}
	return round
}

// Samples gives a round at once and then one each interval.
func (s *Sampler) Samples(ctx context.Context) iter.Seq2[[]onprem.Sample, error] {
	return func(yield func([]onprem.Sample, error) bool) {
		tick := time.NewTicker(s.every)
		defer tick.Stop()
		_, end := s.day.Bounds()
		for at := time.Now(); ctx.Err() == nil && s.Recorded(at).Before(end); {
			if !yield(s.Round(at), nil) {
				return
			}
			select {
			case <-ctx.Done():
			case at = <-tick.C:
			}
		}
	}
}

// The readings of a made-up GPU, stated by [Rule]: an 80 GB card of 400 W.
const (
	memoryMiB = 81920
	idleWatt  = 70
	fullWatt  = 400
)

// Round gives the samples of an instant of the recorded day. Equal instants give
// equal samples, whatever was asked before.
func (d *Day) Round(at time.Time) []onprem.Sample {
	round := make([]onprem.Sample, d.gpus)
	for i := range round {
		round[i] = onprem.Sample{
			UUID: fmt.Sprintf("GPU-replay-%02d", i), Index: i, At: at, State: onprem.OK,
			MemoryTotalMiB: memoryMiB, PowerMilliwatt: idleWatt * 1000, TempC: 31, SMClockMHz: 345, Throttle: 0x1,
		}
	}
	for _, r := range d.runs {
		if !r.holds(at) {
			continue
		}
		job := rand.New(rand.NewPCG(d.seed, uint64(r.job.ID)))
		level, memory := 92+job.IntN(7), 55+job.IntN(35)
		for _, i := range r.gpus {
			now := rand.New(rand.NewPCG(d.seed^uint64(i)<<32, uint64(at.UnixNano())))
			hold(&round[i], min(100, level-2+now.IntN(5)), memory)
		}
	}
	return round
}

// hold fills in the readings of a GPU that a job keeps busy at util percent.
func hold(s *onprem.Sample, util, memory int) {
	s.Utilisation = util
	s.MemoryUsedMiB = int64(memory) * memoryMiB / 100
	s.PowerMilliwatt = int64(idleWatt*1000 + (fullWatt-idleWatt)*10*util)
	s.TempC = 40 + util/4
	s.SMClockMHz, s.Processes, s.Throttle = 1980, 1, 0
}
