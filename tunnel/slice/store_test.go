package slice

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestAChangedSourceIsRefusedAndReported(t *testing.T) {
	const name = "year=2025/part-0.parquet"
	for what, spoil := range map[string]func(path string) error{
		"one bit": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			b := make([]byte, 1)
			if _, err := f.ReadAt(b, 5); err != nil {
				return err
			}
			b[0] ^= 1
			_, err = f.WriteAt(b, 5)
			return err
		},
		"cut short": func(path string) error { return os.Truncate(path, testChunk) },
		"longer":    func(path string) error { return os.Truncate(path, 20*testChunk) },
		"gone":      os.Remove,
		"a link to the same bytes": func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(filepath.Base(path)+".real", path))
		},
		"a link out of the slice": func(path string) error {
			return errors.Join(os.Remove(path), os.Symlink("/proc/self/environ", path))
		},
		"a pipe": func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644)) },
		"its directory a link": func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+".real"), os.Symlink(filepath.Base(dir)+".real", dir))
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			var reported atomic.Int32
			w.report = func(err error) {
				if errors.Is(err, ErrChanged) {
					reported.Add(1)
				}
			}
			r, conn, _, _ := w.open(t, 5*time.Second)
			if _, err := r.Manifest(t.Context(), w.digest); err != nil {
				t.Fatal(err)
			}
			before := conn.wrote.Load()
			if err := spoil(filepath.Join(w.dir, name)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Chunk(t.Context(), w.digest, w.index(name), 0); !errors.Is(err, ErrChanged) {
				t.Errorf("a chunk of it: %v", err)
			}
			if reported.Load() != 1 {
				t.Errorf("reported %d times", reported.Load())
			}
			if n := conn.wrote.Load() - before; n > testChunk/4 {
				t.Errorf("%d bytes went out with the refusal", n)
			}
			w.readAll(t, r, "claims.csv") // the others are still served
		})
	}
}

func TestAStoreHoldsOnlyWhatHoldsTogether(t *testing.T) {
	w := newWorld(t)
	d := NewDirStore()
	bad := w.m
	bad.Bytes++
	if d.Add(bad, os.DirFS(w.dir)) == nil {
		t.Error("a manifest whose sizes do not add up is held")
	}
	big := w.m
	big.ChunkSize = 2 << 20
	if d.Add(big, os.DirFS(w.dir)) == nil {
		t.Error("a manifest of chunks too large for the road is held")
	}
	if _, err := d.Open(w.digest, 0); err == nil {
		t.Error("a slice that is not held was opened")
	}
	if _, err := w.store.Open(w.digest, len(w.m.Files)); err == nil {
		t.Error("a file that is not listed was opened")
	}
}
