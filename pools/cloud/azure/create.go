package azure

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v7"
	"golang.org/x/crypto/ssh"

	"github.com/burstctl/burstctl/pools"
)

// user is the name of the account that nobody can log in to.
const user = "burst"

// order is a launch in Azure's words. Equal launches make equal orders.
type order struct {
	launch   pools.Launch
	name     string
	zones    []*string
	maxPrice *float64 // of a spot machine, in USD an hour
}

// order refuses what can never be made.
func (d *Driver) order(l pools.Launch) (order, error) {
	o := order{launch: l, name: d.nameOf(l.Claim, l.Attempt)}
	if l.Claim == "" || l.Attempt < 1 {
		return o, fmt.Errorf("needs a claim and an attempt: %w", pools.ErrRefused)
	}
	if l.Offer.At.Provider != Provider || d.o.Subnets[l.Offer.At.Region] == "" || l.Offer.Type == "" {
		return o, fmt.Errorf("%s is not sold here: %w", l.Offer.Key(), pools.ErrRefused)
	}
	var err error
	if o.zones, err = zoneOf(l.Offer.At); err != nil {
		return o, fmt.Errorf("%w: %w", err, pools.ErrRefused)
	}
	switch price := l.Offer.Most(); {
	case !l.Offer.Market.Known():
		return o, fmt.Errorf("nobody knows how to buy at market %q: %w", l.Offer.Market, pools.ErrRefused)
	case l.Offer.Market.Spot() && (price.Currency != "USD" || price.Micros <= 0):
		return o, fmt.Errorf("a spot machine needs its price in USD, Azure's limit: %w", pools.ErrRefused)
	case l.Offer.Market.Spot():
		o.maxPrice = new(float64(price.Micros) / 1e6)
	}
	return o, nil
}

// image reads an image's name. "latest" is refused: a launch asked for again
// would be another one.
func image(s string) (*armcompute.ImageReference, error) {
	if strings.HasPrefix(s, "/") {
		id, err := arm.ParseResourceID(s)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", s, err)
		}
		kind := id.ResourceType.String()
		if !strings.EqualFold(kind, "Microsoft.Compute/images") &&
			!strings.EqualFold(kind, "Microsoft.Compute/galleries/images/versions") {
			return nil, fmt.Errorf("image %q: %s is no image or image version", s, kind)
		}
		if strings.EqualFold(id.Name, "latest") {
			return nil, fmt.Errorf("image %q: name a version", s)
		}
		return &armcompute.ImageReference{ID: new(s)}, nil
	}
	parts := strings.Split(s, ":")
	if len(parts) != 4 || slices.Contains(parts, "") {
		return nil, fmt.Errorf("image %q: want publisher:offer:sku:version or an ID", s)
	}
	if strings.EqualFold(parts[3], "latest") {
		return nil, fmt.Errorf("image %q: name a version", s)
	}
	return &armcompute.ImageReference{Publisher: &parts[0], Offer: &parts[1], SKU: &parts[2], Version: &parts[3]}, nil
}

// keyNobodyHas makes a key of the kind that Azure takes, RSA of 2048 bits, and
// keeps its public half alone.
func keyNobodyHas() (string, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))), nil
}

// nic is the network card: in the region's subnet, without a public address.
func (d *Driver) nic(o order, tags map[string]*string) armnetwork.Interface {
	region := o.launch.Offer.At.Region
	return armnetwork.Interface{Location: new(region), Tags: tags, Properties: &armnetwork.InterfacePropertiesFormat{
		IPConfigurations: []*armnetwork.InterfaceIPConfiguration{{Name: new("node"),
			Properties: &armnetwork.InterfaceIPConfigurationPropertiesFormat{
				Primary: new(true), PrivateIPAllocationMethod: new(armnetwork.IPAllocationMethodDynamic),
				Subnet: &armnetwork.Subnet{ID: new(d.o.Subnets[region])}}}}}}
}

// vm is the machine. Its card and disk end with it; nobody can log in, and the
// control plane can run nothing on it.
func (d *Driver) vm(o order, tags map[string]*string, publicKey string) (armcompute.VirtualMachine, error) {
	data, err := d.userData(o.launch)
	if err != nil {
		return armcompute.VirtualMachine{}, fmt.Errorf("write user data: %w", err)
	}
	ref, err := image(d.o.Image)
	if err != nil {
		return armcompute.VirtualMachine{}, err
	}
	p := &armcompute.VirtualMachineProperties{
		HardwareProfile: &armcompute.HardwareProfile{VMSize: new(armcompute.VirtualMachineSizeTypes(o.launch.Offer.Type))},
		StorageProfile: &armcompute.StorageProfile{ImageReference: ref, OSDisk: &armcompute.OSDisk{
			Name: new(diskOf(o.name)), CreateOption: new(armcompute.DiskCreateOptionTypesFromImage),
			DeleteOption: new(armcompute.DiskDeleteOptionTypesDelete)}},
		OSProfile: &armcompute.OSProfile{ComputerName: new(o.name), AdminUsername: new(user),
			CustomData: new(base64.StdEncoding.EncodeToString(data)), AllowExtensionOperations: new(false),
			LinuxConfiguration: &armcompute.LinuxConfiguration{DisablePasswordAuthentication: new(true),
				SSH: &armcompute.SSHConfiguration{PublicKeys: []*armcompute.SSHPublicKey{
					{KeyData: new(publicKey), Path: new("/home/" + user + "/.ssh/authorized_keys")}}}}},
		NetworkProfile: &armcompute.NetworkProfile{NetworkInterfaces: []*armcompute.NetworkInterfaceReference{
			{ID: new(d.id("Microsoft.Network/networkInterfaces", o.name)),
				Properties: &armcompute.NetworkInterfaceReferenceProperties{Primary: new(true),
					DeleteOption: new(armcompute.DeleteOptionsDelete)}}}},
		SecurityProfile: d.security(),
		Priority:        new(armcompute.VirtualMachinePriorityTypesRegular),
	}
	if o.maxPrice != nil {
		p.Priority = new(armcompute.VirtualMachinePriorityTypesSpot)
		p.EvictionPolicy = new(armcompute.VirtualMachineEvictionPolicyTypesDelete)
		p.BillingProfile = &armcompute.BillingProfile{MaxPrice: o.maxPrice} // never more than was reserved
	}
	return armcompute.VirtualMachine{Location: new(o.launch.Offer.At.Region), Zones: o.zones, Tags: tags,
		Identity: d.identity(), Properties: p}, nil
}

// userData is what the machine is told; anybody on it can read it.
func (d *Driver) userData(l pools.Launch) ([]byte, error) {
	if d.o.UserData != nil {
		return d.o.UserData(l)
	}
	return json.Marshal(l.UserData)
}

// identity is who the machine is to Azure.
func (d *Driver) identity() *armcompute.VirtualMachineIdentity {
	if d.o.Identity == "" {
		return nil
	}
	return &armcompute.VirtualMachineIdentity{Type: new(armcompute.ResourceIdentityTypeUserAssigned),
		UserAssignedIdentities: map[string]*armcompute.UserAssignedIdentitiesValue{d.o.Identity: {}}}
}

// security is secure boot with a TPM, and encryption at the host.
func (d *Driver) security() *armcompute.SecurityProfile {
	var s armcompute.SecurityProfile
	if !d.o.NoTrustedLaunch {
		s.SecurityType = new(armcompute.SecurityTypesTrustedLaunch)
		s.UefiSettings = &armcompute.UefiSettings{SecureBootEnabled: new(true), VTpmEnabled: new(true)}
	}
	if d.o.HostEncryption {
		s.EncryptionAtHost = new(true)
	}
	if s == (armcompute.SecurityProfile{}) {
		return nil
	}
	return &s
}

// id is the resource ID of something of ours.
func (d *Driver) id(kind, name string) string {
	return "/subscriptions/" + d.o.Subscription + "/resourceGroups/" + d.o.Group + "/providers/" + kind + "/" + name
}

// errElsewhere: Azure made something other than what was asked for.
var errElsewhere = errors.New("the machine is not what was asked for")

// check compares the machine that Azure describes with the order.
func (o order) check(vm armcompute.VirtualMachine) error {
	at, kind := placeOf(vm.Location, vm.Zones), ""
	if vm.Properties != nil && vm.Properties.HardwareProfile != nil && vm.Properties.HardwareProfile.VMSize != nil {
		kind = string(*vm.Properties.HardwareProfile.VMSize)
	}
	switch {
	case vm.ExtendedLocation != nil:
		return fmt.Errorf("%w: it is at an extended location", errElsewhere)
	case at.Region != o.launch.Offer.At.Region, o.zones != nil && at != o.launch.Offer.At:
		return fmt.Errorf("%w: it is at %v, not at %v", errElsewhere, at, o.launch.Offer.At)
	case !strings.EqualFold(kind, o.launch.Offer.Type):
		return fmt.Errorf("%w: it is a %s, not a %s", errElsewhere, kind, o.launch.Offer.Type)
	}
	return nil
}
