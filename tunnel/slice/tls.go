package slice

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// Names of the protocol of the road; a peer that speaks neither is cut.
const (
	ALPN     = "burst-road/1"
	ALPNEcho = "burst-road/1+echo" // the same, and the node answers the edge's echoes
)

// skew is how far the issuer's clock may run ahead of ours.
const skew = time.Minute

// Peer is who is at the other end, as its certificate says. Made by [PeerOf]
// and [VerifyPeer]; the zero Peer is nobody.
type Peer struct {
	Identity tunnel.Identity
	Grant    string    // the identity's name if its role is a grant, else ""
	NodeKey  string    // "sha256:hex" of the leaf's public key (SPKI)
	Serial   string    // lowercase hex, no separators
	NotAfter time.Time // end of the leaf
}

// Want is what a peer must be. The zero Want is met by nobody.
type Want struct {
	Roots  *x509.CertPool   // nil trusts no one; the system's roots are never used
	Domain string           // trust domain
	Roles  []tunnel.Role    // any of these
	Name   string           // the identity's name; "" takes any
	Usage  x509.ExtKeyUsage // what the leaf must be for: ServerAuth or ClientAuth
	Now    func() time.Time // nil is time.Now
}

// PeerOf reads the identity of a connection whose chain has been verified; it
// verifies nothing but the form of the leaf.
func PeerOf(cs tls.ConnectionState) (Peer, error) {
	if len(cs.PeerCertificates) == 0 {
		return Peer{}, errors.New("read peer: no certificate")
	}
	leaf := cs.PeerCertificates[0]
	if leaf.IsCA {
		return Peer{}, errors.New("read peer: leaf is a CA")
	}
	if len(leaf.URIs) != 1 {
		return Peer{}, fmt.Errorf("read peer: %d URI SANs, want exactly one", len(leaf.URIs))
	}
	id, err := tunnel.ParseIdentity(leaf.URIs[0].String())
	if err != nil {
		return Peer{}, fmt.Errorf("read peer: %w", err)
	}
	key := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	p := Peer{
		Identity: id,
		NodeKey:  "sha256:" + hex.EncodeToString(key[:]),
		Serial:   hex.EncodeToString(leaf.SerialNumber.Bytes()),
		NotAfter: leaf.NotAfter,
	}
	if id.Role == tunnel.RoleGrant {
		p.Grant = id.Name
	}
	return p, nil
}

// VerifyPeer checks the peer's chain, usage and identity. It is for
// tls.Config.VerifyConnection beside InsecureSkipVerify or RequireAnyClientCert
// (names are URI SANs here, which crypto/tls does not match); it therefore does
// all of the verifying.
func VerifyPeer(cs tls.ConnectionState, w Want) (Peer, error) {
	switch {
	case w.Roots == nil || w.Domain == "" || len(w.Roles) == 0:
		return Peer{}, errors.New("verify peer: nobody is wanted")
	case cs.Version < tls.VersionTLS13:
		return Peer{}, errors.New("verify peer: TLS older than 1.3")
	case cs.DidResume:
		return Peer{}, errors.New("verify peer: session was resumed")
	}
	p, err := PeerOf(cs)
	if err != nil {
		return Peer{}, err
	}
	now := time.Now()
	if w.Now != nil {
		now = w.Now()
	}
	inter := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		inter.AddCert(c)
	}
	if _, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: w.Roots, Intermediates: inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{w.Usage},
	}); err != nil {
		return Peer{}, fmt.Errorf("verify peer: %w", err)
	}
	return p, w.met(p, now)
}

// met checks the identity of a peer whose chain holds.
func (w Want) met(p Peer, now time.Time) error {
	id := p.Identity
	switch {
	case id.Domain != w.Domain:
		return fmt.Errorf("verify peer %s: want trust domain %s", id.URI(), w.Domain)
	case !slices.Contains(w.Roles, id.Role):
		return fmt.Errorf("verify peer %s: want role %v", id.URI(), w.Roles)
	case w.Name != "" && id.Name != w.Name:
		return fmt.Errorf("verify peer %s: want name %s", id.URI(), w.Name)
	case id.Role == tunnel.RoleGrant && p.NotAfter.Sub(now) > tunnel.MaxTTL+skew:
		return fmt.Errorf("verify peer %s: leaf lives past %s", id.URI(), tunnel.MaxTTL)
	}
	return nil
}

// EdgeTLS is the edge's side: it dials, with its own certificate, and talks
// only to a bearer of some grant of the domain. Make a fresh one per grant.
func EdgeTLS(cert tls.Certificate, roots *x509.CertPool, domain string, now func() time.Time) *tls.Config {
	want := Want{
		Roots: roots, Domain: domain, Roles: []tunnel.Role{tunnel.RoleGrant},
		Usage: x509.ExtKeyUsageServerAuth, Now: now,
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{ALPNEcho, ALPN},
		// VerifyConnection below verifies the chain and the URI SAN.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return verify(cs, want) },
		Time:               now,
	}
}

// NodeTLS is the node's side: it accepts only the edge of its own site. cert
// is asked at each handshake, so that a renewed certificate is used at once.
func NodeTLS(cert func() (*tls.Certificate, error), roots *x509.CertPool, domain, site string) *tls.Config {
	want := Want{
		Roots: roots, Domain: domain, Roles: []tunnel.Role{tunnel.RoleEdge}, Name: site,
		Usage: x509.ExtKeyUsageClientAuth,
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
		// Any certificate is asked for; VerifyConnection verifies it.
		ClientAuth:             tls.RequireAnyClientCert,
		NextProtos:             []string{ALPNEcho, ALPN},
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if site == "" {
				return errors.New("verify peer: no site is wanted")
			}
			return verify(cs, want)
		},
	}
}

// verify is VerifyPeer and the protocol's name.
func verify(cs tls.ConnectionState, w Want) error {
	if p := cs.NegotiatedProtocol; p != ALPN && p != ALPNEcho {
		return fmt.Errorf("verify peer: protocol %q, want %q or %q", p, ALPN, ALPNEcho)
	}
	_, err := VerifyPeer(cs, w)
	return err
}
