package aws

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// The tags of everything a launch makes. The reaper in the account reads
// TagExpires alone.
const (
	TagOwner   = "burstctl:owner"   // the trust domain
	TagClaim   = "burstctl:claim"   // as in the log
	TagAttempt = "burstctl:attempt" // decimal
	TagExpires = "burstctl:expires" // RFC 3339, UTC
	TagPlace   = "burstctl:place"   // as residency.ParseAddress reads it
	TagToken   = "burstctl:token"   // pools.Launch.Token
)

// timeLayout is RFC 3339 with milliseconds, which sorts as text.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// instanceID is the form of an instance's ID, the old one and the new one.
var instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

// tag is one tag's value, "" without it.
func tag(i types.Instance, key string) string {
	for _, t := range i.Tags {
		if sdk.ToString(t.Key) == key {
			return sdk.ToString(t.Value)
		}
	}
	return ""
}

// state is an instance's state; "" is one that is terminated or not told.
func state(i types.Instance) pools.State {
	if i.State == nil {
		return ""
	}
	switch i.State.Name {
	case types.InstanceStateNamePending:
		return pools.Pending
	case types.InstanceStateNameRunning:
		return pools.Running
	case types.InstanceStateNameTerminated:
		return ""
	}
	return pools.Stopping
}

// node describes an instance of ours in the words of the contract. What its
// tags do not say stays zero; its place is where EC2 says that it is, in the
// words it was bought in if they fit.
func (d *Driver) node(ctx context.Context, r *region, i types.Instance, bought residency.Address) (pools.Node, error) {
	n := pools.Node{ID: sdk.ToString(i.InstanceId), Claim: tag(i, TagClaim), State: state(i),
		Type: string(i.InstanceType), Launched: sdk.ToTime(i.LaunchTime).UTC()}
	n.Attempt, _ = strconv.Atoi(tag(i, TagAttempt))
	n.Expires, _ = time.Parse(time.RFC3339, tag(i, TagExpires))
	n.Expires = n.Expires.UTC()
	host := cmp.Or(sdk.ToString(i.PublicIpAddress), sdk.ToString(i.PrivateIpAddress))
	n.Reach = net.JoinHostPort(host, strconv.Itoa(d.o.Port))
	if i.Placement == nil {
		return pools.Node{}, fmt.Errorf("instance %s: EC2 does not say where it is", n.ID)
	}
	z, err := r.zone(ctx, sdk.ToString(i.Placement.AvailabilityZone), sdk.ToString(i.Placement.AvailabilityZoneId))
	if err != nil {
		return pools.Node{}, fmt.Errorf("instance %s: %w", n.ID, err)
	}
	n.At = residency.Address{Provider: Provider, Region: r.name, Zone: z.name()}
	if bought.Provider == Provider && bought.Region == r.name && z.is(bought) {
		n.At = bought
	}
	return n, nil
}

// where is a filter.
func where(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// instances are all that a query finds, over all pages.
func instances(ctx context.Context, client *ec2.Client, in *ec2.DescribeInstancesInput) ([]types.Instance, error) {
	var all []types.Instance
	for pages := ec2.NewDescribeInstancesPaginator(client, in); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range out.Reservations {
			all = append(all, r.Instances...)
		}
	}
	return all, nil
}
