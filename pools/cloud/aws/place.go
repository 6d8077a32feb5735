package aws

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// factsFor is how long what a launch needs is believed.
const factsFor = 5 * time.Minute

// ordinary is the type of a zone that lies in its region's own country.
const ordinary = "availability-zone"

// zone is a zone of the region as this account names it.
type zone struct{ id, group, kind string }

// facts are what a launch in the region needs to know.
type facts struct {
	until   time.Time
	image   string
	root    string // its root device
	subnets []subnet
	groups  []string
}

// subnet is a configured subnet and where it lies.
type subnet struct {
	id   string
	zone zone
}

// is reports whether the zone is what an address names.
func (z zone) is(a residency.Address) bool {
	if a.Zone == "" {
		return z.kind == ordinary
	}
	return z.id == a.Zone || z.kind != ordinary && z.kind != "" && z.group == a.Zone
}

// name is the zone in an address.
func (z zone) name() string {
	if z.kind == ordinary {
		return z.id
	}
	return z.group
}

// zone returns the zone of that name or ID; one that is not known is an error.
func (r *region) zone(ctx context.Context, name, id string) (zone, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.zones == nil {
		out, err := r.describe.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{})
		if err != nil {
			return zone{}, fmt.Errorf("read zones of %s: %w", r.name, err)
		}
		r.zones = map[string]zone{}
		for _, z := range out.AvailabilityZones {
			r.zones[sdk.ToString(z.ZoneName)] = zone{id: sdk.ToString(z.ZoneId), group: sdk.ToString(z.GroupName),
				kind: sdk.ToString(z.ZoneType)}
		}
	}
	if z, ok := r.zones[name]; ok && (id == "" || z.id == id) {
		return z, nil
	}
	return zone{}, fmt.Errorf("zone %q (%s) of %s is not known", name, id, r.name)
}

// know returns the facts of the region, fresh enough.
func (r *region) know(ctx context.Context) (facts, error) {
	r.mu.Lock()
	f := r.facts
	r.mu.Unlock()
	if time.Now().Before(f.until) {
		return f, nil
	}
	f = facts{until: time.Now().Add(factsFor)}
	for _, learn := range []func(context.Context, *facts) error{r.learnSubnets, r.learnGroups, r.learnImage} {
		if err := learn(ctx, &f); err != nil {
			return facts{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts = f
	return f, nil
}

// learnSubnets finds the configured subnets and their zones.
func (r *region) learnSubnets(ctx context.Context, f *facts) error {
	for _, named := range r.o.Subnets {
		in := &ec2.DescribeSubnetsInput{}
		in.SubnetIds, in.Filters = pick(named)
		for pages := ec2.NewDescribeSubnetsPaginator(r.describe, in); pages.HasMorePages(); {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("read subnet %s: %w", named, err)
			}
			for _, s := range out.Subnets {
				z, err := r.zone(ctx, sdk.ToString(s.AvailabilityZone), sdk.ToString(s.AvailabilityZoneId))
				if err != nil {
					return fmt.Errorf("read subnet %s: %w", named, err)
				}
				f.subnets = append(f.subnets, subnet{sdk.ToString(s.SubnetId), z})
			}
		}
	}
	slices.SortFunc(f.subnets, func(a, b subnet) int { return strings.Compare(a.id, b.id) })
	f.subnets = slices.Compact(f.subnets)
	return nil
}

// learnGroups finds the configured security groups and, for nodes with a
// public address, refuses one that lets in more than the site.
func (r *region) learnGroups(ctx context.Context, f *facts) error {
	for _, named := range r.o.SecurityGroups {
		in := &ec2.DescribeSecurityGroupsInput{}
		in.GroupIds, in.Filters = pick(named)
		for pages := ec2.NewDescribeSecurityGroupsPaginator(r.describe, in); pages.HasMorePages(); {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("read security group %s: %w", named, err)
			}
			for _, g := range out.SecurityGroups {
				if err := r.o.admits(g); err != nil {
					return err
				}
				f.groups = append(f.groups, sdk.ToString(g.GroupId))
			}
		}
	}
	slices.Sort(f.groups)
	f.groups = slices.Compact(f.groups)
	if len(f.groups) == 0 {
		return fmt.Errorf("no security group in %s is as configured: %w", r.name, pools.ErrRefused)
	}
	return nil
}

// admits refuses a group that lets anybody but the site reach a public node.
func (r Region) admits(g types.SecurityGroup) error {
	if !r.PublicIP {
		return nil
	}
	var from []string
	for _, p := range g.IpPermissions {
		for _, in := range p.IpRanges {
			from = append(from, sdk.ToString(in.CidrIp))
		}
		for _, in := range p.Ipv6Ranges {
			from = append(from, sdk.ToString(in.CidrIpv6))
		}
		for _, in := range p.UserIdGroupPairs {
			from = append(from, sdk.ToString(in.GroupId))
		}
		for _, in := range p.PrefixListIds {
			from = append(from, sdk.ToString(in.PrefixListId))
		}
	}
	for _, cidr := range from {
		in, err := netip.ParsePrefix(cidr)
		if err != nil || !slices.ContainsFunc(r.Egress, func(site netip.Prefix) bool {
			return site.Bits() <= in.Bits() && site.Contains(in.Addr())
		}) {
			return fmt.Errorf("security group %s lets in %s, which is not the site: %w",
				sdk.ToString(g.GroupId), cidr, pools.ErrRefused)
		}
	}
	return nil
}

// learnImage finds the image and its root device.
func (r *region) learnImage(ctx context.Context, f *facts) error {
	f.image = r.o.Image
	if path, ok := strings.CutPrefix(r.o.Image, "ssm:"); ok {
		out, err := r.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &path})
		if err != nil {
			return fmt.Errorf("read image parameter %s: %w", path, err)
		}
		f.image = sdk.ToString(out.Parameter.Value)
	}
	out, err := r.describe.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{f.image}})
	if err != nil {
		return fmt.Errorf("read image %s: %w", f.image, err)
	}
	if len(out.Images) != 1 || sdk.ToString(out.Images[0].RootDeviceName) == "" {
		return fmt.Errorf("image %s of %s is not there, or has no root device: %w", f.image, r.name, pools.ErrRefused)
	}
	f.root = *out.Images[0].RootDeviceName
	return nil
}

// pick is how a configured name is asked for: by ID or by tag.
func pick(named string) (ids []string, filters []types.Filter) {
	tag, ok := strings.CutPrefix(named, "tag:")
	key, value, _ := strings.Cut(tag, "=")
	if !ok {
		return []string{named}, nil
	}
	return nil, []types.Filter{{Name: sdk.String("tag:" + key), Values: []string{value}}}
}
