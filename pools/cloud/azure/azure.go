// Package azure makes nodes of Azure virtual machines.
//
// # One name for each attempt
//
// Everything of an attempt has a name that follows from owner, claim and
// attempt alone: an SSH public key, a network card, a machine and its disk. A
// PUT of a known name is made once however often it is sent, and nothing has to
// be found before it can be deleted. The machine's PUT says "If-None-Match: *",
// so that of two that race one is told that the machine is there.
//
// # The key is the memory
//
// Azure has no client token and forgets a machine that is gone. The SSH public
// key is made first and ends last, a day after the lease. It costs nothing and
// says what was asked for ([pools.Launch.Token]), whether the machine was ever
// there and whether its end was proven. Azure wants such a key where passwords
// are off; its private half is dropped before it was ever written.
//
// # Outcomes
//
// An error is certain only if errors.go has its code in a list; all else
// leaves the outcome unknown, and the next call finds out by the known name.
// When an earlier call's outcome is unknown, a machine is absent only after a
// GET by name and a listing have both said so twice, Interval apart. A machine
// that failed before it ran is deleted before its launch is said to have failed.
//
// # What it cannot do
//
// A machine that was made and ended while no process of ours had yet seen it
// succeed is made a second time, never beside the first. A guest that powers
// itself off is still billed: its end is the controller's sweep or the reaper
// of the account, which read the expiry tag.
//
// # Non-goals
//
// No scale sets, no public addresses, no virtual networks or images: they are
// the account's, and named in [Options].
package azure

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7"

	"github.com/burstctl/burstctl/pools"
)

// Provider is the name that offers and places have for Azure.
const Provider = "azure"

// Options are the account to make machines in. The zero Options are refused.
type Options struct {
	Subscription string // its ID
	Group        string // resource group; best of machines alone
	// Subnets are the subnets' IDs by region; a region without one is not sold.
	Subnets map[string]string
	Image   string // "publisher:offer:sku:version", or the ID of an image version; never "latest"
	Owner   string // this installation; another one's machines in the group are none of ours
	// Tags are added to everything: cost centre, site.
	Tags map[string]string
	// NoTrustedLaunch makes machines without secure boot and TPM, for sizes or
	// images that cannot have them.
	NoTrustedLaunch bool
	// HostEncryption encrypts temporary disks and caches at the host too; the
	// subscription must have the feature.
	HostEncryption bool
	// Identity is the ID of a user-assigned identity that may do nothing but delete
	// machines in the group: with it a node ends itself, which powering itself off
	// would not. "" is none.
	Identity string
	Port     int // a node's port for the edge; 0 is 7443
	// UserData makes what the machine is told; nil is the JSON of the launch's.
	UserData func(pools.Launch) ([]byte, error)

	Credential azcore.TokenCredential
	// Client is for tests and other Azure clouds; nil is the public one.
	Client *arm.ClientOptions

	Patience time.Duration // for one launch to become certain; 0 is 10 minutes
	Interval time.Duration // between two observations of absence; 0 is 5 minutes
	Keep     time.Duration // of a key after its lease; 0 is a day
	Poll     time.Duration // between two looks at what Azure is doing; 0 is 5 seconds
}

// Driver is one resource group. Made by [New]; safe for concurrent use.
type Driver struct {
	o     Options
	vms   *armcompute.VirtualMachinesClient
	disks *armcompute.DisksClient
	keys  *armcompute.SSHPublicKeysClient
	nics  *armnetwork.InterfacesClient
	calls *calls

	mu      sync.Mutex
	held    map[string]chan struct{} // names that a launch is busy with
	certain map[string]bool          // attempts that began here and of whose machine no PUT is in doubt
	missing map[string]time.Time     // when a machine was first seen to be absent
	asked   map[string]time.Time     // when a machine's end was first asked for
	power   map[string]power
}

var _ pools.Driver = (*Driver)(nil)

// New checks the options and opens the clients. Nothing is asked of Azure yet.
func New(o Options) (*Driver, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("open azure: %w", err)
	}
	o.setDefaults()
	client := clientOptions(o.Client)
	d := &Driver{o: o, calls: newCalls(), held: map[string]chan struct{}{}, certain: map[string]bool{},
		missing: map[string]time.Time{}, asked: map[string]time.Time{}, power: map[string]power{}}
	var failed [4]error
	d.vms, failed[0] = armcompute.NewVirtualMachinesClient(o.Subscription, o.Credential, client)
	d.disks, failed[1] = armcompute.NewDisksClient(o.Subscription, o.Credential, client)
	d.keys, failed[2] = armcompute.NewSSHPublicKeysClient(o.Subscription, o.Credential, client)
	d.nics, failed[3] = armnetwork.NewInterfacesClient(o.Subscription, o.Credential, client)
	if err := errors.Join(failed[:]...); err != nil {
		return nil, fmt.Errorf("open azure: %w", err)
	}
	return d, nil
}

// clientOptions leave retries to our callers, who know what a launch costs: the
// SDK would sleep through a Retry-After with a node waiting to be deleted.
func clientOptions(given *arm.ClientOptions) *arm.ClientOptions {
	o := &arm.ClientOptions{DisableRPRegistration: true} // registering needs a right that a driver should not have
	if given != nil {
		o.ClientOptions = given.ClientOptions
	}
	o.Retry.MaxRetries = -1
	return o
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		of *time.Duration
		is time.Duration
	}{
		{&o.Patience, 10 * time.Minute}, {&o.Interval, 5 * time.Minute}, {&o.Keep, 24 * time.Hour},
		{&o.Poll, 5 * time.Second},
	} {
		if *d.of == 0 {
			*d.of = d.is
		}
	}
	if o.Port == 0 {
		o.Port = 7443
	}
}

// check refuses options with which no launch could work, or none could be told
// from another's.
func (o *Options) check() error {
	switch {
	case o.Subscription == "" || o.Group == "" || o.Owner == "":
		return errors.New("subscription, resource group or owner is missing")
	case o.Credential == nil:
		return errors.New("there is no credential")
	case len(o.Subnets) == 0:
		return errors.New("no region has a subnet")
	}
	for _, region := range slices.Sorted(maps.Keys(o.Subnets)) {
		id, err := arm.ParseResourceID(o.Subnets[region])
		if err != nil || !strings.EqualFold(id.ResourceType.String(), "Microsoft.Network/virtualNetworks/subnets") {
			return fmt.Errorf("subnet of %s: %q is not the ID of one", region, o.Subnets[region])
		}
	}
	if id, err := arm.ParseResourceID(o.Identity); o.Identity != "" &&
		(err != nil || !strings.EqualFold(id.ResourceType.String(), "Microsoft.ManagedIdentity/userAssignedIdentities")) {
		return fmt.Errorf("identity %q is not the ID of one", o.Identity)
	}
	for name := range o.Tags {
		if name == "" || strings.HasPrefix(strings.ToLower(name), tagPrefix) || strings.ContainsAny(name, `<>%&\?/`) {
			return fmt.Errorf("tag %q: Azure or this driver does not allow the name", name)
		}
	}
	_, err := image(o.Image)
	return err
}
