package slice

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Bounds of a measurement.
const (
	nonceSize   = 32
	echoSamples = 5
	echoWait    = 2 * time.Second
)

// Rounds says when the edge measures round trips to the node of a connection,
// and who is told. The zero Rounds measures nothing.
type Rounds struct {
	After time.Duration // until the first measurement; 0 is before the first window
	Every time.Duration // between two of them; 0 is never again
	Wait  time.Duration // for all answers of one measurement; 0 is 2 s
	// Took is told what each came to, one after the other; nil measures nothing.
	// If After is 0, the first window waits for the first return, whatever it was.
	Took func(context.Context, residency.Grant, RoundTrip, error)
}

// RoundTrip is the least time that a question took to the node's process and
// its answer back, of so many samples. The zero RoundTrip was not measured.
type RoundTrip struct {
	Least   time.Duration
	Samples int // 1 to 5
}

// echoes are the edge's questions on one connection, one at a time.
type echoes struct {
	mu    sync.Mutex // guards what follows
	id    uint32
	nonce []byte // of the question that waits for its answer; nil: none does
	asked time.Time
	took  chan time.Duration // of that question alone: who gave up is not told
}

// ask draws the next question. While an earlier one is unanswered there is none.
func (e *echoes) ask() (h header, nonce []byte, took <-chan time.Duration, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.nonce != nil {
		return header{}, nil, nil, errors.New("an earlier question is not answered yet")
	}
	nonce = make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	e.id++
	e.nonce, e.took, e.asked = nonce, make(chan time.Duration, 1), time.Now()
	return header{op: opEcho, id: e.id}, nonce, e.took, nil
}

// expected is how long an answer may be: nobody answers what was not asked.
func (e *echoes) expected(h header) (uint32, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.nonce == nil || h.id != e.id || h.status != statusOK || h.length != nonceSize {
		return 0, fmt.Errorf("read echo: nobody asked for %d", h.id)
	}
	return nonceSize, nil
}

// answered takes the answer to the question; a late one is taken too, and counts for nothing.
func (e *echoes) answered(nonce []byte) error {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !bytes.Equal(nonce, e.nonce) {
		return errors.New("read echo: it is not what was asked")
	}
	e.nonce = nil
	e.took <- now.Sub(e.asked)
	return nil
}

// rounds measures beside the stream, for as long as it lasts.
func (s *session) rounds() {
	r, first := s.cfg.Rounds, sync.OnceFunc(func() { close(s.measured) })
	defer first()
	if r.Took == nil || !s.echo {
		return
	}
	if r.After > 0 {
		first()
	}
	for wait := r.After; s.idle(wait); wait = r.Every {
		rt, err := s.roundTrip()
		r.Took(s.ctx, s.grant, rt, err)
		first()
		if r.Every <= 0 {
			return
		}
	}
}

// idle waits; false if the session is over.
func (s *session) idle(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.ctx.Err() == nil
	case <-s.ctx.Done():
		return false
	}
}

// roundTrip measures once. A node that falls silent on the way has given those samples it has given.
func (s *session) roundTrip() (RoundTrip, error) {
	wait := s.cfg.Rounds.Wait
	if wait <= 0 {
		wait = echoWait
	}
	ctx, done := context.WithTimeout(s.ctx, wait)
	defer done()
	var rt RoundTrip
	for rt.Samples < echoSamples {
		took, err := s.sample(ctx)
		switch {
		case err != nil && rt.Samples > 0 && s.ctx.Err() == nil:
			return rt, nil
		case err != nil:
			return RoundTrip{}, fmt.Errorf("measure round trip: %w", err)
		case rt.Samples == 0 || took < rt.Least:
			rt.Least = took
		}
		rt.Samples++
	}
	return rt, nil
}

// sample asks one question. What waits before it in the socket is measured as
// well: a sample can be too long, never too short.
func (s *session) sample(ctx context.Context) (time.Duration, error) {
	h, nonce, took, err := s.echoes.ask()
	if err != nil {
		return 0, err
	}
	if err := s.reply(h, statusAsk, nonce); err != nil {
		return 0, err
	}
	select {
	case d := <-took:
		return d, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("await echo: %w", context.Cause(ctx))
	}
}

// question holds a question of the edge to what an honest one asks: of a node
// that said it answers, with its receipt accepted, and no more than a nonce.
func (l *link) question(h header) (uint32, error) {
	if l.questions == nil || !l.admitted || h.length != nonceSize {
		return 0, errors.New("read question: it is none to ask here")
	}
	return nonceSize, nil
}

// queue has a question answered beside the reader, which must not wait for a
// writer. An edge that asks on without reading answers is dropped.
func (l *link) queue(q request) error {
	select {
	case l.questions <- q:
		return nil
	default:
		return errors.New("read question: too many at once")
	}
}

// echo answers questions until the connection is over.
func (l *link) echo() {
	for {
		select {
		case q := <-l.questions:
			if err := l.write(header{op: opEcho, status: statusOK, id: q.id}, q.body); err != nil {
				l.fail(err)
				return
			}
		case <-l.done:
			return
		}
	}
}
