package audit

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestABackupOfARunningLogRestoresAndGoesOn(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 4)
	h.cosign(t, l)
	bulk(t, l, 4, 300) // not cosigned: the full tile takes the place of what the backup needs
	var b, again bytes.Buffer
	check(t, l.Backup(t.Context(), &b))
	if err := Backup(t.Context(), os.DirFS(h.o.Dir), &again); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	if err := Restore(&again, dir, h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("restored a tree without its quorum: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("it was made live")
	}
	whole := b.Bytes()
	check(t, Restore(bytes.NewReader(whole), dir, h.trust))
	if err := Restore(bytes.NewReader(whole), dir, h.trust); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("restored over a log: %v", err)
	}
	check(t, Backup(t.Context(), os.DirFS(dir), &again))
	if !bytes.Equal(again.Bytes(), whole) {
		t.Fatal("the backup of a restored log is another")
	}
	o := h.o
	o.Dir = dir
	r, err := Open(t.Context(), o)
	check(t, err)
	defer r.Close()
	if r.Size() != 4 || r.CosignedSize() != 4 {
		t.Fatalf("restored %d, %d cosigned", r.Size(), r.CosignedSize())
	}
}

func TestARestoredOlderTreeIsRefusedByWitnessAndDirectory(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 4)
	h.cosign(t, l)
	var b bytes.Buffer
	check(t, l.Backup(t.Context(), &b))
	fill(t, l, 4, 6)
	h.cosign(t, l)
	check(t, l.Close())
	check(t, os.RemoveAll(h.o.Dir))
	check(t, Restore(&b, h.o.Dir, h.trust))
	if _, err := Open(t.Context(), h.o); err == nil {
		t.Fatal("the directory forgot what it had acknowledged")
	}
	check(t, os.RemoveAll(h.o.Dir+".state"))
	l = h.open(t)
	if _, err := h.witness.Cosign(noon, l.Checkpoint(), 6, nil); !isFork(err) {
		t.Fatalf("the witness took an older tree: %v", err)
	}
	bulk(t, l, 50, 53) // grown past what the witness saw, but another tree
	proof, err := l.Consistency(t.Context(), 6, 7)
	check(t, err)
	if _, err := h.witness.Cosign(noon, l.Checkpoint(), 6, proof); !isFork(err) {
		t.Fatalf("the witness took another tree: %v", err)
	}
	if err := l.AddCosignature(h.witness.Remembers()); !isFork(err) {
		t.Fatalf("the log took a cosignature of what it no longer holds: %v", err)
	}
}

func isFork(err error) bool { _, ok := errors.AsType[*ForkError](err); return ok }

func TestABackupThatWasTouchedIsNotRestored(t *testing.T) {
	h, m := sealed(t, 3, 3)
	var b bytes.Buffer
	check(t, Backup(t.Context(), m, &b))
	dir := filepath.Join(t.TempDir(), "restored")
	for _, i := range []int{520, 1030, b.Len() / 2, b.Len() - 1400} {
		bad := bytes.Clone(b.Bytes())
		bad[i] ^= 1
		if err := Restore(bytes.NewReader(bad), dir, h.trust); err == nil && !bytes.Equal(bad[i-1:i+1], []byte{0, 1}) {
			t.Fatalf("restored with byte %d flipped", i)
		}
		check(t, os.RemoveAll(dir))
	}
	for name, kind := range map[string]byte{"../out": tar.TypeReg, "checkpoint": tar.TypeSymlink, "tile/x": tar.TypeReg} {
		var evil bytes.Buffer
		w := tar.NewWriter(&evil)
		check(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Linkname: "/etc/passwd"}))
		check(t, w.Close())
		if err := Restore(&evil, dir, h.trust); !errors.Is(err, ErrUnverified) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := Restore(bytes.NewReader(nil), dir, h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("restored nothing: %v", err)
	}
}
