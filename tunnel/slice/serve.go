package slice

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// ServeConfig is what the edge serves one connection with. TLS, Gate and Store
// are required.
type ServeConfig struct {
	TLS         *tls.Config // see [EdgeTLS]; a fresh one per grant
	Gate        Gate
	Store       Store
	WindowBytes int64            // most bytes of one window; 0 is 16 MiB
	Logger      *slog.Logger     // nil is silent
	Report      func(error)      // is told of every ErrChanged, at once; nil is nobody
	Now         func() time.Time // nil is time.Now
	Rounds      Rounds           // of nodes that answer echoes
}

// Limits of one connection.
const (
	maxOutstanding = 16 // requests in work; more wait in the socket
	maxUploads     = 4  // artefacts open at once
	writePiece     = 64 << 10
	defaultWindow  = 16 << 20
)

// Serve serves one node over a TCP connection the edge has dialled, until the
// node says goodbye (nil: dial again while the grant lives), the context is
// cancelled ([ErrCut]: per grant, this is the revocation), the grant or the
// peer's certificate ends ([ErrExpired]), the gate refuses ([ErrDenied]) or the
// connection breaks. It always closes conn, and returns once every window is
// closed.
func Serve(ctx context.Context, conn net.Conn, cfg ServeConfig) error {
	if cfg.TLS == nil || cfg.Gate == nil || cfg.Store == nil {
		conn.Close()
		return errors.New("serve: TLS, gate and store are needed")
	}
	s := &session{
		cfg: cfg, raw: conn, conn: tls.Client(conn, cfg.TLS),
		slots: make(chan struct{}, maxOutstanding), puts: make(chan request, maxUploads),
		accounts: map[string]*account{}, log: cfg.Logger, now: cfg.Now, measured: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.cfg.WindowBytes <= 0 {
		s.cfg.WindowBytes = defaultWindow
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { reset(conn) })
	err := s.serve()
	err = s.finish(ctx, err)
	stop()
	conn.Close()
	if err != nil {
		return fmt.Errorf("serve grant %s: %w", s.peer.Grant, err)
	}
	return nil
}

// session is one connection being served.
type session struct {
	cfg    ServeConfig
	raw    net.Conn
	conn   *tls.Conn
	log    *slog.Logger
	now    func() time.Time
	ctx    context.Context         // done: not one more byte
	cancel context.CancelCauseFunc // with why
	peer   Peer
	grant  residency.Grant
	until  time.Time // wall clock; the earlier end of certificate and grant
	echo   bool      // the node answers echoes

	writing sync.Mutex
	work    sync.WaitGroup
	slots   chan struct{}
	puts    chan request

	echoes   echoes
	measured chan struct{} // closed: windows need not wait for a measurement

	mu       sync.Mutex // guards accounts
	accounts map[string]*account
}

// request is one frame from the node.
type request struct {
	header
	body []byte
}

// reset closes a connection so that nothing queued in it is sent.
func reset(conn net.Conn) {
	if c, ok := conn.(interface{ SetLinger(int) error }); ok {
		// An error means that the connection is gone already.
		_ = c.SetLinger(0)
	}
	conn.Close()
}

// serve runs the connection from handshake to its last request.
func (s *session) serve() error {
	if err := s.handshake(); err != nil {
		return err
	}
	if err := s.admit(); err != nil {
		return err
	}
	s.log.InfoContext(s.ctx, "road open", "grant", s.grant.ID(), "serial", s.peer.Serial, "until", s.until,
		"echo", s.echo)
	s.work.Go(s.watch)
	s.work.Go(s.receive)
	s.work.Go(s.rounds)
	defer close(s.puts)
	for {
		h, body, err := s.next()
		switch {
		case err != nil:
			return err
		case h.op == opBye:
			return nil
		case h.op == opPresent:
			return errors.New("read request: receipt presented twice")
		case h.op == opEcho:
			err = s.echoes.answered(body)
		default:
			err = s.dispatch(request{h, body})
		}
		if err != nil {
			return err
		}
	}
}

// dispatch hands a request on; it waits while too many are in work.
func (s *session) dispatch(r request) error {
	switch r.op {
	case opPutOpen, opPutChunk, opPutClose:
		select {
		case s.puts <- r:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		return nil
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	s.work.Go(func() {
		defer func() { <-s.slots }()
		if err := s.answer(r); err != nil {
			s.cancel(err)
		}
	})
	return nil
}

// next reads one request, or an echo that was asked for. Between two of them the node may be silent until the
// grant ends; once begun, a frame must come whole in time.
func (s *session) next() (header, []byte, error) {
	begun := func() error { return s.conn.SetReadDeadline(time.Now().Add(frameTimeout)) }
	h, body, err := readFrame(s.conn, begun, func(h header) (uint32, error) {
		if h.op == opEcho {
			return s.echoes.expected(h)
		}
		if h.status != statusAsk {
			return 0, errors.New("read request: it is an answer")
		}
		return h.op.limit(), nil
	})
	if err != nil {
		return header{}, nil, err
	}
	return h, body, s.conn.SetReadDeadline(time.Time{})
}

// reply answers a request with a small body.
func (s *session) reply(h header, st status, body []byte) error {
	return s.send(h, st, append(make([]byte, headerSize, headerSize+len(body)), body...))
}

// send writes an answer whose first headerSize bytes are left for the header.
// Between two pieces it looks whether the grant still holds.
func (s *session) send(h header, st status, frame []byte) error {
	header{op: h.op, status: st, id: h.id, length: uint32(len(frame) - headerSize)}.put(frame)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(frameTimeout)); err != nil {
		return fmt.Errorf("answer %s: %w", h.op, err)
	}
	for len(frame) > 0 {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		if !s.now().Before(s.until) {
			s.cancel(ErrExpired)
			return ErrExpired
		}
		n := min(len(frame), writePiece)
		if _, err := s.conn.Write(frame[:n]); err != nil {
			return fmt.Errorf("answer %s: %w", h.op, err)
		}
		frame = frame[n:]
	}
	return nil
}
