package slice

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestACopyIsTheSlice(t *testing.T) {
	w := newWorld(t)
	r, _, _, _ := w.open(t, time.Minute)
	dir, last, steps := t.TempDir(), int64(0), 0
	err := Materialize(t.Context(), r, w.digest, dir, func(done, total int64) {
		if done < last || total != w.m.Bytes {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		last, steps = done, steps+1
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != w.m.Bytes || steps < 12 {
		t.Errorf("progress ended at %d of %d after %d steps", last, w.m.Bytes, steps)
	}
	w.same(t, dir)
	if err := Materialize(t.Context(), r, w.digest, dir, nil); err != nil {
		t.Errorf("again: %v", err)
	}
	if c := r.Bytes(); c.Received != w.m.Bytes {
		t.Errorf("twice over, %d bytes came", c.Received)
	}
}

// same compares a copy with the slice.
func (w *world) same(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		name, _ := filepath.Rel(dir, path)
		if w.index(name) < 0 {
			t.Errorf("%s is not of the slice", name)
			return nil
		}
		got, err := os.ReadFile(path)
		info, _ := d.Info()
		if err != nil || string(got) != string(w.file(t, name)) {
			t.Errorf("%s differs (%v)", name, err)
		}
		if info.Mode().Perm() != fs.FileMode(w.m.Files[w.index(name)].Mode) {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return nil
	})
	if err != nil || n != len(content) {
		t.Errorf("%d files, error %v", n, err)
	}
}

func TestAnInterruptedCopyGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	r, _, _, _ := w.open(t, time.Minute)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	half := func(done, _ int64) {
		if done > 10*testChunk {
			cancel()
		}
	}
	if err := Materialize(ctx, r, w.digest, dir, half); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "year=2025/part-0.parquet")); err == nil {
		t.Error("a file that is not whole has its name")
	}
	came := r.Bytes().Received
	if err := Materialize(t.Context(), r, w.digest, dir, nil); err != nil {
		t.Fatal(err)
	}
	w.same(t, dir)
	if again := r.Bytes().Received - came; again > w.m.Bytes-8*testChunk {
		t.Errorf("after %d bytes, %d more came", came, again)
	}
}

func TestACopyReplacesNothingAndFollowsNoLink(t *testing.T) {
	for what, lay := range map[string]func(dir string) error{
		"a file": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "claims.csv"), []byte("mine"), 0o600)
		},
		"a link": func(dir string) error {
			return os.Symlink("/etc/hostname", filepath.Join(dir, "claims.csv"))
		},
		"a directory's link": func(dir string) error { return os.Symlink("/tmp", filepath.Join(dir, "year=2025")) },
		"nothing":            func(string) error { return nil },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			r, _, _, _ := w.open(t, time.Minute)
			dir := t.TempDir()
			if err := lay(dir); err != nil {
				t.Fatal(err)
			}
			err := Materialize(t.Context(), r, w.digest, dir, nil)
			if (err == nil) != (what == "nothing") {
				t.Errorf("copy: %v", err)
			}
		})
	}
}

func TestACopyOfAChangedSourceFails(t *testing.T) {
	w := newWorld(t)
	r, _, _, _ := w.open(t, time.Minute)
	if err := os.WriteFile(filepath.Join(w.dir, "train"), make([]byte, 100), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Materialize(t.Context(), r, w.digest, dir, nil); !errors.Is(err, ErrChanged) {
		t.Errorf("copy: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "train")); err == nil {
		t.Error("the changed file is there")
	}
}
