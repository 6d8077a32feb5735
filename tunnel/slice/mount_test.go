package slice

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// needs skips a test without what it needs; a real run must have it.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("BURST_REAL") != "" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// mounted is a world with its slice mounted.
func mounted(t *testing.T) (*world, *Mount, string) {
	t.Helper()
	_, err := mountOptions()
	needs(t, err == nil, "FUSE")
	w := newWorld(t)
	r, _, _, _ := w.open(t, 5*time.Second)
	dir := t.TempDir()
	m, err := MountAt(t.Context(), r, w.digest, dir)
	needs(t, !errors.Is(err, ErrNoFUSE), "the right to mount")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return w, m, dir
}

func TestAMountReadsAsTheSlice(t *testing.T) {
	w, _, dir := mounted(t)
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		name, _ := filepath.Rel(dir, path)
		got, err := exec.Command("cat", path).Output()
		if err != nil || !bytes.Equal(got, w.file(t, name)) {
			t.Errorf("%s differs (%v)", name, err)
		}
		info, err := d.Info()
		if err != nil || info.Size() != int64(len(got)) || info.Mode().Perm() != fs.FileMode(w.m.Files[w.index(name)].Mode) {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		return nil
	})
	if err != nil || n != len(content) {
		t.Errorf("%d files, error %v", n, err)
	}
	f, err := os.Open(filepath.Join(dir, "claims.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 100) // over the edge of a chunk, out of order
	want := w.file(t, "claims.csv")[3*testChunk-50:][:100]
	if _, err := f.ReadAt(b, 3*testChunk-50); err != nil || !bytes.Equal(b, want) {
		t.Errorf("a read in the middle differs (%v)", err)
	}
}

func TestAMountCannotBeWrittenOrRun(t *testing.T) {
	_, _, dir := mounted(t)
	file := filepath.Join(dir, "claims.csv")
	for what, err := range map[string]error{
		"write":  os.WriteFile(file, nil, 0o644),
		"create": os.WriteFile(filepath.Join(dir, "new"), nil, 0o644),
		"remove": os.Remove(file),
		"rename": os.Rename(file, file+"2"),
		"chmod":  os.Chmod(file, 0o777),
		"mkdir":  os.Mkdir(filepath.Join(dir, "d"), 0o755),
		"link":   os.Symlink("/etc/passwd", filepath.Join(dir, "l")),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// By way of a shell: see MountAt.
	out, err := exec.Command("sh", "-c", `"$0"`, filepath.Join(dir, "train")).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 126 {
		t.Errorf("run: %v, %s", err, out)
	}
}

func TestABusyMountIsTakenAwayAndUnreadable(t *testing.T) {
	_, m, dir := mounted(t)
	f, err := os.Open(filepath.Join(dir, "claims.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 10), 0); err == nil {
		t.Error("what was read before is still readable")
	}
	if _, err := f.ReadAt(make([]byte, 10), 4*testChunk); err == nil {
		t.Error("what was not read before is readable")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("below the mount point: %v, %v", left, err)
	}
}

func TestAChangedSourceIsAnErrorToTheReader(t *testing.T) {
	w, _, dir := mounted(t)
	if err := os.Truncate(filepath.Join(w.dir, "claims.csv"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(filepath.Join(dir, "claims.csv")); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
}

func TestACacheFetchesOnceAndStaysWithinItsBound(t *testing.T) {
	var fetched, at, most atomic.Int64
	c := newCache(t.Context(), 10<<10, func(context.Context, place) ([]byte, error) {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		fetched.Add(1)
		return make([]byte, 1<<10), nil
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for k := range 5 {
				if b, err := c.get(place{0, k}); err != nil || len(b) != 1<<10 {
					t.Errorf("chunk %d: %d bytes, %v", k, len(b), err)
				}
			}
		})
	}
	all.Wait()
	if fetched.Load() != 5 {
		t.Errorf("5 chunks were fetched %d times", fetched.Load())
	}
	for k := range 100 {
		c.hint(place{1, k})
		if _, err := c.get(place{1, k}); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size > c.most || len(c.entries) > 10 || c.order.Len() != len(c.entries) {
		t.Errorf("%d bytes in %d entries", c.size, len(c.entries))
	}
}

func TestAFailedFetchIsTriedAgain(t *testing.T) {
	fail := true
	c := newCache(t.Context(), 1<<20, func(context.Context, place) ([]byte, error) {
		if fail {
			return nil, io.ErrUnexpectedEOF
		}
		return []byte{1}, nil
	})
	if _, err := c.get(place{}); err == nil {
		t.Error("no error")
	}
	fail = false
	if b, err := c.get(place{}); err != nil || len(b) != 1 {
		t.Errorf("again: %v, %v", b, err)
	}
}
