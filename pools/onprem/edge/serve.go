package edge

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// serving is one grant this edge dials the node of.
type serving struct {
	mu     sync.Mutex
	work   tunnel.Serving
	cancel context.CancelCauseFunc // cuts the stream
	done   chan struct{}
	probed bool
}

func (s *serving) now() tunnel.Serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.work
}

// errCut is why a stream ends when the controller says so.
var errCut = errors.New("the grant has ended")

// follow keeps this edge's view of its work and dials accordingly.
func (e *Edge) follow(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	pause, since := e.pauses(), int64(-1)
	for ctx.Err() == nil {
		w, err := e.Control.Work(ctx, since)
		e.mu.Lock()
		e.doubt = ""
		if err != nil {
			e.doubt = "the controller cannot be heard"
		} else {
			e.work = w
		}
		e.mu.Unlock()
		if err != nil {
			since = -1 // a restarted controller counts from nothing
			e.Logger.WarnContext(ctx, "work not fetched", "error", err)
			sleep(ctx, pause.NextBackOff())
			continue
		}
		pause.Reset()
		since = w.N
		if len(w.Releases) > 0 {
			select {
			case e.due <- struct{}{}:
			default: // it has been told
			}
		}
		e.hangUp(w.Grants)
		for _, g := range w.Grants {
			e.dial(ctx, &all, g)
		}
	}
	return nil
}

// dial starts, updates or cuts the stream of one grant.
func (e *Edge) dial(ctx context.Context, all *sync.WaitGroup, g tunnel.Serving) {
	s, known := e.grants[g.Grant]
	if !known {
		s = &serving{work: g, done: make(chan struct{})}
		e.grants[g.Grant] = s
		stream, cancel := context.WithCancelCause(ctx)
		s.cancel = cancel
		gate := &gate{edge: e, now: s.now, next: g.Window + 1, owed: lost(g)}
		all.Go(func() {
			defer close(s.done)
			e.closeLost(ctx, gate, g.Claim)
			e.serve(stream, s, gate)
		})
		return
	}
	s.mu.Lock()
	s.work = g
	s.mu.Unlock()
	if g.Order == tunnel.OrderProbe || g.Order == tunnel.OrderExit {
		s.cancel(errCut)
	}
	if g.Order == tunnel.OrderProbe && len(g.Revoked) > 0 && !s.probed {
		s.probed = true
		all.Go(func() { <-s.done; e.probe(ctx, s) })
	}
}

// hangUp ends the stream of every grant that is not listed any more: it has ended, whether or not
// this edge heard it end.
func (e *Edge) hangUp(listed []tunnel.Serving) {
	for id, s := range e.grants {
		if !slices.ContainsFunc(listed, func(g tunnel.Serving) bool { return g.Grant == id }) {
			s.cancel(errCut)
			delete(e.grants, id)
		}
	}
}

// lost are windows that an earlier life of this edge left open, at their full
// size: what went out before a crash is not known, so all of it counts.
func lost(g tunnel.Serving) (owed []burst.Served) {
	for _, w := range g.Open {
		owed = append(owed, burst.Served{Grant: g.Grant, N: w.N, Bytes: w.Bytes,
			Digest: slice.WindowDigest(nil), Why: "lost"})
	}
	return owed
}

// closeLost closes them. If that cannot be done now, it is done before the next window.
func (e *Edge) closeLost(ctx context.Context, g *gate, claim string) {
	ctx, cancel := context.WithTimeout(ctx, closeFor)
	defer cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.catchUp(ctx, claim); err != nil {
		e.Logger.ErrorContext(ctx, "windows of an earlier life not closed", "grant", g.now().Grant, "error", err)
	}
}

// serve keeps one connection to the node until the grant ends.
func (e *Edge) serve(ctx context.Context, s *serving, g *gate) {
	pause := e.pauses()
	for ctx.Err() == nil {
		began := time.Now()
		err := e.serveOnce(ctx, s.now().Reach, g)
		if ctx.Err() != nil || errors.Is(err, slice.ErrCut) {
			return
		}
		if time.Since(began) > 5*time.Second {
			pause.Reset()
		}
		if err != nil {
			e.Logger.DebugContext(ctx, "road broke off", "grant", s.now().Grant, "error", err)
		}
		sleep(ctx, pause.NextBackOff())
	}
}

// serveOnce dials the node and serves it over one connection.
func (e *Edge) serveOnce(ctx context.Context, reach string, g *gate) error {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", reach)
	if err != nil {
		return err
	}
	return slice.Serve(ctx, conn, slice.ServeConfig{
		TLS:  slice.EdgeTLS(e.Cert, e.Grants, e.Domain, time.Now),
		Gate: g, Store: e.store, WindowBytes: e.Window, Logger: e.Logger, Rounds: g.rounds(),
	})
}

// probe tries the old credential once after its revocation: the node presents
// it on a fresh connection, and this edge must refuse.
func (e *Edge) probe(ctx context.Context, s *serving) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	w := s.now()
	g := &gate{edge: e, now: s.now, next: w.Window + 1}
	err := e.serveOnce(ctx, w.Reach, g)
	denied, ok := errors.AsType[*slice.Denied](err)
	if !ok || !slices.Contains([]string{"revoked", "ended"}, denied.Code) {
		e.Logger.DebugContext(ctx, "old credential not tried on the road", "grant", w.Grant)
		return
	}
	body := &burst.Probed{Serial: w.Revoked[len(w.Revoked)-1], Refused: true, By: "edge",
		Detail: "tried on the road after its revocation"}
	if err := e.enter(ctx, w.Claim, body); err != nil {
		e.Logger.WarnContext(ctx, "probe not entered", "grant", w.Grant, "error", err)
	}
}
