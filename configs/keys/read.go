package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// secret reads a key file and refuses one that others may read.
func secret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read key %s: others may read it (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return b, nil
}

// Text reads a one-line secret, such as a note signer's key.
func Text(path string) (string, error) {
	b, err := secret(path)
	return strings.TrimSpace(string(b)), err
}

// Signer reads a note signer's key file.
func Signer(path string) (note.Signer, error) {
	skey, err := Text(path)
	if err != nil {
		return nil, err
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		return nil, fmt.Errorf("read key %s: not a note signer's key", path) // the cause could quote it
	}
	return s, nil
}

// VKey reads a verifier key's text.
func VKey(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Verifier reads a note verifier's key file.
func Verifier(path string) (note.Verifier, error) {
	vkey, err := VKey(path)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return v, nil
}

// Ed25519 reads the PKCS #8 key an edge signs its requests with.
func Ed25519(path string) (ed25519.PrivateKey, error) {
	b, err := secret(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("read key %s: not PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	priv, ok := key.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("read key %s: not an Ed25519 key", path)
	}
	return priv, nil
}

// Ed25519Public reads the public half, PEM.
func Ed25519Public(path string) (ed25519.PublicKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("read key %s: not PEM", path)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	pub, ok := key.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("read key %s: not an Ed25519 public key", path)
	}
	return pub, nil
}

// Certificate reads a certificate chain and its key.
func Certificate(certPath, keyPath string) (tls.Certificate, error) {
	key, err := secret(keyPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain, err := os.ReadFile(certPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate: %w", err)
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate %s: %w", certPath, err)
	}
	return c, nil
}

// Pool reads the certificates a pool trusts.
func Pool(path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read CA %s: it holds no certificate", path)
	}
	return pool, nil
}

// Pin is the "sha256:…" of the first certificate of a file, in DER.
func Pin(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read CA: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", errors.New("read CA " + path + ": not a PEM certificate")
	}
	sum := sha256.Sum256(block.Bytes)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
