package aws_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/attesttest"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/forge"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

var (
	now     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	started = now.Add(-time.Hour)
	expect  = residency.Expect{Instance: "i-0123456789abcdef0", Nonce: "nonce-a", At: now,
		Claimed: residency.Address{Provider: "aws", Region: "eu-central-1"}, NodeKey: "sha256:" + strings.Repeat("ab", 32)}
)

const account = "123456789012"

// published are the certificates that AWS publishes.
func published(t testing.TB) *aws.Keys {
	t.Helper()
	k, err := aws.ReadKeys(os.DirFS("../../../configs/attestation/aws"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// world is a test signer with two regions, whose keys are believed as AWS's.
func world(t testing.TB) (*forge.Signer, string, *aws.Keys) {
	t.Helper()
	dir := t.TempDir()
	s := forge.Open(dir)
	for _, region := range []string{"us-east-1", "eu-central-1"} {
		if _, err := s.AWS(region, "", account, expect.Instance, started); err != nil {
			t.Fatal(err)
		}
	}
	k, err := aws.ReadKeys(os.DirFS(filepath.Join(dir, "aws")))
	if err != nil {
		t.Fatal(err)
	}
	return s, dir, k
}

// document is the signer's for our instance.
func document(t testing.TB, s *forge.Signer, region, zone string) residency.Evidence {
	t.Helper()
	e, err := s.AWS(region, zone, account, expect.Instance, started)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheVerifierKeepsTheContract(t *testing.T) {
	s, _, k := world(t)
	attesttest.TestVerifier(t, attesttest.Case{Expect: expect, Evidence: document(t, s, "eu-central-1", ""),
		Verifier: aws.New(aws.Options{Keys: k, MaxAge: 24 * time.Hour})})
}

func TestTheKeyNamesTheRegion(t *testing.T) {
	s, _, k := world(t)
	v := aws.New(aws.Options{Keys: k})
	for zone, want := range map[string]string{
		"": "", "eu-central-1c": "", "eu-central-1-ham-1a": "eu-central-1-ham-1",
		"eu-central-1-wl1-ber-wlz-1": "eu-central-1-wl1-ber-wlz-1",
	} {
		id, err := v.Verify(document(t, s, "eu-central-1", zone), expect)
		if err != nil || id != (residency.Identity{Provider: "aws", Account: account, Region: "eu-central-1", Zone: want,
			Instance: expect.Instance, Level: residency.L2, Trust: "aws-rsa2048-first-use"}) {
			t.Errorf("zone %q: %+v, %v", zone, id, err)
		}
	}
	for _, zone := range []string{"us-east-1a", "eu-central-1/x", "eu-central-1A", "eu-central-2a", "a"} {
		if id, err := v.Verify(document(t, s, "eu-central-1", zone), expect); signed.Check(err) != "region" {
			t.Errorf("zone %q: %+v, %v", zone, id, err)
		}
	}
}

func TestTheRealDocumentIsTakenByExplicitOptionAtL1(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	e := residency.Evidence{Kind: aws.KindRSA1024, Document: read("aws_us-east-1.json"),
		Signature: read("aws_us-east-1.sig.b64")}
	x := expect
	x.Instance = "i-076e9b91f7c420782"
	id, err := aws.New(aws.Options{Keys: published(t), AllowRSA1024: true}).Verify(e, x)
	if err != nil || id != (residency.Identity{Provider: "aws", Account: "628783029487", Region: "us-east-1",
		Instance: x.Instance,
		Level:    residency.L1, Trust: "aws-rsa1024-first-use"}) {
		t.Errorf("%+v, %v", id, err)
	}
	refuse := func(what, check string, o aws.Options, e residency.Evidence, x residency.Expect) {
		t.Helper()
		o.Keys = published(t)
		if id, err := aws.New(o).Verify(e, x); signed.Check(err) != check || id != (residency.Identity{}) {
			t.Errorf("%s: %+v, %v; want it refused by %q", what, id, err, check)
		}
	}
	with := aws.Options{AllowRSA1024: true}
	refuse("without the option", "key size", aws.Options{}, e, x)
	refuse("another instance", "instance", with, e, expect)
	refuse("too old for any of ours", "pendingTime", aws.Options{AllowRSA1024: true, MaxAge: 24 * time.Hour}, e, x)
	late := x
	late.At = time.Date(2029, 5, 1, 0, 0, 0, 0, time.UTC)
	refuse("the certificate expired", "certificate", with, e, late)
	swapped := e
	swapped.Document = bytes.Replace(e.Document, []byte("us-east-1"), []byte("eu-west-1"), 2) // of the same key
	refuse("content swapped", "signature", with, swapped, x)
	as := e
	as.Kind = aws.Kind
	refuse("called rsa2048", "der", with, as, x)
}

func TestARealMessageOfDSAAndSHA1IsRefused(t *testing.T) {
	b, err := os.ReadFile("testdata/aws_us-east-1_dsa.pkcs7.b64")
	if err != nil {
		t.Fatal(err)
	}
	der, err := signed.Base64(b)
	if err != nil {
		t.Fatal(err)
	}
	document := der[bytes.IndexByte(der, '{') : bytes.IndexByte(der, '}')+1]
	v := aws.New(aws.Options{Keys: published(t), AllowRSA1024: true})
	for _, kind := range []string{aws.Kind, aws.KindRSA1024} {
		d, err := v.Open(residency.Evidence{Kind: kind, Document: document, Signature: b}, now)
		if check := signed.Check(err); check != "algorithm" && (kind == aws.Kind || check != "signature") {
			t.Errorf("as %s: %+v, %v", kind, d, err)
		}
	}
}

func TestTheWeakKeyIsSharedAndTheStrongOnesAreNot(t *testing.T) {
	for dir, want := range map[string]int{"rsa": 17, "rsa2048": 1} {
		files, err := filepath.Glob("../../../configs/attestation/aws/" + dir + "/*.pem")
		if err != nil || len(files) != 36 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		shared, most := map[string]int{}, 0
		for _, f := range files {
			shared[string(certificate(t, f).RawSubjectPublicKeyInfo)]++
		}
		for _, n := range shared {
			most = max(most, n)
		}
		if most != want {
			t.Errorf("one key of %s serves %d regions, want %d", dir, most, want)
		}
	}
}

func TestATestSignersDocumentIsWorthNothingUnlessAllowed(t *testing.T) {
	s, _, k := world(t)
	e := document(t, s, "eu-central-1", "")
	if id, err := aws.New(aws.Options{Keys: published(t)}).Verify(e, expect); signed.Check(err) != "signer" {
		t.Errorf("unknown: %+v, %v", id, err)
	}
	if id, err := aws.New(aws.Options{Keys: published(t), Test: k}).Verify(e, expect); signed.Check(err) != "trust" {
		t.Errorf("not allowed: %+v, %v", id, err)
	}
	id, err := aws.New(aws.Options{Keys: published(t), Test: k, AllowTest: true}).Verify(e, expect)
	if err != nil || id.Level != residency.L0 || id.Trust != residency.TestTrust || id.Region != "eu-central-1" {
		t.Errorf("allowed: %+v, %v", id, err)
	}
}

func TestDirectoriesThatAreNoKeys(t *testing.T) {
	_, dir, _ := world(t)
	region := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, "aws", "rsa2048", name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two := region("us-east-1"), region("eu-central-1")
	weak, err := os.ReadFile("../../../configs/attestation/aws/rsa/us-east-1.pem")
	if err != nil {
		t.Fatal(err)
	}
	for what, files := range map[string]map[string][]byte{
		"nothing":                 {},
		"a note alone":            {"rsa2048/README": one},
		"one key for two regions": {"rsa2048/us-east-1.pem": one, "rsa2048/us-east-2.pem": one},
		"two in a file":           {"rsa2048/us-east-1.pem": append(bytes.Clone(one), two...)},
		"a weak key":              {"rsa2048/us-east-1.pem": weak},
		"no region's name":        {"rsa2048/us-east.pem": one},
		"a region in capital":     {"rsa2048/US-EAST-1.pem": one},
		"no certificate":          {"rsa2048/us-east-1.pem": []byte("x")},
		"too large":               {"rsa2048/us-east-1.pem": append(bytes.Repeat([]byte{'\n'}, 20_000), one...)},
		"only the shared ones":    {"rsa/us-east-1.pem": weak},
	} {
		fsys := fstest.MapFS{}
		for name, b := range files {
			fsys[name] = &fstest.MapFile{Data: b}
		}
		if k, err := aws.ReadKeys(fsys); err == nil || k != nil {
			t.Errorf("%s: read as %v, %v", what, k, err)
		}
	}
}

// certificate reads a file of one.
func certificate(t testing.TB, file string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
