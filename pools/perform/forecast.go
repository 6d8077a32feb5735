package perform

import (
	"fmt"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Forecast is what would be decided on a job if its site asked now. Nothing is
// reserved and nothing entered.
type Forecast struct {
	Site     string          `json:"site"`
	Job      policy.Job      `json:"job"`
	At       time.Time       `json:"at"`
	Decision policy.Decision `json:"decision"`
}

// Forecast decides on a job without doing anything. How many bytes its slice
// has is the site's to say, so only an earlier burst of it tells.
func (e *Engine) Forecast(site string, job policy.Job) (Forecast, error) {
	if err := job.Check(); err != nil {
		return Forecast{}, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	r := policy.Request{ID: "forecast", Site: site, JobID: "forecast", Job: job, At: now}
	for _, s := range e.Bursts() {
		if s.Request.Site == site && s.Request.Job.Slice == job.Slice && s.Request.SliceBytes > 0 {
			r.SliceDigest, r.SliceBytes = s.Request.SliceDigest, s.Request.SliceBytes
		}
	}
	e.lawMu.RLock()
	defer e.lawMu.RUnlock()
	d, _, _ := e.weigh(r, nil, r.Charge(1, policy.Day(now), policy.Money{}), now)
	if d.Rules == "" {
		d.Rules = e.law.Rules.Digest()
	}
	if d.Places == "" {
		d.Places = e.law.Places.Digest()
	}
	if d.Plan == nil && d.Refusal == "" {
		return Forecast{}, fmt.Errorf("forecast %s: nothing was decided", job.Name)
	}
	return Forecast{Site: site, Job: job, At: now, Decision: d}, nil
}
