package signed

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers (RFC 5652, RFC 8017, RFC 3279, NIST CSOR).
var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA256RSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
)

// refused are algorithms that documents are signed with and that are too weak.
var refused = map[string]string{
	"1.3.14.3.2.26":          "SHA-1",
	"1.2.840.113549.2.5":     "MD5",
	"1.2.840.113549.1.1.5":   "RSA with SHA-1",
	"1.2.840.10040.4.1":      "DSA",
	"1.2.840.10040.4.3":      "DSA with SHA-1",
	"2.16.840.1.101.3.4.3.2": "DSA",
}

// Message is a signed message that was read and not believed. Made by [Read];
// the zero Message opens with nothing.
type Message struct {
	content   []byte // nil if it is kept elsewhere
	certs     []*x509.Certificate
	issuer    []byte // of the signer's certificate, as it is encoded
	serial    *big.Int
	attrs     []byte // nil: the content itself is signed
	digest    []byte // that the attributes give
	signature []byte
}

// Read reads a message in BER. It checks its form alone.
func Read(b []byte) (*Message, error) {
	if len(b) == 0 || len(b) > MaxSize {
		return nil, Fail("der", "the message has %d bytes, want 1 to %d", len(b), MaxSize)
	}
	plain, err := der(b)
	if err != nil {
		return nil, Fail("der", "the message is no PKCS #7: %v", err)
	}
	outer := cryptobyte.String(plain)
	var info, explicit, sd cryptobyte.String
	var kind asn1.ObjectIdentifier
	if !outer.ReadASN1(&info, tags.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidSignedData) ||
		!info.ReadASN1(&explicit, tags.Tag(0).ContextSpecific().Constructed()) || !info.Empty() ||
		!explicit.ReadASN1(&sd, tags.SEQUENCE) || !explicit.Empty() {
		return nil, Fail("der", "the message is no PKCS #7 signed data")
	}
	m := &Message{}
	if err := m.body(sd); err != nil {
		return nil, err
	}
	return m, nil
}

// body reads SignedData: version, digest algorithms, content, certificates,
// revocation lists, signers.
func (m *Message) body(sd cryptobyte.String) error {
	var version int
	var algorithms, encap, certs, signers cryptobyte.String
	var bag bool
	certTag, listTag := tags.Tag(0).ContextSpecific().Constructed(), tags.Tag(1).ContextSpecific().Constructed()
	if !sd.ReadASN1Integer(&version) || version != 1 || !sd.ReadASN1(&algorithms, tags.SET) ||
		!sd.ReadASN1(&encap, tags.SEQUENCE) || !sd.ReadOptionalASN1(&certs, &bag, certTag) {
		return Fail("der", "the message is not of version 1")
	}
	if sd.PeekASN1Tag(listTag) {
		return Fail("certificates", "the message brings revocation lists of its own")
	}
	if !sd.ReadASN1(&signers, tags.SET) || !sd.Empty() {
		return Fail("der", "the message has no list of signers at its end")
	}
	if err := m.wrapped(encap); err != nil {
		return err
	}
	var err error
	if m.certs, err = x509.ParseCertificates(certs); err != nil || bag && len(m.certs) == 0 {
		return Fail("certificates", "a certificate in the message cannot be read")
	}
	return m.signers(signers, algorithms)
}

// wrapped reads the content, if the message holds it.
func (m *Message) wrapped(encap cryptobyte.String) error {
	var kind asn1.ObjectIdentifier
	var explicit, content cryptobyte.String
	var there bool
	if !encap.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidData) ||
		!encap.ReadOptionalASN1(&explicit, &there, tags.Tag(0).ContextSpecific().Constructed()) || !encap.Empty() {
		return Fail("content", "the content is not plain data")
	}
	if there {
		if !explicit.ReadASN1(&content, tags.OCTET_STRING) || !explicit.Empty() || len(content) == 0 {
			return Fail("content", "the content is not one octet string")
		}
		m.content = content
	}
	return nil
}

// signers reads the one signer there may be.
func (m *Message) signers(set, algorithms cryptobyte.String) error {
	var all []cryptobyte.String
	for !set.Empty() {
		var one cryptobyte.String
		if !set.ReadASN1(&one, tags.SEQUENCE) {
			return Fail("signers", "a signer cannot be read")
		}
		all = append(all, one)
	}
	if len(all) != 1 {
		return Fail("signers", "there are %d signers, want exactly one", len(all))
	}
	if err := algorithm(&algorithms, oidSHA256, oidSHA256RSA); err != nil {
		return err
	}
	if !algorithms.Empty() {
		return Fail("algorithm", "one signer has two digest algorithms")
	}
	return m.signer(all[0])
}

// signer reads SignerInfo of version 1, whose certificate goes by its issuer
// and serial number.
func (m *Message) signer(s cryptobyte.String) error {
	var version int
	var name, issuer, attrs cryptobyte.String
	m.serial = new(big.Int)
	if !s.ReadASN1Integer(&version) || version != 1 || !s.ReadASN1(&name, tags.SEQUENCE) ||
		!name.ReadASN1Element(&issuer, tags.SEQUENCE) || !name.ReadASN1Integer(m.serial) || !name.Empty() {
		return Fail("signers", "the signer does not say which certificate is its own")
	}
	m.issuer = issuer
	if err := algorithm(&s, oidSHA256, oidSHA256RSA); err != nil {
		return err
	}
	attrTag := tags.Tag(0).ContextSpecific().Constructed()
	if s.PeekASN1Tag(attrTag) {
		if !s.ReadASN1Element(&attrs, attrTag) {
			return Fail("signers", "the signed attributes cannot be read")
		}
		if err := m.attributes(attrs); err != nil {
			return err
		}
	}
	if err := algorithm(&s, oidRSA, oidSHA256RSA); err != nil {
		return err
	}
	var signature cryptobyte.String
	if !s.ReadASN1(&signature, tags.OCTET_STRING) || !s.Empty() {
		return Fail("signers", "the signer is followed by what it has not signed")
	}
	m.signature = signature
	return nil
}

// algorithm reads one algorithm, which must be one of these, without parameters.
func algorithm(s *cryptobyte.String, want ...asn1.ObjectIdentifier) error {
	var id cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1(&id, tags.SEQUENCE) || !id.ReadASN1ObjectIdentifier(&oid) {
		return Fail("algorithm", "an algorithm cannot be read")
	}
	var null cryptobyte.String
	if !id.Empty() && (!id.ReadASN1(&null, tags.NULL) || !null.Empty() || !id.Empty()) {
		return Fail("algorithm", "%v has parameters", oid)
	}
	for _, w := range want {
		if oid.Equal(w) {
			return nil
		}
	}
	if name := refused[oid.String()]; name != "" {
		return Fail("algorithm", "%s is refused, want SHA-256 and RSA", name)
	}
	return Fail("algorithm", "%v is refused, want SHA-256 and RSA", oid)
}

// attributes reads what the signer signed instead of the content: its digest
// among others. A signing time may be there and is not looked at.
func (m *Message) attributes(element cryptobyte.String) error {
	m.attrs = bytes.Clone(element)
	m.attrs[0] = tagSet // RFC 5652, 5.4: the signature is over the set's own tag
	var list cryptobyte.String
	if !element.ReadASN1(&list, tags.Tag(0).ContextSpecific().Constructed()) || list.Empty() {
		return Fail("signers", "the signed attributes cannot be read")
	}
	typed := false
	for !list.Empty() {
		var attr, values cryptobyte.String
		var kind asn1.ObjectIdentifier
		if !list.ReadASN1(&attr, tags.SEQUENCE) || !attr.ReadASN1ObjectIdentifier(&kind) ||
			!attr.ReadASN1(&values, tags.SET) || !attr.Empty() {
			return Fail("signers", "a signed attribute cannot be read")
		}
		switch {
		case kind.Equal(oidContentType):
			var of asn1.ObjectIdentifier
			if typed || !values.ReadASN1ObjectIdentifier(&of) || !values.Empty() || !of.Equal(oidData) {
				return Fail("content", "the signed content type is not plain data")
			}
			typed = true
		case kind.Equal(oidMessageDigest):
			var sum cryptobyte.String
			if m.digest != nil || !values.ReadASN1(&sum, tags.OCTET_STRING) || !values.Empty() || len(sum) != sha256.Size {
				return Fail("content", "the signed digest is not one SHA-256")
			}
			m.digest = sum
		}
	}
	if !typed || m.digest == nil {
		return Fail("content", "the signed attributes lack the content's type or digest")
	}
	return nil
}

// Certificates are those that the message brings along. They are nobody's word.
func (m *Message) Certificates() []*x509.Certificate { return m.certs }

// Names reports whether the signer says that this certificate is its own.
func (m *Message) Names(c *x509.Certificate) bool {
	return m.serial != nil && c.SerialNumber.Cmp(m.serial) == 0 && bytes.Equal(c.RawIssuer, m.issuer)
}

// Open returns the bytes that the key of c signed. Where the message does not
// hold its content, beside is what was signed; where it does, beside must be
// nil or the same.
func (m *Message) Open(c *x509.Certificate, beside []byte) ([]byte, error) {
	content := m.content
	switch {
	case !m.Names(c):
		return nil, Fail("signer", "the message was signed under another certificate")
	case content == nil && len(beside) == 0:
		return nil, Fail("content", "there is none")
	case content == nil:
		content = beside
	case beside != nil && !bytes.Equal(beside, content) && !bytes.Equal(beside, bytes.TrimSpace(content)):
		return nil, Fail("content", "the document is not the one that was signed")
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, Fail("algorithm", "the signer's key is no RSA key")
	}
	over := content
	if m.attrs != nil {
		if sum := sha256.Sum256(content); !bytes.Equal(sum[:], m.digest) {
			return nil, Fail("content", "the content is not the one that was signed")
		}
		over = m.attrs
	}
	if err := RSA(key, 2048, over, m.signature); err != nil {
		return nil, err
	}
	return bytes.Clone(content), nil
}

// RSA verifies a PKCS #1 signature over SHA-256 by a key of at least so many
// bits.
func RSA(key *rsa.PublicKey, bits int, over, signature []byte) error {
	if n := key.N.BitLen(); n < bits {
		return Fail("key size", "the key has %d bits, want %d or more", n, bits)
	}
	sum := sha256.Sum256(over)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
		return Fail("signature", "it is not by the key of the certificate")
	}
	return nil
}
