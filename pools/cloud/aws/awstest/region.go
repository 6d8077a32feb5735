package awstest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// furnish makes a region's network in ec2test: a subnet a zone, and a group.
func (c *Cloud) furnish(region string) error {
	group := region + "-ham-1"
	c.zones[region] = []Zone{
		{region + "a", region + "-az2", region, "availability-zone"},
		{region + "b", region + "-az3", region, "availability-zone"},
		{group + "a", group + "-az1", group, "local-zone"},
	}
	vpc := c.ask(region, "CreateVpc", url.Values{"CidrBlock": {"10.0.0.0/16"}})
	id := vpc.body.text("vpc", "vpcId")
	for at, z := range c.zones[region] {
		s := c.ask(region, "CreateSubnet", url.Values{"VpcId": {id}, "CidrBlock": {fmt.Sprintf("10.0.%d.0/24", at)}})
		if s.status != http.StatusOK {
			return fmt.Errorf("make a subnet in %s: status %d", region, s.status)
		}
		c.subnets[region+"/"+s.body.text("subnet", "subnetId")] = z
	}
	g := c.ask(region, "CreateSecurityGroup",
		url.Values{"GroupName": {"nodes"}, "GroupDescription": {"nodes"}, "VpcId": {id}})
	if c.groups[region] = g.body.text("groupId"); c.groups[region] == "" {
		return fmt.Errorf("make a security group in %s: status %d", region, g.status)
	}
	return nil
}

// Admit lets a prefix in through a region's security group.
func (c *Cloud) Admit(region, cidr string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.ask(region, "AuthorizeSecurityGroupIngress", url.Values{"GroupId": {c.groups[region]},
		"IpPermissions.1.IpProtocol": {"tcp"}, "IpPermissions.1.FromPort": {"7443"}, "IpPermissions.1.ToPort": {"7443"},
		"IpPermissions.1.IpRanges.1.CidrIp": {cidr}})
	if a.status != http.StatusOK {
		return fmt.Errorf("admit %s: %s", cidr, a.body.text("Errors", "Error", "Message"))
	}
	return nil
}

// zoneByID is a zone of the region.
func (c *Cloud) zoneByID(region, id string) Zone {
	at := slices.IndexFunc(c.zones[region], func(z Zone) bool { return z.ID == id })
	if at < 0 {
		return Zone{}
	}
	return c.zones[region][at]
}

func (c *Cloud) describeZones(call Call) answer {
	var items []*element
	for _, z := range c.zones[call.Region] {
		items = append(items, el("item", el("zoneName", z.Name), el("zoneId", z.ID), el("groupName", z.Group),
			el("zoneType", z.Kind), el("regionName", call.Region), el("zoneState", "available")))
	}
	return ok(el("DescribeAvailabilityZonesResponse", el("availabilityZoneInfo", items)))
}

// describeSubnets has ec2test find them by ID; all carry the tag of [Nodes].
func (c *Cloud) describeSubnets(call Call) answer {
	form := url.Values{}
	for at, id := range list(call.Form, "SubnetId") {
		form.Set(fmt.Sprintf("SubnetId.%d", at+1), id)
	}
	a := c.ask(call.Region, "DescribeSubnets", form)
	for _, s := range a.body.at("subnetSet").children() {
		z := c.subnets[call.Region+"/"+s.text("subnetId")]
		s.set(el("availabilityZone", z.Name))
		s.set(el("availabilityZoneId", z.ID))
	}
	return a
}

// describeGroups has ec2test find them by ID; the tag of [Nodes] is on one.
func (c *Cloud) describeGroups(call Call) answer {
	form := url.Values{}
	ids := list(call.Form, "GroupId")
	if len(ids) == 0 {
		ids = []string{c.groups[call.Region]}
	}
	for at, id := range ids {
		form.Set(fmt.Sprintf("GroupId.%d", at+1), id)
	}
	return c.ask(call.Region, "DescribeSecurityGroups", form)
}

func (c *Cloud) describeImages(call Call) answer {
	if ids := list(call.Form, "ImageId"); len(ids) != 1 || ids[0] != Image {
		return no(http.StatusBadRequest, "InvalidAMIID.NotFound", "There is no such image.")
	}
	return ok(el("DescribeImagesResponse", el("imagesSet", el("item", el("imageId", Image), el("rootDeviceName", Root)))))
}

func (c *Cloud) describeRequests(call Call) answer {
	var items []*element
	for _, i := range c.instances {
		if i.Region != call.Region || i.request == "" || !slices.Contains(list(call.Form, "Filter.1.Value"), i.request) {
			continue
		}
		code := "fulfilled"
		if i.Marked {
			code = "marked-for-termination"
		}
		items = append(items, el("item", el("spotInstanceRequestId", i.request), el("instanceId", i.ID),
			el("status", el("code", code))))
	}
	return ok(el("DescribeSpotInstanceRequestsResponse", el("spotInstanceRequestSet", items)))
}

func (c *Cloud) identity(Call) answer {
	return ok(el("GetCallerIdentityResponse", el("GetCallerIdentityResult", el("Account", Account),
		el("Arn", "arn:aws:sts::"+Account+":assumed-role/controller/test"), el("UserId", "AROAEXAMPLE:test"))))
}

func (c *Cloud) parameter(Call) answer {
	return answer{status: http.StatusOK,
		json: fmt.Sprintf(`{"Parameter":{"Name":%q,"Type":"String","Value":%q}}`, Parameter, Image)}
}
