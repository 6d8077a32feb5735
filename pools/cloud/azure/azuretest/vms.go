package azuretest

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7/fake"
)

// Shorter names of the official fakes' generic types.
type (
	vmMade  = armcompute.VirtualMachinesClientCreateOrUpdateResponse
	vmGone  = armcompute.VirtualMachinesClientDeleteResponse
	vmRead  = armcompute.VirtualMachinesClientGetResponse
	vmView  = armcompute.VirtualMachinesClientInstanceViewResponse
	vmFreed = armcompute.VirtualMachinesClientDeallocateResponse
	vmPage  = armcompute.VirtualMachinesClientListResponse
)

// vmServer has the handlers of machines.
func (h handlers) vmServer() fake.VirtualMachinesServer {
	return fake.VirtualMachinesServer{BeginCreateOrUpdate: h.putVM, BeginDelete: h.deleteVM, Get: h.getVM,
		InstanceView: h.viewVM, BeginDeallocate: h.deallocateVM, NewListPager: h.listVMs}
}

func (h handlers) putVM(_ context.Context, group, name string, vm armcompute.VirtualMachine,
	o *armcompute.VirtualMachinesClientBeginCreateOrUpdateOptions,
) (resp azfake.PollerResponder[vmMade], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	h.link(vm)
	m := h.find(name)
	if refused := h.mayPut(group, name, vm, m, o != nil && o.IfNoneMatch != nil && *o.IfNoneMatch == "*"); refused != nil {
		errResp.SetError(refused)
		return resp, errResp
	}
	status := http.StatusOK
	if m == nil {
		m, status = h.make(name, vm, now), http.StatusCreated
	}
	h.session.done, h.session.fails = m.made.Add(h.o.Boot), m.fails
	resp.AddNonTerminalResponse(status, nil)
	resp.SetTerminalResponse(http.StatusOK, vmMade{VirtualMachine: m.shot()}, nil)
	return resp, errResp
}

// link notes the rights that a machine's parts need.
func (h handlers) link(vm armcompute.VirtualMachine) {
	h.call.Linked = []string{"Microsoft.Compute/disks/write", "Microsoft.Network/networkInterfaces/join/action"}
	if ref := vm.Properties.StorageProfile.ImageReference; ref.ID != nil && strings.Contains(*ref.ID, "/galleries/") {
		h.call.Linked = append(h.call.Linked, "Microsoft.Compute/galleries/images/versions/read")
	} else if ref.ID != nil {
		h.call.Linked = append(h.call.Linked, "Microsoft.Compute/images/read")
	}
	if vm.Identity != nil {
		h.call.Linked = append(h.call.Linked, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action")
	}
}

// mayPut is why a machine may not be made, or changed.
func (h handlers) mayPut(group, name string, vm armcompute.VirtualMachine, there *machine, onlyNew bool) *Answer {
	if a := h.inGroup(group); a != nil {
		return a
	}
	p := vm.Properties
	card := h.nics[lastOf(*p.NetworkProfile.NetworkInterfaces[0].ID)]
	size := string(*p.HardwareProfile.VMSize)
	room, sold := h.o.Room[size]
	alive, same := 0, 0
	for _, m := range h.machines {
		if m.ended.IsZero() {
			alive++
			if *m.vm.Properties.HardwareProfile.VMSize == *p.HardwareProfile.VMSize {
				same++
			}
		}
	}
	switch l := p.OSProfile.LinuxConfiguration; {
	case there != nil && onlyNew:
		return answer(http.StatusPreconditionFailed, "PreconditionFailed", "The resource %s exists.", name)
	case there != nil && !there.asked.IsZero():
		return BeingDeleted
	case there != nil && !reflect.DeepEqual(there.vm.Properties.OSProfile, p.OSProfile):
		return answer(http.StatusConflict, "PropertyChangeNotAllowed", "Changing property 'osProfile' is not allowed.")
	case there != nil:
		return nil
	case card == nil:
		return answer(http.StatusBadRequest, "InvalidResourceReference", "Resource networkInterfaces/%s was not found.", name)
	case card.machine != "" && card.machine != name:
		return answer(http.StatusConflict, "NicInUse", "Network Interface %s is used by existing VM.", name)
	case !*l.DisablePasswordAuthentication || l.SSH == nil || !strings.HasPrefix(*l.SSH.PublicKeys[0].KeyData, "ssh-rsa "):
		return answer(http.StatusBadRequest, "InvalidParameter", "The value of parameter linuxConfiguration.ssh is invalid.")
	case !sold:
		return NoSKU
	case h.o.Quota > 0 && alive >= h.o.Quota:
		return Quota
	case same >= room:
		return NoSKU
	}
	return nil
}

// make adds a machine and its disk.
func (h handlers) make(name string, vm armcompute.VirtualMachine, now time.Time) *machine {
	number := h.number()
	vm.Name, vm.ID = new(name), h.id("Microsoft.Compute/virtualMachines", name)
	if h.faults.Elsewhere != "" {
		vm.Location = new(h.faults.Elsewhere)
	}
	p := *vm.Properties
	p.ProvisioningState, p.TimeCreated = new("Creating"), new(now)
	p.VMID = new("00000000-0000-4000-8000-" + strings.Repeat("0", 12-len(number)) + number)
	vm.Properties = &p
	m := &machine{vm: vm, made: now, fails: h.faults.Fails, hidden: h.faults.HideNew}
	if m.fails != nil {
		m.reserved = h.faults.Reserve
	}
	h.machines = append(h.machines, m)
	h.nics[lastOf(*p.NetworkProfile.NetworkInterfaces[0].ID)].machine = name
	osDisk := *p.StorageProfile.OSDisk.Name
	h.disks[osDisk] = &disk{machine: name, disk: armcompute.Disk{Name: new(osDisk), Location: vm.Location,
		ID: h.id("Microsoft.Compute/disks", osDisk), Properties: &armcompute.DiskProperties{TimeCreated: new(now)}}}
	h.now() // a machine that needs no time to boot runs at once
	return m
}

func (h handlers) deleteVM(_ context.Context, group, name string,
	_ *armcompute.VirtualMachinesClientBeginDeleteOptions,
) (resp azfake.PollerResponder[vmGone], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	m := h.find(name)
	switch refused := h.inGroup(group); {
	case refused != nil:
		errResp.SetError(refused)
	case m == nil || h.faults.BlindDels > 0:
		h.faults.BlindDels = max(0, h.faults.BlindDels-1)
		resp.SetTerminalResponse(http.StatusNoContent, vmGone{}, nil)
	case m.protected:
		errResp.SetError(Locked)
	default:
		if m.asked.IsZero() {
			m.asked = now
			m.vm.Properties.ProvisioningState = new("Deleting")
		}
		h.session.done = m.asked.Add(h.o.DeleteDelay)
		resp.AddNonTerminalResponse(http.StatusAccepted, nil)
		resp.SetTerminalResponse(http.StatusOK, vmGone{}, nil)
		h.now()
	}
	return resp, errResp
}

func (h handlers) deallocateVM(_ context.Context, _, name string,
	_ *armcompute.VirtualMachinesClientBeginDeallocateOptions,
) (resp azfake.PollerResponder[vmFreed], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.find(name); m != nil {
		m.stopped = "deallocated"
		resp.AddNonTerminalResponse(http.StatusAccepted, nil)
		resp.SetTerminalResponse(http.StatusOK, vmFreed{}, nil)
	} else {
		errResp.SetError(h.missing("virtualMachines", name))
	}
	return resp, errResp
}

// missing is the answer for what is not there.
func (h handlers) missing(kind, name string) *Answer {
	return answer(http.StatusNotFound, "ResourceNotFound",
		"The Resource '%s/%s' under resource group '%s' was not found.", kind, name, h.o.Group)
}

// seen is a machine that GETs show, or the answer that they give.
func (h handlers) seen(group, name string) (*machine, *Answer) {
	h.now()
	if a := h.inGroup(group); a != nil {
		return nil, a
	}
	m := h.find(name)
	if m != nil && h.faults.BlindGets > 0 {
		h.faults.BlindGets--
		m = nil
	}
	if m == nil {
		return nil, h.missing("Microsoft.Compute/virtualMachines", name)
	}
	return m, nil
}

func (h handlers) getVM(_ context.Context, group, name string, _ *armcompute.VirtualMachinesClientGetOptions) (
	resp azfake.Responder[vmRead], errResp azfake.ErrorResponder,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, missing := h.seen(group, name)
	if missing != nil {
		errResp.SetError(missing)
		return resp, errResp
	}
	resp.SetResponse(http.StatusOK, vmRead{VirtualMachine: m.shot()}, nil)
	return resp, errResp
}

func (h handlers) viewVM(_ context.Context, group, name string,
	_ *armcompute.VirtualMachinesClientInstanceViewOptions,
) (resp azfake.Responder[vmView], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, missing := h.seen(group, name)
	if missing != nil {
		errResp.SetError(missing)
		return resp, errResp
	}
	state := strings.ToLower(*m.vm.Properties.ProvisioningState)
	status := &armcompute.InstanceViewStatus{Code: new("ProvisioningState/" + state)}
	power := "running"
	if m.fails != nil && state == "failed" {
		status.Code, status.Message = new("ProvisioningState/failed/"+m.fails.Code), new(m.fails.Message)
	}
	if m.stopped != "" {
		power = m.stopped
	}
	resp.SetResponse(http.StatusOK, vmView{VirtualMachineInstanceView: armcompute.VirtualMachineInstanceView{
		Statuses: []*armcompute.InstanceViewStatus{status, {Code: new("PowerState/" + power)}}}}, nil)
	return resp, errResp
}

func (h handlers) listVMs(group string, _ *armcompute.VirtualMachinesClientListOptions) (
	resp azfake.PagerResponder[vmPage],
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	if a := h.inGroup(group); a != nil {
		resp.AddError(a)
		return resp
	}
	var all []*armcompute.VirtualMachine
	for _, m := range h.machines {
		if m.ended.IsZero() && !m.hidden {
			all = append(all, new(m.shot()))
		}
	}
	paged(h.o.PageSize, all, func(page []*armcompute.VirtualMachine) {
		resp.AddPage(http.StatusOK, vmPage{VirtualMachineListResult: armcompute.VirtualMachineListResult{Value: page}}, nil)
	})
	return resp
}

// shot is the machine as it is now; later changes do not show in it.
func (m *machine) shot() armcompute.VirtualMachine {
	vm := m.vm
	vm.Properties = new(*m.vm.Properties)
	return vm
}

// paged cuts a listing into pages; an empty one has one page.
func paged[E any](size int, all []E, add func([]E)) {
	for size > 0 && len(all) > size {
		add(all[:size])
		all = all[size:]
	}
	add(all)
}
