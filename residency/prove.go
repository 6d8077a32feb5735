package residency

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Evidence is what a node shows of itself. It is untrusted until a [Verifier]
// has read it. The zero Evidence proves nothing.
type Evidence struct {
	Kind      string `json:"kind"` // "local", "aws-rsa2048", "azure-attested", …
	Document  []byte `json:"document"`
	Signature []byte `json:"signature"`
}

// Digest names the evidence: "sha256:…" of its canonical JSON.
func (e Evidence) Digest() string {
	b, err := json.Marshal(e)
	if err != nil {
		return ""
	}
	return digest(b)
}

// Expect is what we know without the node: the instance our own create call
// returned, the place we asked for, the nonce we drew, the key the node showed
// possession of, and our own time. Every field is needed.
type Expect struct {
	Instance string    `json:"instance"`
	Claimed  Address   `json:"claimed"`
	Nonce    string    `json:"nonce"`
	NodeKey  string    `json:"node_key"` // "sha256:…" of the key's SPKI (DER)
	At       time.Time `json:"at"`
}

// check reports the first thing that is not known.
func (x Expect) check() error {
	switch {
	case x.Instance == "":
		return errors.New("the instance our create call returned is not known")
	case x.Claimed.Check() != nil:
		return fmt.Errorf("the claimed place %v is not canonical", x.Claimed)
	case x.Nonce == "":
		return errors.New("our nonce is missing")
	case !isDigest(x.NodeKey):
		return fmt.Errorf("node key %q is not a digest", x.NodeKey)
	case x.At.IsZero():
		return errors.New("our time is missing")
	}
	return nil
}

// TestTrust is the trust of what a test signer signed, at level L0. A verifier
// gives it only where its configuration allows that.
const TestTrust = "test"

// Identity is what a provider vouches for, read from signed content only. Made
// by verifiers; the zero Identity is nobody.
type Identity struct {
	Provider string `json:"provider"`
	Account  string `json:"account"`
	Region   string `json:"region"`
	Zone     string `json:"zone,omitempty"`
	Instance string `json:"instance"`
	Level    Level  `json:"level"`
	Trust    string `json:"trust"` // what the level rests on, as a plain name: "local", "aws-rsa2048-first-use", …
}

// Verifier reads one kind of evidence. It returns an error unless everything
// it says in the Identity was signed by the provider, for x.Instance, and fresh
// at x.At; bound to x.Nonce and x.NodeKey where the provider can, and where it
// cannot bind the key, the Trust ends in "-first-use": who asks must hold the
// instance to the first key. It keeps the conformance test in
// residency/attest/attesttest.
type Verifier interface {
	Verify(e Evidence, x Expect) (Identity, error)
}

// Proven is a machine whose place is known from evidence. Only [Prove] makes
// one; the zero Proven is nowhere and clears nothing.
type Proven struct {
	place    Place
	instance string
	nodeKey  string
	evidence string
	trust    string
	level    Level
	moved    bool
}

// Prove has the evidence verified and looks its address up. That the node is
// elsewhere than claimed is no error: the rules decide on the proven place,
// and [Proven.Moved] tells. A self-claim (L0, unless a test signer's that the
// verifier was told to take), another instance than the one our create call
// returned, or a place not in the table is an error.
func Prove(v Verifier, t *Table, e Evidence, x Expect) (Proven, error) {
	if err := x.check(); err != nil {
		return Proven{}, fmt.Errorf("prove place: %w", err)
	}
	if v == nil {
		return Proven{}, fmt.Errorf("prove place of %s: no verifier for evidence %q", x.Instance, e.Kind)
	}
	id, err := v.Verify(e, x)
	if err != nil {
		return Proven{}, fmt.Errorf("prove place of %s: %w", x.Instance, err)
	}
	switch {
	case id.Instance != x.Instance:
		return Proven{}, fmt.Errorf("prove place of %s: the evidence is of instance %q", x.Instance, id.Instance)
	case !proves(id.Level, id.Trust):
		return Proven{}, fmt.Errorf("prove place of %s: level %v is no proof", x.Instance, id.Level)
	case !isName(id.Trust) || id.Trust == claimedTrust:
		return Proven{}, fmt.Errorf("prove place of %s: the evidence does not say what it rests on", x.Instance)
	}
	a := Address{Provider: id.Provider, Region: id.Region, Zone: id.Zone}
	p, err := t.At(x.At).Lookup(a)
	if err != nil {
		return Proven{}, fmt.Errorf("prove place of %s: %w", x.Instance, err)
	}
	return Proven{place: p, instance: x.Instance, nodeKey: x.NodeKey, evidence: e.Digest(), trust: id.Trust,
		level: id.Level, moved: a != x.Claimed}, nil
}

// proves reports whether evidence of this level and trust can prove a place: a
// test signer's is of L0, and nobody else's is.
func proves(l Level, trust string) bool {
	if trust == TestTrust {
		return l == L0
	}
	return l >= L1 && l <= L4
}

// Place is where the machine is.
func (p Proven) Place() Place { return p.place }

// Instance is the provider's name of the machine.
func (p Proven) Instance() string { return p.instance }

// NodeKey is the "sha256:…" of the public key the evidence is bound to.
func (p Proven) NodeKey() string { return p.nodeKey }

// EvidenceDigest names the evidence that was verified.
func (p Proven) EvidenceDigest() string { return p.evidence }

// Trust is what the level rests on, as a plain name.
func (p Proven) Trust() string { return p.trust }

// Level is how well the place is known; L1 or more, but L0 under [TestTrust] and
// for the zero Proven.
func (p Proven) Level() Level { return p.level }

// Moved reports whether the proven place is another than the claimed one.
func (p Proven) Moved() bool { return p.moved }
