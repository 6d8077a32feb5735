package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/tunnel/control"
)

// poll is the pause between two looks at a burst that is waited for.
const poll = 500 * time.Millisecond

// wait watches a job until its burst has ended, telling each new phase to
// heard, and returns the burst.
func wait(
	ctx context.Context, client *control.Client, job control.JobInfo, heard io.Writer,
) (control.BurstInfo, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	phase := ""
	for {
		s, err := client.Status(ctx)
		if err != nil {
			return control.BurstInfo{}, refusal(err)
		}
		i := slices.IndexFunc(s.Bursts, func(b control.BurstInfo) bool { return b.Job == job.ID && b.Site == job.Site })
		if i >= 0 && s.Bursts[i].Phase != phase {
			phase = s.Bursts[i].Phase
			fmt.Fprintf(heard, "%s %s: %s\n", time.Now().UTC().Format(time.RFC3339), job.ID, phase)
		}
		if phase == string(burst.Ended) {
			return s.Bursts[i], nil
		}
		select {
		case <-ctx.Done():
			return control.BurstInfo{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// ending is how a burst ended, as an error with its code; nil is well.
func ending(b control.BurstInfo) error {
	p := &frame.Problem{What: "run " + b.Job, Code: frame.Failed, Err: fmt.Errorf("%s", b.Outcome)}
	switch reason, _, _ := strings.Cut(b.Outcome, ":"); reason {
	case burst.WhyFinished:
		return nil
	case burst.WhyFailed:
		p.Code = frame.JobFailed
	case burst.WhyExpired:
		p.Code, p.Why, p.Fix = frame.JobFailed, "its lease ran out", "ask for a longer lease, or let the job save its state"
	case burst.WhyIdle:
		p.Code, p.Why, p.Fix = frame.JobFailed, "its job reported no progress", "let it report, or allow it more with idle"
	case burst.WhyLost:
		p.Code = frame.NodeLost
	case burst.WhyBoot:
		p.Code = frame.NotProven
	case burst.WhyDenied, burst.WhyRules:
		p.Code = frame.ResidencyDenied
	case burst.WhyRevoked:
		p.Code = frame.Canceled
	case "launch refused":
		p.Code = frame.LaunchFailed
	case "refused":
		p.Code = refusalCode(b.Decision)
		if alt := b.Decision.Alternative; alt != "" {
			p.Fix = "nearest permitted alternative: " + alt
		}
	}
	return p
}

// refusalCode names what speaks against the offer that got furthest: an offer
// that the rules permit and money cannot buy is a matter of money.
func refusalCode(d policy.Decision) frame.Code {
	order := []struct {
		kind string
		code frame.Code
	}{
		{policy.KindCapacity, frame.NoCapacity}, {policy.KindQuota, frame.QuotaReached},
		{"budget", frame.OverBudget}, {"price", frame.PriceUnknown},
		{"size", frame.NoOffer}, {"residency", frame.ResidencyDenied},
	}
	for _, o := range order {
		if slices.ContainsFunc(d.Reasons(), func(t policy.Tally) bool { return t.Kind == o.kind }) {
			return o.code
		}
	}
	return frame.NoOffer
}
