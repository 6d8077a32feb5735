package aws

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
)

// request is the one call that makes an instance. For one launch it is the same
// each time, as long as the configuration is.
func (d *Driver) request(ctx context.Context, r *region, l pools.Launch) (*ec2.RunInstancesInput, error) {
	f, err := r.know(ctx)
	if err != nil {
		return nil, err
	}
	fit := slices.DeleteFunc(slices.Clone(f.subnets), func(s subnet) bool { return !s.zone.is(l.Offer.At) })
	if len(fit) == 0 {
		return nil, fmt.Errorf("no configured subnet is there: %w", pools.ErrRefused)
	}
	data, err := d.userData(l)
	if err != nil {
		return nil, fmt.Errorf("make user data: %w: %w", pools.ErrRefused, err)
	}
	token := l.Token()
	in := &ec2.RunInstancesInput{
		ClientToken: &token, MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1),
		ImageId: &f.image, InstanceType: types.InstanceType(l.Offer.Type),
		UserData:                          sdk.String(base64.StdEncoding.EncodeToString(data)),
		InstanceInitiatedShutdownBehavior: types.ShutdownBehaviorTerminate,
		DisableApiTermination:             sdk.Bool(false),
		MetadataOptions: &types.InstanceMetadataOptionsRequest{HttpTokens: types.HttpTokensStateRequired,
			HttpEndpoint: types.InstanceMetadataEndpointStateEnabled, HttpPutResponseHopLimit: sdk.Int32(1),
			InstanceMetadataTags: types.InstanceMetadataTagsStateDisabled},
		NetworkInterfaces: []types.InstanceNetworkInterfaceSpecification{{DeviceIndex: sdk.Int32(0),
			SubnetId: &fit[int(token[0])%len(fit)].id, Groups: f.groups, DeleteOnTermination: sdk.Bool(true),
			AssociatePublicIpAddress: &r.o.PublicIP}},
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: &f.root, Ebs: r.o.volume()}},
		TagSpecifications:   d.tags(l),
	}
	if l.Offer.Market.Spot() {
		in.InstanceMarketOptions = spot(l.Offer.PerHour)
	}
	return in, nil
}

// spot buys once, and never above the price the decision was made at.
func spot(perHour policy.Money) *types.InstanceMarketOptionsRequest {
	o := &types.SpotMarketOptions{SpotInstanceType: types.SpotInstanceTypeOneTime,
		InstanceInterruptionBehavior: types.InstanceInterruptionBehaviorTerminate}
	if perHour.Known() && perHour.Currency == "USD" {
		o.MaxPrice = sdk.String(fmt.Sprintf("%d.%06d", perHour.Micros/1e6, perHour.Micros%1e6))
	}
	return &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot, SpotOptions: o}
}

// volume is the root volume.
func (r Region) volume() *types.EbsBlockDevice {
	v := &types.EbsBlockDevice{DeleteOnTermination: sdk.Bool(true), Encrypted: sdk.Bool(true),
		VolumeType: types.VolumeTypeGp3}
	if r.KMSKey != "" {
		v.KmsKeyId = &r.KMSKey
	}
	if r.VolumeGB > 0 {
		v.VolumeSize = &r.VolumeGB
	}
	return v
}

// tags are put on all that the call makes.
func (d *Driver) tags(l pools.Launch) []types.TagSpecification {
	var tags []types.Tag
	for _, t := range [][2]string{
		{TagOwner, d.o.Owner}, {TagClaim, l.Claim}, {TagAttempt, strconv.Itoa(l.Attempt)},
		{TagExpires, l.Expires.UTC().Format(timeLayout)}, {TagPlace, l.Offer.At.String()}, {TagToken, l.Token()},
	} {
		tags = append(tags, types.Tag{Key: &t[0], Value: &t[1]})
	}
	var specs []types.TagSpecification
	for _, kind := range []types.ResourceType{types.ResourceTypeInstance, types.ResourceTypeVolume,
		types.ResourceTypeNetworkInterface} {
		specs = append(specs, types.TagSpecification{ResourceType: kind, Tags: tags})
	}
	return specs
}

// userData is what the instance is told.
func (d *Driver) userData(l pools.Launch) ([]byte, error) {
	if d.o.UserData != nil {
		return d.o.UserData(l)
	}
	return json.Marshal(l.UserData)
}
