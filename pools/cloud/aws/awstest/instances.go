package awstest

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
)

// expires is the tag that stands for the timer on the node.
const expires = "burstctl:expires"

// advance brings every instance up to the present.
func (c *Cloud) advance() {
	now := time.Now()
	for _, i := range c.instances {
		timer, err := time.Parse(time.RFC3339, i.Tags[expires])
		switch {
		case !i.Ended.IsZero():
		case err == nil && !c.Hung && !now.Before(timer) && i.Form.Get("InstanceInitiatedShutdownBehavior") == "terminate":
			c.end(i, timer)
		case !i.Asked.IsZero() && c.fault != cloudtest.Stuck && now.Sub(i.Asked) >= c.Stop:
			c.end(i, i.Asked.Add(c.Stop))
		}
	}
}

// end ends an instance.
func (c *Cloud) end(i *Instance, at time.Time) {
	if i.Ended.IsZero() {
		i.Ended = at
		c.ask(i.Region, "TerminateInstances", url.Values{"InstanceId.1": {i.backend}})
	}
}

// state is an instance's state; "" once EC2 has forgotten it.
func (c *Cloud) state(i *Instance) string {
	now := time.Now()
	switch {
	case !i.Ended.IsZero() && now.Sub(i.Ended) >= c.Forget:
		return ""
	case !i.Ended.IsZero():
		return "terminated"
	case !i.Asked.IsZero():
		return "shutting-down"
	case now.Sub(i.Launched) < c.Boot:
		return "pending"
	}
	return "running"
}

// stateCodes are EC2's numbers of the states.
var stateCodes = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48}

// find is an instance that can be seen in a region, or nil.
func (c *Cloud) find(region string, is func(*Instance) bool) *Instance {
	at := slices.IndexFunc(c.instances, func(i *Instance) bool {
		return i.Region == region && !i.hidden && c.state(i) != "" && is(i)
	})
	if at < 0 {
		return nil
	}
	return c.instances[at]
}

// byID is an instance that can be seen.
func (c *Cloud) byID(region, id string) *Instance {
	return c.find(region, func(i *Instance) bool { return i.ID == id })
}

// list are the values of NAME.1, NAME.2 and so on.
func list(form url.Values, name string) (values []string) {
	for n := 1; form.Has(fmt.Sprintf("%s.%d", name, n)); n++ {
		values = append(values, form.Get(fmt.Sprintf("%s.%d", name, n)))
	}
	return values
}

// run is RunInstances: our token rules around ec2test's instance.
func (c *Cloud) run(call Call) answer {
	token := call.Form.Get("ClientToken")
	if token == "" {
		return no(http.StatusBadRequest, "MissingParameter", "tests launch with a token")
	}
	for _, i := range c.instances { // a token outlives what is seen of its instance
		if i.Region != call.Region || i.Form.Get("ClientToken") != token {
			continue
		}
		switch {
		case i.Form.Encode() != call.Form.Encode():
			return no(http.StatusBadRequest, "IdempotentParameterMismatch", "The token was used with other parameters.")
		case !i.Ended.IsZero():
			return no(http.StatusBadRequest, "IdempotentInstanceTerminated", "The token's instance is terminated.")
		}
		seen := c.ask(call.Region, "DescribeInstances", url.Values{"InstanceId.1": {i.backend}})
		return ok(el("RunInstancesResponse", el("instancesSet", c.dress(i, seen.body.at("reservationSet", "item",
			"instancesSet", "item")))))
	}
	kind := call.Form.Get("InstanceType")
	switch {
	case c.fault == cloudtest.NoQuota:
		return no(http.StatusBadRequest, "VcpuLimitExceeded", "You have requested more vCPU capacity than your limit.")
	case c.fault == cloudtest.NoCapacity || kind == Scarce:
		return no(http.StatusInternalServerError, "InsufficientInstanceCapacity", "There is no capacity for "+kind+".")
	case call.Form.Get("ImageId") != Image:
		return no(http.StatusBadRequest, "InvalidAMIID.NotFound", "There is no such image.")
	}
	return c.make(call)
}

// make has ec2test make the instance, and tag it.
func (c *Cloud) make(call Call) answer {
	const card = "NetworkInterface.1."
	form := url.Values{}
	for _, same := range []string{"ImageId", "InstanceType", "MinCount", "MaxCount", "UserData"} {
		form.Set(same, call.Form.Get(same))
	}
	form.Set("SubnetId", call.Form.Get(card+"SubnetId"))
	for at, group := range list(call.Form, card+"SecurityGroupId") {
		form.Set(fmt.Sprintf("SecurityGroupId.%d", at+1), group)
	}
	a := c.ask(call.Region, "RunInstances", form)
	if a.status != http.StatusOK {
		return a
	}
	item := a.body.at("instancesSet", "item")
	h := fnv.New32a()
	fmt.Fprint(h, call.Region)
	i := &Instance{Region: call.Region, Type: call.Form.Get("InstanceType"), Form: call.Form, Tags: map[string]string{},
		ID: fmt.Sprintf("i-0%08x%08x", h.Sum32(), len(c.instances)), Launched: time.Now(), backend: item.text("instanceId"),
		Zone:   cmp.Or(c.Elsewhere, c.subnets[call.Region+"/"+form.Get("SubnetId")].ID),
		hidden: c.fault == cloudtest.ListLag}
	if call.Form.Get("InstanceMarketOptions.MarketType") == "spot" {
		i.request = fmt.Sprintf("sir-%08x", len(c.instances))
	}
	tags := map[string]string{}
	for n := 1; call.Form.Has(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n)); n++ {
		at := fmt.Sprintf("TagSpecification.1.Tag.%d.", n)
		tags[call.Form.Get(at+"Key")] = call.Form.Get(at + "Value")
	}
	c.retag(i, tags)
	c.instances = append(c.instances, i)
	return ok(el("RunInstancesResponse", el("instancesSet", c.dress(i, item))))
}

// retag sets tags, here and in ec2test.
func (c *Cloud) retag(i *Instance, tags map[string]string) {
	form, n := url.Values{"ResourceId.1": {i.backend}}, 0
	for key, value := range tags {
		n++
		i.Tags[key] = value
		form.Set(fmt.Sprintf("Tag.%d.Key", n), key)
		form.Set(fmt.Sprintf("Tag.%d.Value", n), value)
	}
	if n > 0 {
		c.ask(i.Region, "CreateTags", form)
	}
}

// dress puts what the proxy knows over ec2test's description of an instance.
func (c *Cloud) dress(i *Instance, item *element) *element {
	z := c.zoneByID(i.Region, i.Zone)
	var tags []*element
	for key, value := range i.Tags {
		tags = append(tags, el("item", el("key", key), el("value", value)))
	}
	state := c.state(i)
	for _, e := range []*element{
		el("instanceId", i.ID), el("clientToken", i.Form.Get("ClientToken")), el("tagSet", tags),
		el("instanceState", el("code", stateCodes[state]), el("name", state)),
		el("launchTime", i.Launched.UTC().Format("2006-01-02T15:04:05.000Z")),
		el("placement", el("availabilityZone", z.Name), el("availabilityZoneId", z.ID)),
	} {
		item.set(e)
	}
	if i.request != "" {
		item.set(el("instanceLifecycle", "spot"))
		item.set(el("spotInstanceRequestId", i.request))
	}
	if i.Form.Get("NetworkInterface.1.AssociatePublicIpAddress") != "true" {
		item.drop("ipAddress")
	}
	if c.Reach != nil {
		item.set(el("privateIpAddress", c.Reach(*i)))
	}
	item.drop("networkInterfaceSet")
	return item
}

// describe is DescribeInstances: ec2test finds, the proxy filters by state and
// token, and cuts pages.
func (c *Cloud) describe(call Call) answer {
	form := url.Values{}
	for at, id := range list(call.Form, "InstanceId") {
		i := c.byID(call.Region, id)
		if i == nil {
			return no(http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID '"+id+"' does not exist")
		}
		form.Set(fmt.Sprintf("InstanceId.%d", at+1), i.backend)
	}
	ours := c.filters(call, form)
	a := c.ask(call.Region, "DescribeInstances", form)
	if a.status != http.StatusOK {
		return a
	}
	found := map[*Instance]*element{}
	for _, reservation := range a.body.at("reservationSet").children() {
		for _, item := range reservation.at("instancesSet").children() {
			i := c.find(call.Region, func(i *Instance) bool { return i.backend == item.text("instanceId") })
			if i != nil && !slices.ContainsFunc(ours, func(ok func(*Instance) bool) bool { return !ok(i) }) {
				found[i] = c.dress(i, item)
			}
		}
	}
	return c.page(call, found)
}

// filters passes on the filters that ec2test knows, and returns the others.
func (c *Cloud) filters(call Call, form url.Values) (ours []func(*Instance) bool) {
	for n := 1; call.Form.Has(fmt.Sprintf("Filter.%d.Name", n)); n++ {
		at := fmt.Sprintf("Filter.%d.", n)
		name, values := call.Form.Get(at+"Name"), list(call.Form, at+"Value")
		switch name {
		case "client-token":
			ours = append(ours, func(i *Instance) bool { return slices.Contains(values, i.Form.Get("ClientToken")) })
		case "instance-state-name":
			ours = append(ours, func(i *Instance) bool { return slices.Contains(values, c.state(i)) })
		default:
			form.Set(at+"Name", name)
			for k, value := range values {
				if i := c.byID(call.Region, value); name == "instance-id" && i != nil {
					value = i.backend
				}
				form.Set(fmt.Sprintf("%sValue.%d", at, k+1), value)
			}
		}
	}
	return ours
}

// page answers with a page of what was found, in order of launch.
func (c *Cloud) page(call Call, found map[*Instance]*element) answer {
	from, _ := strconv.Atoi(call.Form.Get("NextToken"))
	var items []*element
	next := ""
	for at, i := range c.instances[min(from, len(c.instances)):] {
		item := found[i]
		if item == nil {
			continue
		}
		if len(items) == c.Page {
			next = strconv.Itoa(from + at)
			break
		}
		items = append(items, el("item", el("ownerId", Account), el("instancesSet", item)))
	}
	body := el("DescribeInstancesResponse", el("reservationSet", items))
	if next != "" {
		body.set(el("nextToken", next))
	}
	return ok(body)
}

// children are an element's children, none of nil.
func (e *element) children() []*element {
	if e == nil {
		return nil
	}
	return e.Children
}

// terminate is TerminateInstances, with protection.
func (c *Cloud) terminate(call Call) answer {
	ids := list(call.Form, "InstanceId")
	for _, id := range ids {
		i := c.byID(call.Region, id)
		switch {
		case i == nil:
			return no(http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID '"+id+"' does not exist")
		case i.Protected:
			return no(http.StatusBadRequest, "OperationNotPermitted", "The instance '"+id+"' may not be terminated. "+
				"Modify its 'disableApiTermination' instance attribute and try again.")
		}
	}
	var items []*element
	for _, id := range ids {
		i := c.byID(call.Region, id)
		if i.Asked.IsZero() && i.Ended.IsZero() {
			i.Asked = time.Now()
			c.ask(call.Region, "TerminateInstances", url.Values{"InstanceId.1": {i.backend}})
		}
		items = append(items, el("item", el("instanceId", id), el("currentState", el("name", c.state(i)))))
	}
	return ok(el("TerminateInstancesResponse", el("instancesSet", items)))
}

// modify is ModifyInstanceAttribute, of the protection alone.
func (c *Cloud) modify(call Call) answer {
	i := c.byID(call.Region, call.Form.Get("InstanceId"))
	value := call.Form.Get("DisableApiTermination.Value")
	if i == nil || value == "" {
		return no(http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID does not exist")
	}
	i.Protected = strings.EqualFold(value, "true")
	return ok(el("ModifyInstanceAttributeResponse", el("return", "true")))
}
