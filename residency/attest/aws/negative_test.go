package aws_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/attesttest"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

// signer is a region of the test signer, with its key.
func signer(t testing.TB, dir, region string) attesttest.Signer {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "private", "aws-"+region+".key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return attesttest.Signer{Cert: certificate(t, filepath.Join(dir, "aws", "rsa2048", region+".pem")),
		Key: key.(crypto.Signer), Attributes: true}
}

// evidence is a document beside a message.
func evidence(document []byte, message []byte) residency.Evidence {
	return residency.Evidence{Kind: aws.Kind, Document: document,
		Signature: []byte(base64.StdEncoding.EncodeToString(message))}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	s, dir, k := world(t)
	v := aws.New(aws.Options{Keys: k, MaxAge: 24 * time.Hour})
	good := document(t, s, "eu-central-1", "").Document
	elsewhere := document(t, s, "us-east-1", "").Document
	here, there := signer(t, dir, "eu-central-1"), signer(t, dir, "us-east-1")
	message := func(m attesttest.Message, by ...attesttest.Signer) []byte {
		if m.Content == nil {
			m.Content = good
		}
		m.Signers = by
		return m.DER(t)
	}
	for what, b := range map[string][]byte{"plain": message(attesttest.Message{}, here),
		"with lengths left open": attesttest.BER(message(attesttest.Message{}, here)),
		"its document elsewhere": message(attesttest.Message{Detached: true}, here),
		"with its certificate":   message(attesttest.Message{Certs: []*x509.Certificate{here.Cert}}, here)} {
		if id, err := v.Verify(evidence(good, b), expect); err != nil || id.Region != "eu-central-1" {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
	posing := there // a key of one region under the name of another's certificate
	posing.Cert = here.Cert
	mallory := func(c *x509.Certificate) attesttest.Signer {
		own := signer(t, newWorld(t), "eu-central-1")
		if c != nil {
			own.Cert = c
		}
		return own
	}
	sha1, dsa, abuse := here, here, mallory(nil)
	sha1.Digest, dsa.Algorithm, abuse.SigningTime = attesttest.SHA1, attesttest.DSA, now
	own := mallory(nil)
	plain := message(attesttest.Message{}, here)
	for what, tt := range map[string]struct {
		e     residency.Evidence
		check string
	}{
		// SPIRE 1.14.6: the signature was checked over the message's own
		// content, the identity read from the document beside it.
		"an unsigned field read": {evidence(elsewhere, plain), "content"},
		"the region changed beside it": {
			evidence(bytes.ReplaceAll(good, []byte("eu-central-1"), []byte("us-east-1")), plain), "content",
		},
		"content swapped": {
			evidence(elsewhere, message(attesttest.Message{Content: elsewhere}, over(here, good))), "content",
		},
		"content swapped, detached": {evidence(elsewhere, message(attesttest.Message{Detached: true}, here)), "content"},
		"a second certificate in the bag": {
			evidence(good, message(attesttest.Message{Certs: []*x509.Certificate{here.Cert, own.Cert}}, here)),
			"certificates",
		},
		"another certificate in the bag": {
			evidence(good, message(attesttest.Message{Certs: []*x509.Certificate{own.Cert}}, here)), "certificates",
		},
		"two signers":                {evidence(good, message(attesttest.Message{}, here, there)), "signers"},
		"no signer":                  {evidence(good, message(attesttest.Message{})), "signers"},
		"other region's key":         {evidence(good, message(attesttest.Message{}, there)), "region"},
		"other region's key, posing": {evidence(good, message(attesttest.Message{}, posing)), "signature"},
		"a self-signed root of one's own": {
			evidence(good, message(attesttest.Message{Certs: []*x509.Certificate{own.Cert}}, own)), "signer",
		},
		"one's own key under its name": {evidence(good, message(attesttest.Message{}, mallory(here.Cert))), "signature"},
		"signing time of a stranger": {
			evidence(good, message(attesttest.Message{Certs: []*x509.Certificate{abuse.Cert}}, abuse)), "signer",
		},
		"SHA-1":                      {evidence(good, message(attesttest.Message{}, sha1)), "algorithm"},
		"DSA":                        {evidence(good, message(attesttest.Message{}, dsa)), "algorithm"},
		"truncated DER":              {evidence(good, plain[:len(plain)-1]), "der"},
		"oversized DER":              {evidence(good, make([]byte, signed.MaxSize+1)), "der"},
		"trailing data":              {evidence(good, append(bytes.Clone(plain), 0)), "der"},
		"a second message behind it": {evidence(good, append(bytes.Clone(plain), plain...)), "der"},
		"the kind of the weak signature": {
			residency.Evidence{Kind: aws.KindRSA1024, Document: good, Signature: evidence(good, plain).Signature}, "key size",
		},
		"not base64":            {residency.Evidence{Kind: aws.Kind, Document: good, Signature: plain}, "base64"},
		"an oversized document": {evidence(bytes.Repeat([]byte{' '}, 20_000), plain), "document"},
		"a message without document": {
			evidence(good, message(attesttest.Message{Content: []byte("x"), Detached: true}, here)), "content",
		},
		"a document that is none": {signedBy(t, here, `[]`), "document"},
		"a field twice": {
			signedBy(t, here, strings.Replace(string(good), `{`, `{"region":"us-east-1",`, 1)), "document",
		},
		"a field twice in other case": {
			signedBy(t, here, strings.Replace(string(good), `{`, `{"Region":"us-east-1",`, 1)), "document",
		},
		"no region": {signedBy(t, here, strings.Replace(string(good), `"region"`, `"regime"`, 1)), "document"},
		"an alias of the region": {
			signedBy(t, here, strings.ReplaceAll(string(good), `eu-central-1`, `EU-Central-1`)), "region",
		},
		"no instance":      {signedBy(t, here, strings.Replace(string(good), expect.Instance, ``, 1)), "document"},
		"another instance": {signedBy(t, here, strings.Replace(string(good), expect.Instance, `i-1`, 1)), "instance"},
		"started after our time": {
			signedBy(t, here, strings.Replace(string(good), `2026-03-01T11:`, `2026-03-01T13:`, 1)), "pendingTime",
		},
		"started before any of ours lives": {
			signedBy(t, here, strings.Replace(string(good), `2026-03-01T11:`, `2026-02-01T11:`, 1)), "pendingTime",
		},
		"no time of start": {
			signedBy(t, here, strings.Replace(string(good), `2026-03-01T11:`, `yesterday`, 1)), "pendingTime",
		},
	} {
		id, err := v.Verify(tt.e, expect)
		if signed.Check(err) != tt.check || id != (residency.Identity{}) {
			t.Errorf("%s: %+v, %v; want it refused by %q", what, id, err, tt.check)
		}
	}
	for _, nobody := range []*aws.Verifier{{}, aws.New(aws.Options{Keys: &aws.Keys{}})} {
		if _, err := nobody.Verify(evidence(good, plain), expect); err == nil {
			t.Error("who believes nobody believes")
		}
	}
}

// over is a signer of other content than the message's.
func over(s attesttest.Signer, content []byte) attesttest.Signer {
	s.Over = content
	return s
}

// signedBy is a document of any text.
func signedBy(t testing.TB, s attesttest.Signer, text string) residency.Evidence {
	t.Helper()
	m := attesttest.Message{Content: []byte(text), Signers: []attesttest.Signer{s}}
	return evidence([]byte(text), m.DER(t))
}

// newWorld is the directory of another test signer.
func newWorld(t testing.TB) string {
	t.Helper()
	_, dir, _ := world(t)
	return dir
}

func FuzzVerify(f *testing.F) {
	s, dir, k := world(f)
	e := document(f, s, "eu-central-1", "")
	here := signer(f, dir, "eu-central-1")
	key := here.Cert.PublicKey.(*rsa.PublicKey)
	v := aws.New(aws.Options{Keys: k})
	message, err := signed.Base64(e.Signature)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Document, message, true)
	f.Add(e.Document, attesttest.BER(message), false)
	f.Add([]byte(`{"region":"eu-central-1","region":"x"}`), message, true)
	f.Fuzz(func(t *testing.T, document, message []byte, sign bool) {
		if sign { // reach the reader of documents
			m := attesttest.Message{Content: document, Signers: []attesttest.Signer{here}}
			message = m.DER(t)
		}
		id, err := v.Verify(evidence(document, message), expect)
		if err != nil {
			return
		}
		if id.Region != "eu-central-1" || id.Instance != expect.Instance || id.Level != residency.L2 ||
			!bytes.Contains(document, []byte(expect.Instance)) || key.N.BitLen() != 2048 {
			t.Errorf("%s is taken as %+v", document, id)
		}
	})
}
