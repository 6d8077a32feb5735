// Package issuertest is the contract of an issuer of credentials as a test,
// for any that claims to keep it: the in-process CA and Vault run the same one.
package issuertest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/issuer"
)

// Issuer is what is tested: it gives a node's key a short life in the trust
// domain, takes it away, and says whether it is gone.
type Issuer interface {
	Issue(ctx context.Context, csrPEM []byte, grant string, ttl time.Duration) (tunnel.Credential, error)
	Revoke(ctx context.Context, serial string) error
	Revoked(ctx context.Context, serial string) (bool, error)
}

// Subject is one issuer under test.
type Subject struct {
	Issuer Issuer
	Domain string                                // its trust domain
	Roots  func(context.Context) ([]byte, error) // its CA method
}

// TestIssuer holds the issuer to the contract. It makes credentials of a few
// grants and leaves them revoked or short-lived.
func TestIssuer(t *testing.T, s Subject) {
	t.Run("a leaf is for the node's key and the grant's name alone", func(t *testing.T) { testLeaf(t, s) })
	t.Run("a request for more than the grant is refused", func(t *testing.T) { testRefusals(t, s) })
	t.Run("a life of nothing or over a quarter hour is refused", func(t *testing.T) { testTTL(t, s) })
	t.Run("revoking is for good and may be repeated", func(t *testing.T) { testRevoke(t, s) })
	t.Run("a serial never issued is an error, not an answer", func(t *testing.T) { testUnknown(t, s) })
}

// Key makes a node's P-256 key.
func Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Request signs a certificate request with the key, as PEM.
func Request(t testing.TB, key crypto.Signer, tmpl x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &tmpl, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// GrantRequest is the request a well-behaved node makes.
func GrantRequest(t testing.TB, key crypto.Signer, domain, grant string) []byte {
	t.Helper()
	return Request(t, key, x509.CertificateRequest{URIs: uris(t, tunnel.GrantURI(domain, grant))})
}

func uris(t testing.TB, list ...string) (out []*url.URL) {
	t.Helper()
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

func testLeaf(t *testing.T, s Subject) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := s.Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		t.Fatalf("no CA certificate in %q", roots)
	}
	for name, key := range map[string]crypto.Signer{"P-256": Key(t), "Ed25519": edKey} {
		t.Run(name, func(t *testing.T) {
			const ttl = 5 * time.Minute
			csrPEM := GrantRequest(t, key, s.Domain, "g-leaf")
			cred, err := s.Issuer.Issue(t.Context(), csrPEM, "g-leaf", ttl)
			if err != nil {
				t.Fatal(err)
			}
			leaf := Leaf(t, cred)
			csr, err := issuer.ParseRequest(csrPEM, tunnel.GrantURI(s.Domain, "g-leaf"))
			if err != nil {
				t.Fatal(err)
			}
			if err := issuer.CheckLeaf(leaf, csr, tunnel.GrantURI(s.Domain, "g-leaf"), ttl, time.Now()); err != nil {
				t.Error(err)
			}
			for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
				_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{use}})
				if err != nil {
					t.Errorf("verify for use %d: %v", use, err)
				}
			}
			if cred.Serial != issuer.Serial(leaf.SerialNumber) || cred.Grant != "g-leaf" ||
				!cred.NotAfter.Equal(leaf.NotAfter) || !cred.NotBefore.Equal(leaf.NotBefore) {
				t.Errorf("credential %s of %s until %s does not describe its leaf", cred.Serial, cred.Grant, cred.NotAfter)
			}
			if back := time.Since(leaf.NotBefore); back < issuer.Skew-2*time.Second {
				t.Errorf("leaf is backdated by %s, want about %s", back, issuer.Skew)
			}
		})
	}
}

// Leaf parses the first certificate of the chain and wants a CA after it.
func Leaf(t testing.TB, cred tunnel.Credential) *x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for block, rest := pem.Decode(cred.Chain); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	if len(certs) != 2 || certs[0].IsCA || !certs[1].IsCA {
		t.Fatalf("chain of %d certificates, want a leaf and its CA", len(certs))
	}
	if err := certs[0].CheckSignatureFrom(certs[1]); err != nil {
		t.Fatal(err)
	}
	return certs[0]
}
