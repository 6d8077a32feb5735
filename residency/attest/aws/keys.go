package aws

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Keys are the public keys of regions. Made by [ReadKeys]; the zero Keys, and
// nil, verify nothing.
type Keys struct {
	strong []key // of 2048 bits or more, each of one region alone
	weak   []key // of 1024 bits or more, which regions may share
}

// key is the certificate AWS publishes for a region.
type key struct {
	region string
	cert   *x509.Certificate
}

// public is its key; ReadKeys has seen that it is one of RSA.
func (k key) public() *rsa.PublicKey { return k.cert.PublicKey.(*rsa.PublicKey) }

// maxFile bounds a certificate's file in bytes.
const maxFile = 16 << 10

// ReadKeys reads rsa2048/REGION.pem and, where there are any, rsa/REGION.pem,
// the certificates of AWS's page "Regions certificates". Two regions with one
// rsa2048 key are an error: such a key names no region.
func ReadKeys(fsys fs.FS) (*Keys, error) {
	k := &Keys{}
	var err error
	if k.strong, err = readDir(fsys, "rsa2048", 2048); err != nil {
		return nil, fmt.Errorf("read AWS certificates: %w", err)
	}
	if k.weak, err = readDir(fsys, "rsa", 1024); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read AWS certificates: %w", err)
	}
	if len(k.strong) == 0 {
		return nil, errors.New("read AWS certificates: rsa2048 holds none")
	}
	for i, a := range k.strong {
		for _, b := range k.strong[:i] {
			if a.public().Equal(b.public()) {
				return nil, fmt.Errorf("read AWS certificates: %s and %s have one key", b.region, a.region)
			}
		}
	}
	return k, nil
}

// readDir reads every certificate of a directory.
func readDir(fsys fs.FS, dir string, bits int) ([]key, error) {
	files, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var keys []key
	for _, f := range files {
		region, ok := strings.CutSuffix(f.Name(), ".pem")
		if !ok {
			continue // a note on where they come from
		}
		cert, err := readCertificate(fsys, path.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", dir, f.Name(), err)
		}
		pub, ok := cert.PublicKey.(*rsa.PublicKey)
		switch {
		case !isRegion(region):
			return nil, fmt.Errorf("%s/%s: %q is no name of a region", dir, f.Name(), region)
		case !ok || pub.N.BitLen() < bits:
			return nil, fmt.Errorf("%s/%s: want an RSA key of %d bits or more", dir, f.Name(), bits)
		}
		keys = append(keys, key{region, cert})
	}
	return keys, nil
}

// readCertificate reads a file that holds one certificate.
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
	return x509.ParseCertificate(block.Bytes)
}

// isRegion reports whether s is a name as AWS gives its regions: lower-case
// words and a number, joined by hyphens.
func isRegion(s string) bool {
	words := strings.Split(s, "-")
	number := words[len(words)-1]
	if len(words) < 3 || len(s) > 63 || len(number) != 1 || strings.Trim(number, "0123456789") != "" {
		return false
	}
	for _, w := range words[:len(words)-1] {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return true
}
