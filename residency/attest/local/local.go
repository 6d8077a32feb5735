// Package local signs and verifies the identity documents of the local cloud
// driver, whose machines are processes on this computer.
//
// # What it proves
//
// The local provider's key signed that this instance, in this named place,
// holds this node key, in answer to this nonce. That is all a cloud's signed
// document says too, so the level is L2; the trust is "local", so that a rule
// or a reader can tell that the place is a name given by the driver and no
// building.
//
// # Non-goals
//
// The package launches nothing and keeps no key: pools/cloud/local holds the
// signing half, the controller is configured with the public half.
package local

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Kind is the kind of the evidence, and the trust of the identity.
const Kind = "local"

// MaxAge is how far a document's time may lie from ours, either way.
const MaxAge = 5 * time.Minute

// maxDocument bounds a document in bytes.
const maxDocument = 4 << 10

// Document is what the local provider signs. Made by the local driver for a
// machine it launched.
type Document struct {
	V        int       `json:"v"`        // 1
	Provider string    `json:"provider"` // the provider the machine plays, as in an address
	Region   string    `json:"region"`
	Zone     string    `json:"zone"` // "" for the region as a whole
	Instance string    `json:"instance"`
	Nonce    string    `json:"nonce"`    // the controller's
	NodeKey  string    `json:"node_key"` // "sha256:…" of the key's SPKI
	Issued   time.Time `json:"issued"`
}

// encode writes the one spelling of a document.
func (d Document) encode() ([]byte, error) {
	d.Issued = d.Issued.UTC().Truncate(time.Second)
	return json.Marshal(d)
}

// Sign makes the evidence of a document. A document that cannot be encoded, or
// a key of the wrong size, makes the zero Evidence, which proves nothing.
func Sign(priv ed25519.PrivateKey, d Document) residency.Evidence {
	d.V = 1
	b, err := d.encode()
	if err != nil || len(priv) != ed25519.PrivateKeySize {
		return residency.Evidence{}
	}
	return residency.Evidence{Kind: Kind, Document: b, Signature: ed25519.Sign(priv, b)}
}

// verifier trusts one provider key.
type verifier struct{ pub ed25519.PublicKey }

// New returns the verifier that trusts this key of the local provider alone. A
// key of the wrong size verifies nothing.
func New(pub ed25519.PublicKey) residency.Verifier {
	return verifier{pub: bytes.Clone(pub)}
}

// Verify reads the identity from exactly the bytes that were signed.
func (v verifier) Verify(e residency.Evidence, x residency.Expect) (residency.Identity, error) {
	d, err := v.open(e)
	if err != nil {
		return residency.Identity{}, fmt.Errorf("verify local document: %w", err)
	}
	if err := d.meets(x); err != nil {
		return residency.Identity{}, fmt.Errorf("verify local document: %w", err)
	}
	return residency.Identity{Provider: d.Provider, Account: "local", Region: d.Region, Zone: d.Zone,
		Instance: d.Instance, Level: residency.L2, Trust: Kind}, nil
}

// open checks the signature first and decodes afterwards.
func (v verifier) open(e residency.Evidence) (Document, error) {
	switch {
	case e.Kind != Kind:
		return Document{}, fmt.Errorf("evidence is of kind %q", e.Kind)
	case len(e.Document) == 0 || len(e.Document) > maxDocument:
		return Document{}, fmt.Errorf("document has %d bytes", len(e.Document))
	case len(v.pub) != ed25519.PublicKeySize:
		return Document{}, errors.New("no provider key is configured")
	case len(e.Signature) != ed25519.SignatureSize || !ed25519.Verify(v.pub, e.Document, e.Signature):
		return Document{}, errors.New("signature is not the provider's")
	}
	return decode(e.Document)
}

// decode reads exactly what encode writes.
func decode(b []byte) (Document, error) {
	var d Document
	r := json.NewDecoder(bytes.NewReader(b))
	r.DisallowUnknownFields()
	if err := r.Decode(&d); err != nil {
		return Document{}, err
	}
	if again, err := d.encode(); err != nil || !bytes.Equal(again, b) {
		return Document{}, errors.New("document is not in canonical form")
	}
	if d.V != 1 {
		return Document{}, fmt.Errorf("version %d is not known", d.V)
	}
	return d, nil
}

// meets compares the document with what we know without it.
func (d Document) meets(x residency.Expect) error {
	switch {
	case d.Instance == "" || d.Instance != x.Instance:
		return fmt.Errorf("it is of instance %q, ours is %q", d.Instance, x.Instance)
	case d.Nonce == "" || d.Nonce != x.Nonce:
		return errors.New("it does not answer our nonce")
	case d.NodeKey == "" || d.NodeKey != x.NodeKey:
		return errors.New("it is bound to another key")
	}
	if age := x.At.Sub(d.Issued); age > MaxAge || age < -MaxAge {
		return fmt.Errorf("it was issued at %s, more than %s from our time", d.Issued.Format(time.RFC3339), MaxAge)
	}
	return residency.Address{Provider: d.Provider, Region: d.Region, Zone: d.Zone}.Check()
}
