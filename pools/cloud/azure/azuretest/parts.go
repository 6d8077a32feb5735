package azuretest

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7"
	network "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7/fake"
)

// Shorter names of the official fakes' generic types.
type (
	nicMade   = armnetwork.InterfacesClientCreateOrUpdateResponse
	nicGone   = armnetwork.InterfacesClientDeleteResponse
	nicRead   = armnetwork.InterfacesClientGetResponse
	nicPage   = armnetwork.InterfacesClientListResponse
	diskMade  = armcompute.DisksClientUpdateResponse
	diskGone  = armcompute.DisksClientDeleteResponse
	diskRead  = armcompute.DisksClientGetResponse
	diskPage  = armcompute.DisksClientListByResourceGroupResponse
	keyMade   = armcompute.SSHPublicKeysClientCreateResponse
	keyGone   = armcompute.SSHPublicKeysClientDeleteResponse
	keyRead   = armcompute.SSHPublicKeysClientGetResponse
	keyMarked = armcompute.SSHPublicKeysClientUpdateResponse
	keyPage   = armcompute.SSHPublicKeysClientListByResourceGroupResponse
)

// nicServer has the handlers of network cards.
func (h handlers) nicServer() network.InterfacesServer {
	return network.InterfacesServer{
		BeginCreateOrUpdate: h.putNIC,
		BeginDelete:         h.deleteNIC,
		Get:                 h.getNIC,
		NewListPager:        h.listNICs,
	}
}

func (h handlers) putNIC(_ context.Context, group, name string, card armnetwork.Interface,
	_ *armnetwork.InterfacesClientBeginCreateOrUpdateOptions,
) (resp azfake.PollerResponder[nicMade], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.call.Linked = []string{"Microsoft.Network/virtualNetworks/subnets/join/action"}
	if a := h.inGroup(group); a != nil {
		errResp.SetError(a)
		return resp, errResp
	}
	n := h.nics[name]
	if n == nil {
		n = &nic{lost: h.faults.HideNew}
		h.nics[name] = n
	}
	card.Name, card.ID = new(name), h.id("Microsoft.Network/networkInterfaces", name)
	card.Properties.ProvisioningState = new(armnetwork.ProvisioningStateSucceeded)
	card.Properties.IPConfigurations[0].Properties.PrivateIPAddress = new("10.1.0." + h.number())
	n.card = card
	resp.AddNonTerminalResponse(http.StatusCreated, nil)
	resp.SetTerminalResponse(http.StatusOK, nicMade{Interface: card}, nil)
	return resp, errResp
}

func (h handlers) deleteNIC(_ context.Context, _, name string, _ *armnetwork.InterfacesClientBeginDeleteOptions) (
	resp azfake.PollerResponder[nicGone], errResp azfake.ErrorResponder,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	switch n := h.nics[name]; {
	case n == nil:
		resp.SetTerminalResponse(http.StatusNoContent, nicGone{}, nil)
	case n.machine != "":
		errResp.SetError(answer(http.StatusConflict, "NicInUse", "Network Interface %s is used by existing VM.", name))
	case now.Before(n.reserved):
		errResp.SetError(Reserved)
	default:
		delete(h.nics, name)
		resp.AddNonTerminalResponse(http.StatusAccepted, nil)
		resp.SetTerminalResponse(http.StatusOK, nicGone{}, nil)
	}
	return resp, errResp
}

func (h handlers) getNIC(_ context.Context, group, name string, _ *armnetwork.InterfacesClientGetOptions) (
	resp azfake.Responder[nicRead], errResp azfake.ErrorResponder,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	if n := h.nics[name]; n != nil && group == h.o.Group {
		resp.SetResponse(http.StatusOK, nicRead{Interface: n.card}, nil)
	} else {
		errResp.SetError(h.missing("Microsoft.Network/networkInterfaces", name))
	}
	return resp, errResp
}

func (h handlers) listNICs(string, *armnetwork.InterfacesClientListOptions) (resp azfake.PagerResponder[nicPage]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	var all []*armnetwork.Interface
	for _, name := range slices.Sorted(maps.Keys(h.nics)) {
		if n := h.nics[name]; !n.lost {
			all = append(all, new(n.card))
		}
	}
	paged(h.o.PageSize, all, func(page []*armnetwork.Interface) {
		resp.AddPage(http.StatusOK, nicPage{InterfaceListResult: armnetwork.InterfaceListResult{Value: page}}, nil)
	})
	return resp
}

// diskServer has the handlers of managed disks.
func (h handlers) diskServer() fake.DisksServer {
	return fake.DisksServer{
		BeginUpdate:                 h.patchDisk,
		BeginDelete:                 h.deleteDisk,
		Get:                         h.getDisk,
		NewListByResourceGroupPager: h.listDisks,
	}
}

func (h handlers) patchDisk(_ context.Context, _, name string, change armcompute.DiskUpdate,
	_ *armcompute.DisksClientBeginUpdateOptions,
) (resp azfake.PollerResponder[diskMade], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	d := h.disks[name]
	if d == nil {
		errResp.SetError(h.missing("Microsoft.Compute/disks", name))
		return resp, errResp
	}
	d.disk.Tags = change.Tags
	resp.AddNonTerminalResponse(http.StatusAccepted, nil)
	resp.SetTerminalResponse(http.StatusOK, diskMade{Disk: d.disk}, nil)
	return resp, errResp
}

func (h handlers) deleteDisk(_ context.Context, _, name string, _ *armcompute.DisksClientBeginDeleteOptions) (
	resp azfake.PollerResponder[diskGone], errResp azfake.ErrorResponder,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	switch d := h.disks[name]; {
	case d == nil:
		resp.SetTerminalResponse(http.StatusNoContent, diskGone{}, nil)
	case d.machine != "":
		errResp.SetError(answer(http.StatusConflict, "OperationNotAllowed", "Disk %s is attached to VM.", name))
	default:
		delete(h.disks, name)
		resp.AddNonTerminalResponse(http.StatusAccepted, nil)
		resp.SetTerminalResponse(http.StatusOK, diskGone{}, nil)
	}
	return resp, errResp
}

func (h handlers) getDisk(_ context.Context, group, name string, _ *armcompute.DisksClientGetOptions) (
	resp azfake.Responder[diskRead], errResp azfake.ErrorResponder,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	if d := h.disks[name]; d != nil && group == h.o.Group {
		resp.SetResponse(http.StatusOK, diskRead{Disk: d.disk}, nil)
	} else {
		errResp.SetError(h.missing("Microsoft.Compute/disks", name))
	}
	return resp, errResp
}

func (h handlers) listDisks(string, *armcompute.DisksClientListByResourceGroupOptions) (
	resp azfake.PagerResponder[diskPage],
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now()
	var all []*armcompute.Disk
	for _, name := range slices.Sorted(maps.Keys(h.disks)) {
		d := h.disks[name]
		if m := h.find(d.machine); m == nil || !m.hidden {
			all = append(all, new(d.disk))
		}
	}
	paged(h.o.PageSize, all, func(page []*armcompute.Disk) {
		resp.AddPage(http.StatusOK, diskPage{DiskList: armcompute.DiskList{Value: page}}, nil)
	})
	return resp
}

// keyServer has the handlers of SSH public keys. They are not long operations.
func (h handlers) keyServer() fake.SSHPublicKeysServer {
	return fake.SSHPublicKeysServer{
		Create:                      h.putKey,
		Update:                      h.patchKey,
		Delete:                      h.deleteKey,
		Get:                         h.getKey,
		NewListByResourceGroupPager: h.listKeys,
	}
}

func (h handlers) putKey(_ context.Context, group, name string, k armcompute.SSHPublicKeyResource,
	_ *armcompute.SSHPublicKeysClientCreateOptions,
) (resp azfake.Responder[keyMade], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.inGroup(group); a != nil {
		errResp.SetError(a)
		return resp, errResp
	}
	k.Name, k.ID = new(name), h.id("Microsoft.Compute/sshPublicKeys", name)
	k.SystemData = &armcompute.SystemData{CreatedAt: new(time.Now().UTC())}
	h.keys[name] = &k
	resp.SetResponse(http.StatusCreated, keyMade{SSHPublicKeyResource: k}, nil)
	return resp, errResp
}

func (h handlers) patchKey(_ context.Context, _, name string, change armcompute.SSHPublicKeyUpdateResource,
	_ *armcompute.SSHPublicKeysClientUpdateOptions,
) (resp azfake.Responder[keyMarked], errResp azfake.ErrorResponder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.keys[name]
	if k == nil {
		errResp.SetError(h.missing("Microsoft.Compute/sshPublicKeys", name))
		return resp, errResp
	}
	k.Tags = change.Tags
	resp.SetResponse(http.StatusOK, keyMarked{SSHPublicKeyResource: *k}, nil)
	return resp, errResp
}

func (h handlers) deleteKey(_ context.Context, _, name string, _ *armcompute.SSHPublicKeysClientDeleteOptions) (
	resp azfake.Responder[keyGone], errResp azfake.ErrorResponder,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	status := http.StatusNoContent
	if h.keys[name] != nil {
		status = http.StatusOK
	}
	delete(h.keys, name)
	resp.SetResponse(status, keyGone{}, nil)
	return resp, errResp
}

func (h handlers) getKey(_ context.Context, group, name string, _ *armcompute.SSHPublicKeysClientGetOptions) (
	resp azfake.Responder[keyRead], errResp azfake.ErrorResponder,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.keys[name]; k != nil && group == h.o.Group {
		resp.SetResponse(http.StatusOK, keyRead{SSHPublicKeyResource: *k}, nil)
	} else {
		errResp.SetError(h.missing("Microsoft.Compute/sshPublicKeys", name))
	}
	return resp, errResp
}

func (h handlers) listKeys(string, *armcompute.SSHPublicKeysClientListByResourceGroupOptions) (
	resp azfake.PagerResponder[keyPage],
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*armcompute.SSHPublicKeyResource
	for _, name := range slices.Sorted(maps.Keys(h.keys)) {
		all = append(all, new(*h.keys[name]))
	}
	paged(h.o.PageSize, all, func(page []*armcompute.SSHPublicKeyResource) {
		list := armcompute.SSHPublicKeysGroupListResult{Value: page}
		resp.AddPage(http.StatusOK, keyPage{SSHPublicKeysGroupListResult: list}, nil)
	})
	return resp
}
