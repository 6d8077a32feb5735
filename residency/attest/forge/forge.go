// Package forge is the test signer: it makes documents like those of AWS and
// Azure, under certificates of its own.
//
// # What it is good for
//
// A controller can be tried with its whole chain of proof where no cloud is.
// The configuration names the signer's directory in attestation.test; what is
// signed under it has trust "test" and level L0, and is refused unless
// attestation.allow_test_trust is set.
//
// # The directory
//
// aws/rsa2048/REGION.pem, azure/roots and azure/intermediates are laid out as
// the real certificates are; private/ holds the keys, mode 0600, and is needed
// by the signer alone.
//
// # Non-goals
//
// It signs for nobody real, and has no clock: its certificates are of the years
// 2020 to 2099.
package forge

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/azure"
)

// Signer signs under one directory. Made by [Open]; the zero Signer signs in
// the working directory.
type Signer struct{ dir string }

// Open returns the signer of a directory, which is made as it is needed.
func Open(dir string) *Signer { return &Signer{dir} }

// AWS is what an EC2 instance there would show that was started then. zone is
// its availability zone; "" is the first of the region.
func (s *Signer) AWS(region, zone, account, instance string, started time.Time) (residency.Evidence, error) {
	if zone == "" {
		zone = region + "a"
	}
	document, err := json.MarshalIndent(map[string]any{
		"accountId": account, "architecture": "x86_64", "availabilityZone": zone, "billingProducts": nil,
		"imageId": "ami-00000000000000000", "instanceId": instance, "instanceType": "g5.xlarge",
		"pendingTime": started.UTC().Format(time.RFC3339), "privateIp": "192.0.2.1", "region": region,
		"version": "2017-09-30",
	}, "", "  ")
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("forge AWS document: %w", err)
	}
	k, err := s.authority("aws-"+region, filepath.Join("aws", "rsa2048", region+".pem"), nil)
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("forge AWS document: %w", err)
	}
	message, err := seal(document, k, true)
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("forge AWS document: %w", err)
	}
	return residency.Evidence{Kind: aws.Kind, Document: document, Signature: lines(message)}, nil
}

// Azure is what a machine there would answer to the nonce at that time; like
// the real one, it is good for six hours.
func (s *Signer) Azure(region, subscription, vmID, nonce string, created time.Time) (residency.Evidence, error) {
	const stamp = "01/02/06 15:04:05 -0700"
	document, err := json.Marshal(map[string]any{
		"licenseType": "", "nonce": nonce, "plan": map[string]string{"name": "", "product": "", "publisher": ""},
		"sku": "20_04-lts-gen2", "subscriptionId": subscription, "vmId": vmID, "timeStamp": map[string]string{
			"createdOn": created.UTC().Format(stamp), "expiresOn": created.UTC().Add(6 * time.Hour).Format(stamp)},
	})
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("forge Azure document: %w", err)
	}
	leaf, err := s.leaf(region)
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("forge Azure document: %w", err)
	}
	message, err := seal(document, leaf, false)
	if err != nil {
		return residency.Evidence{}, fmt.Errorf("forge Azure document: %w", err)
	}
	return residency.Evidence{Kind: azure.Kind, Document: []byte(base64.StdEncoding.EncodeToString(message))}, nil
}

// leaf is the certificate of the service in a region, below the test root.
func (s *Signer) leaf(region string) (pair, error) {
	root, err := s.authority("azure-root", filepath.Join("azure", "roots", "root.pem"), nil)
	if err != nil {
		return pair{}, err
	}
	between, err := s.authority("azure-issuer", filepath.Join("azure", "intermediates", "issuer.pem"), &root)
	if err != nil {
		return pair{}, err
	}
	const domain = "metadata.azure.com"
	t := template(domain)
	t.DNSNames = []string{domain, region + "." + domain}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return s.certified("azure-"+region, filepath.Join("private", "azure-"+region+".pem"), t, &between)
}

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// authority is a certificate that may sign others; without by it issued itself.
func (s *Signer) authority(name, file string, by *pair) (pair, error) {
	t := template("burstctl test signer " + name)
	t.IsCA, t.KeyUsage = true, t.KeyUsage|x509.KeyUsageCertSign
	return s.certified(name, file, t, by)
}

// template is what every certificate of the signer has.
func template(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		BasicConstraintsValid: true}
}

// certified reads a certificate and its key, or makes both.
func (s *Signer) certified(name, file string, t *x509.Certificate, by *pair) (pair, error) {
	file, secret := filepath.Join(s.dir, file), filepath.Join(s.dir, "private", name+".key")
	if strings.ContainsAny(name, `/\.`) {
		return pair{}, fmt.Errorf("%q is no plain name", name)
	}
	if p, err := load(file, secret); err == nil || !errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return pair{}, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return pair{}, err
	}
	if by == nil {
		by = &pair{t, key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, t, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return pair{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	if err := write(secret, "PRIVATE KEY", pkcs8, 0o600); err != nil {
		return pair{}, err
	}
	if err := write(file, "CERTIFICATE", raw, 0o644); err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(raw)
	return pair{cert, key}, err
}

// load reads what certified wrote.
func load(file, secret string) (pair, error) {
	raw, err := block(file)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", file, err)
	}
	if raw, err = block(secret); err != nil {
		return pair{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(raw)
	own, ok := key.(*rsa.PrivateKey)
	if err != nil || !ok || !own.PublicKey.Equal(cert.PublicKey) {
		return pair{}, fmt.Errorf("%s: it is not the key of %s", secret, file)
	}
	return pair{cert, own}, nil
}

// block reads the one PEM block of a file.
func block(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, _ := pem.Decode(b)
	if p == nil {
		return nil, fmt.Errorf("%s: it is no PEM", file)
	}
	return p.Bytes, nil
}

func write(file, kind string, b []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), mode)
}

// seal makes the message, with signed attributes as AWS has them or without as
// Azure.
func seal(content []byte, by pair, attributes bool) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	sign := sd.SignWithoutAttr
	if attributes {
		sign = sd.AddSigner
	}
	if err := sign(by.cert, by.key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	return sd.Finish()
}

// lines is base64 in lines of 64, as EC2 writes it.
func lines(b []byte) []byte {
	text := []byte(base64.StdEncoding.EncodeToString(b))
	var out [][]byte
	for len(text) > 64 {
		out, text = append(out, text[:64]), text[64:]
	}
	return bytes.Join(append(out, text), []byte("\n"))
}
