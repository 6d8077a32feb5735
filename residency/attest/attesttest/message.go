package attesttest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers that a signer may give: the first of each is the right one.
var (
	SHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	SHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	RSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	DSA    = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}

	data, signedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, asn1.ObjectIdentifier{1, 2, 840, 113549,
		1, 7, 2}
	typeAttr, digestAttr = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}, asn1.ObjectIdentifier{1, 2, 840, 113549,
		1, 9, 4}
	timeAttr, anyAttr     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}, asn1.ObjectIdentifier{1, 2, 3}
	context0, context1    = tags.Tag(0).ContextSpecific().Constructed(), tags.Tag(1).ContextSpecific().Constructed()
	constructed, octetTag = byte(0x20), byte(0x04)
)

// Message is a PKCS #7 message, wrong in whatever way a test likes. The zero
// Message has no signer.
type Message struct {
	Content  []byte
	Detached bool // leave the content out
	Certs    []*x509.Certificate
	Lists    bool // bring a revocation list
	Signers  []Signer
}

// Signer is one of a message's signers.
type Signer struct {
	Cert        *x509.Certificate // whose issuer and serial number it gives
	Key         crypto.Signer
	Over        []byte                // signed instead of the content, if not nil
	Attributes  bool                  // sign attributes with the content's digest
	SigningTime time.Time             // an attribute, if not zero
	Rewrite     func([]byte) []byte   // changes the attributes before they are signed
	Unsigned    bool                  // add an attribute that is not signed
	Digest      asn1.ObjectIdentifier // nil: SHA256
	Algorithm   asn1.ObjectIdentifier // nil: RSA
}

// DER encodes the message.
func (m Message) DER(t testing.TB) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(signedData)
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
				m.body(t,
					b)
			})
		})
	})
	return b.BytesOrPanic()
}

func (m Message) body(t testing.TB, b *cryptobyte.Builder) {
	b.AddASN1Int64(1)
	b.AddASN1(tags.SET, func(b *cryptobyte.Builder) {
		if len(m.Signers) > 0 {
			algorithm(b, m.Signers[0].Digest, SHA256)
		}
	})
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(data)
		if !m.Detached {
			b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(m.Content) })
		}
	})
	if len(m.Certs) > 0 {
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			for _, c := range m.Certs {
				b.AddBytes(c.Raw)
			}
		})
	}
	if m.Lists {
		b.AddASN1(context1, func(b *cryptobyte.Builder) { b.AddASN1(tags.SEQUENCE, func(*cryptobyte.Builder) {}) })
	}
	b.AddASN1(tags.SET, func(b *cryptobyte.Builder) {
		for _, s := range m.Signers {
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) { s.add(t, b, m.Content) })
		}
	})
}

func (s Signer) add(t testing.TB, b *cryptobyte.Builder, content []byte) {
	if s.Over != nil {
		content = s.Over
	}
	b.AddASN1Int64(1)
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(s.Cert.RawIssuer)
		b.AddASN1BigInt(new(big.Int).Set(s.Cert.SerialNumber))
	})
	algorithm(b, s.Digest, SHA256)
	if s.Attributes {
		attrs := s.attributes(content)
		if s.Rewrite != nil {
			attrs = s.Rewrite(attrs)
		}
		b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
		var set cryptobyte.Builder
		set.AddASN1(tags.SET, func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
		content = set.BytesOrPanic()
	}
	algorithm(b, s.Algorithm, RSA)
	sum := sha256.Sum256(content)
	signature, err := s.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	b.AddASN1OctetString(signature)
	if s.Unsigned {
		b.AddASN1(context1, func(b *cryptobyte.Builder) {
			attribute(b, anyAttr, func(b *cryptobyte.Builder) { b.AddASN1Int64(1) })
		})
	}
}

// attributes are the signed ones, in the order DER wants.
func (s Signer) attributes(content []byte) []byte {
	sum := sha256.Sum256(content)
	var b cryptobyte.Builder
	attribute(&b, typeAttr, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(data) })
	if !s.SigningTime.IsZero() {
		attribute(&b, timeAttr, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(s.SigningTime) })
	}
	attribute(&b, digestAttr, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) })
	return b.BytesOrPanic()
}

func attribute(b *cryptobyte.Builder, kind asn1.ObjectIdentifier, value cryptobyte.BuilderContinuation) {
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(kind)
		b.AddASN1(tags.SET, value)
	})
}

func algorithm(b *cryptobyte.Builder, id, otherwise asn1.ObjectIdentifier) {
	if id == nil {
		id = otherwise
	}
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1NULL()
	})
}

// BER spells DER as AWS's signer does: lengths left open, the content in parts.
func BER(der []byte) []byte { return ber(der, 0) }

func ber(der []byte, in byte) []byte {
	var out []byte
	for s := cryptobyte.String(der); !s.Empty(); {
		var element, content cryptobyte.String
		var tag tags.Tag
		if !s.ReadAnyASN1Element(&element, &tag) || !element.ReadAnyASN1(&content, &tag) {
			panic("no DER")
		}
		switch b := byte(tag); {
		case b&constructed != 0:
			out = append(out, b, 0x80)
			out = append(out, ber(content, b)...)
			out = append(out, 0, 0)
		case b == octetTag && in == byte(context0):
			out = append(out, b|constructed, 0x80)
			for len(content) > 0 {
				n := min(len(content), 20)
				out = append(append(out, octetTag, byte(n)), content[:n]...)
				content = content[n:]
			}
			out = append(out, 0, 0)
		default:
			var plain cryptobyte.Builder
			plain.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
			out = append(out, plain.BytesOrPanic()...)
		}
	}
	return out
}
