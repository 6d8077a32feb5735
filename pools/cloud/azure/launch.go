package azure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"

	"github.com/burstctl/burstctl/pools"
)

// Launch makes the machine of a claim's attempt, or returns the one that is
// there. See [pools.Driver] for its errors. It returns once Azure says that the
// machine has been provisioned, which takes a minute or two.
func (d *Driver) Launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Patience)
	defer cancel()
	n, err := d.launch(ctx, l)
	if err != nil {
		return pools.Node{}, fmt.Errorf("launch %s attempt %d at %v: %w", l.Claim, l.Attempt, l.Offer.At, err)
	}
	return n, nil
}

// launch is Launch without the wrapping.
func (d *Driver) launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	if err := ctx.Err(); err != nil {
		return pools.Node{}, err
	}
	o, err := d.order(l)
	if err != nil {
		return pools.Node{}, err
	}
	release, err := d.hold(ctx, o.name)
	if err != nil {
		return pools.Node{}, err
	}
	defer release()
	k, err := d.attempt(ctx, o)
	if err != nil {
		return pools.Node{}, err
	}
	if k.stage == stageGone {
		return pools.Node{}, pools.ErrEnded
	}
	vm, err := d.get(ctx, o.name)
	switch {
	case err != nil:
		return pools.Node{}, err
	case vm != nil:
		return d.adopt(ctx, o, k, *vm)
	case k.stage == stageMade || !l.Expires.After(time.Now()):
		return pools.Node{}, d.ended(ctx, o, k)
	}
	return d.create(ctx, o, k)
}

// hold makes sure that one launch at a time is busy with a name.
func (d *Driver) hold(ctx context.Context, name string) (release func(), err error) {
	for {
		d.mu.Lock()
		busy, is := d.held[name]
		if !is {
			mine := make(chan struct{})
			d.held[name] = mine
			d.mu.Unlock()
			return func() {
				d.mu.Lock()
				defer d.mu.Unlock()
				delete(d.held, name)
				close(mine)
			}, nil
		}
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-busy:
		}
	}
}

// create makes card and machine. What it finds there already, it takes.
func (d *Driver) create(ctx context.Context, o order, k key) (pools.Node, error) {
	if err := d.card(ctx, o, k); err != nil {
		return d.failed(ctx, o, k, err)
	}
	vm, err := d.vm(o, k.tags, k.public)
	if err != nil {
		return pools.Node{}, err
	}
	err = d.calls.call(ctx, making, "make machine", func(ctx context.Context) error {
		only := &armcompute.VirtualMachinesClientBeginCreateOrUpdateOptions{IfNoneMatch: new("*")}
		p, err := d.vms.BeginCreateOrUpdate(ctx, d.o.Group, o.name, vm, only)
		if err == nil {
			_, err = p.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: d.o.Poll})
		}
		return err
	})
	if err != nil && sure(err) == nil {
		d.doubt(o.name)
	}
	if err != nil && !isCode(err, "PreconditionFailed") {
		return d.failed(ctx, o, k, err)
	}
	made, err := d.get(ctx, o.name)
	if err != nil {
		return pools.Node{}, err
	}
	if made == nil {
		return pools.Node{}, errors.New("the machine was made and cannot be seen yet")
	}
	return d.adopt(ctx, o, k, *made)
}

// card makes the network card.
func (d *Driver) card(ctx context.Context, o order, k key) error {
	return d.calls.call(ctx, making, "make network card", func(ctx context.Context) error {
		p, err := d.nics.BeginCreateOrUpdate(ctx, d.o.Group, o.name, d.nic(o, k.tags), nil)
		if err == nil {
			_, err = p.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: d.o.Poll})
		}
		return err
	})
}

// adopt waits until the machine that is there has succeeded or failed.
func (d *Driver) adopt(ctx context.Context, o order, k key, vm armcompute.VirtualMachine) (pools.Node, error) {
	for {
		d.seen(o.name)
		switch provisioning(vm) {
		case "Succeeded":
			return d.accept(ctx, o, k, vm)
		case "Failed":
			why := d.whyFailed(ctx, o.name)
			if sure(why) == nil {
				return d.accept(ctx, o, k, vm) // it runs, and is paid for: its boot deadline judges it
			}
			return d.failed(ctx, o, k, why)
		case "Deleting":
			return pools.Node{}, errors.New("the machine is being deleted")
		}
		if err := sleep(ctx, d.o.Poll); err != nil {
			return pools.Node{}, fmt.Errorf("wait for the machine: %w", err)
		}
		next, err := d.get(ctx, o.name)
		if err != nil {
			return pools.Node{}, err
		}
		if next == nil {
			return pools.Node{}, errors.New("the machine was there and cannot be seen any more")
		}
		vm = *next
	}
}

// accept checks the machine, remembers that it was made and describes it. A
// machine that is not what was asked for is deleted, and must be paid for.
func (d *Driver) accept(ctx context.Context, o order, k key, vm armcompute.VirtualMachine) (pools.Node, error) {
	if err := d.mark(ctx, o.name, k, stageMade); err != nil {
		return pools.Node{}, err
	}
	if wrong := o.check(vm); wrong != nil {
		if err := d.clear(ctx, o.name); err != nil {
			return pools.Node{}, errors.Join(wrong, err)
		}
		return pools.Node{}, fmt.Errorf("%w; it is deleted: %w", wrong, pools.ErrEnded)
	}
	if err := d.tagDisk(ctx, o.name, k.tags); err != nil {
		return pools.Node{}, err
	}
	address, err := d.address(ctx, o.name)
	if err != nil {
		return pools.Node{}, err
	}
	f, _ := d.read(k.tags)
	n := d.node(o.name, vm, f, address)
	if o.zones == nil {
		n.At = o.launch.Offer.At // Azure may say which zone it chose; the offer did not
	}
	return n, nil
}

// failed ends an attempt whose error is certain, or passes the error on. It is
// certain once nothing of the machine is left and no earlier PUT is in doubt.
func (d *Driver) failed(ctx context.Context, o order, k key, why error) (pools.Node, error) {
	verdict := sure(why)
	if verdict == nil {
		return pools.Node{}, why
	}
	vm, err := d.get(ctx, o.name)
	if err != nil {
		return pools.Node{}, errors.Join(why, err)
	}
	if vm != nil && (provisioning(*vm) != "Failed" || sure(d.whyFailed(ctx, o.name)) == nil) {
		return d.adopt(ctx, o, k, *vm) // an earlier call made it after all
	}
	if vm != nil {
		if err := d.clear(ctx, o.name); err != nil {
			return pools.Node{}, errors.Join(why, err)
		}
	} else if err := d.absent(ctx, o.name); err != nil {
		return pools.Node{}, errors.Join(why, err)
	}
	if _, err := d.remove(ctx, o.name); err != nil { // the card: it costs nothing, and the sweep finds it
		why = errors.Join(why, err)
	}
	return pools.Node{}, fmt.Errorf("%w: %w", why, verdict)
}

// ended says that the machine of an attempt is gone, once that is proven.
func (d *Driver) ended(ctx context.Context, o order, k key) error {
	if k.new {
		return fmt.Errorf("its lease is over: %w", pools.ErrRefused)
	}
	d.doubt(o.name)
	if err := d.absent(ctx, o.name); err != nil {
		return err
	}
	if err := d.mark(ctx, o.name, k, stageGone); err != nil {
		return err
	}
	return pools.ErrEnded
}

// provisioning is how far Azure has come with a machine.
func provisioning(vm armcompute.VirtualMachine) string {
	if vm.Properties == nil || vm.Properties.ProvisioningState == nil {
		return ""
	}
	return *vm.Properties.ProvisioningState
}

// failure is why a machine's provisioning failed, as its instance view tells.
type failure struct{ code, message string }

func (f *failure) Error() string { return "provisioning failed: " + f.code + ": " + f.message }

// whyFailed reads "ProvisioningState/failed/CODE". A view that does not say is
// no certain failure.
func (d *Driver) whyFailed(ctx context.Context, name string) error {
	var view armcompute.VirtualMachineInstanceView
	err := d.calls.call(ctx, reading, "read instance view", func(ctx context.Context) error {
		r, err := d.vms.InstanceView(ctx, d.o.Group, name, nil)
		view = r.VirtualMachineInstanceView
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range view.Statuses {
		if code, ok := strings.CutPrefix(text(s.Code), "ProvisioningState/failed/"); ok {
			return &failure{code, text(s.Message)}
		}
	}
	return errors.New("provisioning failed, and the instance view does not say why")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
