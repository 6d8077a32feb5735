package main

import (
	"bytes"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/pools/cloud/agent"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/azure"
	"github.com/burstctl/burstctl/residency/attest/forge"
)

func TestTheConfigurationSaysWhoseDocumentsAreBelieved(t *testing.T) {
	certs, signer := "../../configs/attestation", t.TempDir()
	s := forge.Open(signer)
	now := time.Now()
	e, err := s.AWS("eu-central-1", "", "1", "i-1", now.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Azure("westeurope", "1", "vm-1", "N1", now); err != nil {
		t.Fatal(err)
	}
	x := residency.Expect{Instance: "i-1", NodeKey: "sha256:00", Nonce: "N1", At: now}
	cloud := configs.Attestation{AWS: certs + "/aws", AzureRoots: certs + "/azure/roots",
		AzureIntermediates: certs + "/azure/intermediates"}
	with := func(change func(*configs.Attestation)) configs.Attestation { a := cloud; change(&a); return a }
	for what, tt := range map[string]struct {
		conf  configs.Attestation
		kinds []string
		trust string // of the test signer's document; "" if it is refused
	}{
		"nobody":      {},
		"both clouds": {conf: cloud, kinds: []string{aws.Kind, azure.Kind}},
		"the shared key too": {
			with(func(a *configs.Attestation) { a.AWSRSA1024 = true }), []string{aws.KindRSA1024, aws.Kind, azure.Kind}, "",
		},
		"a test signer": {with(func(a *configs.Attestation) { a.Test = signer }), []string{aws.Kind, azure.Kind}, ""},
		"a test signer allowed": {with(func(a *configs.Attestation) { a.Test, a.AllowTestTrust = signer, true }),
			[]string{aws.Kind, azure.Kind}, "test"},
		"only a test signer": {
			configs.Attestation{Test: signer, AllowTestTrust: true}, []string{aws.Kind, azure.Kind}, "test",
		},
	} {
		var told bytes.Buffer
		d := &daemon{lg: slog.New(slog.NewTextHandler(&told, nil)), conf: configs.Controller{Attestation: tt.conf,
			Lease: configs.Lease{Max: time.Hour}}}
		all := map[string]residency.Verifier{}
		if err := d.cloudVerifiers(all); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if kinds := slices.Sorted(maps.Keys(all)); !slices.Equal(kinds, tt.kinds) {
			t.Errorf("%s: %v are believed, want %v", what, kinds, tt.kinds)
		}
		if v := all[aws.Kind]; v != nil {
			if id, err := v.Verify(e, x); id.Trust != tt.trust || (err == nil) != (tt.trust != "") {
				t.Errorf("%s: a test signer's document is %+v, %v", what, id, err)
			}
		}
		if tt.conf.AzureRoots != "" && !strings.Contains(told.String(), "Microsoft RSA TLS CA 01 (until 2024-10-08)") {
			t.Errorf("%s: nobody is warned of old certificates: %s", what, told.String())
		}
	}
	for what, a := range map[string]configs.Attestation{
		"no such directory":   {AWS: signer + "/none"},
		"another's directory": {AWS: certs + "/azure"},
		"intermediates as roots": {
			AzureRoots: certs + "/azure/intermediates", AzureIntermediates: certs + "/azure/intermediates",
		},
		"roots as intermediates": {AzureRoots: certs + "/azure/roots", AzureIntermediates: certs + "/azure/roots"},
	} {
		d := &daemon{lg: slog.New(slog.DiscardHandler), conf: configs.Controller{Attestation: a}}
		if err := d.cloudVerifiers(map[string]residency.Verifier{}); err == nil {
			t.Errorf("%s is believed", what)
		}
	}
}

func TestNodesShowTheKindThatIsVerified(t *testing.T) {
	if agent.AWSKind != aws.Kind {
		t.Errorf("nodes on AWS show %q, %q is verified", agent.AWSKind, aws.Kind)
	}
}
