package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/aws"
	"github.com/burstctl/burstctl/pools/cloud/aws/awstest"
	"github.com/burstctl/burstctl/residency"
)

// The last layer alone: the nodes hang, so that neither their timers nor their
// agents end them, and there is no controller.
func TestTheReaperEndsWhatHangsPastItsLeaseAndNothingElse(t *testing.T) {
	ec2 := awstest.Start(t, "eu-central-1")
	ec2.Hung = true
	awsEnvironment(t, ec2)
	d, err := aws.Open(ec2.Config(), aws.Options{Owner: "claims.example", Port: 7443, Regions: map[string]aws.Region{
		"eu-central-1": {Image: awstest.Image, Subnets: []string{awstest.Nodes}, SecurityGroups: []string{awstest.Nodes}}}})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, claim := range []string{"alive", "late", "other"} {
		n, err := d.Launch(t.Context(), pools.Launch{Claim: claim, Attempt: 1, Expires: time.Now().Add(time.Hour),
			Offer: policy.Offer{At: residency.Address{Provider: "aws", Region: "eu-central-1"}, Type: "g4dn.2xlarge"}})
		if err != nil {
			t.Fatal(err)
		}
		ids[claim] = n.ID
	}
	long := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	ec2.Retag(ids["late"], aws.TagExpires, long)
	ec2.Retag(ids["other"], aws.TagExpires, long)
	ec2.Retag(ids["other"], aws.TagOwner, "other.example")
	launched := len(ec2.Calls())
	path := filepath.Join(t.TempDir(), "reaper.yaml")
	section, _, _ := strings.Cut(awsSection, "      boot:")
	if err := os.WriteFile(path, []byte("domain: claims.example\n"+section+"grace: 1m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := reapCommand()
	c.SetOut(&out)
	c.SetArgs([]string{"--account", "--config", path})
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, i := range ec2.Instances() {
		if asked := !i.Asked.IsZero(); asked != (i.ID == ids["late"]) {
			t.Errorf("%s of %s: asked to end: %v\n%s", i.ID, i.Tags[aws.TagClaim], asked, out.String())
		}
	}
	terraform, err := os.ReadFile("../../configs/terraform/aws-reaper/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	var needs []string
	for _, call := range ec2.Calls()[launched:] {
		needs = append(needs, call.Needs...)
	}
	slices.Sort(needs)
	for _, action := range slices.Compact(needs) {
		if action != "sts:GetCallerIdentity" && !strings.Contains(string(terraform), `"`+action+`"`) {
			t.Errorf("the reaper calls %s, which its role in configs/terraform does not have", action)
		}
	}
}
