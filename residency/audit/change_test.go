package audit

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// own is the first key of the house's log.
func (h *house) own() signingKey { return signingKey{h.o.Signer, h.vkey} }

// rotate hands the log over.
func rotate(t *testing.T, l *Log, from, to signingKey, with ...Entry) {
	t.Helper()
	e, err := NewRotation(noon, "user:alice", from.signer, to.signer, from.vkey, to.vkey)
	check(t, err)
	check(t, l.Rotate(t.Context(), e, to.signer, with...))
}

// steps proves every change of keys the witness has not seen, as the controller does.
func (h *house) steps(t *testing.T, l *Log) (steps []Step) {
	t.Helper()
	for _, leaf := range l.Changes() {
		if leaf.Index <= h.witness.Seen() {
			continue
		}
		raw, err := leaf.Entry.Encode()
		check(t, err)
		x, err := l.Extend(t.Context(), h.witness.Size(), leaf.Index)
		check(t, err)
		steps = append(steps, Step{leaf.Index, raw, x.Checkpoint, x.Consistency, x.Inclusion})
	}
	return steps
}

// followed lets the witness take up what changed, and hands its cosignature in.
func (h *house) followed(t *testing.T, l *Log) {
	t.Helper()
	c, err := h.witness.Follow(noon, h.witness.Size(), h.steps(t, l), nil, nil)
	check(t, err)
	check(t, l.AddCosignature(c))
}

// reopened is the witness after a restart, still told the first key.
func (h *house) reopened(t *testing.T) {
	t.Helper()
	var err error
	h.witness, err = OpenWitness(h.witness.file, h.witness.signer, h.witness.given)
	check(t, err)
}

func TestAWitnessFollowsRotationsItHasSeenProvenAndRemembersThem(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 3)
	h.cosign(t, l)
	a, b, c := h.own(), nextKey(t, h.o.Origin), nextKey(t, h.o.Origin)
	rotate(t, l, a, b)
	fill(t, l, 4, 6)
	rotate(t, l, b, c)
	x, err := l.Extend(t.Context(), 3, -1)
	check(t, err)
	if _, err := h.witness.Cosign(noon, x.Checkpoint, 3, x.Consistency); !errors.Is(err, ErrOtherKey) {
		t.Fatalf("another key: %v", err)
	}
	for what, spoil := range map[string]func([]Step) []Step{
		"one missing": func(s []Step) []Step { return s[1:] },
		"unproven":    func(s []Step) []Step { s[0].Inclusion[0][0] ^= 1; return s },
		"elsewhere":   func(s []Step) []Step { s[0].Index++; return s },
		"backwards":   func(s []Step) []Step { s[0], s[1] = s[1], s[0]; return s },
		"none":        func([]Step) []Step { return nil },
	} {
		if _, err := h.witness.Follow(noon, 3, spoil(h.steps(t, l)), x.Checkpoint, x.Consistency); err == nil {
			t.Fatalf("%s: followed", what)
		}
		if h.reopened(t); h.witness.Size() != 3 || h.witness.Seen() != -1 {
			t.Fatalf("%s: remembered", what)
		}
	}
	h.followed(t, l)
	h.reopened(t)
	fill(t, l, 7, 8)
	h.cosign(t, l)
	_, err = Verify(t.Context(), os.DirFS(h.o.Dir), h.trust)
	check(t, err)
	thief, err := newSigned(h.o.Origin, 8, l.tree().root, a.signer)
	check(t, err)
	if _, err := h.witness.Cosign(noon, thief.bytes(), 8, nil); !errors.Is(err, ErrOtherKey) {
		t.Fatalf("a superseded key: %v", err)
	}
}

func TestAReceiptOpensAfterARotationUnderTheTrustThatFollowsIt(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 2)
	h.cosign(t, l)
	before, err := l.Receipt(t.Context(), 0)
	check(t, err)
	a, b := h.own(), nextKey(t, h.o.Origin)
	rotate(t, l, a, b)
	h.followed(t, l)
	after, err := l.Receipt(t.Context(), 1)
	check(t, err)
	if _, _, _, err := OpenReceipt(after, h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("a receipt alone shows no rotation, yet: %v", err)
	}
	followed, err := h.trust.Follow(l.Changes()[0].Entry)
	check(t, err)
	for _, trust := range []Trust{followed, h.witness.Trust(h.trust)} {
		for _, r := range []Receipt{before, after} {
			_, _, _, err := OpenReceipt(r, trust)
			check(t, err)
		}
	}
	revoke, err := NewRevocation(noon, "user:alice", RoleLog, a.vkey, "seen elsewhere")
	check(t, err)
	check(t, l.EnterChange(t.Context(), revoke))
	h.followed(t, l)
	if _, _, _, err := OpenReceipt(before, h.witness.Trust(h.trust)); !errors.Is(err, ErrUnverified) {
		t.Fatalf("a receipt under a revoked key: %v", err)
	}
	_, _, _, err = OpenReceipt(after, h.witness.Trust(h.trust))
	check(t, err)
}

func TestWhatARevokedLogKeySignsDoesNotCount(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 2)
	a, b := h.own(), nextKey(t, h.o.Origin)
	revoke, err := NewRevocation(noon, "user:alice", RoleLog, a.vkey, "seen elsewhere")
	check(t, err)
	if err := l.EnterChange(t.Context(), revoke); err == nil {
		t.Fatal("the log revoked the key it signs with and has no other")
	}
	rotate(t, l, a, b, revoke)
	h.followed(t, l)
	both, err := ParseTrust([]byte("log " + b.vkey + "\n" + string(h.trust.Encode())))
	check(t, err)
	for _, trust := range []Trust{h.trust, both} {
		_, err = Verify(t.Context(), os.DirFS(h.o.Dir), trust)
		check(t, err)
	}
	forged, err := newSigned(h.o.Origin, l.Size(), l.tree().root, a.signer)
	check(t, err)
	own, err := h.witness.sign(forged, noon)
	check(t, err)
	m := inMemory(t, h.o.Dir)
	m["checkpoint"].Data = own.bytes()
	for _, trust := range []Trust{h.trust, both} {
		if _, err := Verify(t.Context(), m, trust); !errors.Is(err, ErrUnverified) {
			t.Fatalf("a checkpoint signed by the revoked key: %v", err)
		}
	}
	back, err := NewRotation(noon, "user:mallory", b.signer, a.signer, b.vkey, a.vkey)
	check(t, err)
	c, err := OpenChange(back)
	check(t, err)
	first, err := newLogKey(a.vkey)
	check(t, err)
	got := follow(RoleLog, []pubKey{first}, append(changesOf(t, l), c), newest)
	if len(got) != 1 || got[0].vkey != b.vkey {
		t.Fatal("a revoked key came back")
	}
}

func changesOf(t *testing.T, l *Log) (cs []Change) {
	t.Helper()
	for _, leaf := range l.Changes() {
		c, err := OpenChange(leaf.Entry)
		check(t, err)
		cs = append(cs, c)
	}
	return cs
}

func TestAWitnessKeyIsRotatedAndARevokedOneNoLongerCounts(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 2)
	h.cosign(t, l)
	_, wvkey, _ := strings.Cut(strings.Split(string(h.trust.Encode()), "\n")[1], "edge-hq ")
	skey2, wvkey2, err := GenerateWitnessKey("edge-hq")
	check(t, err)
	second, err := NewWitnessSigner(skey2)
	check(t, err)
	signed, err := SignChange(noon, RoleWitness, h.witness.signer, second, wvkey, wvkey2)
	check(t, err)
	e, err := NewChange("user:alice", signed)
	check(t, err)
	if _, err := l.Enter(t.Context(), e); err == nil {
		t.Fatal("entered without being carried out")
	}
	check(t, l.EnterChange(t.Context(), e))
	h.followed(t, l) // with the old key, which counts until the edge has the new one
	_, err = Verify(t.Context(), os.DirFS(h.o.Dir), h.trust)
	check(t, err)

	old := h.witness
	h.witness, err = OpenWitness(old.file, second, old.given, h.o.Witnesses...)
	check(t, err)
	fill(t, l, 3, 4)
	h.cosign(t, l)
	_, err = Verify(t.Context(), os.DirFS(h.o.Dir), h.trust)
	check(t, err)

	revoke, err := NewRevocation(noon, "user:alice", RoleWitness, wvkey, "disk sold")
	check(t, err)
	check(t, l.EnterChange(t.Context(), revoke))
	stale, err := old.sign(l.tree(), noon)
	check(t, err)
	if err := l.AddCosignature(stale.bytes()); err == nil {
		t.Fatal("the log counts a revoked witness")
	}
	m := inMemory(t, h.o.Dir)
	m["checkpoint"].Data = stale.bytes()
	if _, err := Verify(t.Context(), m, h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("cosigned by a revoked witness: %v", err)
	}
	h.cosign(t, l)
	check(t, l.Close())
	l, err = Open(context.Background(), h.o) // its options name the first key only
	check(t, err)
	defer l.Close()
	if l.CosignedSize() != l.Size() {
		t.Fatalf("%d of %d cosigned after a restart", l.CosignedSize(), l.Size())
	}
	if n := len(h.witness.Standing(RoleWitness, h.o.Witnesses...)); n != 2 {
		t.Fatalf("the witness has not seen the revocation, yet %d keys stand", n)
	}
	fill(t, l, 5, 6)
	h.followed(t, l)
	if got := h.witness.Standing(RoleWitness, h.o.Witnesses...); len(got) != 1 || got[0].KeyHash() != second.KeyHash() {
		t.Fatalf("standing: %v", got)
	}
	_, err = Verify(t.Context(), os.DirFS(h.o.Dir), h.trust)
	check(t, err)
}

func TestAChangeOfKeyIsSignedByBoth(t *testing.T) {
	a, b := nextKey(t, "burst.example/grants"), nextKey(t, "burst.example/grants")
	signed, err := SignChange(noon, RoleGrants, a.signer, b.signer, a.vkey, b.vkey)
	check(t, err)
	text, sigs, _ := strings.Cut(signed, "\n\n")
	lines := strings.SplitAfter(sigs, "\n")
	for what, bad := range map[string]string{
		"only the old key":  text + "\n\n" + lines[0],
		"only the new key":  text + "\n\n" + lines[1],
		"another role":      strings.Replace(signed, "\ngrants\n", "\nplaces\n", 1),
		"another statement": "x" + signed,
	} {
		if _, err := NewChange("user:alice", bad); err == nil {
			t.Errorf("%s: taken for a change", what)
		}
	}
	other := nextKey(t, "elsewhere.example/grants")
	for what, f := range map[string]func() (string, error){
		"itself": func() (string, error) { return SignChange(noon, RoleGrants, a.signer, a.signer, a.vkey, a.vkey) },
		"another holder": func() (string, error) {
			return SignChange(noon, RoleGrants, a.signer, other.signer, a.vkey, other.vkey)
		},
		"the log's": func() (string, error) { return SignChange(noon, RoleLog, a.signer, b.signer, a.vkey, b.vkey) },
		"no role":   func() (string, error) { return SignChange(noon, "tls", a.signer, b.signer, a.vkey, b.vkey) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: signed", what)
		}
	}
	if _, err := NewRevocation(noon, "user:alice", RoleGrants, a.vkey, " "); err == nil {
		t.Error("revoked without a reason")
	}
	e, err := NewChange("user:alice", signed)
	check(t, err)
	e.At = noon.Add(1)
	if _, err := OpenChange(e); err == nil {
		t.Error("another time than was signed")
	}
	v, err := note.NewVerifier(a.vkey)
	check(t, err)
	e.At = noon
	c, err := OpenChange(e)
	check(t, err)
	if got := standingFrom(RoleGrants, []note.Verifier{v}, []Change{c}); len(got) != 2 {
		t.Errorf("%d keys open grants", len(got))
	}
	if got := standingFrom(RolePlaces, []note.Verifier{v}, []Change{c}); len(got) != 1 {
		t.Errorf("%d keys after a change of another role", len(got))
	}
}
