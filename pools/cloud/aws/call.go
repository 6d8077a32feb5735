package aws

import (
	"context"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/time/rate"
)

// tries is how often the SDK sends one call.
const tries = 3

// region is the door to one region. Each class of calls has a client, a bucket
// and a count of retries of its own.
type region struct {
	name      string
	o         Region
	launch    *ec2.Client
	describe  *ec2.Client
	terminate *ec2.Client
	ssm       *ssm.Client
	sts       *sts.Client

	mu    sync.Mutex
	zones map[string]zone // by name
	facts facts
}

// newRegion makes the clients of a region.
func newRegion(conf sdk.Config, name string, o Region, all Options) *region {
	conf = conf.Copy()
	conf.Region = name
	ec2Client := func(perSecond float64) *ec2.Client {
		return ec2.NewFromConfig(conf, func(c *ec2.Options) { c.Retryer = newPaced(perSecond, all.Backoff) })
	}
	slow := newPaced(all.Rates.Describe, all.Backoff)
	return &region{name: name, o: o,
		launch: ec2Client(all.Rates.Launch), describe: ec2Client(all.Rates.Describe),
		terminate: ec2Client(all.Rates.Terminate),
		ssm:       ssm.NewFromConfig(conf, func(c *ssm.Options) { c.Retryer = slow }),
		sts:       sts.NewFromConfig(conf, func(c *sts.Options) { c.Retryer = slow }),
	}
}

// paced sends no try of a call before the bucket has one to give.
type paced struct {
	*retry.Standard
	bucket *rate.Limiter
}

var _ sdk.RetryerV2 = paced{}

// newPaced makes a bucket that holds two seconds' worth of calls.
func newPaced(perSecond float64, backoff time.Duration) paced {
	return paced{bucket: rate.NewLimiter(rate.Limit(perSecond), max(1, int(2*perSecond))),
		Standard: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = tries, backoff
		})}
}

// GetAttemptToken waits until a try may be sent.
func (p paced) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if err := p.bucket.Wait(ctx); err != nil {
		return nil, err
	}
	return p.Standard.GetAttemptToken(ctx)
}
