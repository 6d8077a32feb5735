package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// needs skips a test whose surroundings are missing, or fails it where BURST_REAL asks for all of them.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("BURST_REAL") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

func TestARealFullVolumeEndsInOneErrorAndATeardownThatIsEntered(t *testing.T) {
	needs(t, os.Getuid() == 0, "root to mount a tmpfs")
	h := newHouse(t)
	vol := t.TempDir()
	if err := syscall.Mount("tmpfs", vol, "tmpfs", 0, "size=512k"); err != nil {
		needs(t, false, fmt.Sprintf("a tmpfs: %v", err))
	}
	t.Cleanup(func() { check(t, syscall.Unmount(vol, syscall.MNT_DETACH)) })
	h.o.Dir, h.o.Reserve = filepath.Join(vol, "log"), 64<<10
	check(t, Create(h.o))
	l, err := Open(t.Context(), h.o)
	check(t, err)
	n := 0
	for ; ; n++ {
		if _, err = l.Enter(t.Context(), entry(n)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || l.Size() != int64(n) || len(h.fatal) != 1 {
		t.Fatalf("after %d: %v, size %d, %d fatal", n, err, l.Size(), len(h.fatal))
	}
	for range 50 {
		if _, err := l.EnterReserved(t.Context(), entry(n)); err != nil {
			t.Fatalf("teardown after %d: %v", n, err)
		}
		n++
	}
	h.cosign(t, l)
	check(t, l.Close())
	_, err = Verify(t.Context(), os.DirFS(h.o.Dir), h.trust)
	check(t, err)
	l, err = Open(t.Context(), h.o)
	check(t, err)
	if l.Size() != int64(n) {
		t.Fatalf("reopened with %d of %d", l.Size(), n)
	}
	check(t, l.Close())
	t.Logf("full after %d entries, 50 more in the reserve", n-50)
}

func TestOfErrorsAtOnceTheFinalOneIsTold(t *testing.T) {
	full := fmt.Errorf("write: %w", syscall.ENOSPC)
	final := fmt.Errorf("%w: sync", errFinal)
	fail := func(err error) func() error { return func() error { return err } }
	for _, tc := range []struct {
		steps []func() error
		want  error
	}{
		{[]func() error{fail(nil), fail(full), fail(final)}, final},
		{[]func() error{fail(nil), fail(full), fail(full)}, full},
		{[]func() error{fail(nil), fail(nil)}, nil},
		{nil, nil},
	} {
		if err := atOnce(tc.steps); err != tc.want {
			t.Errorf("%d steps: %v, want %v", len(tc.steps), err, tc.want)
		}
	}
}
