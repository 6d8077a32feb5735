package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/tunnel"
)

// watch folds samples into the level this edge announces.
func (e *Edge) watch(ctx context.Context) error {
	w := onprem.NewWindow(e.Site, e.Pool)
	rounds := 0
	for round, err := range e.Sampler.Samples(ctx) {
		if err != nil {
			w.Doubt(err.Error())
		} else {
			w.Add(round...)
		}
		now := time.Now()
		e.set(ctx, w.Signal(now, e.pressure(now), e.Threshold), rounds)
		rounds++
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("watch GPUs of %s: the sampler has ended", e.Site)
}

// set takes a new signal and says so when the level moved.
func (e *Edge) set(ctx context.Context, s policy.Signal, round int) {
	e.mu.Lock()
	was := e.signal
	e.signal = s
	e.mu.Unlock()
	switch {
	case s.Saturated != was.Saturated && s.Saturated:
		e.Logger.InfoContext(ctx, "saturated", "rule", s.Rule, "utilisation", s.Utilisation, "gpus", s.GPUs,
			"waiting", s.Waiting)
	case s.Saturated != was.Saturated:
		e.Logger.InfoContext(ctx, "no longer saturated", "reason", s.Reason)
	case round%5 == 0:
		e.Logger.DebugContext(ctx, "sampled", "utilisation", s.Utilisation, "gpus", s.GPUs, "waiting", s.Waiting,
			"reason", s.Reason)
	}
}

// pressure is what waits: the jobs handed in for this site, and the queue
// beside them. A controller that cannot be heard is a doubt.
func (e *Edge) pressure(now time.Time) onprem.Pressure {
	e.mu.Lock()
	jobs, doubt := waiting(e.work), e.doubt
	e.mu.Unlock()
	p := onprem.Pressure{Doubt: doubt}
	if e.Queue != nil {
		q := e.Queue.Pressure(now)
		p.Waits = append(p.Waits, q.Waits...)
		p.Waiting, p.Oldest = q.Waiting, q.Oldest
		if p.Doubt == "" {
			p.Doubt = q.Doubt
		}
	}
	for _, j := range jobs {
		d := now.Sub(j.Since)
		p.Waits, p.Waiting, p.Oldest = append(p.Waits, d), p.Waiting+1, max(p.Oldest, d)
	}
	return p
}

// waiting are the jobs nobody has asked a burst for yet.
func waiting(w tunnel.Work) []tunnel.Waiting {
	return slices.DeleteFunc(slices.Clone(w.Jobs), func(j tunnel.Waiting) bool { return j.Claim != "" })
}

// announce publishes the level and, while it holds, a request for each waiting
// job. All of it is said again until it is heard: losing a message, or the
// whole stream, loses nothing.
func (e *Edge) announce(ctx context.Context) error {
	last := map[string]time.Time{}
	var said policy.Signal
	var at time.Time
	for ctx.Err() == nil {
		e.mu.Lock()
		signal, jobs, doubt := e.signal, waiting(e.work), e.doubt
		e.mu.Unlock()
		now := time.Now()
		if signal.Saturated && !e.stands(signal, now) {
			signal.Saturated, signal.Stale, signal.Reason = false, true, "the sampler has fallen silent"
		}
		if !signal.At.IsZero() && (signal.Saturated != said.Saturated || now.Sub(at) >= e.Announce) {
			if err := e.Bus.Signal(ctx, signal); err != nil {
				e.Logger.WarnContext(ctx, "signal not announced", "error", err)
			}
			said, at = signal, now
		}
		for _, j := range jobs {
			if doubt == "" && e.stands(signal, now) && now.Sub(last[j.ID]) >= e.Announce {
				e.request(ctx, j, signal, now)
				last[j.ID] = now
			}
		}
		sleep(ctx, min(e.Announce/5, 250*time.Millisecond))
	}
	return nil
}

// stands reports whether a level is still shown at now: a sampler that hangs
// must not leave its last word standing.
func (e *Edge) stands(s policy.Signal, now time.Time) bool {
	return s.Saturated && !s.Stale && now.Sub(s.At) <= e.Threshold.StaleAfter
}

// request asks for a burst for one job.
func (e *Edge) request(ctx context.Context, j tunnel.Waiting, s policy.Signal, now time.Time) {
	held := e.shelf()
	slice, program, err := e.find(held, j.Job)
	if err != nil {
		if !e.unheld[j.ID] { // said once; it waits for a person
			e.unheld[j.ID] = true
			e.Logger.ErrorContext(ctx, "job waits", "job", j.ID, "error", err)
		}
		return
	}
	r := policy.Request{ID: ClaimID(e.Site, j.ID), Site: e.Site, JobID: j.ID, Job: j.Job, At: now.UTC(),
		SliceDigest: slice, SliceBytes: held.sizes[j.Job.Slice], PayloadDigest: program, Signal: s}
	if err := e.Bus.Request(ctx, r); err != nil {
		e.Logger.WarnContext(ctx, "request not announced", "job", j.ID, "error", err)
		return
	}
	e.Logger.InfoContext(ctx, "request announced", "job", j.ID, "claim", r.ID, "slice", j.Job.Slice, "slice_digest", slice)
}

// find names the manifests of what a job needs, both of which the site must hold.
func (e *Edge) find(held shelf, j policy.Job) (slice, program string, err error) {
	var ok bool
	if slice, ok = held.digests[j.Slice]; !ok {
		return "", "", fmt.Errorf("find slice %s: %w", j.Slice, ErrNotHeld)
	}
	if program, ok = e.programs[j.Payload]; !ok {
		return "", "", fmt.Errorf("find program %s: %w", j.Payload, ErrNotHeld)
	}
	return slice, program, nil
}

// ClaimID names the one claim of a job of a site.
func ClaimID(site, job string) string {
	sum := sha256.Sum256([]byte("burst-claim/1\n" + site + "\n" + job))
	return "c-" + hex.EncodeToString(sum[:6])
}
