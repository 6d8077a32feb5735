package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// lifetimes of what Init makes; node credentials live minutes and are not made here.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 397 * 24 * time.Hour
)

// authority is a key with its certificate, of a CA or of a leaf.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// newAuthority makes a self-signed CA that can sign leaves and nothing else.
func newAuthority(name string) (authority, error) {
	t := template(name, caLife)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return sign(t, authority{})
}

// identity certifies a role and name of the trust domain, by URI SAN alone.
func (a authority) identity(domain, role, name string) (authority, error) {
	id := tunnel.Identity{Domain: domain, Role: tunnel.Role(role), Name: name}
	uri, err := url.Parse(id.URI())
	if err == nil {
		_, err = tunnel.ParseIdentity(id.URI())
	}
	if err != nil {
		return authority{}, err
	}
	t := template(name, leafLife)
	t.URIs = []*url.URL{uri}
	return sign(t, a)
}

// server certifies a server by its names and addresses.
func (a authority) server(names ...string) (authority, error) {
	t := template(names[0], leafLife)
	for _, n := range names[1:] {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	return sign(t, a)
}

func template(name string, life time.Duration) *x509.Certificate {
	now := time.Now().UTC().Truncate(time.Second)
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign makes a key and a certificate for it, by parent or, with none, by itself.
func sign(t *x509.Certificate, parent authority) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return authority{}, err
	}
	if parent.key == nil {
		parent = authority{key, t}
		t.ExtKeyUsage = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent.cert, &key.PublicKey, parent.key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return authority{key, cert}, err
}

func (a authority) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a authority) keyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		panic("encode key: " + err.Error()) // a P-256 key we made: cannot happen
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
