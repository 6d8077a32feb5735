package azure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7"
	"golang.org/x/sync/errgroup"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// found is all that a listing shows of one name.
type found struct {
	facts
	vm      *armcompute.VirtualMachine
	address string // of the card
	rest    bool   // a card or a disk is there
	at      residency.Address
	since   time.Time
}

// List returns every attempt of ours of which something is left: a machine in
// whatever state (one that is powered off is billed), or in state stopping a
// card or a disk without a machine, and a key that outlived its lease by Keep.
// It reads the group's machines, cards, disks and keys, each to the last page,
// or is an error.
func (d *Driver) List(ctx context.Context) ([]pools.Node, error) {
	all, err := d.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("list azure nodes: %w", err)
	}
	var nodes []pools.Node
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		switch {
		case f.vm != nil:
			n := d.node(name, *f.vm, f.facts, f.address)
			n.State = d.state(ctx, name, *f.vm)
			nodes = append(nodes, n)
		case f.rest, !f.expires.IsZero() && time.Now().After(f.expires.Add(d.o.Keep)):
			nodes = append(nodes, pools.Node{ID: name, Claim: f.claim, Attempt: f.attempt, At: f.at, State: pools.Stopping,
				Launched: f.since, Expires: f.expires, Reach: f.address})
		}
	}
	return nodes, nil
}

// survey lists everything of ours in the group, by name. Ours is what a key of
// ours names or what carries our owner's tag.
func (d *Driver) survey(ctx context.Context) (map[string]*found, error) {
	var vms []*armcompute.VirtualMachine
	var nics []*armnetwork.Interface
	var disks []*armcompute.Disk
	var keys []*armcompute.SSHPublicKeyResource
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { vms, err = d.listVMs(ctx); return err })
	g.Go(func() (err error) { nics, err = d.listNICs(ctx); return err })
	g.Go(func() (err error) { disks, err = d.listDisks(ctx); return err })
	g.Go(func() (err error) { keys, err = d.listKeys(ctx); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := map[string]*found{}
	entry := func(name *string, tags map[string]*string, location *string) *found {
		id, known := strings.TrimSuffix(text(name), "-os"), false
		if !isName(id) {
			return nil
		}
		f, ours := d.read(tags)
		if _, known = all[id]; !known && !ours {
			return nil // another installation's, or a stranger's with a name like ours
		}
		if !known {
			all[id] = &found{facts: f, at: placeOf(location, nil), since: f.asked}
			if f.place != (residency.Address{}) {
				all[id].at = f.place
			}
		}
		return all[id]
	}
	for _, k := range keys { // first: they name what lost its tags
		entry(k.Name, k.Tags, k.Location)
	}
	for _, vm := range vms {
		if f := entry(vm.Name, vm.Tags, vm.Location); f != nil {
			f.vm = vm
		}
	}
	for _, nic := range nics {
		if f := entry(nic.Name, nic.Tags, nic.Location); f != nil {
			f.rest, f.address = true, d.addressOf(nic)
		}
	}
	for _, disk := range disks {
		if f := entry(disk.Name, disk.Tags, disk.Location); f != nil {
			f.rest = true
		}
	}
	return all, nil
}

// node describes a machine. Its claim, attempt and expiry are those of its key
// where there is one.
func (d *Driver) node(name string, vm armcompute.VirtualMachine, f facts, address string) pools.Node {
	n := pools.Node{ID: name, Claim: f.claim, Attempt: f.attempt, At: placeOf(vm.Location, vm.Zones),
		State: pools.Pending, Launched: f.asked, Expires: f.expires, Reach: address}
	if f.place.Region == n.At.Region && f.place.Zone == "" {
		n.At.Zone = "" // as it was bought: the region as a whole
	}
	if vm.ExtendedLocation != nil {
		n.At = residency.Address{} // nowhere that we know
	}
	p := vm.Properties
	if p == nil {
		return n
	}
	n.ID = idOf(name, text(p.VMID))
	if p.TimeCreated != nil {
		n.Launched = p.TimeCreated.UTC()
	}
	if p.HardwareProfile != nil && p.HardwareProfile.VMSize != nil {
		n.Type = string(*p.HardwareProfile.VMSize)
	}
	switch provisioning(vm) {
	case "Succeeded", "Updating":
		n.State = pools.Running
	case "Deleting":
		n.State = pools.Stopping
	}
	return n
}

// address is the card's private address with the node's port.
func (d *Driver) address(ctx context.Context, name string) (string, error) {
	var nic armnetwork.Interface
	err := d.calls.call(ctx, reading, "read network card", func(ctx context.Context) error {
		r, err := d.nics.Get(ctx, d.o.Group, name, nil)
		nic = r.Interface
		return err
	})
	if err != nil {
		return "", err
	}
	if a := d.addressOf(&nic); a != "" {
		return a, nil
	}
	return "", errors.New("the network card has no private address yet")
}

func (d *Driver) addressOf(nic *armnetwork.Interface) string {
	if nic.Properties == nil {
		return ""
	}
	for _, c := range nic.Properties.IPConfigurations {
		if c.Properties != nil && text(c.Properties.PrivateIPAddress) != "" {
			return net.JoinHostPort(*c.Properties.PrivateIPAddress, strconv.Itoa(d.o.Port))
		}
	}
	return ""
}

// power is a machine's power state, and when it was read.
type power struct {
	state pools.State
	at    time.Time
}

// powerFor is how long a power state is believed.
const powerFor = time.Minute

// state is a machine's state by its instance view: one that is stopped, or
// deallocated by an eviction or a person, will not run again. A view that
// cannot be read changes nothing: the machine is listed all the same.
func (d *Driver) state(ctx context.Context, name string, vm armcompute.VirtualMachine) pools.State {
	if s := d.node(name, vm, facts{}, "").State; s != pools.Running {
		return s
	}
	d.mu.Lock()
	last := d.power[name]
	d.mu.Unlock()
	if time.Since(last.at) < powerFor {
		return last.state
	}
	now := pools.Running
	err := d.calls.call(ctx, reading, "read instance view", func(ctx context.Context) error {
		view, err := d.vms.InstanceView(ctx, d.o.Group, name, nil)
		for _, s := range view.Statuses {
			if p, ok := strings.CutPrefix(text(s.Code), "PowerState/"); ok && p != "running" && p != "starting" {
				now = pools.Stopping
			}
		}
		return err
	})
	if err != nil {
		return cmp.Or(last.state, pools.Running)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.power[name] = power{now, time.Now()}
	return now
}

// pages reads a listing to its end, one call a page.
func pages[T, E any](ctx context.Context, d *Driver, what string, p *runtime.Pager[T], of func(T) []*E) ([]*E, error) {
	var all []*E
	for p.More() {
		err := d.calls.call(ctx, reading, what, func(ctx context.Context) error {
			page, err := p.NextPage(ctx)
			all = append(all, of(page)...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (d *Driver) listVMs(ctx context.Context) ([]*armcompute.VirtualMachine, error) {
	return pages(ctx, d, "list machines", d.vms.NewListPager(d.o.Group, nil),
		func(p armcompute.VirtualMachinesClientListResponse) []*armcompute.VirtualMachine { return p.Value })
}

func (d *Driver) listNICs(ctx context.Context) ([]*armnetwork.Interface, error) {
	return pages(ctx, d, "list network cards", d.nics.NewListPager(d.o.Group, nil),
		func(p armnetwork.InterfacesClientListResponse) []*armnetwork.Interface { return p.Value })
}

func (d *Driver) listDisks(ctx context.Context) ([]*armcompute.Disk, error) {
	return pages(ctx, d, "list disks", d.disks.NewListByResourceGroupPager(d.o.Group, nil),
		func(p armcompute.DisksClientListByResourceGroupResponse) []*armcompute.Disk { return p.Value })
}

func (d *Driver) listKeys(ctx context.Context) ([]*armcompute.SSHPublicKeyResource, error) {
	return pages(ctx, d, "list keys", d.keys.NewListByResourceGroupPager(d.o.Group, nil),
		func(p armcompute.SSHPublicKeysClientListByResourceGroupResponse) []*armcompute.SSHPublicKeyResource {
			return p.Value
		})
}
