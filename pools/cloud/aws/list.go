package aws

import (
	"context"
	"fmt"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// List returns every instance of ours in every region that is not terminated,
// or an error: also when the credentials lead to another account, whose listing
// would be empty and look whole.
func (d *Driver) List(ctx context.Context) ([]pools.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	names := d.names()
	found := make([][]pools.Node, len(names))
	all, ctx := errgroup.WithContext(ctx)
	for at, name := range names {
		all.Go(func() (err error) {
			found[at], err = d.list(ctx, d.regions[name])
			if err != nil {
				return fmt.Errorf("list aws/%s: %w", name, err)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// list is List of one region.
func (d *Driver) list(ctx context.Context, r *region) ([]pools.Node, error) {
	if err := d.account(ctx, r); err != nil {
		return nil, err
	}
	var states []string
	for _, s := range types.InstanceStateName("").Values() {
		if s != types.InstanceStateNameTerminated {
			states = append(states, string(s))
		}
	}
	found, err := instances(ctx, r.describe, &ec2.DescribeInstancesInput{MaxResults: sdk.Int32(1000),
		Filters: []types.Filter{where("tag:"+TagOwner, d.o.Owner), where("instance-state-name", states...)}})
	if err != nil {
		return nil, err
	}
	var nodes []pools.Node
	var doomed []string // requests, by whose word EC2 takes an instance back
	for _, i := range found {
		bought, _ := residency.ParseAddress(tag(i, TagPlace)) // a tag that is none names no place
		n, err := d.node(ctx, r, i, bought)
		if err != nil {
			return nil, err
		}
		d.memory.saw(r.name, n.ID, true)
		if i.InstanceLifecycle == types.InstanceLifecycleTypeSpot {
			doomed = append(doomed, sdk.ToString(i.SpotInstanceRequestId))
		}
		nodes = append(nodes, n)
	}
	return nodes, d.interrupted(ctx, r, doomed, nodes)
}

// interrupted marks the nodes that EC2 has said it will take back.
func (d *Driver) interrupted(ctx context.Context, r *region, requests []string, nodes []pools.Node) error {
	if len(requests) == 0 {
		return nil
	}
	in := &ec2.DescribeSpotInstanceRequestsInput{Filters: []types.Filter{where("spot-instance-request-id", requests...)}}
	for pages := ec2.NewDescribeSpotInstanceRequestsPaginator(r.describe, in); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read spot requests: %w", err)
		}
		for _, q := range out.SpotInstanceRequests {
			if q.Status == nil || sdk.ToString(q.Status.Code) != "marked-for-termination" {
				continue
			}
			if at := slices.IndexFunc(nodes, func(n pools.Node) bool { return n.ID == sdk.ToString(q.InstanceId) }); at >= 0 {
				nodes[at].State = pools.Stopping
			}
		}
	}
	return nil
}

// account is an error unless the credentials lead where they should.
func (d *Driver) account(ctx context.Context, r *region) error {
	if d.o.Account == "" {
		return nil
	}
	out, err := r.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("read whose credentials these are: %w", err)
	}
	if got := sdk.ToString(out.Account); got != d.o.Account {
		return fmt.Errorf("the credentials are of account %s, not of %s", got, d.o.Account)
	}
	return nil
}
