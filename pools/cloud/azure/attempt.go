package azure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"

	"github.com/burstctl/burstctl/pools"
)

// key is the SSH public key of an attempt: its memory.
type key struct {
	facts
	tags   map[string]*string // without the stage
	public string
	new    bool // made by this call
}

// attempt finds the key of an attempt, or makes it. A key that was made for other
// parameters refuses the launch; a lease that is over makes none.
func (d *Driver) attempt(ctx context.Context, o order) (key, error) {
	k, err := d.findKey(ctx, o.name)
	switch {
	case err != nil:
		return key{}, err
	case k != nil && k.token != o.launch.Token():
		return key{}, fmt.Errorf("attempt was launched with other parameters: %w", pools.ErrRefused)
	case k != nil:
		return *k, nil
	case !o.launch.Expires.After(time.Now()):
		return key{}, fmt.Errorf("its lease is over: %w", pools.ErrRefused)
	}
	public, err := keyNobodyHas()
	if err != nil {
		return key{}, err
	}
	tags := d.tags(o.launch, time.Now())
	made := armcompute.SSHPublicKeyResource{Location: new(o.launch.Offer.At.Region), Tags: withStage(tags, stageAsked),
		Properties: &armcompute.SSHPublicKeyResourceProperties{PublicKey: new(public)}}
	err = d.calls.call(ctx, making, "make key", func(ctx context.Context) error {
		_, err := d.keys.Create(ctx, d.o.Group, o.name, made, nil)
		return err
	})
	if err != nil {
		if verdict := sure(err); verdict != nil { // no machine was asked for
			err = fmt.Errorf("%w: %w", err, verdict)
		}
		return key{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.certain[o.name] = true
	f, _ := d.read(made.Tags)
	return key{facts: f, tags: tags, public: public, new: true}, nil
}

// findKey reads the key of an attempt; nil if there is none.
func (d *Driver) findKey(ctx context.Context, name string) (*key, error) {
	var r armcompute.SSHPublicKeyResource
	err := d.calls.call(ctx, reading, "read key", func(ctx context.Context) error {
		got, err := d.keys.Get(ctx, d.o.Group, name, nil)
		r = got.SSHPublicKeyResource
		return err
	})
	if notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, ours := d.read(r.Tags)
	if !ours || r.Properties == nil || r.Properties.PublicKey == nil {
		return nil, fmt.Errorf("key %s: its tags or its key are not as we made them", name)
	}
	tags := withStage(r.Tags, "")
	delete(tags, TagStage)
	return &key{facts: f, tags: tags, public: *r.Properties.PublicKey}, nil
}

// mark moves an attempt to a stage.
func (d *Driver) mark(ctx context.Context, name string, k key, stage string) error {
	if k.stage == stage {
		return nil
	}
	return d.calls.call(ctx, making, "mark key "+stage, func(ctx context.Context) error {
		_, err := d.keys.Update(ctx, d.o.Group, name,
			armcompute.SSHPublicKeyUpdateResource{Tags: withStage(k.tags, stage)}, nil)
		return err
	})
}

// get reads a machine by name; nil if Azure says that it is not there.
func (d *Driver) get(ctx context.Context, name string) (*armcompute.VirtualMachine, error) {
	var vm armcompute.VirtualMachine
	err := d.calls.call(ctx, reading, "read machine", func(ctx context.Context) error {
		r, err := d.vms.Get(ctx, d.o.Group, name, nil)
		vm = r.VirtualMachine
		return err
	})
	if notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &vm, nil
}

// doubt notes that a machine may come to be after all.
func (d *Driver) doubt(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.certain, name)
}

// seen ends an absence.
func (d *Driver) seen(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.missing, name)
}

// absent is nil once a machine that a GET did not find is proven not to be. Where
// no PUT of ours is in doubt, that GET is proof; else GET and listing must agree
// twice, Interval apart.
func (d *Driver) absent(ctx context.Context, name string) error {
	d.mu.Lock()
	certain := d.certain[name]
	d.mu.Unlock()
	if certain {
		return nil
	}
	vms, err := d.listVMs(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(vms, func(vm *armcompute.VirtualMachine) bool { return vm.Name != nil && *vm.Name == name }) {
		d.seen(name)
		return errors.New("a listing shows the machine that a GET did not find")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	first, before := d.missing[name]
	if !before {
		d.missing[name], first = now, now
	}
	if wait := first.Add(d.o.Interval).Sub(now); wait > 0 {
		return fmt.Errorf("an earlier call may have made the machine; it is absent if it still is in %v",
			wait.Round(time.Second))
	}
	delete(d.missing, name)
	return nil
}
