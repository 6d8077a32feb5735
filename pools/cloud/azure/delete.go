package azure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"

	"github.com/burstctl/burstctl/pools"
)

// forceAfter is how long a delete may hang before it is asked for by force,
// without a clean shutdown.
const forceAfter = 10 * time.Minute

// Delete ends the machine, its card and its disk by their known names, one after
// the other, and is [pools.ErrGone] once for each of the three a delete found
// nothing and a GET says 404. It does not wait. Where a lock forbids the delete
// the machine is deallocated, so that it is no longer billed, and the lock is
// told. What is not a name of ours was never a node: gone.
func (d *Driver) Delete(ctx context.Context, id string) error {
	name, ok := parseID(id)
	if !ok {
		return fmt.Errorf("delete %q: %w", id, pools.ErrGone)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	gone, err := d.remove(ctx, name)
	if err == nil && gone {
		err = d.close(ctx, name)
	}
	switch {
	case err != nil:
		return fmt.Errorf("delete %s: %w", id, err)
	case gone:
		return fmt.Errorf("delete %s: %w", id, pools.ErrGone)
	}
	return nil
}

// close remembers that an attempt is over; long after its lease it forgets even
// that. A machine that was deleted without having been seen to succeed counts
// as made: it may have been paid for.
func (d *Driver) close(ctx context.Context, name string) error {
	k, err := d.findKey(ctx, name)
	if err != nil || k == nil {
		return err
	}
	d.mu.Lock()
	delete(d.asked, name)
	delete(d.missing, name)
	delete(d.certain, name)
	delete(d.power, name)
	d.mu.Unlock()
	if !k.expires.IsZero() && time.Now().After(k.expires.Add(d.o.Keep)) {
		return d.calls.call(ctx, ending, "delete key", func(ctx context.Context) error {
			_, err := d.keys.Delete(ctx, d.o.Group, name, nil)
			return err
		})
	}
	return d.mark(ctx, name, *k, stageGone)
}

// part is one of the things to delete. Both report whether it is absent: drop
// asks for its end, look only looks.
type part struct {
	drop, look func(context.Context) (absent bool, err error)
}

// remove asks for the end of everything of an attempt but its key. It reports
// whether machine, card and disk are proven gone.
func (d *Driver) remove(ctx context.Context, name string) (gone bool, err error) {
	return removeAll(ctx, d.vmPart(name), d.nicPart(name), d.diskPart(name))
}

// clear removes what is paid for, machine and disk, and waits until it is gone.
func (d *Driver) clear(ctx context.Context, name string) error {
	for {
		gone, err := removeAll(ctx, d.vmPart(name), d.diskPart(name))
		if err != nil || gone {
			return err
		}
		if err := sleep(ctx, d.o.Poll); err != nil {
			return fmt.Errorf("wait for the end of a machine: %w", err)
		}
	}
}

// removeAll drops parts in order, as far as each lets the next go.
func removeAll(ctx context.Context, parts ...part) (gone bool, err error) {
	for _, p := range parts {
		for _, step := range []func(context.Context) (bool, error){p.drop, p.look} {
			if absent, err := step(ctx); err != nil || !absent {
				return false, err
			}
		}
	}
	return true, nil
}

// vmPart is the machine.
func (d *Driver) vmPart(name string) part {
	look := func(ctx context.Context) (bool, error) {
		vm, err := d.get(ctx, name)
		return vm == nil, err
	}
	return part{look: look, drop: func(ctx context.Context) (bool, error) {
		d.mu.Lock()
		first, before := d.asked[name]
		d.mu.Unlock()
		hangs := before && time.Since(first) > forceAfter
		if vm, err := d.get(ctx, name); err == nil && vm != nil && provisioning(*vm) == "Deleting" && !hangs {
			return false, nil // heard; a GET that fails holds up no delete
		}
		var nothing bool
		err := d.calls.call(ctx, ending, "delete machine", func(ctx context.Context) error {
			p, err := d.vms.BeginDelete(ctx, d.o.Group, name, &armcompute.VirtualMachinesClientBeginDeleteOptions{
				ForceDeletion: new(hangs)})
			nothing = err == nil && p.Done()
			return err
		})
		if locked(err) {
			return false, errors.Join(err, d.deallocate(ctx, name))
		}
		if err == nil && !nothing && !before {
			d.mu.Lock()
			d.asked[name] = time.Now()
			d.mu.Unlock()
		}
		return nothing || notFound(err), unlessNotFound(err)
	}}
}

// deallocate ends the bill of a machine that may not be deleted. Powering it off
// would not.
func (d *Driver) deallocate(ctx context.Context, name string) error {
	return d.calls.call(ctx, ending, "deallocate machine", func(ctx context.Context) error {
		_, err := d.vms.BeginDeallocate(ctx, d.o.Group, name, nil)
		return err
	})
}

// nicPart is the card. Azure keeps it for 180 seconds for a machine that failed.
func (d *Driver) nicPart(name string) part {
	return part{
		look: func(ctx context.Context) (bool, error) {
			err := d.calls.call(ctx, reading, "read network card", func(ctx context.Context) error {
				_, err := d.nics.Get(ctx, d.o.Group, name, nil)
				return err
			})
			return notFound(err), unlessNotFound(err)
		},
		drop: func(ctx context.Context) (bool, error) {
			var nothing bool
			err := d.calls.call(ctx, ending, "delete network card", func(ctx context.Context) error {
				p, err := d.nics.BeginDelete(ctx, d.o.Group, name, nil)
				nothing = err == nil && p.Done()
				return err
			})
			if isCode(err, "NicReservedForAnotherVm", "NicInUse") {
				return false, nil // heard: it goes later
			}
			return nothing || notFound(err), unlessNotFound(err)
		},
	}
}

// diskPart is the disk.
func (d *Driver) diskPart(name string) part {
	return part{
		look: func(ctx context.Context) (bool, error) {
			err := d.calls.call(ctx, reading, "read disk", func(ctx context.Context) error {
				_, err := d.disks.Get(ctx, d.o.Group, diskOf(name), nil)
				return err
			})
			return notFound(err), unlessNotFound(err)
		},
		drop: func(ctx context.Context) (bool, error) {
			var nothing bool
			err := d.calls.call(ctx, ending, "delete disk", func(ctx context.Context) error {
				p, err := d.disks.BeginDelete(ctx, d.o.Group, diskOf(name), nil)
				nothing = err == nil && p.Done()
				return err
			})
			return nothing || notFound(err), unlessNotFound(err)
		},
	}
}

// unlessNotFound is err, unless it says that there is nothing.
func unlessNotFound(err error) error {
	if notFound(err) {
		return nil
	}
	return err
}

// tagDisk gives the disk the tags of its machine, for the reaper of the account.
func (d *Driver) tagDisk(ctx context.Context, name string, tags map[string]*string) error {
	return d.calls.call(ctx, making, "tag disk", func(ctx context.Context) error {
		p, err := d.disks.BeginUpdate(ctx, d.o.Group, diskOf(name), armcompute.DiskUpdate{Tags: tags}, nil)
		if err == nil {
			_, err = p.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: d.o.Poll})
		}
		return err
	})
}
