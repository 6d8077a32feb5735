package issuertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

const asked = "g-asked" // the grant the refused requests are made for

func testRefusals(t *testing.T, s Subject) {
	mine := tunnel.GrantURI(s.Domain, asked)
	boss := tunnel.Identity{Domain: s.Domain, Role: tunnel.RoleController, Name: asked}.URI()
	ok := x509.CertificateRequest{URIs: uris(t, mine)}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	type request = x509.CertificateRequest
	with := func(change func(*request)) []byte {
		r := ok
		change(&r)
		return Request(t, Key(t), r)
	}
	requests := map[string][]byte{
		"another grant":    GrantRequest(t, Key(t), s.Domain, "g-other"),
		"another domain":   GrantRequest(t, Key(t), "elsewhere.example", asked),
		"another role":     with(func(r *request) { r.URIs = uris(t, boss) }),
		"a second URI":     with(func(r *request) { r.URIs = uris(t, mine, tunnel.GrantURI(s.Domain, "g-other")) }),
		"no URI":           with(func(r *request) { r.URIs = nil }),
		"a DNS name":       with(func(r *request) { r.DNSNames = []string{"node.example"} }),
		"an address":       with(func(r *request) { r.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }),
		"an e-mail":        with(func(r *request) { r.EmailAddresses = []string{"a@b.example"} }),
		"another's name":   with(func(r *request) { r.Subject = pkix.Name{CommonName: "g-other"} }),
		"an organisation":  with(func(r *request) { r.Subject = pkix.Name{Organization: []string{"o"}} }),
		"to be a CA":       with(func(r *request) { r.ExtraExtensions = []pkix.Extension{caExtension(t)} }),
		"an unknown name":  with(func(r *request) { r.ExtraExtensions = []pkix.Extension{otherName(t, mine)} }),
		"a P-384 key":      Request(t, p384, ok),
		"an RSA key":       Request(t, rsaKey, ok),
		"nothing":          nil,
		"two requests":     bytes.Repeat(GrantRequest(t, Key(t), s.Domain, asked), 2),
		"a bad signature":  forged(t, Request(t, Key(t), ok)),
		"not even a block": []byte("-----BEGIN CERTIFICATE REQUEST-----"),
	}
	for what, csr := range requests {
		t.Run(what, func(t *testing.T) {
			cred, err := s.Issuer.Issue(t.Context(), csr, asked, time.Minute)
			if err == nil {
				t.Fatalf("issued %s", cred.Serial)
			}
		})
	}
}

// forged breaks the last byte of a request's signature.
func forged(t testing.TB, csrPEM []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(csrPEM)
	block.Bytes[len(block.Bytes)-1] ^= 1
	return pem.EncodeToMemory(block)
}

// caExtension asks for basicConstraints CA:TRUE (RFC 5280 §4.2.1.9).
func caExtension(t testing.TB) pkix.Extension {
	t.Helper()
	return pkix.Extension{
		Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: der(t, struct{ CA bool }{true}),
	}
}

// otherName hides a second name of a kind Go's parser skips beside the URI.
func otherName(t testing.TB, uri string) pkix.Extension {
	t.Helper()
	names := []asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)},
		{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{0x2a, 0x03}}, // registeredID 1.2.3
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der(t, names)}
}

func der(t testing.TB, v any) []byte {
	t.Helper()
	out, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func testTTL(t *testing.T, s Subject) {
	csr := GrantRequest(t, Key(t), s.Domain, asked)
	for _, ttl := range []time.Duration{tunnel.MaxTTL + time.Second, 24 * time.Hour, 0, -time.Minute} {
		if cred, err := s.Issuer.Issue(t.Context(), csr, asked, ttl); err == nil {
			t.Errorf("issued %s for %s", cred.Serial, ttl)
		}
	}
	if _, err := s.Issuer.Issue(t.Context(), csr, asked, tunnel.MaxTTL); err != nil {
		t.Errorf("a quarter of an hour is allowed: %v", err)
	}
}

func testRevoke(t *testing.T, s Subject) {
	issue := func() string {
		t.Helper()
		cred, err := s.Issuer.Issue(t.Context(), GrantRequest(t, Key(t), s.Domain, asked), asked, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return cred.Serial
	}
	gone, kept := issue(), issue()
	want := func(serial string, revoked bool) {
		t.Helper()
		if got, err := s.Issuer.Revoked(t.Context(), serial); err != nil || got != revoked {
			t.Errorf("Revoked(%s) = %v, %v, want %v", serial, got, err, revoked)
		}
	}
	want(gone, false)
	for range 2 {
		if err := s.Issuer.Revoke(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		want(gone, true)
	}
	want(kept, false)
}

func testUnknown(t *testing.T, s Subject) {
	for _, serial := range []string{"00112233445566778899aabbccddeeff", "", "not a serial", "../role"} {
		if err := s.Issuer.Revoke(t.Context(), serial); err == nil {
			t.Errorf("revoked %q", serial)
		}
		if is, err := s.Issuer.Revoked(t.Context(), serial); err == nil || is {
			t.Errorf("Revoked(%q) = %v, %v, want doubt", serial, is, err)
		}
	}
}
