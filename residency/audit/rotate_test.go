package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

type signingKey struct {
	signer note.Signer
	vkey   string
}

func nextKey(t *testing.T, origin string) signingKey {
	t.Helper()
	skey, vkey, err := GenerateLogKey(origin)
	check(t, err)
	s, err := note.NewSigner(skey)
	check(t, err)
	return signingKey{s, vkey}
}

// newWitnessFor takes up the memory of the house's witness under another key of the log.
func (h *house) newWitnessFor(t *testing.T, k signingKey) {
	t.Helper()
	v, err := note.NewVerifier(k.vkey)
	check(t, err)
	h.witness, err = OpenWitness(h.witness.file, h.witness.signer, v)
	check(t, err)
}

// trusting is the trust of the house with another log key.
func (h *house) trusting(t *testing.T, vkey string) Trust {
	t.Helper()
	trust, err := ParseTrust(bytes.ReplaceAll(h.trust.Encode(), []byte(h.vkey), []byte(vkey)))
	check(t, err)
	return trust
}

func TestARotatedLogVerifiesUnderTheOldAndTheNewKey(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 3)
	h.cosign(t, l)
	before := inMemory(t, h.o.Dir)
	a, b := signingKey{h.o.Signer, h.vkey}, nextKey(t, h.o.Origin)
	c := nextKey(t, h.o.Origin)
	for _, turn := range [][2]signingKey{{a, b}, {b, c}} {
		e, err := NewRotation(noon, "user:alice", turn[0].signer, turn[1].signer, turn[0].vkey, turn[1].vkey)
		check(t, err)
		if err := l.Rotate(t.Context(), e, turn[0].signer); err == nil {
			t.Fatal("rotated to another key than the entry names")
		}
		check(t, l.Rotate(t.Context(), e, turn[1].signer))
		fill(t, l, int(l.Size()), int(l.Size())+1)
		h.newWitnessFor(t, turn[1])
		h.cosign(t, l)
	}
	if _, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trust, before["checkpoint"].Data); err != nil {
		t.Fatalf("trusting the first key: %v", err)
	}
	for _, k := range []signingKey{b, c} {
		if _, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trusting(t, k.vkey)); err != nil {
			t.Fatalf("trusting a later key: %v", err)
		}
	}
	if _, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trusting(t, nextKey(t, h.o.Origin).vkey)); err == nil {
		t.Fatal("verified under a key the log never had")
	}
	check(t, l.Close())
	if _, err := Open(t.Context(), h.o); err == nil {
		t.Fatal("opened for writing with the old key")
	}
	h.o.Signer = c.signer
	l = h.open(t)
	fill(t, l, 7, 8)
	h.cosign(t, l)
	receipt, err := l.Receipt(t.Context(), 0)
	check(t, err)
	if _, _, _, err := OpenReceipt(receipt, h.trusting(t, c.vkey)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := OpenReceipt(receipt, h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("a receipt alone shows no rotation, yet: %v", err)
	}
}

func TestANewKeyWithoutARotationSignedByBothIsRefused(t *testing.T) {
	h := newHouse(t)
	next := nextKey(t, h.o.Origin)
	good, err := NewRotation(noon, "user:alice", h.o.Signer, next.signer, h.vkey, next.vkey)
	check(t, err)
	var body RotationBody
	check(t, json.Unmarshal(good.Body, &body))
	lines := strings.SplitAfter(body.Note, "\n")
	forged := func(text string) Entry {
		e := good
		e.Body, err = Canonical(RotationBody{Note: text})
		check(t, err)
		return e
	}
	text := strings.Join(lines[:6], "")
	late := good
	late.At = noon.Add(1)
	for what, e := range map[string]Entry{
		"only the old key":  forged(text + lines[6]),
		"only the new key":  forged(text + lines[7]),
		"no signature":      forged(text),
		"another statement": forged(strings.Replace(body.Note, "Z\n", "1Z\n", 1)),
		"another time":      late,
		"another kind":      {V: 1, Code: RotationCode, Kind: "rotated", At: noon, Actor: "a", Body: good.Body},
	} {
		if _, err := openRotation(e); err == nil {
			t.Errorf("%s: taken for a rotation", what)
		}
	}
	if _, err := NewRotation(noon, "a", h.o.Signer, h.o.Signer, h.vkey, h.vkey); err == nil {
		t.Error("rotated to itself")
	}
}

func TestAKeyOfTheSameNameAndHashIsNotTheOneTrusted(t *testing.T) {
	h := newHouse(t)
	next := nextKey(t, h.o.Origin)
	good, err := NewRotation(noon, "user:alice", h.o.Signer, next.signer, h.vkey, next.vkey)
	check(t, err)
	c, err := OpenChange(good)
	check(t, err)
	trusted, err := newLogKey(h.vkey)
	check(t, err)
	c.Old = strings.Replace(c.Old, "+A", "+B", 1)
	if got := follow(RoleLog, []pubKey{trusted}, []Change{c}, newest); got[0].vkey != h.vkey {
		t.Error("followed a key of the same name and hash")
	}
}

func TestAThiefOfTheNewKeyAloneCannotSpeakForTheOld(t *testing.T) {
	h := newHouse(t)
	next := nextKey(t, h.o.Origin)
	good, err := NewRotation(noon, "user:alice", h.o.Signer, next.signer, h.vkey, next.vkey)
	check(t, err)
	var body RotationBody
	check(t, json.Unmarshal(good.Body, &body))
	lines := strings.SplitAfter(body.Note, "\n")
	half := good
	half.Body, err = Canonical(RotationBody{Note: strings.Join(lines[:6], "") + lines[7]})
	check(t, err)
	o := h.o
	o.Dir, o.Signer = filepath.Join(t.TempDir(), "theirs"), next.signer
	check(t, Create(o))
	l, err := Open(t.Context(), o)
	check(t, err)
	defer l.Close()
	h.newWitnessFor(t, next)
	fill(t, l, 0, 2)
	h.cosign(t, l)
	if _, err := Verify(t.Context(), os.DirFS(o.Dir), h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("no rotation: %v", err)
	}
	if _, err := l.Enter(t.Context(), good); err == nil {
		t.Fatal("a rotation was entered without being carried out")
	}
	leaf, err := half.Encode()
	check(t, err)
	_, err = l.commit([][]byte{leaf})
	check(t, err)
	h.cosign(t, l)
	if _, err := Verify(t.Context(), os.DirFS(o.Dir), h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("half a rotation: %v", err)
	}
}
