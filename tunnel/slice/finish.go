package slice

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// watch ends the session with its credential: after the time left by the
// monotonic clock, and when the wall clock passes the end.
func (s *session) watch() {
	timer := time.NewTimer(s.until.Sub(s.now()))
	defer timer.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
			s.cancel(ErrExpired)
		case <-tick.C:
			if !s.now().Before(s.until) {
				s.cancel(ErrExpired)
			}
		}
	}
}

// finish waits for what is in work, closes every window and says how it ended.
func (s *session) finish(parent context.Context, err error) error {
	cause := context.Cause(s.ctx)
	switch {
	case parent.Err() != nil:
		err = fmt.Errorf("%w: %w", ErrCut, context.Cause(parent))
	case cause != nil:
		err = cause
	}
	why := ending(err)
	if why == "denied" {
		s.conn.Close() // not a reset: the node is to read the refusal
	}
	if err == nil {
		s.drain()
		s.conn.Close()
	}
	s.cancel(err)
	s.work.Wait()
	for _, a := range s.accounts {
		if e := a.settle(why); e != nil {
			err = errors.Join(err, e)
		}
	}
	s.log.InfoContext(parent, "road closed", "grant", s.peer.Grant, "why", why, "error", err)
	return err
}

// drain lets answers in work go out before a goodbye is honoured.
func (s *session) drain() {
	for range maxOutstanding {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
	}
}

// ending is err as the "why" of a window.
func ending(err error) string {
	switch {
	case err == nil:
		return "bye"
	case errors.Is(err, ErrCut):
		return "cut"
	case errors.Is(err, ErrExpired):
		return "expired"
	case errors.Is(err, errGate):
		return "gate"
	case errors.Is(err, ErrDenied):
		return "denied"
	}
	return "lost"
}
