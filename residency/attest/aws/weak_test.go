package aws_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

// sharing is a directory in which these regions share a key of so many bits,
// beside the strong key of one; and the key.
func sharing(t testing.TB, bits int, regions ...string) (fstest.MapFS, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: started, NotAfter: now.Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	_, dir, _ := world(t)
	strong, err := os.ReadFile(filepath.Join(dir, "aws", "rsa2048", "us-east-1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{"rsa2048/us-east-1.pem": {Data: strong}, "rsa2048/README": {Data: []byte("where they come from")}}
	for _, r := range regions {
		fsys["rsa/"+r+".pem"] = &fstest.MapFile{Data: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})}
	}
	return fsys, key
}

func TestASharedKeyVouchesForItsOwnRegionsAlone(t *testing.T) {
	fsys, key := sharing(t, 1024, "eu-central-1", "eu-west-1")
	keys, err := aws.ReadKeys(fsys)
	if err != nil {
		t.Fatal(err)
	}
	show := func(region string) residency.Evidence {
		document := []byte(`{"accountId":"1","availabilityZone":"` + region + `a","instanceId":"` + expect.Instance +
			`","pendingTime":"2026-03-01T11:00:00Z","region":"` + region + `"}`)
		sum := sha256.Sum256(document)
		b, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return residency.Evidence{Kind: aws.KindRSA1024, Document: document,
			Signature: []byte(base64.StdEncoding.EncodeToString(b))}
	}
	v := aws.New(aws.Options{Keys: keys, AllowRSA1024: true})
	for _, region := range []string{"eu-central-1", "eu-west-1"} {
		if id, err := v.Verify(show(region), expect); err != nil || id.Region != region || id.Level != residency.L1 {
			t.Errorf("%s: %+v, %v", region, id, err)
		}
	}
	for _, region := range []string{"us-east-1", "eu-central-2", "EU-WEST-1", "global"} {
		if id, err := v.Verify(show(region), expect); signed.Check(err) != "region" {
			t.Errorf("%s: %+v, %v", region, id, err)
		}
	}
	test := aws.Options{Test: keys, AllowRSA1024: true}
	if id, err := aws.New(test).Verify(show("eu-west-1"), expect); signed.Check(err) != "trust" {
		t.Errorf("a test signer's: %+v, %v", id, err)
	}
	test.AllowTest = true
	id, err := aws.New(test).Verify(show("eu-west-1"), expect)
	if err != nil || id.Level != residency.L0 || id.Trust != residency.TestTrust {
		t.Errorf("a test signer's, allowed: %+v, %v", id, err)
	}
	fsys["rsa/eu-west-2.pem"] = &fstest.MapFile{Data: []byte("x")}
	if _, err := aws.ReadKeys(fsys); err == nil || !strings.Contains(err.Error(), "rsa/eu-west-2.pem") {
		t.Errorf("a shared certificate that is none: %v", err)
	}
}

func TestWithoutOurTimeNothingVerifies(t *testing.T) {
	s, _, k := world(t)
	x := expect
	x.At = time.Time{}
	id, err := aws.New(aws.Options{Keys: k}).Verify(document(t, s, "eu-central-1", ""), x)
	if signed.Check(err) != "time" {
		t.Errorf("%+v, %v", id, err)
	}
}
