// Package aws verifies EC2 instance identity documents.
//
// # What it proves
//
// AWS signs each document with a key of the instance's region. The signatures
// of [Kind] (rsa2048: PKCS #7, SHA-256, RSA-2048) have a key for each region,
// so the key itself names the region, and the document must name the same one:
// level L2. The signatures of [KindRSA1024] have a key of 1024 bits that many
// regions share, so the region rests on the document alone: level L1, and only
// by explicit option. The third kind there is, DSA with SHA-1, is refused.
//
// # What it does not prove
//
// A document holds neither a nonce nor the node's key and stays good for the
// instance's life; every process on the instance can read it. So the controller
// binds the first key that comes with the document of an instance its own
// create call returned, and the trust says so: it ends in "-first-use".
//
// # Non-goals
//
// The package reads no file but what [ReadKeys] is given, and has no clock.
package aws

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

// The kinds of evidence. Both carry the document as the metadata service gives
// it, and its signature in base64.
const (
	Kind        = "aws-rsa2048" // instance-identity/rsa2048
	KindRSA1024 = "aws-rsa"     // instance-identity/signature
)

// What an identity rests on.
const (
	Trust        = "aws-rsa2048-first-use"
	TrustRSA1024 = "aws-rsa1024-first-use"
)

// skew is how far AWS's clock may be ahead of ours.
const skew = 5 * time.Minute

// maxDocument bounds a document in bytes; those seen are under 600.
const maxDocument = 16 << 10

// Options are what is believed, and what not. The zero Options believe nobody.
type Options struct {
	Keys         *Keys
	Test         *Keys         // of a test signer; nil for none
	AllowTest    bool          // take its documents, with level L0 and trust "test"
	AllowRSA1024 bool          // take evidence of KindRSA1024, at level L1
	MaxAge       time.Duration // since the instance was started; 0: any
}

// Verifier is a [residency.Verifier] for documents of AWS. Made by [New]; the
// zero Verifier refuses all.
type Verifier struct{ o Options }

// New returns the verifier that believes as the options say.
func New(o Options) *Verifier { return &Verifier{o} }

// Document is what AWS signed, and how well. Made by [Verifier.Open]; the zero
// Document is nobody's.
type Document struct {
	Region   string
	Zone     string // "" for an ordinary availability zone, else the local or Wavelength zone
	Account  string
	Instance string
	Started  time.Time // pendingTime: when the instance was last started
	Level    residency.Level
	Trust    string
}

// Verify compares what was signed with what we know. Its errors are
// [signed.Error]s.
func (v *Verifier) Verify(e residency.Evidence, x residency.Expect) (residency.Identity, error) {
	if x.NodeKey == "" {
		return residency.Identity{}, signed.Fail("node key", "there is none to bind the document to")
	}
	d, err := v.Open(e, x.At)
	if err != nil {
		return residency.Identity{}, err
	}
	if d.Instance != x.Instance {
		return residency.Identity{}, signed.Fail("instance", "the document is of %q, ours is %q", d.Instance, x.Instance)
	}
	return residency.Identity{Provider: "aws", Account: d.Account, Region: d.Region, Zone: d.Zone,
		Instance: d.Instance, Level: d.Level, Trust: d.Trust}, nil
}

// Open verifies the signature at our time and reads the bytes it is over.
// Nothing is compared with an instance of ours; Verify does that.
func (v *Verifier) Open(e residency.Evidence, at time.Time) (Document, error) {
	switch {
	case at.IsZero():
		return Document{}, signed.Fail("time", "ours is missing")
	case len(e.Document) == 0 || len(e.Document) > maxDocument:
		return Document{}, signed.Fail("document", "it has %d bytes", len(e.Document))
	}
	signature, err := signed.Base64(e.Signature)
	if err != nil {
		return Document{}, err
	}
	var d Document
	switch {
	case e.Kind == Kind:
		d, err = v.strong(e.Document, signature, at)
	case e.Kind == KindRSA1024 && v.o.AllowRSA1024:
		d, err = v.weak(e.Document, signature, at)
	case e.Kind == KindRSA1024:
		err = signed.Fail("key size", "the key has 1024 bits and many regions share it; it is taken by explicit option only")
	default:
		err = signed.Fail("kind", "evidence %q is not of AWS", e.Kind)
	}
	if err == nil {
		err = v.fresh(d, at)
	}
	if err != nil {
		return Document{}, err
	}
	return d, nil
}

// strong opens a PKCS #7 message by the key of one region.
func (v *Verifier) strong(document, signature []byte, at time.Time) (Document, error) {
	m, err := signed.Read(signature)
	if err != nil {
		return Document{}, err
	}
	k, test := find(v.o.Keys, m), false
	if k == nil {
		k, test = find(v.o.Test, m), true
	}
	switch bag := m.Certificates(); {
	case k == nil:
		return Document{}, signed.Fail("signer", "the message was signed under no certificate of a region")
	case len(bag) > 1 || len(bag) == 1 && !bytes.Equal(bag[0].Raw, k.cert.Raw):
		return Document{}, signed.Fail("certificates", "the message brings another certificate than its signer's")
	}
	content, err := m.Open(k.cert, document)
	if err != nil {
		return Document{}, err
	}
	if err := k.valid(at); err != nil {
		return Document{}, err
	}
	d, err := read(content)
	if err != nil {
		return Document{}, err
	}
	if d.Region != k.region {
		return Document{}, signed.Fail("region", "the document says %q, its key is that of %s", d.Region, k.region)
	}
	d.Level, d.Trust = residency.L2, Trust
	return v.judged(d, test)
}

// weak verifies a signature by a key that regions may share.
func (v *Verifier) weak(document, signature []byte, at time.Time) (Document, error) {
	of, test := signers(v.o.Keys, document, signature), false
	if len(of) == 0 {
		of, test = signers(v.o.Test, document, signature), true
	}
	if len(of) == 0 {
		return Document{}, signed.Fail("signature", "it is by no region's key over this document")
	}
	d, err := read(document)
	if err != nil {
		return Document{}, err
	}
	i := slices.IndexFunc(of, func(k key) bool { return k.region == d.Region })
	if i < 0 {
		return Document{}, signed.Fail("region", "the document says %q, its key is that of %s", d.Region, of[0].region)
	}
	if err := of[i].valid(at); err != nil {
		return Document{}, err
	}
	d.Level, d.Trust = residency.L1, TrustRSA1024
	return v.judged(d, test)
}

// judged gives a test signer's document the level it has: none.
func (v *Verifier) judged(d Document, test bool) (Document, error) {
	if !test {
		return d, nil
	}
	if !v.o.AllowTest {
		return Document{}, signed.Fail("trust", "the document is by a test signer, and allow_test_trust is not set")
	}
	d.Level, d.Trust = residency.L0, residency.TestTrust
	return d, nil
}

// fresh holds the instance's start against our time.
func (v *Verifier) fresh(d Document, at time.Time) error {
	age := at.Sub(d.Started)
	if age < -skew {
		return signed.Fail("pendingTime", "the instance was started at %s, after our time", d.Started.Format(time.RFC3339))
	}
	if v.o.MaxAge > 0 && age > v.o.MaxAge {
		return signed.Fail("pendingTime", "the instance was started at %s, longer ago than any of ours lives",
			d.Started.Format(time.RFC3339))
	}
	return nil
}

// find is the strong key that the message names; nil if there is none.
func find(k *Keys, m *signed.Message) *key {
	if k == nil {
		return nil
	}
	i := slices.IndexFunc(k.strong, func(k key) bool { return m.Names(k.cert) })
	if i < 0 {
		return nil
	}
	return &k.strong[i]
}

// signers are the regions whose weak key signed the document.
func signers(k *Keys, document, signature []byte) []key {
	if k == nil {
		return nil
	}
	var of []key
	for _, w := range k.weak {
		if signed.RSA(w.public(), 1024, document, signature) == nil {
			of = append(of, w)
		}
	}
	return of
}

// valid: AWS issues a new certificate for the old key now and then, so that a
// document can be older than the certificate. It must not be younger.
func (k key) valid(at time.Time) error {
	if at.After(k.cert.NotAfter) {
		return signed.Fail("certificate", "that of %s expired at %s", k.region, expiry(k.cert))
	}
	return nil
}

func expiry(c *x509.Certificate) string { return c.NotAfter.UTC().Format(time.RFC3339) }

// read reads the document from bytes that were signed.
func read(b []byte) (Document, error) {
	o, err := signed.ParseObject(b)
	if err != nil {
		return Document{}, err
	}
	var d Document
	var zone, started string
	for _, f := range []struct {
		key string
		to  *string
	}{{"region", &d.Region}, {"availabilityZone", &zone}, {"accountId", &d.Account}, {"instanceId", &d.Instance},
		{"pendingTime", &started}} {
		if *f.to, err = o.Text(f.key); err != nil {
			return Document{}, err
		}
	}
	if d.Started, err = time.Parse(time.RFC3339, started); err != nil {
		return Document{}, signed.Fail("pendingTime", "%q is no time", started)
	}
	if !isRegion(d.Region) {
		return Document{}, signed.Fail("region", "%q is no name of a region", d.Region)
	}
	letter, ok := strings.CutPrefix(zone, d.Region)
	switch {
	case !ok || letter == "" || strings.Trim(letter, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return Document{}, signed.Fail("region", "zone %q is not in region %s", zone, d.Region)
	case len(letter) > 1: // a local or Wavelength zone, which may lie in another country
		d.Zone = group(zone)
	}
	return d, nil
}

// group is a local zone's name as tables of places spell it: us-east-1-bue-1a
// is the zone of the group us-east-1-bue-1. A Wavelength zone's ends in a digit
// and is its own.
func group(zone string) string {
	n := len(zone) - 1
	if zone[n] >= 'a' && zone[n] <= 'z' && zone[n-1] >= '0' && zone[n-1] <= '9' {
		return zone[:n]
	}
	return zone
}
