package residency_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
	"golang.org/x/mod/sumdb/note"
)

// places is a small table: two regions, a zone abroad, one on its own.
const places = `provider,region,zone,partition,kind,country,groups,operator,parent,name,source
aws,eu-central-1,,aws,region,DE,EEA EU,US,US,Frankfurt,test
aws,eu-central-1,eu-central-1-waw-1,aws,local-zone,PL,EEA EU,US,US,Warsaw,test
aws,us-east-1,,aws,region,US,none,US,US,Virginia,test
azure,germanywestcentral,,azure,region,DE,EEA EU,US,US,Frankfurt,test
`

// permits is a rule file with one forbid and one permit for each stage.
const permits = `
@id("eu-only") @title("Personal data stays in the EEA") @basis("GDPR Art. 44")
forbid (principal, action, resource) when { context.class >= 4 } unless { context.place.groups.contains("EEA") };
@id("plan") @title("May be planned") @basis("policy 1")
permit (principal, action == Action::"create", resource) when { context.class <= 4 };
@id("read") @title("May be read") @basis("policy 2")
permit (principal, action == Action::"read", resource) when { context.class <= 4 && context.level >= 2 };
`

var (
	provider = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	verifier = local.New(provider.Public().(ed25519.PublicKey))
	now      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	nodeKey  = "sha256:" + strings.Repeat("ab", 32)
	frankf   = residency.Address{Provider: "aws", Region: "eu-central-1"}
	virginia = residency.Address{Provider: "aws", Region: "us-east-1"}
	ask      = residency.Ask{Purpose: "model-training", Team: "fraud", Site: "munich", Slice: residency.Slice{
		Name: "claims/2025-q3-pseudonymised", Dataset: "claims", Class: residency.Personal, Pseudonymised: true,
		Origin: "DE", Purposes: []string{"model-training"}, Basis: "GDPR Art. 9(2)(h)"}}
	terms = residency.Terms{ID: "grant-1", Claim: "claim-1", Attempt: 1, Payload: nodeKey,
		SliceDigest: "sha256:" + strings.Repeat("cd", 32), NotBefore: now, Expires: now.Add(time.Hour)}
)

func table(t testing.TB) *residency.Table {
	t.Helper()
	tab, err := residency.ParseTable([]byte(places))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func rules(t testing.TB, text string) *residency.Rules {
	t.Helper()
	r, err := residency.ParseRules(map[string][]byte{"rules.cedar": []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proven is instance i-1, claimed in Frankfurt, proven at a.
func proven(t testing.TB, tab *residency.Table, a residency.Address) residency.Proven {
	t.Helper()
	e, x := evidence(a)
	p, err := residency.Prove(verifier, tab, e, x)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func evidence(a residency.Address) (residency.Evidence, residency.Expect) {
	d := local.Document{Provider: a.Provider, Region: a.Region, Zone: a.Zone, Instance: "i-1", Nonce: "n",
		NodeKey: nodeKey, Issued: now}
	x := residency.Expect{Instance: "i-1", Claimed: frankf, Nonce: "n", NodeKey: nodeKey, At: now}
	return local.Sign(provider, d), x
}

// grant is cleared in Frankfurt.
func grant(t testing.TB) residency.Grant {
	t.Helper()
	tab := table(t)
	g, v := rules(t, permits).Clear(tab, proven(t, tab, frankf), ask, terms)
	if !v.Allowed {
		t.Fatal(v.Why)
	}
	return g
}

// keys makes a note key.
func keys(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}
