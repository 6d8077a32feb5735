package perform_test

import (
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

func TestAJobThatReportsNothingIsStopped(t *testing.T) {
	for name, tc := range map[string]struct {
		house, asked, epoch time.Duration
		outcome             string
		within              time.Duration // of its start
	}{
		"nobody asked for that":       {0, 0, 10 * time.Minute, burst.WhyFinished, 45 * time.Minute},
		"it reports in time":          {0, 12 * time.Minute, 10 * time.Minute, burst.WhyFinished, 45 * time.Minute},
		"the job asked for that":      {0, 5 * time.Minute, 10 * time.Minute, burst.WhyIdle, 7 * time.Minute},
		"the house does not wait":     {5 * time.Minute, 0, 10 * time.Minute, burst.WhyIdle, 7 * time.Minute},
		"the house waits less":        {5 * time.Minute, 30 * time.Minute, 10 * time.Minute, burst.WhyIdle, 7 * time.Minute},
		"its lease ends before":       {0, 3 * time.Hour, 50 * time.Minute, burst.WhyExpired, time.Hour},
		"it stops reporting, crashed": {0, 15 * time.Minute, 20 * time.Minute, burst.WhyIdle, 17 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(o *cast.Options) {
				o.Job, o.Timing.Idle = 4*tc.epoch, tc.house
			}, func(t *testing.T, w *world) {
				job := cast.Job(cast.Pseudonymised)
				job.Idle = tc.asked
				if err := w.engine().Ask(cast.Request(claim, "job-1", job), cast.Digest("event")); err != nil {
					t.Fatal(err)
				}
				w.until(burst.Running)
				began := time.Now()
				if strings.Contains(name, "crashed") {
					if err := w.Kill(); err != nil {
						t.Fatal(err)
					}
					w.start()
				}
				s := w.until(burst.Ended)
				if took := time.Since(began); s.Outcome != tc.outcome || took > tc.within {
					t.Errorf("%q after %v", s.Outcome, took)
				}
			})
		})
	}
}

func TestAJobCannotReportNonsense(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		w.ask()
		s := w.until(burst.Running)
		for name, p := range map[string]burst.Progress{
			"epoch":  {Grant: s.Grant.ID, Epoch: -1},
			"power":  {Grant: s.Grant.ID, Epoch: 1, Milliwatts: tunnel.MostMilliwatts + 1},
			"metric": {Grant: s.Grant.ID, Epoch: 1, Metric: strings.Repeat("m", tunnel.LongestMetric+1)},
		} {
			r := tunnel.Report{Kind: p.Kind(), Body: raw(t, p)}
			if err := w.engine().Report(s.Grant.ID, s.Current(), r); err == nil {
				t.Errorf("%s is entered", name)
			}
		}
		w.stop(burst.WhyRevoked)
		w.until(burst.Ended)
	})
}
