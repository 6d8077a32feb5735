package slice

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

// books is the test's gate: it keeps in memory what an edge enters in the log.
type books struct {
	grant  residency.Grant
	open   func(Peer, []byte) error // nil accepts the one receipt
	window func(n int) error        // nil grants every window, counted from 1
	dir    string                   // quarantine

	mu      sync.Mutex
	asked   int
	windows []*kept
	aborted int
}

// kept is one window of the books.
type kept struct {
	books          *books
	budget, served int64
	chunks, closed int
	digest, why    string
}

func (b *books) Open(_ context.Context, p Peer, r []byte) (residency.Grant, error) {
	if b.open != nil {
		if err := b.open(p, r); err != nil {
			return residency.Grant{}, err
		}
	} else if !bytes.Equal(r, receipt) {
		return residency.Grant{}, &Denied{Code: "receipt"}
	}
	return b.grant, nil
}

func (b *books) Window(_ context.Context, _ residency.Grant, _ string, budget int64) (Window, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.window != nil {
		if err := b.window(b.asked); err != nil {
			return nil, err
		}
	}
	w := &kept{books: b, budget: budget}
	b.windows = append(b.windows, w)
	return w, nil
}

func (k *kept) Close(served int64, chunks int, digest, why string) error {
	k.books.mu.Lock()
	defer k.books.mu.Unlock()
	k.served, k.chunks, k.digest, k.why = served, chunks, digest, why
	k.closed++
	return nil
}

func (b *books) Artefact(_ context.Context, _ residency.Grant, name string, _ int64) (Sink, error) {
	if name != "model.bin" {
		return nil, &Denied{Code: "output"}
	}
	f, err := os.CreateTemp(b.dir, "incoming-*")
	return &arriving{f, b}, err
}

// arriving is an artefact in a quarantine directory.
type arriving struct {
	*os.File
	books *books
}

func (a *arriving) Commit(digest string) error {
	return errors.Join(a.Close(), os.Rename(a.Name(), filepath.Join(filepath.Dir(a.Name()), digest)))
}

func (a *arriving) Abort() error {
	a.books.mu.Lock()
	defer a.books.mu.Unlock()
	a.books.aborted++
	return errors.Join(a.Close(), os.Remove(a.Name()))
}

// check holds the books to what must be true once a session is over, and
// returns what was served.
func (b *books) check(t testing.TB) (served int64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.windows {
		if w.closed != 1 || w.served > w.budget || w.why == "" {
			t.Errorf("window %d was closed %d times with %d of %d bytes, why %q", i, w.closed, w.served, w.budget, w.why)
		}
		served += w.served
	}
	return served
}
