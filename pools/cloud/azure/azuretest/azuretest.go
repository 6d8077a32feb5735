// Package azuretest is an Azure resource group in memory, behind the SDK's real
// clients.
//
// # What is Microsoft's
//
// The clients and their pipeline, and the official fake servers of armcompute and
// armnetwork: how a request is addressed, written and read, what a listing's
// pages look like, how a long operation is begun and polled.
//
// # What is ours
//
// Everything that has a memory: which machines, network cards, disks and keys
// there are, how long they take to come and go, what depends on what, and every
// fault. It was written from Azure's documentation and from reports of what went
// wrong; none of it was compared with the real cloud. Errors are answered with
// bodies as others have published them; [Answer].Source says where. The fake
// poller ends a failed operation with the error's own status and body, the real
// one with 200 and the same body.
//
// # Time
//
// Nothing runs in the background. Every call first brings the state up to
// time.Now, so that a cloud works in a testing/synctest bubble.
//
// # Non-goals
//
// No tokens are checked, no quotas by family, no regions' lists of sizes.
package azuretest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7"
)

// Options describe a well-behaved cloud. The zero value knows no resource group.
type Options struct {
	Subscription string
	Group        string         // the one resource group that there is
	Room         map[string]int // machines at once by size; a size that is not here is not sold
	Quota        int            // machines at once in all; 0 is no limit
	Boot         time.Duration  // from a machine's PUT to its success
	DeleteDelay  time.Duration  // from a delete that is heard to gone
	Latency      time.Duration  // of every answer
	PageSize     int            // of listings; 0 is all in one
	// DeadMan is the tag with the time at which a machine ends by itself, as the
	// timers on and around a node make it. "" is none.
	DeadMan string
}

// Cloud is the resource group. Made by [New]; safe for concurrent use. It is a
// policy.Transporter.
type Cloud struct {
	o        Options
	mu       sync.Mutex
	machines []*machine
	nics     map[string]*nic
	disks    map[string]*disk
	keys     map[string]*armcompute.SSHPublicKeyResource
	faults   Faults
	spoils   []Spoil
	cut      *cut
	sessions map[string]*session
	calls    []Call
	serial   int // of everything that needs a number
}

var _ policy.Transporter = (*Cloud)(nil)

// machine is one machine, there or gone.
type machine struct {
	vm        armcompute.VirtualMachine
	made      time.Time
	asked     time.Time // when its end was asked for
	ended     time.Time
	why       string
	fails     *Answer // how its provisioning will end; nil is well
	hidden    bool    // from listings
	protected bool
	stopped   string // power state other than running
	reserved  time.Duration
}

// nic is a network card.
type nic struct {
	card     armnetwork.Interface
	machine  string    // that has it
	reserved time.Time // until then Azure keeps it
	lost     bool      // from listings
}

// disk is a managed disk.
type disk struct {
	disk    armcompute.Disk
	machine string
}

// Call is one request as it came to the cloud.
type Call struct {
	At     time.Time
	Action string   // the right it needs, "Microsoft.Compute/virtualMachines/write"
	Linked []string // rights it needs besides, on what its body names
	Name   string   // of the resource; "" for a listing
	Status int      // of the answer; 0 is none
}

// Machine is one machine as the cloud really had it.
type Machine struct {
	Name        string
	VM          armcompute.VirtualMachine
	Made, Ended time.Time // Ended is zero while it is there
	Why         string    // what ended it: "deleted", "expired", "vanished"
	Failed      bool      // it never ran
	Deallocated bool      // it is there and not billed
}

// New makes a resource group with nothing in it.
func New(o Options) *Cloud {
	o.Room = maps.Clone(o.Room)
	return &Cloud{o: o, nics: map[string]*nic{}, disks: map[string]*disk{}, sessions: map[string]*session{},
		keys: map[string]*armcompute.SSHPublicKeyResource{}}
}

// Credential is one that Azure's own fakes take.
func (c *Cloud) Credential() azcore.TokenCredential { return &azfake.TokenCredential{} }

// Client is how the SDK's clients reach this cloud.
func (c *Cloud) Client() *arm.ClientOptions {
	return &arm.ClientOptions{ClientOptions: policy.ClientOptions{Transport: c}}
}

// Machines are all machines there ever were, in order of their making.
func (c *Cloud) Machines() []Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now()
	var all []Machine
	for _, m := range c.machines {
		all = append(all, Machine{Name: *m.vm.Name, VM: m.vm, Made: m.made, Ended: m.ended, Why: m.why,
			Failed: m.fails != nil, Deallocated: m.stopped == "deallocated"})
	}
	return all
}

// Left is what is there now but keys, which cost nothing: "machine NAME",
// "card NAME", "disk NAME".
func (c *Cloud) Left() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now()
	var all []string
	for _, m := range c.machines {
		if m.ended.IsZero() {
			all = append(all, "machine "+*m.vm.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.nics)) {
		all = append(all, "card "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.disks)) {
		all = append(all, "disk "+name)
	}
	return all
}

// Tags are those of what is there now, by the words of Left, and of keys as
// "key NAME".
func (c *Cloud) Tags() map[string]map[string]*string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now()
	all := map[string]map[string]*string{}
	for _, m := range c.machines {
		if m.ended.IsZero() {
			all["machine "+*m.vm.Name] = m.vm.Tags
		}
	}
	for name, n := range c.nics {
		all["card "+name] = n.card.Tags
	}
	for name, d := range c.disks {
		all["disk "+name] = d.disk.Tags
	}
	for name, k := range c.keys {
		all["key "+name] = k.Tags
	}
	return all
}

// Calls is every request that has come, in order.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// now brings every machine up to the present. Call with the lock held.
func (c *Cloud) now() time.Time {
	now := time.Now().UTC()
	for _, m := range c.machines {
		if !m.ended.IsZero() {
			continue
		}
		if now.Sub(m.made) >= c.o.Boot && *m.vm.Properties.ProvisioningState == "Creating" {
			m.vm.Properties.ProvisioningState = new("Succeeded")
			if m.fails != nil {
				m.vm.Properties.ProvisioningState = new("Failed")
			}
		}
		end, why := c.expiry(m), "expired"
		heard := m.asked.Add(c.o.DeleteDelay)
		if !m.asked.IsZero() && !c.faults.Stuck && (end.IsZero() || heard.Before(end)) {
			end, why = heard, "deleted"
		}
		if !end.IsZero() && !now.Before(end) {
			c.end(m, end, why)
		}
	}
	return now
}

// expiry is when the dead man's switch ends a machine.
func (c *Cloud) expiry(m *machine) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text(m.vm.Tags[c.o.DeadMan]))
	if err != nil {
		return time.Time{}
	}
	return at
}

// end ends a machine, and with it what has deleteOption Delete.
func (c *Cloud) end(m *machine, at time.Time, why string) {
	m.ended, m.why = at, why
	p := m.vm.Properties
	for _, ref := range p.NetworkProfile.NetworkInterfaces {
		name := lastOf(*ref.ID)
		n := c.nics[name]
		if n == nil {
			continue
		}
		n.machine = ""
		keep := ref.Properties == nil || ref.Properties.DeleteOption == nil ||
			*ref.Properties.DeleteOption != armcompute.DeleteOptionsDelete
		if m.reserved > 0 {
			n.reserved = at.Add(m.reserved)
		} else if !keep {
			delete(c.nics, name)
		}
	}
	if o := p.StorageProfile.OSDisk; o != nil && c.disks[*o.Name] != nil {
		c.disks[*o.Name].machine = ""
		if o.DeleteOption != nil && *o.DeleteOption == armcompute.DiskDeleteOptionTypesDelete && !c.faults.KeepDisks {
			delete(c.disks, *o.Name)
		}
	}
}

// find is the living machine of a name, or nil.
func (c *Cloud) find(name string) *machine {
	for _, m := range c.machines {
		if m.ended.IsZero() && *m.vm.Name == name {
			return m
		}
	}
	return nil
}

// number is one that nobody else has.
func (c *Cloud) number() string {
	c.serial++
	return strconv.Itoa(c.serial)
}

// id is a resource's ID.
func (c *Cloud) id(kind, name string) *string {
	return new(fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/%s/%s", c.o.Subscription, c.o.Group, kind, name))
}

// inGroup answers for any other group.
func (c *Cloud) inGroup(group string) *Answer {
	if group != c.o.Group {
		return answer(http.StatusNotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", group)
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
