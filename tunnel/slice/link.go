package slice

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errLost marks a connection that broke; a request on it may be asked again
// on the next.
var errLost = errors.New("connection lost")

// link is one connection from the edge, seen from the node.
type link struct {
	conn  *tls.Conn
	slots chan struct{} // requests outstanding
	done  chan struct{} // closed when the connection is over

	questions chan request // of the edge; nil if it asks none
	admitted  bool         // the edge has accepted the receipt; only read uses it

	writing sync.Mutex

	mu      sync.Mutex // guards what follows
	pending map[uint32]*waiter
	last    uint32
	users   int  // calls and uploads that hold the link
	retired bool // take no new ones, and say goodbye after the last
	err     error
}

// waiter is a request without its answer yet.
type waiter struct {
	op   op
	most uint32 // longest body of a good answer
	got  chan request
}

// newLink wraps a connection whose handshake is done.
func newLink(conn *tls.Conn) *link {
	l := &link{conn: conn, slots: make(chan struct{}, maxOutstanding), done: make(chan struct{}),
		pending: map[uint32]*waiter{}}
	if conn.ConnectionState().NegotiatedProtocol == ALPNEcho {
		l.questions = make(chan request, 1)
	}
	return l
}

// read hands answers to those who wait, until the connection breaks.
func (l *link) read() {
	if l.questions != nil {
		go l.echo()
	}
	begun := func() error { return l.conn.SetReadDeadline(time.Now().Add(frameTimeout)) }
	for {
		h, body, err := readFrame(l.conn, begun, l.expected)
		if err == nil {
			err = l.conn.SetReadDeadline(time.Time{})
		}
		if err == nil && h.op == opEcho {
			if err = l.queue(request{h, body}); err == nil {
				continue
			}
		}
		if err != nil {
			l.fail(err)
			return
		}
		l.admitted = l.admitted || h.op == opPresent && h.status == statusOK
		l.mu.Lock()
		w := l.pending[h.id]
		delete(l.pending, h.id)
		l.mu.Unlock()
		<-l.slots
		w.got <- request{h, body}
	}
}

// expected is how long the answer or question with this header may be.
func (l *link) expected(h header) (uint32, error) {
	if h.op == opEcho && h.status == statusAsk {
		return l.question(h)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.pending[h.id]
	switch {
	case w == nil || w.op != h.op || h.status == statusAsk:
		return 0, fmt.Errorf("read answer: nobody asked for %s %d", h.op, h.id)
	case h.status == statusOK:
		return w.most, nil
	}
	return smallBody, nil
}

// fail ends the connection, once.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = fmt.Errorf("%w: %w", errLost, err)
	close(l.done)
	l.conn.NetConn().Close()
}

// call asks and waits for the answer, whose body has at most most bytes. A
// request given up by its context keeps its slot until it is answered.
func (l *link) call(ctx context.Context, o op, body []byte, most uint32) (request, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return request{}, l.err
	case <-ctx.Done():
		return request{}, context.Cause(ctx)
	}
	w := &waiter{op: o, most: most, got: make(chan request, 1)}
	l.mu.Lock()
	l.last++
	id := l.last
	l.pending[id] = w
	l.mu.Unlock()
	if err := l.write(header{op: o, id: id}, body); err != nil {
		l.fail(err)
	}
	select {
	case r := <-w.got:
		return r, nil
	case <-l.done:
	case <-ctx.Done():
		return request{}, context.Cause(ctx)
	}
	select {
	case r := <-w.got: // the last words before the end
		return r, nil
	default:
		return request{}, l.err
	}
}

// write sends one frame.
func (l *link) write(h header, body []byte) error {
	h.length = uint32(len(body))
	frame := make([]byte, headerSize, headerSize+len(body))
	h.put(frame)
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(frameTimeout)); err != nil {
		return err
	}
	_, err := l.conn.Write(append(frame, body...))
	return err
}

// hold takes the link for a call; false if it takes none any more.
func (l *link) hold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired || l.err != nil {
		return false
	}
	l.users++
	return true
}

// release gives the link back.
func (l *link) release() {
	l.mu.Lock()
	l.users--
	over := l.retired && l.users == 0
	l.mu.Unlock()
	if over {
		l.bye()
	}
}

// retire lets what is in work finish and then says goodbye.
func (l *link) retire() {
	l.mu.Lock()
	over := !l.retired && l.users == 0
	l.retired = true
	l.mu.Unlock()
	if over {
		l.bye()
	}
}

// bye tells the edge that this connection is done; the edge closes it, or has
// it closed.
func (l *link) bye() {
	time.AfterFunc(frameTimeout, func() { l.fail(errors.New("goodbye not returned")) })
	if err := l.write(header{op: opBye}, nil); err != nil {
		l.fail(err)
	}
}
