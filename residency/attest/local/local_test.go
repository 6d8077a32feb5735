package local_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/attesttest"
	"github.com/burstctl/burstctl/residency/attest/local"
)

var (
	priv   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	pub    = priv.Public().(ed25519.PublicKey)
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	expect = residency.Expect{Instance: "i-1", Claimed: residency.Address{Provider: "aws", Region: "eu-central-1"},
		Nonce: "nonce-a", NodeKey: "sha256:" + strings.Repeat("ab", 32), At: now}
	document = local.Document{Provider: "aws", Region: "eu-central-1", Instance: "i-1", Nonce: "nonce-a",
		NodeKey: expect.NodeKey, Issued: now}
)

func TestTheVerifierKeepsTheContract(t *testing.T) {
	attesttest.TestVerifier(t, attesttest.Case{Verifier: local.New(pub), Evidence: local.Sign(priv, document),
		Expect: expect, Nonce: true, Key: true})
}

func TestSignedNonsenseIsRefused(t *testing.T) {
	good := string(local.Sign(priv, document).Document)
	sub := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for what, doc := range map[string]string{
		"unknown field":     sub(`{"v":1`, `{"admin":true,"v":1`),
		"doubled field":     sub(`"region":"eu-central-1"`, `"region":"us-east-1","region":"eu-central-1"`),
		"field in capital":  sub(`"region"`, `"Region"`),
		"missing field":     sub(`"zone":"",`, ``),
		"blank":             sub(`{"v"`, `{ "v"`),
		"trailing document": good + good,
		"escaped spelling":  sub(`eu-central-1`, `eu\u002dcentral-1`),
		"null":              sub(`"i-1"`, `null`),
		"other version":     sub(`"v":1`, `"v":2`),
		"alias of a region": sub(`"eu-central-1"`, `"EU-Central-1"`),
		"region with slash": sub(`"eu-central-1"`, `"eu-central-1/x"`),
		"fractional second": sub(`12:00:00Z`, `12:00:00.5Z`),
		"other time zone":   sub(`12:00:00Z`, `13:00:00+01:00`),
		"too old":           sub(`12:00:00Z`, `11:54:59Z`),
		"from the future":   sub(`12:00:00Z`, `12:05:01Z`),
		"not JSON":          "eu-central-1",
		"too long":          good + strings.Repeat(" ", 5000),
	} {
		e := residency.Evidence{Kind: local.Kind, Document: []byte(doc), Signature: ed25519.Sign(priv, []byte(doc))}
		if id, err := local.New(pub).Verify(e, expect); err == nil {
			t.Errorf("%s: accepted as %+v", what, id)
		}
	}
}

func TestAnotherProvidersKeyProvesNothing(t *testing.T) {
	mallory := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	if _, err := local.New(pub).Verify(local.Sign(mallory, document), expect); err == nil {
		t.Error("a document signed by another key is accepted")
	}
	for _, key := range []ed25519.PublicKey{nil, pub[:31], make(ed25519.PublicKey, 33)} {
		if _, err := local.New(key).Verify(local.Sign(priv, document), expect); err == nil {
			t.Errorf("a key of %d bytes verifies", len(key))
		}
	}
	if e := local.Sign(nil, document); e.Signature != nil || e.Document != nil {
		t.Errorf("no key signs %+v", e)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(local.Sign(priv, document).Document)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		e := residency.Evidence{Kind: local.Kind, Document: doc, Signature: ed25519.Sign(priv, doc)}
		id, err := local.New(pub).Verify(e, expect)
		if err != nil {
			return
		}
		if id.Instance != expect.Instance || !bytes.Contains(doc, []byte(expect.Nonce)) {
			t.Errorf("%q is accepted as %+v", doc, id)
		}
	})
}
