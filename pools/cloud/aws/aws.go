// Package aws is the driver of Amazon EC2.
//
// # One launch, one instance
//
// Every launch is one RunInstances call of count 1 whose client token is
// [pools.Launch.Token] and whose tags say in the same call whose the instance,
// its volume and its network interface are. A call without a clear answer is
// unknown: the next one carries the same token, so EC2 itself returns the
// instance that is there. What cannot be asked so any more (a lease that has
// run out, a refusal after an unanswered call) is looked for by tag and by
// client token, and counts as absent only when both found nothing twice,
// [Options].Absence apart. The same holds for an instance that Delete cannot
// find: EC2 answers NotFound for what exists and is not visible yet.
//
// # Where an instance is
//
// An offer of a region is launched into subnets of ordinary availability zones
// only: a local zone may lie in another country. An offer that names a zone
// (its zone ID, or the group of a local zone) goes there, and the zone EC2
// reports is compared with it by ID, since names are shuffled by account. An
// instance elsewhere is ended and never handed out.
//
// # Closed by default
//
// IMDSv2 with one hop, no public address, no instance profile, no key pair,
// encrypted volumes that end with the instance, shutdown that terminates.
// User data is what the launch says, which holds no secret. With a public
// address each rule of the security groups must admit listed prefixes only.
//
// # Calls
//
// Three buckets a region (launch, describe, terminate) keep calls at half of
// what AWS publishes, retries included, so that ending nodes never waits for
// making them. The SDK tries a call three times.
//
// # Non-goals
//
// No fleets, no launch templates, no stop and start. Notices of a spot
// interruption reach the agent on the node first; a listing shows them as
// [pools.Stopping]. Nothing here has run against the real EC2: docs/clouds.md.
package aws

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/burstctl/burstctl/pools"
)

// Provider is what a place of this driver begins with.
const Provider = "aws"

// Options say where nodes may be made and how. The zero value makes none.
type Options struct {
	// Owner is the value of [TagOwner]: the trust domain. Instances of another
	// owner are never listed and never ended.
	Owner string
	// Account, 12 digits, is where the credentials must lead; "" is anywhere. A
	// listing with credentials of another account would be empty and look whole.
	Account string
	Regions map[string]Region // by name; others are refused
	Port    int               // the node's port for the edge
	// Absence is how far apart two observations must be that agree on an instance
	// not being there; 0 is 5 minutes.
	Absence time.Duration
	Timeout time.Duration // of what is asked of one region; 0 is a minute
	Backoff time.Duration // the longest pause between two tries of a call; 0 is 5 s
	Rates   Rates
	// UserData makes what the instance is given; nil is the JSON of it.
	UserData func(pools.Launch) ([]byte, error)
}

// Region is what is launched in a region. Made from configuration; the zero
// Region launches nothing.
type Region struct {
	Image string // "ami-…", or "ssm:/path" of a parameter that holds one
	// Subnets are "subnet-…" or "tag:KEY=VALUE", which may stand for several.
	Subnets []string
	// SecurityGroups are "sg-…" or "tag:KEY=VALUE".
	SecurityGroups []string
	PublicIP       bool           // give nodes a public address
	Egress         []netip.Prefix // the site's addresses; with PublicIP nobody else may be let in
	KMSKey         string         // of volumes; "" is the account's own for EBS
	VolumeGB       int32          // of the root volume; 0 is the image's
}

// Rates are calls a second to a region. Zero is the default, half of what AWS
// publishes (EC2 Developer Guide, "Request throttling").
type Rates struct {
	Launch    float64 // default 1
	Describe  float64 // default 10
	Terminate float64 // default 2.5
}

// Driver makes nodes out of EC2 instances. Made by [Open]; safe for concurrent use.
type Driver struct {
	o       Options
	regions map[string]*region
	memory  memory
}

var _ pools.Driver = (*Driver)(nil)

// Open makes a driver with the credentials and the transport of conf; it calls
// nothing yet.
func Open(conf sdk.Config, o Options) (*Driver, error) {
	if o.Owner == "" || len(o.Regions) == 0 || o.Port <= 0 {
		return nil, errors.New("open aws: needs an owner, a region and a port")
	}
	o.Absence = cmp.Or(o.Absence, 5*time.Minute)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.Backoff = cmp.Or(o.Backoff, 5*time.Second)
	o.Rates.Launch = cmp.Or(o.Rates.Launch, 1)
	o.Rates.Describe = cmp.Or(o.Rates.Describe, 10)
	o.Rates.Terminate = cmp.Or(o.Rates.Terminate, 2.5)
	o.Regions = maps.Clone(o.Regions)
	d := &Driver{o: o, regions: map[string]*region{}, memory: newMemory()}
	for name, r := range o.Regions {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("open aws: region %s: %w", name, err)
		}
		d.regions[name] = newRegion(conf, name, r, o)
	}
	return d, nil
}

// check says what a region lacks.
func (r Region) check() error {
	switch {
	case r.Image == "" || len(r.Subnets) == 0 || len(r.SecurityGroups) == 0:
		return errors.New("it needs an image, a subnet and a security group")
	case r.PublicIP && len(r.Egress) == 0:
		return errors.New("nodes with a public address need the site's prefixes, which alone are let in")
	}
	return nil
}

// names are the regions in order.
func (d *Driver) names() []string { return slices.Sorted(maps.Keys(d.regions)) }
