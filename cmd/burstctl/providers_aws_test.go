package main

import (
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/aws/awstest"
	"github.com/burstctl/burstctl/residency"
)

// awsSection is a provider of kind aws whose instances cloud-init boots.
const awsSection = `
providers:
  - kind: aws
    aws:
      account: "` + awstest.Account + `"
      regions:
        eu-central-1:
          image: ssm:` + awstest.Parameter + `
          subnets: ["` + awstest.Nodes + `"]
          security_groups: ["` + awstest.Nodes + `"]
      boot:
        program: https://releases.claims.example/burstctl
        sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        control: [192.0.2.10:8443]
        edges: [192.0.2.0/24]
`

// The config file alone, and credentials of the environment, are enough to make
// an instance, list it and end it.
func TestAProviderOfKindAWSMakesAnInstanceFromTheConfigFile(t *testing.T) {
	ec2 := awstest.Start(t, "eu-central-1")
	ec2.Forget = time.Hour // as EC2; the default buckets are slow
	awsEnvironment(t, ec2)
	dir := t.TempDir()
	if err := buildHouse(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "controller.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "\nproviders:")
	if err := os.WriteFile(path, []byte(before+awsSection), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := readController(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{conf: conf, lg: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if err := d.openFleet(t.Context()); err != nil {
		t.Fatal(err)
	}
	n, err := d.fleet.Launch(t.Context(), pools.Launch{Claim: "c-1", Attempt: 1, Expires: time.Now().Add(time.Hour),
		Offer: policy.Offer{At: residency.Address{Provider: "aws", Region: "eu-central-1"}, Type: "g4dn.2xlarge"},
		UserData: pools.UserData{Control: "controller.claims.example:8443", CA: "sha256:" + strings.Repeat("ab", 32),
			Claim: "c-1", Attempt: 1, Domain: "claims.example"}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(ec2.Instances()[0].Form.Get("UserData"))
	if err != nil || !strings.HasPrefix(string(data), "#cloud-config\n") ||
		strings.Contains(string(data), "not-a-secret") {
		t.Errorf("user data %q, %v", data, err)
	}
	if nodes, err := d.fleet.List(t.Context()); err != nil || len(nodes) != 1 || nodes[0].ID != n.ID {
		t.Errorf("listed %+v, %v", nodes, err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := d.fleet.Delete(t.Context(), n.ID); errors.Is(err, pools.ErrGone) {
			return
		} else if err != nil || time.Now().After(end) {
			t.Fatalf("delete: %v", err)
		}
	}
}

// awsEnvironment leads the SDK's own chain to an emulator, and nowhere else.
func awsEnvironment(t *testing.T, ec2 *awstest.Cloud) {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL", ec2.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
}
