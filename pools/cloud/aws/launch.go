package aws

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/burstctl/burstctl/pools"
)

// visible is how long EC2 shows a terminated instance at the least, as far as
// is known ("for a short while", an hour in practice).
const visible = time.Hour

// errElsewhere says that an instance is not where it was bought.
var errElsewhere = errors.New("it is being ended")

// Launch makes the instance of a claim's attempt, or returns the one that is
// there. See [pools.Driver] for its errors.
func (d *Driver) Launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	n, err := d.launch(ctx, l)
	if err != nil {
		return pools.Node{}, fmt.Errorf("launch %s attempt %d at %v: %w", l.Claim, l.Attempt, l.Offer.At, err)
	}
	return n, nil
}

// launch is Launch without the wrapping.
func (d *Driver) launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	r := d.regions[l.Offer.At.Region]
	switch {
	case l.Offer.At.Provider != Provider || l.Offer.At.Check() != nil || r == nil:
		return pools.Node{}, fmt.Errorf("no region of this driver: %w", pools.ErrRefused)
	case l.Claim == "" || len(l.Claim) > 256 || l.Attempt < 1 || l.Offer.Type == "" || !l.Offer.Market.Known():
		return pools.Node{}, fmt.Errorf("needs a claim, an attempt, a type and a market: %w", pools.ErrRefused)
	}
	if err := d.memory.begin(l); err != nil {
		return pools.Node{}, err
	}
	switch i, err := d.find(ctx, r, l); {
	case err != nil:
		return pools.Node{}, err
	case i != nil:
		return d.judge(ctx, r, l, *i)
	case !l.Expires.After(time.Now()):
		return d.never(ctx, r, l, d.late(l))
	}
	return d.run(ctx, r, l)
}

// late is what to say of an attempt whose lease is over and that is not there:
// refused, or ended if it was made or might have been and be forgotten by EC2.
func (d *Driver) late(l pools.Launch) error {
	t := d.memory.note(l, func(*try) {})
	if t.made || time.Since(l.Expires) > visible {
		return fmt.Errorf("its lease is over: %w", pools.ErrEnded)
	}
	return fmt.Errorf("its lease is over: %w", pools.ErrRefused)
}

// find looks for the attempt's instance by tag: the one of this very launch
// first, else any.
func (d *Driver) find(ctx context.Context, r *region, l pools.Launch) (*types.Instance, error) {
	all, err := instances(ctx, r.describe, &ec2.DescribeInstancesInput{Filters: []types.Filter{
		where("tag:"+TagOwner, d.o.Owner), where("tag:"+TagClaim, l.Claim),
		where("tag:"+TagAttempt, strconv.Itoa(l.Attempt))}})
	if err != nil {
		return nil, fmt.Errorf("look for it by tag: %w", err)
	}
	return own(l, all), nil
}

// made reports whether an instance is of this very launch.
func made(i types.Instance, l pools.Launch) bool {
	return tag(i, TagToken) == l.Token() || sdk.ToString(i.ClientToken) == l.Token()
}

// own picks an attempt's instance out of those found.
func own(l pools.Launch, all []types.Instance) *types.Instance {
	var other *types.Instance
	for at := range all {
		if made(all[at], l) {
			return &all[at]
		}
		other = &all[at]
	}
	return other
}

// judge says what an instance of the attempt means to its launch.
func (d *Driver) judge(ctx context.Context, r *region, l pools.Launch, i types.Instance) (pools.Node, error) {
	id := sdk.ToString(i.InstanceId)
	d.memory.saw(r.name, id, true)
	d.memory.note(l, func(t *try) { t.made, t.unknown, t.absent = true, false, time.Time{} })
	switch {
	case !made(i, l):
		return pools.Node{}, fmt.Errorf("attempt was launched with other parameters as %s: %w", id, pools.ErrRefused)
	case state(i) == "":
		return pools.Node{}, fmt.Errorf("%s is terminated: %w", id, pools.ErrEnded)
	}
	n, err := d.node(ctx, r, i, l.Offer.At)
	if err == nil && n.At == l.Offer.At {
		n.Claim, n.Attempt, n.Expires = l.Claim, l.Attempt, l.Expires.UTC()
		return n, nil
	}
	if err == nil {
		err = fmt.Errorf("%s is at %v: %w", id, n.At, errElsewhere)
	}
	return pools.Node{}, errors.Join(err, d.end(ctx, r, id))
}

// run asks EC2 for the instance.
func (d *Driver) run(ctx context.Context, r *region, l pools.Launch) (pools.Node, error) {
	in, err := d.request(ctx, r, l)
	if err != nil {
		return pools.Node{}, err
	}
	out, err := r.launch.RunInstances(ctx, in)
	if err == nil && len(out.Instances) != 1 {
		err = fmt.Errorf("EC2 answers with %d instances", len(out.Instances))
	}
	if err == nil {
		return d.judge(ctx, r, l, out.Instances[0])
	}
	switch classify(err) {
	case mismatch:
		return d.adopt(ctx, r, l, err)
	case ended:
		return pools.Node{}, told(err)
	case capacity, quota, parameter:
		if t := d.memory.note(l, func(*try) {}); t.unknown {
			return d.never(ctx, r, l, told(err))
		}
		return pools.Node{}, told(err)
	}
	d.memory.note(l, func(t *try) { t.unknown = true })
	return pools.Node{}, told(err)
}

// byToken looks for what was made with the launch's client token.
func (d *Driver) byToken(ctx context.Context, r *region, l pools.Launch) (*types.Instance, error) {
	all, err := instances(ctx, r.describe,
		&ec2.DescribeInstancesInput{Filters: []types.Filter{where("client-token", l.Token())}})
	if err != nil {
		return nil, fmt.Errorf("look for it by client token: %w", err)
	}
	return own(l, all), nil
}

// adopt answers a token that EC2 knows with other parameters. The token is over
// all of the launch, so what differs is our configuration (a newer image, say),
// and the instance is this launch's own.
func (d *Driver) adopt(ctx context.Context, r *region, l pools.Launch, cause error) (pools.Node, error) {
	d.memory.note(l, func(t *try) { t.unknown = true })
	i, err := d.byToken(ctx, r, l)
	switch {
	case err != nil:
		return pools.Node{}, errors.Join(cause, err)
	case i == nil:
		return pools.Node{}, fmt.Errorf("an instance of this token is not visible yet: %w", cause)
	}
	return d.judge(ctx, r, l, *i)
}

// never answers with why once the attempt's instance is proved absent; until
// then its outcome is unknown.
func (d *Driver) never(ctx context.Context, r *region, l pools.Launch, why error) (pools.Node, error) {
	for _, look := range []func(context.Context, *region, pools.Launch) (*types.Instance, error){d.find, d.byToken} {
		i, err := look(ctx, r, l)
		if err != nil {
			return pools.Node{}, err
		}
		if i != nil {
			return d.judge(ctx, r, l, *i)
		}
	}
	now := time.Now()
	t := d.memory.note(l, func(t *try) {
		if t.absent.IsZero() {
			t.absent = now
		}
	})
	if now.Sub(t.absent) < d.o.Absence {
		return pools.Node{}, fmt.Errorf("whether an instance was made is known at %s: %v",
			t.absent.Add(d.o.Absence).UTC().Format(time.RFC3339), why)
	}
	d.memory.note(l, func(t *try) { t.unknown = false })
	return pools.Node{}, why
}
