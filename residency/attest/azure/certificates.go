package azure

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Certificates are authorities: roots, or what stands between a root and the
// service. Made by [ReadRoots], [ReadIntermediates] and [ReadMixed]; the zero
// Certificates, and nil, vouch for nobody.
type Certificates struct{ list []*x509.Certificate }

// maxFile bounds a certificate's file in bytes.
const maxFile = 16 << 10

// ReadRoots reads every *.pem of a directory, each one self-issued authority.
func ReadRoots(fsys fs.FS) (*Certificates, error) {
	roots, rest, err := readDir(fsys)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read Azure roots: %w", err)
	case len(rest.list) > 0:
		return nil, fmt.Errorf("read Azure roots: %s is none", rest.list[0].Subject.CommonName)
	case len(roots.list) == 0:
		return nil, errors.New("read Azure roots: there are none")
	}
	return roots, nil
}

// ReadIntermediates reads every *.pem of a directory, each one authority that
// another one issued: a root among them would be believed by mistake.
func ReadIntermediates(fsys fs.FS) (*Certificates, error) {
	roots, rest, err := readDir(fsys)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read Azure intermediates: %w", err)
	case len(roots.list) > 0:
		return nil, fmt.Errorf("read Azure intermediates: %s is a root", roots.list[0].Subject.CommonName)
	case len(rest.list) == 0:
		return nil, errors.New("read Azure intermediates: there are none")
	}
	return rest, nil
}

// ReadMixed reads one directory of both; who issued itself is a root.
func ReadMixed(fsys fs.FS) (roots, intermediates *Certificates, err error) {
	roots, intermediates, err = readDir(fsys)
	if err == nil && len(roots.list) == 0 {
		err = errors.New("no root is among them")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read Azure certificates: %w", err)
	}
	return roots, intermediates, nil
}

// readDir reads every certificate of a directory.
func readDir(fsys fs.FS) (roots, rest *Certificates, err error) {
	files, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, nil, err
	}
	roots, rest = &Certificates{}, &Certificates{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".pem") {
			continue // a note on where they come from
		}
		c, err := readCertificate(fsys, f.Name())
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		to := rest
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			to = roots
		}
		to.list = append(to.list, c)
	}
	return roots, rest, nil
}

// readCertificate reads a file that holds one authority.
func readCertificate(fsys fs.FS, name string) (*x509.Certificate, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, errors.New("not a small regular file")
	}
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || strings.Contains(string(rest), "-----BEGIN") {
		return nil, errors.New("want one certificate in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if !c.BasicConstraintsValid || !c.IsCA {
		return nil, errors.New("want the certificate of an authority")
	}
	return c, nil
}

// pool is the certificates as a chain is looked for in them.
func (c *Certificates) pool() *x509.CertPool {
	p := x509.NewCertPool()
	if c != nil {
		for _, cert := range c.list {
			p.AddCert(cert)
		}
	}
	return p
}

// Expired names, for an operator, those that are out of date at this time or
// will be within the span after it, each with its last day.
func (c *Certificates) Expired(at time.Time, within time.Duration) []string {
	var names []string
	if c == nil {
		return names
	}
	for _, cert := range c.list {
		if at.Add(within).After(cert.NotAfter) {
			names = append(names, fmt.Sprintf("%s (until %s)", cert.Subject.CommonName,
				cert.NotAfter.UTC().Format(time.DateOnly)))
		}
	}
	return names
}

// bits is the size of an RSA key; of another key 0.
func bits(c *x509.Certificate) int {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return 0
	}
	return key.N.BitLen()
}
