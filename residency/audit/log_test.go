package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// house is a log, its witness and the trust in both.
type house struct {
	o       Options
	skey    string
	vkey    string
	witness *Witness
	trust   Trust
	fatal   chan error
}

func newHouse(t testing.TB) *house {
	t.Helper()
	skey, vkey, err := GenerateLogKey("burst.example/hq")
	check(t, err)
	wskey, wvkey, err := GenerateWitnessKey("edge-hq")
	check(t, err)
	signer, err := note.NewSigner(skey)
	check(t, err)
	cosigner, err := NewWitnessSigner(wskey)
	check(t, err)
	wv, err := CosignatureVerifier(wvkey)
	check(t, err)
	lv, err := note.NewVerifier(vkey)
	check(t, err)
	h := &house{skey: skey, vkey: vkey, fatal: make(chan error, 8)}
	dir := t.TempDir()
	h.o = Options{
		Dir: filepath.Join(dir, "log"), Origin: "burst.example/hq", Signer: signer, Quorum: 1,
		Witnesses: []note.Verifier{wv}, Reserve: 4096, OnFatal: func(err error) { h.fatal <- err },
	}
	h.witness, err = OpenWitness(filepath.Join(dir, "edge", "witness"), cosigner, lv)
	if err == nil {
		t.Fatal("a witness opened in a directory that is not there")
	}
	h.witness, err = OpenWitness(filepath.Join(dir, "witness"), cosigner, lv)
	check(t, err)
	h.trust, err = NewTrust(1, vkey, wvkey)
	check(t, err)
	return h
}

// start creates and opens the log of the house.
func (h *house) start(t testing.TB) *Log {
	t.Helper()
	check(t, Create(h.o))
	return h.open(t)
}

func (h *house) open(t testing.TB) *Log {
	t.Helper()
	l, err := Open(context.Background(), h.o)
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	return l
}

// cosign carries the newest checkpoint to the witness and back.
func (h *house) cosign(t testing.TB, l *Log) {
	t.Helper()
	old := h.witness.Size()
	proof, err := l.Consistency(context.Background(), old, l.Size())
	check(t, err)
	c, err := h.witness.Cosign(noon, l.Checkpoint(), old, proof)
	check(t, err)
	check(t, l.AddCosignature(c))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func entry(i int) Entry {
	return Entry{
		V: 1, Code: "0101", Kind: "decided", Burst: fmt.Sprintf("b-%d", i), At: noon.Add(time.Duration(i)),
		Actor: "controller", Body: json.RawMessage(fmt.Sprintf(`{"n":%d,"place":"aws/eu-central-1"}`, i)),
	}
}

// fill enters entries from..to-1, each under its own checkpoint.
func fill(t testing.TB, l *Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		at, err := l.Enter(context.Background(), entry(i))
		check(t, err)
		if at != int64(i) {
			t.Fatalf("entry %d was entered at %d", i, at)
		}
	}
}

// bulk enters entries from..to-1 under one checkpoint.
func bulk(t testing.TB, l *Log, from, to int) {
	t.Helper()
	var es []Entry
	for i := from; i < to; i++ {
		es = append(es, entry(i))
	}
	_, err := l.Enter(context.Background(), es...)
	check(t, err)
}

func TestEnteredEntriesAreCosignedProvenAndVerified(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 7)
	if _, err := l.Receipt(t.Context(), 3); !errors.Is(err, ErrNotCosigned) {
		t.Fatalf("receipt without cosignature: %v", err)
	}
	if r, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trust); !errors.Is(err, ErrUnverified) || r.CosignedSize != 0 {
		t.Fatalf("verified without cosignature: %+v, %v", r, err)
	}
	h.cosign(t, l)
	check(t, l.Seal(t.Context()))
	check(t, l.WaitCosigned(t.Context(), 6))
	r, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trust, h.witness.Remembers())
	check(t, err)
	if r.Size != 7 || r.Entries != 7 || r.CosignedSize != 7 || r.FirstBad != -1 || r.Origin != h.o.Origin {
		t.Fatalf("report %+v", r)
	}
	fill(t, l, 7, 9) // the receipt stays under the cosigned checkpoint
	receipt, err := l.Receipt(t.Context(), 3)
	check(t, err)
	e, index, size, err := OpenReceipt(receipt, h.trust)
	check(t, err)
	if index != 3 || size != 7 || e.Burst != "b-3" {
		t.Fatalf("receipt of %d in %d: %+v", index, size, e)
	}
	n := int64(2)
	for leaf, err := range l.Entries(t.Context(), 2) {
		check(t, err)
		if leaf.Index != n || leaf.Entry.Burst != fmt.Sprintf("b-%d", n) {
			t.Fatalf("leaf %+v at %d", leaf, n)
		}
		n++
	}
	if n != 9 {
		t.Fatalf("read up to %d", n)
	}
}

func TestAReopenedLogGoesOnWhereItStood(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	l := h.start(t)
	if err := Create(h.o); err == nil {
		t.Fatal("a log was created over an open one")
	}
	if _, err := Open(t.Context(), h.o); err == nil {
		t.Fatal("two writers")
	}
	for _, n := range []int{3, 255, 256, 257, 511, 513, 3000} {
		bulk(t, l, int(l.Size()), n)
		h.cosign(t, l)
		check(t, l.Close())
		l = h.open(t)
		if l.Size() != int64(n) || l.CosignedSize() != int64(n) {
			t.Fatalf("reopened with %d, %d cosigned, want %d", l.Size(), l.CosignedSize(), n)
		}
		if _, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trust); err != nil {
			t.Fatal(err)
		}
	}
	check(t, l.Close())
	if _, err := l.Enter(t.Context(), entry(0)); !errors.Is(err, ErrClosed) {
		t.Fatalf("enter after close: %v", err)
	}
	if err := Create(h.o); !errors.Is(err, os.ErrExist) {
		t.Fatalf("create over a log: %v", err)
	}
}
