package slice

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// NodeConfig is what a node opens its end of the road with. TLS and Receipt
// are required.
type NodeConfig struct {
	TLS      *tls.Config   // see [NodeTLS]
	Receipt  []byte        // proof that the grant is in the log, at most 1 MiB
	Logger   *slog.Logger  // nil is silent
	Patience time.Duration // how long a request waits for an edge and its answer; 0 is 30 s
}

// Counters are bytes since the road was opened.
type Counters struct {
	Received int64 // chunks that arrived
	Verified int64 // of those, what was as the manifest says
	Sent     int64 // artefacts
}

// maxConns bounds the connections of a node, strangers' included.
const maxConns = 64

// maxManifest bounds an encoded manifest.
const maxManifest = 64 << 20

// Road is the node's end: it asks, whichever edge connection serves. Made by
// [Listen]; safe for concurrent use; it ends with its context.
type Road struct {
	cfg  NodeConfig
	ctx  context.Context
	log  *slog.Logger
	room chan struct{}

	mu        sync.Mutex // guards what follows
	receipt   []byte
	links     []*link       // served, newest last
	changed   chan struct{} // closed when links changes
	refused   error         // what the edge last said to a receipt
	manifests map[string]residency.Manifest

	received, verified, sent atomic.Int64
}

// Listen accepts the edge's connections on ln until ctx ends, which closes ln
// and all of them. To each it presents the receipt; the newest that the edge
// accepts carries the requests.
func Listen(ctx context.Context, ln net.Listener, cfg NodeConfig) (*Road, error) {
	if cfg.TLS == nil || len(cfg.Receipt) == 0 || len(cfg.Receipt) > maxChunk {
		return nil, errors.New("open road: TLS and a receipt of at most 1 MiB are needed")
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 30 * time.Second
	}
	r := &Road{
		cfg: cfg, ctx: ctx, log: cfg.Logger, receipt: cfg.Receipt,
		room: make(chan struct{}, maxConns), changed: make(chan struct{}),
		manifests: map[string]residency.Manifest{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	go r.accept(ln)
	return r, nil
}

// accept takes connections for as long as there is room.
func (r *Road) accept(ln net.Listener) {
	for {
		select {
		case r.room <- struct{}{}:
		case <-r.ctx.Done():
			return
		}
		conn, err := ln.Accept()
		if err != nil {
			<-r.room
			if r.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			r.log.WarnContext(r.ctx, "connection not accepted", "error", err)
			select {
			case <-time.After(50 * time.Millisecond): // out of descriptors, most likely
			case <-r.ctx.Done():
			}
			continue
		}
		go func() {
			defer func() { <-r.room }()
			stop := context.AfterFunc(r.ctx, func() { conn.Close() })
			defer stop()
			if err := r.welcome(conn); err != nil && r.ctx.Err() == nil {
				r.log.InfoContext(r.ctx, "edge connection over", "peer", conn.RemoteAddr().String(), "error", err)
			}
		}()
	}
}

// welcome presents the receipt to an edge and keeps its connection in use for
// as long as it lasts.
func (r *Road) welcome(conn net.Conn) error {
	defer conn.Close()
	ctx, done := context.WithTimeout(r.ctx, handshakeTimeout)
	defer done()
	tc := tls.Server(conn, r.cfg.TLS)
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	l := newLink(tc)
	go l.read()
	r.mu.Lock()
	receipt := r.receipt
	r.mu.Unlock()
	answer, err := l.call(ctx, opPresent, receipt, 0)
	if err == nil {
		err = outcome(answer)
	}
	if err != nil {
		err = fmt.Errorf("present receipt: %w", err)
		l.fail(err)
		r.mu.Lock()
		r.refused = err
		r.mu.Unlock()
		return err
	}
	r.enlist(l)
	<-l.done
	r.mu.Lock()
	r.links = slices.DeleteFunc(r.links, func(x *link) bool { return x == l })
	r.mu.Unlock()
	return l.err
}

// enlist puts a link into service.
func (r *Road) enlist(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links, r.refused = append(r.links, l), nil
	close(r.changed)
	r.changed = make(chan struct{})
}

// SetReceipt is the hook of a renewal: from now on this receipt is presented,
// and with it the certificate that NodeTLS is given. Connections under the old
// one finish what they carry and end; the edge then dials again.
func (r *Road) SetReceipt(receipt []byte) {
	r.mu.Lock()
	r.receipt = receipt
	old := slices.Clone(r.links)
	r.mu.Unlock()
	for _, l := range old {
		l.retire()
	}
}

// Ready waits until an edge serves this road. If ctx ends first, the error
// holds what the edge last refused, if it did.
func (r *Road) Ready(ctx context.Context) error {
	l, err := r.hold(ctx)
	if err != nil {
		return err
	}
	l.release()
	return nil
}

// Bytes returns what this road has carried so far.
func (r *Road) Bytes() Counters {
	return Counters{Received: r.received.Load(), Verified: r.verified.Load(), Sent: r.sent.Load()}
}

// hold waits for a link in service and takes it.
func (r *Road) hold(ctx context.Context) (*link, error) {
	for {
		r.mu.Lock()
		for _, l := range slices.Backward(r.links) {
			if l.hold() {
				r.mu.Unlock()
				return l, nil
			}
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnserved, context.Cause(ctx)), r.refused)
		case <-r.ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnserved, context.Cause(r.ctx))
		}
	}
}

// ask asks until a connection lives long enough to answer, within the road's
// patience. Every op it is used for may be asked twice.
func (r *Road) ask(caller context.Context, o op, body []byte, most uint32) ([]byte, error) {
	ctx, done := context.WithTimeout(caller, r.cfg.Patience)
	defer done()
	for {
		l, err := r.hold(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := l.call(ctx, o, body, most)
		l.release()
		if errors.Is(err, errLost) {
			continue // hold does not give this link again
		}
		if err != nil && caller.Err() == nil {
			l.fail(err) // an edge that does not answer is not served by
		}
		if err != nil {
			return nil, err
		}
		return answer.body, outcome(answer)
	}
}

// outcome is the error that an answer stands for.
func outcome(r request) error {
	switch r.status {
	case statusOK:
		return nil
	case statusDenied:
		d := &Denied{Code: "denied"}
		if cleanCode(string(r.body)) {
			d.Code = string(r.body)
		}
		return d
	case statusNone:
		return errors.New("the edge holds none")
	case statusChanged:
		return ErrChanged
	}
	return errors.New("the edge could not answer")
}
