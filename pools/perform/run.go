package perform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/burstctl/burstctl/pools/burst"
)

// Run carries out whatever is due until ctx ends or an entry cannot be made
// durable; then it returns the cause. Bursts that are under way go on in the
// next run.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(e.ctx, cancel)
	defer stop()
	if err := e.open(); err != nil {
		return unlessCancelled(err)
	}
	e.missedAlerts()
	e.lawMu.RLock()
	in := e.law
	e.lawMu.RUnlock()
	if err := e.endUnlawful(controller, in); err != nil { // the law may have changed while we were away
		return unlessCancelled(err)
	}
	if err := e.carryOut(); err != nil { // of recalls that an earlier life did not finish
		return unlessCancelled(err)
	}
	for _, s := range e.Bursts() {
		if s.Live() {
			if l, err := e.find(s.Claim); err == nil {
				e.start(l)
			}
		}
	}
	e.heartbeats(ctx)
	e.fatal(context.Canceled)
	e.drain()
	return unlessCancelled(context.Cause(e.ctx))
}

// unlessCancelled is err, unless the engine was told to end.
func unlessCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// drain waits for every burst's goroutine. None begins meanwhile: a request
// holds asks until its burst runs, and later ones are refused their entry.
func (e *Engine) drain() {
	e.asks.Lock()
	defer e.asks.Unlock()
	e.runs.Wait()
}

// start runs one burst in its own goroutine until it has ended, however often it is called.
func (e *Engine) start(l *life) {
	l.once.Do(func() { e.runs.Go(func() { e.live(e.ctx, l) }) })
}

// live carries out what is due for one burst and waits for what is not.
func (e *Engine) live(ctx context.Context, l *life) {
	pause := e.pauses()
	for ctx.Err() == nil {
		n, _ := l.pulse.at()
		s := l.now()
		if !s.Live() {
			return
		}
		late := s.Deadline()
		switch due := burst.Due(s); {
		case len(due) > 0:
			e.try(ctx, l, due[0], n, pause)
		case !late.At.IsZero() && !time.Now().Before(late.At):
			e.late(ctx, l, late, n, pause)
		default:
			e.rest(ctx, l, n, late.At)
		}
	}
}

// try carries out one effect; after an error it pauses, longer each time. The
// effect was due when the burst's pulse was n.
func (e *Engine) try(ctx context.Context, l *life, f burst.Effect, n int64, pause backoff.BackOff) {
	err := e.do(ctx, l, f)
	now, _ := l.pulse.at()
	if err == nil || errors.Is(err, errOrder) && now > n { // done, or the state moved on meanwhile
		pause.Reset()
		return
	}
	wait := pause.NextBackOff()
	e.Logger.WarnContext(ctx, "effect is not done yet", "claim", l.claim, "effect", string(f.Do), "error", err,
		"again_in", wait)
	sleep(ctx, wait)
}

// late does what follows when somebody else did not act in time.
func (e *Engine) late(ctx context.Context, l *life, late burst.Late, n int64, pause backoff.BackOff) {
	if late.Effect != nil {
		e.try(ctx, l, *late.Effect, n, pause)
		return
	}
	if stop, ok := late.Body.(*burst.Stop); ok {
		stop.By = e.stopBy()
	}
	if err := e.enter(l, controller, late.Body); err != nil && !errors.Is(err, errOrder) {
		sleep(ctx, pause.NextBackOff())
	}
}

// rest waits until the burst's state moves or its deadline passes.
func (e *Engine) rest(ctx context.Context, l *life, n int64, until time.Time) {
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	l.pulse.wait(ctx, n)
}

// pauses are bounded in length, never in number: a due effect stays due.
func (e *Engine) pauses() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(e.Timing.Retry),
		backoff.WithMaxElapsedTime(0),
	)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// stopBy is until when a node that is told to stop is waited for.
func (e *Engine) stopBy() time.Time {
	return time.Now().UTC().Truncate(time.Millisecond).Add(e.Timing.Stop)
}

// Stop turns a burst around: its node lets go, its credentials are revoked, it
// is deleted and settled. Stopping twice is no error.
func (e *Engine) Stop(claim, actor, why, detail string) error {
	l, err := e.find(claim)
	if err != nil {
		return err
	}
	err = e.enter(l, actor, &burst.Stop{Why: why, Detail: detail, By: e.stopBy()})
	if s := l.now(); errors.Is(err, errOrder) && (s.Stopped != nil || !s.Live()) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop burst %s: %w", claim, err)
	}
	return nil
}
