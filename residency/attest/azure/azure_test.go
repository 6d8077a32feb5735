package azure_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/attesttest"
	"github.com/burstctl/burstctl/residency/attest/azure"
	"github.com/burstctl/burstctl/residency/attest/forge"
	"github.com/burstctl/burstctl/residency/attest/signed"
)

const subscription = "11111111-2222-3333-4444-555555555555"

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	expect = residency.Expect{Instance: "66666666-7777-8888-9999-aaaaaaaaaaaa", Nonce: "N7K2QYXT4VJHWZ3MBRCDLF5GSA",
		At: now, Claimed: residency.Address{Provider: "azure", Region: "germanywestcentral"},
		NodeKey: "sha256:" + strings.Repeat("ab", 32)}
)

// published are the certificates that come with the program.
func published(t testing.TB) azure.Options {
	t.Helper()
	return options(t, "../../../configs/attestation/azure")
}

// options believe a directory of roots and intermediates.
func options(t testing.TB, dir string) azure.Options {
	t.Helper()
	roots, err := azure.ReadRoots(os.DirFS(filepath.Join(dir, "roots")))
	if err != nil {
		t.Fatal(err)
	}
	between, err := azure.ReadIntermediates(os.DirFS(filepath.Join(dir, "intermediates")))
	if err != nil {
		t.Fatal(err)
	}
	return azure.Options{Roots: roots, Intermediates: between}
}

// document is a new test signer's answer to our nonce, and its directory.
func document(t testing.TB) (residency.Evidence, string) {
	t.Helper()
	dir := t.TempDir()
	e, err := forge.Open(dir).Azure("germanywestcentral", subscription, expect.Instance, expect.Nonce,
		now.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return e, filepath.Join(dir, "azure")
}

func TestTheVerifierKeepsTheContract(t *testing.T) {
	e, dir := document(t)
	v := azure.New(options(t, dir))
	attesttest.TestVerifier(t, attesttest.Case{Verifier: v, Evidence: e, Expect: expect, Nonce: true})
	id, err := v.Verify(e, expect)
	if err != nil || id != (residency.Identity{Provider: "azure", Account: subscription, Region: "germanywestcentral",
		Instance: expect.Instance, Level: residency.L2, Trust: "azure-attested-first-use"}) {
		t.Errorf("%+v, %v", id, err)
	}
}

// real is the document of 2022 and what was known then.
func real(t testing.TB) (residency.Evidence, residency.Expect) {
	t.Helper()
	b, err := os.ReadFile("testdata/azure-southcentralus-2022.pkcs7.b64")
	if err != nil {
		t.Fatal(err)
	}
	x := expect
	x.At, x.Nonce = time.Date(2022, 4, 19, 2, 0, 0, 0, time.UTC), "20220419-072721"
	x.Instance = "bd8e7443-24a0-41f3-b949-8baf4fd1c573"
	return residency.Evidence{Kind: azure.Kind, Document: b}, x
}

func TestTheRealDocumentNamesSouthCentralUS(t *testing.T) {
	e, x := real(t)
	v := azure.New(published(t))
	id, err := v.Verify(e, x)
	if err != nil || id.Region != "southcentralus" || id.Level != residency.L2 || id.Provider != "azure" {
		t.Errorf("%+v, %v", id, err)
	}
	x.Instance = "burst-abc." + x.Instance // as the driver names the machine that it made
	if id, err := v.Verify(e, x); err != nil || id.Instance != x.Instance {
		t.Errorf("a machine of the driver's: %+v, %v", id, err)
	}
	for what, tt := range map[string]struct {
		change func(*residency.Expect)
		check  string
		why    string
	}{
		"a name that ends like it": {
			func(x *residency.Expect) { x.Instance = "burst-abc" + x.Instance[len("burst-abc."):] }, "vmId", "",
		},
		"a name alone": {func(x *residency.Expect) { x.Instance = "burst-abc." }, "vmId", ""},
		"in February 2023": {
			func(x *residency.Expect) { x.At = time.Date(2023, 2, 1, 0, 0, 0, 0, time.UTC) }, "expiresOn",
			"2022-04-19T07:27:21Z",
		},
		"to the second": {
			func(x *residency.Expect) { x.At = time.Date(2022, 4, 19, 7, 27, 21, 0, time.UTC) }, "expiresOn", "",
		},
		"before it was made": {
			func(x *residency.Expect) { x.At = time.Date(2022, 4, 19, 1, 22, 0, 0, time.UTC) }, "createdOn", "",
		},
		"the chain expired": {
			func(x *residency.Expect) { x.At = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }, "chain", "expired",
		},
		"the chain not yet valid": {
			func(x *residency.Expect) { x.At = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }, "chain", "",
		},
		"another nonce":   {func(x *residency.Expect) { x.Nonce = "20220419-072722" }, "nonce", ""},
		"no nonce":        {func(x *residency.Expect) { x.Nonce = "" }, "nonce", ""},
		"another machine": {func(x *residency.Expect) { x.Instance = expect.Instance }, "vmId", ""},
		"no time of ours": {func(x *residency.Expect) { x.At = time.Time{} }, "time", ""},
		"no key":          {func(x *residency.Expect) { x.NodeKey = "" }, "node key", ""},
	} {
		y := x
		tt.change(&y)
		id, err := v.Verify(e, y)
		if signed.Check(err) != tt.check || id != (residency.Identity{}) || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %+v, %v; want it refused by %q", what, id, err, tt.check)
		}
	}
	without := published(t)
	without.Intermediates = nil
	if _, err := azure.New(without).Verify(e, x); signed.Check(err) != "chain" {
		t.Errorf("without intermediates: %v", err)
	}
	b, err := signed.Base64(e.Document)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		flipped := bytes.Clone(b)
		flipped[i] ^= 1 << (i % 8)
		f := residency.Evidence{Kind: azure.Kind, Document: []byte(base64.StdEncoding.EncodeToString(flipped))}
		if id, err := v.Verify(f, x); err == nil {
			t.Errorf("with a bit of byte %d flipped it is taken as %+v", i, id)
		}
	}
}

func TestATestSignersDocumentIsWorthNothingUnlessAllowed(t *testing.T) {
	e, dir := document(t)
	o, test := published(t), options(t, dir)
	if id, err := azure.New(o).Verify(e, expect); signed.Check(err) != "chain" {
		t.Errorf("unknown: %+v, %v", id, err)
	}
	o.TestRoots, o.TestIntermediates = test.Roots, test.Intermediates
	if id, err := azure.New(o).Verify(e, expect); signed.Check(err) != "trust" {
		t.Errorf("not allowed: %+v, %v", id, err)
	}
	o.AllowTest = true
	id, err := azure.New(o).Verify(e, expect)
	if err != nil || id.Level != residency.L0 || id.Trust != residency.TestTrust || id.Region != "germanywestcentral" {
		t.Errorf("allowed: %+v, %v", id, err)
	}
}

func TestExpiredCertificatesAreNamed(t *testing.T) {
	o := published(t)
	if names := o.Intermediates.Expired(time.Date(2022, 4, 19, 0, 0, 0, 0, time.UTC), 0); len(names) > 0 {
		t.Errorf("in 2022 %v", names)
	}
	names := o.Intermediates.Expired(now, 0)
	if len(names) != 2 || names[0] != "Microsoft Azure TLS Issuing CA 05 (until 2024-06-27)" {
		t.Errorf("in 2026 %v", names)
	}
	if names := o.Roots.Expired(now, 0); len(names) != 1 || !strings.HasPrefix(names[0], "Baltimore") {
		t.Errorf("roots in 2026 %v", names)
	}
}

func TestDirectoriesOfCertificatesThatAreNone(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("../../../configs/attestation/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	root, between := read("azure/roots/DigiCert_Global_Root_G2.pem"), read("azure/intermediates/ms-rsa-tls-ca-01.pem")
	message, err := os.ReadFile("testdata/azure-southcentralus-2022.pkcs7.b64")
	if err != nil {
		t.Fatal(err)
	}
	_, dir := document(t)
	leaf, err := os.ReadFile(filepath.Join(dir, "..", "private", "azure-germanywestcentral.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"nothing": nil, "no PEM": message, "no authority": leaf, "two in a file": append(bytes.Clone(root),
			root...),
		"too large": append(bytes.Repeat([]byte{'\n'}, 20_000), root...)} {
		fsys := fstest.MapFS{}
		if b != nil {
			fsys["a.pem"] = &fstest.MapFile{Data: b}
		}
		if _, err := azure.ReadRoots(fsys); err == nil {
			t.Errorf("roots: %s is read", what)
		}
		if _, err := azure.ReadIntermediates(fsys); err == nil {
			t.Errorf("intermediates: %s is read", what)
		}
		if _, _, err := azure.ReadMixed(fsys); err == nil {
			t.Errorf("both: %s is read", what)
		}
	}
	both := fstest.MapFS{"a.pem": &fstest.MapFile{Data: root}, "b.pem": &fstest.MapFile{Data: between},
		"README": &fstest.MapFile{}}
	if _, err := azure.ReadRoots(both); err == nil {
		t.Error("an intermediate is taken for a root")
	}
	if _, err := azure.ReadIntermediates(both); err == nil {
		t.Error("a root is taken for an intermediate")
	}
	if _, _, err := azure.ReadMixed(both); err != nil {
		t.Error(err)
	}
}
