package audit

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestManyCallersShareCommitsAndKeepTheirEntriesTogether(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	const callers, calls = 64, 5
	var commits atomic.Int64
	l.store.disk.rename = func(from, to string) error {
		if to == l.store.state("signed") {
			commits.Add(1)
		}
		return os.Rename(from, to)
	}
	var mu sync.Mutex
	at := map[int64]int{}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range calls {
				n := 1000*c + 10*i
				first, err := l.Enter(context.Background(), entry(n), entry(n+1))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				at[first], at[first+1] = n, n+1
				mu.Unlock()
			}
		})
	}
	wg.Go(func() { readBeside(t, l, 2*callers*calls) })
	wg.Wait()
	if l.Size() != 2*callers*calls || len(at) != 2*callers*calls {
		t.Fatalf("%d entries, %d places", l.Size(), len(at))
	}
	for leaf, err := range l.Entries(t.Context(), 0) {
		check(t, err)
		if want := entry(at[leaf.Index]).Burst; leaf.Entry.Burst != want {
			t.Fatalf("entry %d is %s, its caller was told %s", leaf.Index, leaf.Entry.Burst, want)
		}
	}
	if n := commits.Load(); n > callers*calls/4 {
		t.Errorf("%d commits for %d calls", n, callers*calls)
	} else {
		t.Logf("%d commits for %d calls", n, callers*calls)
	}
	h.cosign(t, l)
	if _, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trust); err != nil {
		t.Fatal(err)
	}
}

// readBeside proves and reads what is there until the log holds n entries.
func readBeside(t *testing.T, l *Log, n int64) {
	for old := int64(1); l.Size() < n; {
		size := l.Size()
		if old > size {
			continue
		}
		if _, err := l.Consistency(context.Background(), old, size); err != nil {
			t.Error(err)
			return
		}
		old = size
		for _, err := range l.Entries(context.Background(), size-1) {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

func TestWaitersAreWokenByEntriesCosignaturesAndTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.o.FlushEvery = 20 * time.Millisecond
		check(t, Create(h.o))
		l, err := Open(context.Background(), h.o)
		check(t, err)
		entered, cosigned, ended := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { entered <- l.Wait(context.Background(), 0) }()
		go func() { cosigned <- l.WaitCosigned(context.Background(), 0) }()
		go func() { ended <- l.WaitCosigned(context.Background(), 1) }()
		began := time.Now()
		fill(t, l, 0, 1)
		if took := time.Since(began); took != h.o.FlushEvery {
			t.Errorf("the first entry waited %v for company", took)
		}
		check(t, <-entered)
		synctest.Wait()
		if len(cosigned) > 0 {
			t.Error("cosigned before it was")
		}
		h.cosign(t, l)
		check(t, <-cosigned)
		check(t, l.Close())
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("waited beyond the end: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := l.Wait(ctx, 0); err != nil {
			t.Errorf("what is there needs no wait: %v", err)
		}
	})
}

func TestOptionsThatSayTooLittleAreRefused(t *testing.T) {
	h := newHouse(t)
	for what, change := range map[string]func(*Options){
		"nothing":              func(o *Options) { *o = Options{} },
		"no directory":         func(o *Options) { o.Dir = "" },
		"no signer":            func(o *Options) { o.Signer = nil },
		"another origin":       func(o *Options) { o.Origin = "elsewhere" },
		"quorum out of reach":  func(o *Options) { o.Quorum = 2 },
		"witnesses, no quorum": func(o *Options) { o.Quorum = 0 },
	} {
		o := h.o
		change(&o)
		if Create(o) == nil || second(Open(t.Context(), o)) == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := Open(t.Context(), h.o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opened what is not there: %v", err)
	}
	l := h.start(t)
	if _, err := l.Enter(t.Context()); err == nil {
		t.Error("entered nothing")
	}
	if _, err := l.Enter(t.Context(), entry(0), Entry{}); err == nil || l.Size() != 0 {
		t.Errorf("entered half a call: %v", err)
	}
}

func BenchmarkEnter(b *testing.B) {
	for name, callers := range map[string]int{"alone": 1, "64 callers": 64} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b)
			l := h.start(b)
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := l.Enter(context.Background(), entry(i)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
