package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/burstctl/burstctl/pools"
)

// Delete asks for the end of an instance, and says [pools.ErrGone] once two
// queries agree that it is terminated, or agreed twice, Absence apart, that
// there is none. An instance that is not ours is an error and stays.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	if !instanceID.MatchString(id) {
		return fmt.Errorf("delete %q: no instance is named so: %w", id, pools.ErrGone)
	}
	var doubts []error
	heard := false
	for _, name := range d.home(id) {
		ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
		err := d.delete(ctx, d.regions[name], id)
		cancel()
		switch {
		case err == nil:
			heard = true
		case !errors.Is(err, pools.ErrGone):
			doubts = append(doubts, fmt.Errorf("delete %s in %s: %w", id, name, err))
		}
	}
	switch {
	case len(doubts) > 0:
		return errors.Join(doubts...)
	case heard:
		return nil
	}
	return fmt.Errorf("delete %s: %w", id, pools.ErrGone)
}

// home is the region an instance was seen in, or all of them.
func (d *Driver) home(id string) []string {
	names := d.names()
	for _, name := range names {
		if d.memory.knows(name, id) {
			return []string{name}
		}
	}
	return names
}

// delete is Delete in one region. Nil means that the instance may still be there.
func (d *Driver) delete(ctx context.Context, r *region, id string) error {
	byID, err := d.look(ctx, r, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return err
	}
	byFilter, err := d.look(ctx, r, &ec2.DescribeInstancesInput{Filters: []types.Filter{where("instance-id", id)}})
	if err != nil {
		return err
	}
	there := byID
	if there == nil || state(*there) == "" && byFilter != nil {
		there = byFilter // the one that may be alive
	}
	switch {
	case there == nil:
		if d.memory.missed(r.name, id) >= d.o.Absence {
			return pools.ErrGone
		}
		if d.memory.knows(r.name, id) { // it may only be invisible yet
			return d.end(ctx, r, id)
		}
		return nil
	case tag(*there, TagOwner) != d.o.Owner:
		return fmt.Errorf("it is not ours: its tag %s is %q", TagOwner, tag(*there, TagOwner))
	case state(*there) == "":
		return pools.ErrGone
	}
	d.memory.saw(r.name, id, true)
	return d.end(ctx, r, id)
}

// look is the one instance a query finds, or nil.
func (d *Driver) look(ctx context.Context, r *region, in *ec2.DescribeInstancesInput) (*types.Instance, error) {
	found, err := instances(ctx, r.terminate, in)
	if classify(err) == notFound || err == nil && len(found) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

// end terminates an instance of ours, and takes a protection away that somebody
// gave it. That EC2 does not find it proves nothing.
func (d *Driver) end(ctx context.Context, r *region, id string) error {
	in := &ec2.TerminateInstancesInput{InstanceIds: []string{id}}
	_, err := r.terminate.TerminateInstances(ctx, in)
	if classify(err) == protected {
		no := &types.AttributeBooleanValue{Value: new(false)}
		if _, err := r.terminate.ModifyInstanceAttribute(ctx,
			&ec2.ModifyInstanceAttributeInput{InstanceId: &id, DisableApiTermination: no}); err != nil {
			return fmt.Errorf("take its protection away: %w", err)
		}
		_, err = r.terminate.TerminateInstances(ctx, in)
	}
	if err != nil && classify(err) != notFound {
		return fmt.Errorf("terminate: %w", err)
	}
	return nil
}
