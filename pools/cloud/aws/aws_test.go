package aws_test

import (
	"slices"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/aws"
	"github.com/burstctl/burstctl/pools/cloud/aws/awstest"
	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
	"github.com/burstctl/burstctl/residency"
)

var (
	frankfurt = residency.Address{Provider: "aws", Region: "eu-central-1"}
	stockholm = residency.Address{Provider: "aws", Region: "eu-north-1"}
)

func offer(kind string) policy.Offer {
	return policy.Offer{At: frankfurt, Type: kind, Market: policy.OnDemand, GPU: "t4", GPUs: 1,
		PerHour: policy.Money{Micros: 940_000, Currency: "USD"}, AsOf: "2026-01-21", Source: "test"}
}

func launch(claim string) pools.Launch {
	return pools.Launch{Claim: claim, Attempt: 1, Offer: offer("g4dn.2xlarge"),
		Expires:  time.Now().UTC().Add(time.Hour).Truncate(time.Millisecond),
		UserData: pools.UserData{Control: "127.0.0.1:1", Claim: claim, Attempt: 1, Domain: "claims.example"}}
}

// options are a driver's that is in no hurry but for its proofs.
func options() aws.Options {
	r := aws.Region{Image: "ssm:" + awstest.Parameter, Subnets: []string{awstest.Nodes},
		SecurityGroups: []string{awstest.Nodes}}
	return aws.Options{Owner: "claims.example", Account: awstest.Account, Port: 7443,
		Regions: map[string]aws.Region{frankfurt.Region: r, stockholm.Region: r},
		Absence: 100 * time.Millisecond, Timeout: 20 * time.Second, Backoff: time.Millisecond,
		Rates: aws.Rates{Launch: 1000, Describe: 1000, Terminate: 1000}}
}

// open opens a driver of a cloud.
func open(t *testing.T, c *awstest.Cloud, o aws.Options) *aws.Driver {
	t.Helper()
	d, err := aws.Open(c.Config(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func start(t *testing.T) *awstest.Cloud { return awstest.Start(t, frankfurt.Region, stockholm.Region) }

func TestAWSKeepsTheDriversContract(t *testing.T) {
	may := append(allowed(t), free...)
	cloudtest.TestDriver(t, func(t *testing.T) cloudtest.Harness {
		c := start(t)
		t.Cleanup(func() {
			for _, a := range c.Actions() {
				if !slices.Contains(may, a) {
					t.Errorf("the driver calls %s, which configs/iam/aws-controller.json does not allow", a)
				}
			}
		})
		again := func(t *testing.T) pools.Driver { return open(t, c, options()) }
		return cloudtest.Harness{Driver: again(t), Again: again, Trouble: c, Offer: offer("g4dn.2xlarge"),
			Scarce: offer(awstest.Scarce), Patience: 20 * time.Second, Short: 2 * time.Second,
			UserData: pools.UserData{Control: "127.0.0.1:1", Domain: "claims.example"}}
	})
}
