package aws_test

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/aws"
	"github.com/burstctl/burstctl/pools/cloud/aws/awstest"
	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
	"github.com/burstctl/burstctl/residency"
)

// must launches or ends the test.
func must(t *testing.T, d pools.Driver, l pools.Launch) pools.Node {
	t.Helper()
	n, err := d.Launch(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually waits a few seconds for what takes the cloud its time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestOneCallMakesATaggedClosedInstance(t *testing.T) {
	c := start(t)
	l := launch("c-1")
	l.Offer.Market = policy.Spot
	n := must(t, open(t, c, options()), l)
	form := c.Instances()[0].Form
	for key, want := range map[string]string{
		"MinCount": "1", "MaxCount": "1", "ClientToken": l.Token(), "ImageId": awstest.Image,
		"InstanceType": "g4dn.2xlarge", "InstanceInitiatedShutdownBehavior": "terminate",
		"MetadataOptions.HttpTokens": "required", "MetadataOptions.HttpPutResponseHopLimit": "1",
		"NetworkInterface.1.AssociatePublicIpAddress": "false", "NetworkInterface.1.DeleteOnTermination": "true",
		"BlockDeviceMapping.1.DeviceName": awstest.Root, "BlockDeviceMapping.1.Ebs.Encrypted": "true",
		"BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
		"InstanceMarketOptions.MarketType":             "spot", "InstanceMarketOptions.SpotOptions.MaxPrice": "0.940000",
		"InstanceMarketOptions.SpotOptions.SpotInstanceType":             "one-time",
		"InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior": "terminate",
		"TagSpecification.1.ResourceType":                                "instance",
		"TagSpecification.2.ResourceType":                                "volume",
		"TagSpecification.3.ResourceType":                                "network-interface",
	} {
		if got := form.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	for _, absent := range []string{"KeyName", "IamInstanceProfile.Name", "IamInstanceProfile.Arn"} {
		if form.Has(absent) {
			t.Errorf("the instance has %s", absent)
		}
	}
	tags := c.Instances()[0].Tags
	if tags[aws.TagOwner] != "claims.example" || tags[aws.TagClaim] != "c-1" || tags[aws.TagAttempt] != "1" ||
		tags[aws.TagExpires] != l.Expires.Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("tags %v", tags)
	}
	data, err := base64.StdEncoding.DecodeString(form.Get("UserData"))
	if err != nil || !strings.Contains(string(data), `"claim":"c-1"`) {
		t.Errorf("user data %q, %v", data, err)
	}
	if !strings.HasSuffix(n.Reach, ":7443") {
		t.Errorf("reached at %q", n.Reach)
	}
}

func TestAnOfferOfARegionNeverLandsInALocalZone(t *testing.T) {
	c := start(t)
	o := options()
	d := open(t, c, o)
	for attempt := range 8 {
		l := launch("c-1")
		l.Attempt = attempt + 1
		must(t, d, l)
	}
	for _, i := range c.Instances() {
		if strings.Contains(i.Zone, "ham") {
			t.Errorf("%s is in %s, which may be another country", i.ID, i.Zone)
		}
	}
	for name, want := range map[string]string{"eu-central-1-az3": "eu-central-1-az3",
		"eu-central-1-ham-1": "eu-central-1-ham-1-az1"} {
		l := launch("c-" + name)
		l.Offer.At.Zone = name
		n := must(t, d, l)
		if all := c.Instances(); all[len(all)-1].Zone != want || n.At != l.Offer.At {
			t.Errorf("an offer of %s was made in %s and is said to be at %v", name, all[len(all)-1].Zone, n.At)
		}
	}
	l := launch("c-nowhere")
	l.Offer.At.Zone = "eu-central-1-az9"
	if _, err := d.Launch(t.Context(), l); !errors.Is(err, pools.ErrRefused) {
		t.Errorf("launch where there is no subnet: %v", err)
	}
}

func TestAnInstanceInAnotherZoneIsEndedAndNeverHandedOut(t *testing.T) {
	c := start(t)
	c.Elsewhere = "eu-central-1-ham-1-az1"
	d := open(t, c, options())
	l := launch("c-1")
	_, err := d.Launch(t.Context(), l)
	if err == nil || errors.Is(err, pools.ErrRefused) ||
		!strings.Contains(err.Error(), "is at aws/eu-central-1/eu-central-1-ham-1") {
		t.Errorf("launch: %v", err)
	}
	eventually(t, "its launch never ends", func() bool {
		n, err := d.Launch(t.Context(), l)
		if err == nil {
			t.Fatalf("handed out as %+v", n)
		}
		return errors.Is(err, pools.ErrEnded)
	})
	if all := c.Instances(); len(all) != 1 || all[0].Ended.IsZero() {
		t.Errorf("there are %+v", all)
	}
}

func TestWhatIsNotOursIsNeverEnded(t *testing.T) {
	c := start(t)
	d := open(t, c, options())
	n := must(t, d, launch("c-1"))
	c.Retag(n.ID, aws.TagOwner, "other.example")
	for _, driver := range []*aws.Driver{d, open(t, c, options())} {
		if err := driver.Delete(t.Context(), n.ID); err == nil || errors.Is(err, pools.ErrGone) {
			t.Errorf("delete of another owner's instance: %v", err)
		}
		if nodes, err := driver.List(t.Context()); err != nil || len(nodes) != 0 {
			t.Errorf("another owner's instance is listed: %+v, %v", nodes, err)
		}
	}
	if i := c.Instances()[0]; !i.Asked.IsZero() || !i.Ended.IsZero() {
		t.Errorf("it was ended: %+v", i)
	}
}

func TestAListingOfAnotherAccountIsAnError(t *testing.T) {
	c := start(t)
	o := options()
	o.Account = "999999999999"
	if nodes, err := open(t, c, o).List(t.Context()); err == nil || !strings.Contains(err.Error(), awstest.Account) {
		t.Errorf("list: %+v, %v", nodes, err)
	}
}

func TestAnIDThatWasNeverSeenIsGoneOnlyAfterTwoLooks(t *testing.T) {
	c := start(t)
	d := open(t, c, options())
	const stranger = "i-0123456789abcdef0"
	first := time.Now()
	if err := d.Delete(t.Context(), stranger); err != nil {
		t.Errorf("first look: %v", err)
	}
	eventually(t, "never gone", func() bool { return errors.Is(d.Delete(t.Context(), stranger), pools.ErrGone) })
	if took := time.Since(first); took < options().Absence {
		t.Errorf("gone after %v", took)
	}
}

func TestASpotInstanceThatEC2WillTakeIsStopping(t *testing.T) {
	c := start(t)
	d := open(t, c, options())
	l := launch("c-1")
	l.Offer.Market = policy.Spot
	n := must(t, d, l)
	running := func() pools.State {
		nodes, err := d.List(t.Context())
		if err != nil || len(nodes) != 1 {
			t.Fatalf("list: %+v, %v", nodes, err)
		}
		return nodes[0].State
	}
	eventually(t, "it does not run", func() bool { return running() == pools.Running })
	c.Mark(n.ID)
	if got := running(); got != pools.Stopping {
		t.Errorf("marked for termination, it is %q", got)
	}
}

func TestAPublicNodeLetsInNobodyButTheSite(t *testing.T) {
	c := start(t)
	o := options()
	r := o.Regions[frankfurt.Region]
	r.PublicIP, r.Egress = true, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	o.Regions[frankfurt.Region] = r
	if err := c.Admit(frankfurt.Region, "192.0.2.7/32"); err != nil {
		t.Fatal(err)
	}
	n := must(t, open(t, c, o), launch("c-1"))
	if !strings.HasPrefix(n.Reach, "8.0.0.") {
		t.Errorf("a public node is reached at %s", n.Reach)
	}
	if err := c.Admit(frankfurt.Region, "0.0.0.0/0"); err != nil {
		t.Fatal(err)
	}
	l := launch("c-2")
	if _, err := open(t, c, o).Launch(t.Context(), l); !errors.Is(err, pools.ErrRefused) ||
		!strings.Contains(err.Error(), "0.0.0.0/0") {
		t.Errorf("launch with the world let in: %v", err)
	}
	r.Egress = nil
	o.Regions[frankfurt.Region] = r
	if _, err := aws.Open(c.Config(), o); err == nil {
		t.Error("a public region without the site's prefixes opens")
	}
}

func TestALaunchThatLostItsAnswerIsAdoptedUnderANewerConfiguration(t *testing.T) {
	c := start(t)
	l := launch("c-1")
	c.Cause(cloudtest.ListLag) // the tag is not to be seen either
	first := must(t, open(t, c, options()), l)
	o := options()
	r := o.Regions[frankfurt.Region]
	r.VolumeGB = 200
	o.Regions[frankfurt.Region] = r
	d := open(t, c, o)
	if _, err := d.Launch(t.Context(), l); err == nil || errors.Is(err, pools.ErrRefused) {
		t.Errorf("a token with other parameters, and nothing to be seen: %v", err)
	}
	c.Cause(cloudtest.Calm)
	if n := must(t, d, l); n.ID != first.ID || len(c.Instances()) != 1 {
		t.Errorf("%s instead of %s, of %d", n.ID, first.ID, len(c.Instances()))
	}
}

func TestARefusalAfterAnUnansweredCallIsBelievedOnlyWhenNothingIsThere(t *testing.T) {
	c := start(t)
	d := open(t, c, options())
	l := launch("c-1")
	must(t, d, launch("c-warm")) // the region is known by now
	c.Cut(1, false)              // the look by tag passes, and the launch does not
	if _, err := d.Launch(t.Context(), l); err == nil {
		t.Fatal("launched without a cloud")
	}
	c.Cause(cloudtest.Calm)
	c.Cause(cloudtest.NoCapacity)
	from := time.Now()
	if _, err := d.Launch(t.Context(), l); err == nil || errors.Is(err, pools.ErrCapacity) {
		t.Errorf("no capacity, after an unanswered call: %v, want it unknown", err)
	}
	eventually(t, "it stays unknown", func() bool {
		_, err := d.Launch(t.Context(), l)
		return errors.Is(err, pools.ErrCapacity)
	})
	if took := time.Since(from); took < options().Absence {
		t.Errorf("believed after %v", took)
	}
}

func TestEndingNodesDoesNotWaitForOtherCalls(t *testing.T) {
	c := start(t)
	n := must(t, open(t, c, options()), launch("c-1"))
	o := options()
	o.Rates = aws.Rates{Launch: 0.001, Describe: 0.001, Terminate: 1000}
	o.Timeout = 2 * time.Second
	d := open(t, c, o)
	for range 3 {
		_, _ = d.List(t.Context()) // uses up the bucket
	}
	if _, err := d.List(t.Context()); err == nil {
		t.Error("the bucket of listings is not empty")
	}
	eventually(t, "never gone", func() bool { return errors.Is(d.Delete(t.Context(), n.ID), pools.ErrGone) })
}

func TestAnotherProvidersOfferIsRefused(t *testing.T) {
	d := open(t, start(t), options())
	for _, at := range []residency.Address{{Provider: "azure", Region: "eu-central-1"},
		{Provider: "aws", Region: "us-east-1"}, {}} {
		l := launch("c-1")
		l.Offer.At = at
		if _, err := d.Launch(t.Context(), l); !errors.Is(err, pools.ErrRefused) {
			t.Errorf("launch at %v: %v", at, err)
		}
	}
}

func TestTheNextProcessRefusesOtherParametersOfAnAttempt(t *testing.T) {
	c := start(t)
	l := launch("c-1")
	must(t, open(t, c, options()), l)
	l.Expires = l.Expires.Add(time.Hour)
	if _, err := open(t, c, options()).Launch(t.Context(), l); !errors.Is(err, pools.ErrRefused) {
		t.Errorf("launch: %v, want %v", err, pools.ErrRefused)
	}
	if n := len(c.Instances()); n != 1 {
		t.Errorf("there are %d instances", n)
	}
}
