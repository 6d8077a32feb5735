package slice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/burstctl/burstctl/residency"
)

// errGate marks an end of the stream that the gate brought about.
var errGate = errors.New("no window")

// WindowDigest names what a window served: "sha256:hex" over the SHA-256 of
// each chunk, in the order they were charged. Of nothing it is the digest of
// the empty string.
func WindowDigest(chunks [][sha256.Size]byte) string {
	h := sha256.New()
	for _, c := range chunks {
		h.Write(c[:])
	}
	return sum(h)
}

// sum is a hash as digests are written.
func sum(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// account charges the bytes of one manifest to windows.
type account struct {
	s        *session
	digest   string
	manifest residency.Manifest
	encoded  []byte

	mu     sync.Mutex
	cur    *charged
	ahead  chan *charged // the next window, asked for early; nil: none asked for
	served int64         // in all windows
	close  sync.WaitGroup
	failed error // first error of a Close; read after close.Wait
}

// charged is a window with its books.
type charged struct {
	window       Window
	budget, left int64
	chunks       int
	hash         hash.Hash
	err          error
}

// total is what serving everything once takes.
func (a *account) total() int64 { return a.manifest.Bytes + int64(len(a.encoded)) }

// budget is what to ask of the next window: what is still to be served once,
// or everything again, but never less than one chunk.
func (a *account) budget(ahead int64) int64 {
	left := a.total() - a.served - ahead
	if left <= 0 {
		left = a.total()
	}
	floor := max(min(a.manifest.Bytes, int64(a.manifest.ChunkSize)), min(int64(len(a.encoded)), maxChunk))
	return max(min(a.s.cfg.WindowBytes, left), floor)
}

// take charges n bytes, opening the next window if they do not fit into this
// one. Only bytes that were taken may be sent.
func (a *account) take(n int64, chunk [sha256.Size]byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.cur == nil || a.cur.left < n {
		if a.cur != nil {
			a.retire(a.cur, "spent")
			a.cur = nil
		}
		w := a.next()
		if w.err != nil {
			return fmt.Errorf("%w: %w", errGate, w.err)
		}
		if w.budget < n && a.budget(0) < n {
			a.retire(w, "unused")
			return fmt.Errorf("%w: %d bytes fit into none", errGate, n)
		}
		a.cur = w
	}
	a.cur.left -= n
	a.cur.chunks++
	a.cur.hash.Write(chunk[:])
	a.served += n
	if a.ahead == nil && a.cur.left < a.cur.budget/2 && a.served+a.cur.left < a.total() {
		a.ahead = make(chan *charged, 1)
		budget, ch := a.budget(a.cur.left), a.ahead
		a.s.work.Go(func() { ch <- a.early(budget) })
	}
	return nil
}

// next is the window asked for ahead, or one asked for now. A gate that could
// not be reached early is asked once more, now that it matters.
func (a *account) next() *charged {
	if a.ahead != nil {
		select {
		case w := <-a.ahead:
			a.ahead = nil
			if w.err == nil {
				return w
			}
		case <-a.s.ctx.Done():
			return &charged{err: context.Cause(a.s.ctx)}
		}
	}
	return a.open(a.budget(0))
}

// early opens a window ahead of need. An outage is no reason to end before the
// current window is used up; a refusal is.
func (a *account) early(budget int64) *charged {
	w := a.open(budget)
	if errors.Is(w.err, ErrDenied) {
		a.s.cancel(fmt.Errorf("%w: %w", errGate, w.err))
	}
	return w
}

// open asks the gate, once the measurement that comes before the first window is over.
func (a *account) open(budget int64) *charged {
	select {
	case <-a.s.measured:
	case <-a.s.ctx.Done():
	}
	if err := a.s.ctx.Err(); err != nil {
		return &charged{err: context.Cause(a.s.ctx)}
	}
	w, err := a.s.cfg.Gate.Window(a.s.ctx, a.s.grant, a.digest, budget)
	if err == nil && w == nil {
		err = errors.New("the gate gave none")
	}
	return &charged{window: w, budget: budget, left: budget, hash: sha256.New(), err: err}
}

// retire closes a window beside the stream; an error ends the stream.
func (a *account) retire(w *charged, why string) {
	a.close.Go(func() {
		err := w.window.Close(w.budget-w.left, w.chunks, sum(w.hash), why)
		if err == nil {
			return
		}
		err = fmt.Errorf("%w: close window: %w", errGate, err)
		a.s.cancel(err)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.failed = errors.Join(a.failed, err)
	})
}

// settle closes what is still open. No request is in work any more.
func (a *account) settle(why string) error {
	a.mu.Lock()
	if a.cur != nil {
		a.retire(a.cur, why)
	}
	if a.ahead != nil {
		if w := <-a.ahead; w.err == nil {
			a.retire(w, "unused")
		}
	}
	a.cur, a.ahead = nil, nil
	a.mu.Unlock()
	a.close.Wait()
	return a.failed
}
