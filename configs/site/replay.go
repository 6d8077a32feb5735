package site

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/onprem/replay"
	"github.com/burstctl/burstctl/scenarios/traces"
)

// replayLead is how long before its peak a replayed day begins.
const replayLead = 3 * time.Minute

// Replay plays a recorded day from shortly before its peak. Thresholds are
// given in the day's own time and shortened as it is.
func Replay(c configs.Edge) (Source, string, error) {
	b, err := os.ReadFile(c.Sampler.Trace)
	if err != nil {
		return Source{}, "", fmt.Errorf("read trace: %w", err)
	}
	jobs, err := replay.ReadJobs(bytes.NewReader(b))
	if err != nil {
		return Source{}, "", fmt.Errorf("read trace %s: %w", c.Sampler.Trace, err)
	}
	epoch, err := time.Parse(time.RFC3339, traces.PhillyEpoch)
	if err != nil {
		return Source{}, "", fmt.Errorf("read trace: %w", err)
	}
	date, err := time.Parse(time.RFC3339, traces.PhillyDate)
	if err != nil {
		return Source{}, "", fmt.Errorf("read trace: %w", err)
	}
	day, err := replay.NewDay(jobs, epoch, date, traces.PhillyGPUs, 1)
	if err != nil {
		return Source{}, "", err
	}
	s, err := day.Play(day.Peak().Add(-replayLead), time.Now(), c.Sampler.Speed, c.Sampler.Every)
	if err != nil {
		return Source{}, "", err
	}
	t := Threshold(c)
	t.For, t.WaitedFor, t.CoolDown = s.Played(t.For), s.Played(t.WaitedFor), s.Played(t.CoolDown)
	return Source{Sampler: s, Queue: s, Threshold: t}, day.Describe(), nil
}

// Threshold is the config's trigger as policy knows it.
func Threshold(c configs.Edge) policy.Threshold {
	t := c.Threshold
	return policy.Threshold{Utilisation: t.Utilisation, For: t.For, JobsWaiting: t.JobsWaiting, WaitedFor: t.WaitedFor,
		Release: t.Release, CoolDown: t.CoolDown, StaleAfter: t.StaleAfter}
}
