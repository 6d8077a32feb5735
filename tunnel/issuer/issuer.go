// Package issuer decides what may be certified for a grant, and is a
// certificate authority in one process that does so: the demo's and the tests'.
//
// # What it signs
//
// A leaf for a key born on the node, whose one name is the grant's URI
// ([tunnel.GrantURI]), for at most [tunnel.MaxTTL]. [ParseRequest] is the
// whole of what a node may ask; tunnel/vault asks it too before it bothers
// Vault, and holds what comes back to [CheckLeaf].
//
// # What it remembers
//
// Serials issued and serials revoked, in memory. The controller's log holds
// both, and after a restart hands them back through [CA.Restore].
//
// *Non-goals*: a CRL or OCSP endpoint, intermediates, a CA key outside the
// process. Production uses tunnel/vault.
package issuer

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// CA issues and revokes credentials of one trust domain. Made by [New]; safe
// for concurrent use. The zero CA issues nothing.
type CA struct {
	now    func() time.Time
	domain string
	cert   *x509.Certificate
	key    crypto.Signer

	mu      sync.Mutex
	issued  map[string]time.Time // serial to end; zero when restored without one
	revoked map[string]bool
}

// New makes the authority of a trust domain over a CA certificate and its key,
// such as [NewCA] and tls.X509KeyPair give.
func New(now func() time.Time, domain string, ca tls.Certificate) (*CA, error) {
	if _, err := tunnel.ParseIdentity(tunnel.GrantURI(domain, "x")); err != nil {
		return nil, fmt.Errorf("make issuer: trust domain %q is not a plain lowercase name", domain)
	}
	key, ok := ca.PrivateKey.(crypto.Signer)
	if now == nil || !ok || len(ca.Certificate) == 0 {
		return nil, errors.New("make issuer: needs a clock, a CA certificate and its key")
	}
	cert, err := x509.ParseCertificate(ca.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	if !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("make issuer: certificate of %q may not sign others", cert.Subject)
	}
	return &CA{
		now: now, domain: domain, cert: cert, key: key,
		issued: map[string]time.Time{}, revoked: map[string]bool{},
	}, nil
}

// Restore takes back what the log holds after a restart: the serials this CA
// issued and those it revoked (which count as issued).
func (c *CA) Restore(issued, revoked []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, list := range [][]string{issued, revoked} {
		for _, s := range list {
			serial, err := ParseSerial(s)
			if err != nil {
				return fmt.Errorf("restore serials: %w", err)
			}
			if _, ok := c.issued[serial]; !ok {
				c.issued[serial] = time.Time{}
			}
			c.revoked[serial] = c.revoked[serial] || i == 1
		}
	}
	return nil
}

// CA returns the PEM certificate that every leaf chains to.
func (c *CA) CA(ctx context.Context) ([]byte, error) {
	return encode("CERTIFICATE", c.cert.Raw), ctx.Err()
}

// Issue signs the node's request for the grant; see [ParseRequest] for what it
// refuses.
func (c *CA) Issue(
	ctx context.Context, csrPEM []byte, grant string, ttl time.Duration,
) (tunnel.Credential, error) {
	if err := cmp.Or(ctx.Err(), CheckTTL(ttl)); err != nil {
		return tunnel.Credential{}, fmt.Errorf("issue credential: %w", err)
	}
	csr, err := ParseRequest(csrPEM, tunnel.GrantURI(c.domain, grant))
	if err != nil {
		return tunnel.Credential{}, fmt.Errorf("issue credential: %w", err)
	}
	leaf, err := c.sign(csr, ttl)
	if err != nil {
		return tunnel.Credential{}, fmt.Errorf("issue credential: %w", err)
	}
	serial := Serial(leaf.SerialNumber)
	c.mu.Lock()
	c.issued[serial] = leaf.NotAfter
	c.mu.Unlock()
	return tunnel.Credential{
		Grant: grant, Serial: serial,
		Chain:     append(encode("CERTIFICATE", leaf.Raw), encode("CERTIFICATE", c.cert.Raw)...),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, nil
}

// sign makes the leaf; nothing of the request but its key and checked URI
// gets in.
func (c *CA) sign(csr *x509.CertificateRequest, ttl time.Duration) (*x509.Certificate, error) {
	now := c.now().UTC()
	if end := now.Add(ttl); end.After(c.cert.NotAfter) {
		return nil, fmt.Errorf("the CA ends at %s, before the leaf would", stamp(c.cert.NotAfter))
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             now.Add(-Skew),
		NotAfter:              now.Add(ttl),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:                  csr.URIs,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, c.cert, csr.PublicKey, c.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Revoke withdraws a serial for good. Again is no error; a serial never issued
// is.
func (c *CA) Revoke(ctx context.Context, serial string) error {
	s, err := ParseSerial(serial)
	if err := cmp.Or(ctx.Err(), err); err != nil {
		return fmt.Errorf("revoke credential: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.issued[s]; !ok {
		return fmt.Errorf("revoke credential: serial %s was never issued here", s)
	}
	c.revoked[s] = true
	return nil
}

// Revoked reports whether the CA no longer stands behind a serial: it was
// revoked, or its end is past. An error, as for a serial never issued, is
// doubt: treat the credential as neither usable nor surely gone.
func (c *CA) Revoked(ctx context.Context, serial string) (bool, error) {
	s, err := ParseSerial(serial)
	if err := cmp.Or(ctx.Err(), err); err != nil {
		return false, fmt.Errorf("ask after credential: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	end, ok := c.issued[s]
	if !ok {
		return false, fmt.Errorf("ask after credential: serial %s was never issued here", s)
	}
	return c.revoked[s] || !end.IsZero() && c.now().After(end.Add(Skew)), nil
}
