package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// person gives somebody a certificate of the house, and names it for --as.
func (h house) person(t *testing.T, name string) string {
	t.Helper()
	read := func(file string) []byte {
		b, err := os.ReadFile(filepath.Join(h.dir, "keys", file))
		block, _ := pem.Decode(b)
		if err != nil || block == nil {
			t.Fatalf("%s: %v", file, err)
		}
		return block.Bytes
	}
	ca, err1 := x509.ParseCertificate(read("controller/ca.pem"))
	signer, err2 := x509.ParsePKCS8PrivateKey(read("office/house-ca.key"))
	key, err3 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	id, err4 := url.Parse(tunnel.Identity{Domain: demoDomain, Role: "user", Name: name}.URI())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	leaf, err1 := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{id},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		ca, &key.PublicKey, signer)
	secret, err2 := x509.MarshalPKCS8PrivateKey(key)
	dir := filepath.Join("keys", "user-"+name)
	if err := errors.Join(err1, err2, os.Mkdir(filepath.Join(h.dir, dir), 0o700)); err != nil {
		t.Fatal(err)
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	for file, b := range map[string][]byte{"ca.pem": root,
		"tls.pem": slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), root),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(filepath.Join(h.dir, dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wants runs burstctl and wants an exit status and words.
func (h house) wants(t *testing.T, exit int, words string, args ...string) string {
	t.Helper()
	out, errs, code := h.call(t, args...)
	if code != exit || !strings.Contains(out+errs, words) {
		t.Errorf("%s: exit %d, want %d and %q:\n%s%s", strings.Join(args, " "), code, exit, words, out, errs)
	}
	return out
}

// allowing is a house in which the demo's user may reload and rita may let results out.
func allowing(t *testing.T) (house, string) {
	t.Helper()
	h := deploy(t)
	h.fill(t, []string{`Action::"data.recall"`, `Action::"data.recall", Action::"rules.reload"`,
		"// Who may ask", "@id(\"reviewer\")\npermit (principal == User::\"rita\", action in [Action::\"burst.list\",\n" +
			"Action::\"artefact.release\", Action::\"artefact.clear\"], resource);\n// Who may ask"}, "roles.cedar")
	return h, h.person(t, "rita")
}

// TestAFlaggedResultLeavesQuarantineOnlyOnceAPersonHasClearedIt calls back data
// that a result was made from.
func TestAFlaggedResultLeavesQuarantineOnlyOnceAPersonHasClearedIt(t *testing.T) {
	t.Parallel()
	h, rita := allowing(t)
	h.startNATS(t)
	h.startController(t)
	h.startEdge(t)
	h.submit(t, "job.yaml")
	h.wells(t, 1)
	out := h.wants(t, 0, "flagged: model.json", "recall", "claims", "--reason", "consent withdrawn")
	_, claim, _ := strings.Cut(out, "model.json of ")
	claim, _, _ = strings.Cut(claim, ",")
	deed := func(reason string) []string { return []string{claim, "model.json", "--reason", reason, "--as", rita} }

	h.wants(t, 4, "it is flagged: consent withdrawn", append([]string{"release"}, deed("checked")...)...)
	if found, _ := filepath.Glob(filepath.Join(h.dir, "released", "*", "*")); len(found) != 0 {
		t.Errorf("%v left quarantine", found)
	}
	h.wants(t, 0, "in quarantine; flagged: consent withdrawn", "artefacts")
	h.wants(t, 0, "", append([]string{"artefacts", "clear"}, deed("trained again without them")...)...)
	h.wants(t, 0, "", append([]string{"release"}, deed("checked")...)...)
	h.until(t, "the result is out", func() error {
		_, err := os.Stat(filepath.Join(h.dir, "released", claim, "model.json"))
		if out, _, _ := h.call(t, "artefacts"); err == nil && !strings.Contains(out, "released, moved out") {
			return errors.New(out)
		}
		return err
	})
	if _, err := os.Stat(filepath.Join(h.dir, "quarantine", claim, "model.json")); err == nil {
		t.Error("it is in quarantine still")
	}
	h.until(t, "verifies", h.verify)
	h.wants(t, 0, "released by user:rita", "audit", "where", "log", "claims", "--trust", "trust.txt")
	for _, want := range []string{"model.json is flagged", "flag of model.json cleared, because trained again",
		"released from quarantine: model.json", "model.json left quarantine"} {
		if !strings.Contains(h.story(), want) {
			t.Errorf("the log does not say %q:%s", want, h.story())
		}
	}
}

// TestALegalHoldThatAMereRestartLiftsIsFoundInTheLog takes a hold out of the
// catalogue once by a named person and once behind everybody's back.
func TestALegalHoldThatAMereRestartLiftsIsFoundInTheLog(t *testing.T) {
	t.Parallel()
	h, _ := allowing(t)
	const free, held = "    basis: contract\n",
		"    basis: contract\n    hold: {since: 2026-01-01, reason: file 12, by: the court}\n"
	h.startNATS(t)
	h.startEdge(t)
	controller := h.startController(t)
	h.until(t, "witnessed", h.verify)
	law := func(from, to string) {
		t.Helper()
		h.fill(t, []string{from, to}, "catalogue.yaml")
		h.wants(t, 0, "", "reload")
	}
	law(free, held)
	law(held, free)
	h.until(t, "verifies", h.verify)
	h.wants(t, 0, "by user:demo", "audit", "holds", "log", "--trust", "trust.txt")

	law(free, held)
	controller.end(syscall.SIGTERM)
	h.fill(t, []string{held, free}, "catalogue.yaml")
	h.startController(t)
	h.kind(t, "hold-lifted", 2)
	h.until(t, "verifies", h.verify)
	h.wants(t, 3, "was lifted by no named person", "audit", "holds", "log", "--trust", "trust.txt")
	h.wants(t, 0, "legal hold on claims lifted", "audit", "list", "log")
}
