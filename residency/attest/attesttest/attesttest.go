// Package attesttest holds what every [residency.Verifier] must refuse. A
// verifier's own tests call [TestVerifier] with evidence that it accepts.
//
// # Non-goals
//
// It knows no provider's format: traps of one format are tested beside its
// verifier.
package attesttest

import (
	"bytes"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Case is evidence that the verifier under test must accept, and what it was
// made for.
type Case struct {
	Verifier residency.Verifier
	Evidence residency.Evidence
	Expect   residency.Expect
	// Nonce says that the provider binds our nonce into the document, Key that
	// it binds the node's key.
	Nonce, Key bool
}

// other is a well-formed key that nobody has.
const other = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// TestVerifier checks the contract: the case is accepted with a level above L0
// and the right instance, and nothing next to it is. It logs how many
// neighbours it tried.
func TestVerifier(t *testing.T, c Case) {
	t.Helper()
	id, err := c.Verifier.Verify(c.Evidence, c.Expect)
	if err != nil {
		t.Fatalf("the case itself is refused: %v", err)
	}
	if id.Instance != c.Expect.Instance || id.Level < residency.L1 || id.Trust == "" || id.Provider == "" {
		t.Errorf("the case is accepted as %+v", id)
	}
	n := 0
	refuse := func(what string, e residency.Evidence, x residency.Expect) {
		if c.same(e, x) {
			return // an empty signature doubled, say
		}
		n++
		if id, err := c.Verifier.Verify(e, x); err == nil || id != (residency.Identity{}) {
			t.Errorf("%s: accepted as %+v (error %v)", what, id, err)
		}
	}
	c.expectations(refuse)
	c.bytes(refuse)
	t.Logf("%d neighbours of good evidence refused", n)
}

// expectations changes what we know.
func (c Case) expectations(refuse func(string, residency.Evidence, residency.Expect)) {
	for what, change := range map[string]func(*residency.Expect){
		"another instance":   func(x *residency.Expect) { x.Instance += "0" },
		"no instance":        func(x *residency.Expect) { x.Instance = "" },
		"another node key":   func(x *residency.Expect) { x.NodeKey = other },
		"no node key":        func(x *residency.Expect) { x.NodeKey = "" },
		"a year later":       func(x *residency.Expect) { x.At = x.At.Add(365 * 24 * time.Hour) },
		"no time":            func(x *residency.Expect) { x.At = time.Time{} },
		"nothing known":      func(x *residency.Expect) { *x = residency.Expect{} },
		"another nonce":      func(x *residency.Expect) { x.Nonce += "0" },
		"no nonce":           func(x *residency.Expect) { x.Nonce = "" },
		"a nonce in capital": func(x *residency.Expect) { x.Nonce = string(bytes.ToUpper([]byte(x.Nonce))) },
	} {
		x := c.Expect
		change(&x)
		nonce, key := x.Nonce == c.Expect.Nonce, x.NodeKey == c.Expect.NodeKey || x.NodeKey == ""
		if (c.Nonce || nonce) && (c.Key || key) {
			refuse(what, c.Evidence, x)
		}
	}
}

// same reports whether nothing was changed.
func (c Case) same(e residency.Evidence, x residency.Expect) bool {
	return x == c.Expect && e.Kind == c.Evidence.Kind && bytes.Equal(e.Document, c.Evidence.Document) &&
		bytes.Equal(e.Signature, c.Evidence.Signature)
}

// bytes changes what the node shows, one bit or one end at a time.
func (c Case) bytes(refuse func(string, residency.Evidence, residency.Expect)) {
	try := func(what string, kind string, document, signature []byte) {
		refuse(what, residency.Evidence{Kind: kind, Document: document, Signature: signature}, c.Expect)
	}
	e := c.Evidence
	try("no evidence", "", nil, nil)
	try("another kind", e.Kind+"x", e.Document, e.Signature)
	try("no kind", "", e.Document, e.Signature)
	try("no document", e.Kind, nil, e.Signature)
	try("no signature", e.Kind, e.Document, nil)
	try("document and signature swapped", e.Kind, e.Signature, e.Document)
	for what, b := range map[string][]byte{"document": e.Document, "signature": e.Signature} {
		with := func(change string, b []byte) {
			if what == "document" {
				try(what+" "+change, e.Kind, b, e.Signature)
			} else {
				try(what+" "+change, e.Kind, e.Document, b)
			}
		}
		with("longer", append(bytes.Clone(b), ' '))
		with("doubled", append(bytes.Clone(b), b...))
		with("shorter", b[:max(0, len(b)-1)])
		for i := range b {
			flipped := bytes.Clone(b)
			flipped[i] ^= 1 << (i % 8)
			with("with a bit flipped", flipped)
		}
	}
}
