package issuer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// maxPEM bounds what is parsed; a request is under 1 KiB.
const maxPEM = 16 << 10

// Skew is how far the CA's clock may run ahead of ours, and how far a leaf is
// backdated so that a node whose clock runs behind may use it at once.
const Skew = 30 * time.Second

var sanID = asn1.ObjectIdentifier{2, 5, 29, 17} // subjectAltName, RFC 5280 §4.2.1.6

// ParseRequest reads a node's certificate request and refuses one that asks
// for anything but a leaf for uri: a P-256 or Ed25519 key, a valid
// self-signature, the single URI SAN uri as the only extension, and a subject
// that is empty or names the grant itself.
func ParseRequest(csrPEM []byte, uri string) (*x509.CertificateRequest, error) {
	id, err := tunnel.ParseIdentity(uri)
	if err != nil {
		return nil, fmt.Errorf("check request: %w", err)
	}
	der, err := onePEM(csrPEM, "CERTIFICATE REQUEST")
	if err != nil {
		return nil, fmt.Errorf("check request: %w", err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("check request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check request: self-signature: %w", err)
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, fmt.Errorf("check request: %w", err)
	}
	if err := checkSubject(csr.Subject, id.Name); err != nil {
		return nil, fmt.Errorf("check request: %w", err)
	}
	if len(csr.Extensions) != 1 {
		return nil, fmt.Errorf("check request: %d extensions, want the URI SAN alone", len(csr.Extensions))
	}
	if err := checkSAN(csr.Extensions, uri); err != nil {
		return nil, fmt.Errorf("check request: %w", err)
	}
	return csr, nil
}

// CheckLeaf says why leaf is not what ParseRequest's csr asked for: the same
// key, exactly uri, for digital signatures as TLS client and server, no CA,
// valid at now and gone at most ttl (and Skew) after it. It trusts no issuer:
// it is for leaves that come from elsewhere.
func CheckLeaf(
	leaf *x509.Certificate, csr *x509.CertificateRequest, uri string, ttl time.Duration, now time.Time,
) error {
	key, ok := csr.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	uses := slices.Sorted(slices.Values(leaf.ExtKeyUsage))
	want := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	switch {
	case !ok || !key.Equal(leaf.PublicKey):
		return errors.New("check leaf: not the key of the request")
	case leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature:
		return errors.New("check leaf: may do more than sign a handshake")
	case !slices.Equal(uses, want) || len(leaf.UnknownExtKeyUsage) > 0:
		return errors.New("check leaf: extended key usage is not TLS client and server alone")
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("check leaf: not valid before %s, and now is %s", stamp(leaf.NotBefore), stamp(now))
	case leaf.NotAfter.After(now.Add(ttl + Skew)):
		return fmt.Errorf("check leaf: valid until %s, longer than %s from %s", stamp(leaf.NotAfter), ttl, stamp(now))
	}
	if err := checkSubject(leaf.Subject, nameOf(uri)); err != nil {
		return fmt.Errorf("check leaf: %w", err)
	}
	if err := checkSAN(leaf.Extensions, uri); err != nil {
		return fmt.Errorf("check leaf: %w", err)
	}
	return nil
}

// CheckTTL refuses a lifetime of nothing or of more than [tunnel.MaxTTL].
func CheckTTL(ttl time.Duration) error {
	if ttl < time.Second || ttl > tunnel.MaxTTL {
		return fmt.Errorf("check ttl: %s is not between 1s and %s", ttl, tunnel.MaxTTL)
	}
	return nil
}

// Serial writes a certificate's serial as [tunnel.Credential] holds it:
// lowercase hex of its bytes, no separators.
func Serial(n *big.Int) string { return hex.EncodeToString(n.Bytes()) }

// ParseSerial reads a serial as any CA prints it (with colons or hyphens,
// either case) into the form of [Serial].
func ParseSerial(s string) (string, error) {
	plain := strings.ToLower(strings.NewReplacer(":", "", "-", "").Replace(s))
	raw, err := hex.DecodeString(plain)
	if err != nil || len(raw) == 0 || len(raw) > 20 { // 20 octets: RFC 5280 §4.1.2.2
		return "", fmt.Errorf("read serial %.60q: not a certificate's serial in hex", s)
	}
	return Serial(new(big.Int).SetBytes(raw)), nil
}

func checkKey(key any) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("key %T is neither ECDSA P-256 nor Ed25519", key)
}

func checkSubject(s pkix.Name, grant string) error {
	if len(s.Names) == 0 || len(s.Names) == 1 && s.CommonName == grant {
		return nil
	}
	return fmt.Errorf("subject %.80q names something other than the grant", s.String())
}

// checkSAN wants one subjectAltName whose one GeneralName is the URI. It reads
// the bytes itself: the parsed fields leave out kinds that Go does not know.
func checkSAN(exts []pkix.Extension, uri string) error {
	var sans []pkix.Extension
	for _, e := range exts {
		if e.Id.Equal(sanID) {
			sans = append(sans, e)
		}
	}
	if len(sans) != 1 {
		return fmt.Errorf("%d subject alternative name extensions, want one", len(sans))
	}
	var names []asn1.RawValue
	rest, err := asn1.Unmarshal(sans[0].Value, &names)
	if err != nil || len(rest) > 0 {
		return errors.New("subject alternative names do not parse")
	}
	const uriTag = 6 // GeneralName uniformResourceIdentifier [6], RFC 5280
	if len(names) != 1 || names[0].Class != asn1.ClassContextSpecific || names[0].Tag != uriTag {
		return fmt.Errorf("%d subject alternative names, want one URI alone", len(names))
	}
	if string(names[0].Bytes) != uri {
		return fmt.Errorf("URI %.120q is not the grant's, %q", names[0].Bytes, uri)
	}
	return nil
}

func nameOf(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// onePEM wants one block of the kind and nothing around it.
func onePEM(data []byte, kind string) ([]byte, error) {
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%d bytes of PEM, more than %d", len(data), maxPEM)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("not one PEM block of type %s", kind)
	}
	return block.Bytes, nil
}
