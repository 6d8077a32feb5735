package audit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestAWitnessRemembersAndRefusesSmallerAndOtherTrees(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 3)
	small := l.Checkpoint()
	fill(t, l, 3, 6)
	h.cosign(t, l)
	seen := h.witness.Remembers()

	// another history under the same key
	o := h.o
	o.Dir = filepath.Join(t.TempDir(), "fork")
	check(t, Create(o))
	fork, err := Open(t.Context(), o)
	check(t, err)
	defer fork.Close()
	bulk(t, fork, 100, 106)
	other := fork.Checkpoint()
	bulk(t, fork, 106, 108)
	proof, err := fork.Consistency(t.Context(), 6, 8)
	check(t, err)

	// a witness opened anew knows what the one before knew
	again, err := OpenWitness(h.witness.file, h.witness.signer, h.witness.log)
	check(t, err)
	for _, w := range []*Witness{h.witness, again} {
		for _, c := range []struct {
			what  string
			cp    []byte
			proof []tlog.Hash
		}{{"smaller", small, nil}, {"same size", other, nil}, {"larger", fork.Checkpoint(), proof}} {
			_, err := w.Cosign(noon, c.cp, 6, c.proof)
			forked, ok := errors.AsType[*ForkError](err)
			if !ok || string(forked.Offered) != string(c.cp) || string(forked.Remembered) != string(seen) {
				t.Fatalf("%s tree: %v", c.what, err)
			}
		}
		if w.Size() != 6 || string(w.Remembers()) != string(seen) {
			t.Fatalf("the witness remembers %d", w.Size())
		}
	}
	fill(t, l, 6, 7)
	conflict, ok := errors.AsType[*ConflictError](second(h.witness.Cosign(noon, l.Checkpoint(), 5, nil)))
	if !ok || conflict.Remembered != 6 {
		t.Fatalf("conflict %+v", conflict)
	}
	h.cosign(t, l)
	h.cosign(t, l) // the same tree again is no news and no fork
	if _, err := again.Cosign(noon, l.Checkpoint(), 6, nil); err == nil {
		t.Fatal("a process that shares the file forgot what the other saw")
	}
	if again.Size() != 7 {
		t.Fatalf("shared memory of %d", again.Size())
	}
}

func second[A any](_ A, err error) error { return err }

func TestAWitnessRefusesWhatTheLogDidNotSign(t *testing.T) {
	h, stranger := newHouse(t), newHouse(t)
	l := stranger.start(t)
	fill(t, l, 0, 2)
	if _, err := h.witness.Cosign(noon, l.Checkpoint(), 0, nil); err == nil {
		t.Fatal("cosigned a stranger's checkpoint")
	}
	l = h.start(t)
	fill(t, l, 0, 2)
	cp := l.Checkpoint()
	for i := range cp {
		bad := append([]byte(nil), cp...)
		bad[i] ^= 1
		if _, err := h.witness.Cosign(noon, bad, 0, nil); err == nil {
			t.Fatalf("cosigned with byte %d flipped", i)
		}
	}
	if h.witness.Size() != 0 || h.witness.Remembers() != nil {
		t.Fatal("remembers what it refused")
	}
}

func TestAWitnessWhoseMemoryWasTouchedRefuses(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 2)
	h.cosign(t, l)
	b, err := os.ReadFile(h.witness.file)
	check(t, err)
	for i := range b {
		b[i] ^= 2
		check(t, os.WriteFile(h.witness.file, b, 0o600))
		w, err := OpenWitness(h.witness.file, h.witness.signer, h.witness.log)
		if err == nil && w.last.text != l.tree().text { // its own signature covers the text, not the log's signature
			t.Fatalf("took byte %d flipped for its memory:\n%s", i, b)
		}
		b[i] ^= 2
	}
	check(t, os.Remove(h.witness.file))
	if _, err := h.witness.Cosign(noon, l.Checkpoint(), 2, nil); err == nil {
		t.Fatal("a running witness lost its memory and did not mind")
	}
}

func TestCosignaturesBearTheTimeAndPleaseTheFormatsLibrary(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 1)
	at := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	c, err := h.witness.Cosign(at, l.Checkpoint(), 0, nil)
	check(t, err)
	n, err := note.Open(c, note.VerifierList(h.o.Witnesses...))
	check(t, err)
	got, err := fnote.CoSigV1Timestamp(n.Sigs[0])
	check(t, err)
	if !got.Equal(at) {
		t.Fatalf("cosigned at %s", got)
	}
	if newest, err := CosignedAt(c, h.o.Witnesses...); err != nil || !newest.Equal(at) {
		t.Errorf("the newest cosignature is of %s: %v", newest, err)
	}
	if _, err := CosignedAt(l.Checkpoint(), h.o.Witnesses...); err == nil {
		t.Error("a checkpoint that nobody cosigned has a newest cosignature")
	}
}

func TestAQuorumNeedsDifferentWitnesses(t *testing.T) {
	h := newHouse(t)
	skey, vkey, err := GenerateWitnessKey("auditor")
	check(t, err)
	s, err := NewWitnessSigner(skey)
	check(t, err)
	v, err := CosignatureVerifier(vkey)
	check(t, err)
	h.o.Witnesses, h.o.Quorum = append(h.o.Witnesses, v), 2
	l := h.start(t)
	auditor, err := OpenWitness(filepath.Join(t.TempDir(), "w"), s, h.witness.log)
	check(t, err)
	fill(t, l, 0, 3)
	cp := l.Checkpoint()
	h.cosign(t, l)
	h.cosign(t, l)
	if l.CosignedSize() != 0 {
		t.Fatal("one witness is no quorum of two")
	}
	fill(t, l, 3, 5) // the second cosignature comes late, for a checkpoint that is no longer the newest
	late, err := auditor.Cosign(noon, cp, 0, nil)
	check(t, err)
	check(t, l.AddCosignature(late))
	if l.CosignedSize() != 3 {
		t.Fatalf("cosigned size %d", l.CosignedSize())
	}
	check(t, l.Close())
	l = h.open(t)
	if l.CosignedSize() != 3 || l.Size() != 5 {
		t.Fatalf("reopened with %d of %d cosigned", l.CosignedSize(), l.Size())
	}
	if err := l.AddCosignature(l.Checkpoint()); err == nil {
		t.Fatal("took a checkpoint without a cosignature")
	}
}
