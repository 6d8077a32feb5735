package slice

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnArtefactArrivesInQuarantineUnderItsDigest(t *testing.T) {
	w := newWorld(t)
	r, _, _, _ := w.open(t, time.Minute)
	for _, size := range []int{0, 1, maxChunk, 2*maxChunk + 5} {
		want := bytes.Repeat([]byte{7}, size)
		digest, err := r.Put(t.Context(), "model.bin", bytes.NewReader(want), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(w.books.dir, digest))
		if err != nil || !bytes.Equal(got, want) || digest != "sha256:"+hexOf(want) {
			t.Errorf("%d bytes arrived as %d under %s (%v)", size, len(got), digest, err)
		}
	}
}

func TestAnArtefactThatIsNotListedIsRefused(t *testing.T) {
	w := newWorld(t)
	r, _, _, _ := w.open(t, time.Minute)
	_, err := r.Put(t.Context(), "claims.csv", strings.NewReader("x"), 1)
	if d, ok := errors.AsType[*Denied](err); !ok || d.Code != "output" {
		t.Errorf("unlisted: %v", err)
	}
	for _, name := range []string{"", "../model.bin", "a/b", ".x"} {
		if _, err := r.Put(t.Context(), name, strings.NewReader("x"), 1); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if left, _ := os.ReadDir(w.books.dir); len(left) != 0 {
		t.Errorf("quarantine holds %v", left)
	}
}

func TestAnArtefactThatEndsEarlyIsDropped(t *testing.T) {
	w := newWorld(t)
	r, _, cut, ended := w.open(t, time.Minute)
	if _, err := r.Put(t.Context(), "model.bin", strings.NewReader("short"), 3*maxChunk); err == nil {
		t.Error("a short artefact was taken")
	}
	// One whose node goes on lying is dropped with its session.
	digest, err := r.Put(t.Context(), "model.bin", strings.NewReader("whole"), 5)
	if err != nil || digest == "" {
		t.Errorf("after it: %v", err)
	}
	cut()
	<-ended
	left, _ := os.ReadDir(w.books.dir)
	if w.books.aborted != 1 || len(left) != 1 {
		t.Errorf("%d dropped, quarantine holds %v", w.books.aborted, left)
	}
}

// stuck is a source that cuts the road while it is read.
type stuck struct{ cut func() }

func (s stuck) ReadAt(b []byte, off int64) (int, error) {
	if off > 0 {
		s.cut()
	}
	return len(b), nil
}

func TestARevocationDropsTheArtefactOnItsWay(t *testing.T) {
	w := newWorld(t)
	r, _, cut, ended := w.open(t, 200*time.Millisecond)
	if _, err := r.Put(t.Context(), "model.bin", stuck{cut}, 4*maxChunk); err == nil {
		t.Error("it arrived")
	}
	<-ended
	if left, _ := os.ReadDir(w.books.dir); w.books.aborted != 1 || len(left) != 0 {
		t.Errorf("%d dropped, quarantine holds %v", w.books.aborted, left)
	}
}
