// Package awstest is an EC2 on loopback for tests: Canonical's ec2test behind a
// proxy of ours.
//
// # What is whose
//
// ec2test (gopkg.in/amz.v3, nobody here wrote it; configs/tools/ec2test) keeps
// instances, their network interfaces, addresses, types and tags, subnets and
// security groups; it makes and terminates instances, finds them by tag and by
// ID, and knows which subnets and groups there are.
//
// The proxy adds what no server that can be had does. From AWS's documents and
// public reports, not from the real EC2:
//
//   - client tokens: the same call is the same instance, other parameters are
//     IdempotentParameterMismatch, a terminated one IdempotentInstanceTerminated
//   - tags at launch (as CreateTags calls to ec2test), the client-token and
//     instance-state-name filters, pages, IDs of today's form
//   - states that move with time: pending, running, shutting-down, terminated,
//     forgotten; the shutdown that ends an instance whose own timer ran out
//   - zones and their IDs, images, spot requests, protection against termination
//   - the SSM parameter of an image, STS GetCallerIdentity
//   - every [cloudtest.Fault], and Cut
//
// # What it tells
//
// [Cloud.Instances] is the truth, whatever calls are answered; [Cloud.Actions]
// are the calls by the names that an IAM policy allows them by.
//
// # Non-goals
//
// It checks no signature and no permission, and prices nothing. That a test
// passes here says nothing about quotas, limits or timing of the real one.
package awstest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
)

// What there is in every cloud of this package.
const (
	Account   = "123456789012"     // whose credentials they are
	Image     = "ami-0123456789ab" // the one image
	Parameter = "/burst/image"     // an SSM parameter that holds it
	Root      = "/dev/sda1"        // its root device
	Nodes     = "tag:burst=nodes"  // finds a subnet in each zone, and the security group
	Scarce    = "p5.48xlarge"      // a type that is never to be had
)

// Zone is a zone of a region.
type Zone struct{ Name, ID, Group, Kind string }

// Cloud is the emulator. Made by [Start]; the zero Cloud does not serve.
type Cloud struct {
	URL string
	// Boot, Stop and Forget are how long an instance is pending, is shutting down,
	// and is shown after its end. Page is the most instances of one page.
	Boot, Stop, Forget time.Duration
	Page               int
	// Reach is the private address of an instance; nil leaves ec2test's. Called
	// once, as the instance is made.
	Reach func(Instance) string
	// Elsewhere is the ID of the zone that instances are made in whatever subnet
	// they were asked for; "" is that of the subnet.
	Elsewhere string
	// Hung nodes do not end themselves when their own timer runs out.
	Hung bool

	mu        sync.Mutex
	backends  map[string]string // region to ec2test
	zones     map[string][]Zone
	subnets   map[string]Zone   // by region/subnet
	groups    map[string]string // region to security group
	instances []*Instance
	calls     []Call
	fault     cloudtest.Fault
	left      int // calls that the fault still spoils
	cut       cut
}

var _ cloudtest.Trouble = (*Cloud)(nil)

// Instance is an instance as it really is.
type Instance struct {
	ID, Region, Type, Zone string // Zone by ID
	Tags                   map[string]string
	Form                   url.Values // of the call that made it
	Launched, Asked, Ended time.Time  // Asked: to terminate; Ended: terminated
	Protected, Marked      bool       // Marked: EC2 will take it back
	backend                string     // its ID in ec2test
	request                string     // its spot request
	hidden                 bool
}

// Call is one call as it arrived. What it needs is in the words of IAM.
type Call struct {
	Region, Action string
	Needs          []string
	Form           url.Values
}

// Start starts a cloud with these regions, which ends with the test. It skips
// where ec2test is not there and cannot be built, and fails under BURST_REAL.
func Start(t testing.TB, regions ...string) *Cloud {
	t.Helper()
	c := &Cloud{Boot: 30 * time.Millisecond, Stop: 30 * time.Millisecond, Forget: 300 * time.Millisecond, Page: 1,
		backends: map[string]string{}, zones: map[string][]Zone{}, subnets: map[string]Zone{}, groups: map[string]string{}}
	for at, url := range serve(t, len(regions)) {
		c.backends[regions[at]] = url
		if err := c.furnish(regions[at]); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

// Config is what an SDK client needs to call this cloud.
func (c *Cloud) Config() sdk.Config {
	return sdk.Config{Region: "us-east-1", BaseEndpoint: &c.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "not-a-secret", "")}
}

// Instances are all there ever were, in order of launch.
func (c *Cloud) Instances() []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	var all []Instance
	for _, i := range c.instances {
		copied := *i
		copied.Tags = maps.Clone(i.Tags)
		all = append(all, copied)
	}
	return all
}

// Calls are all calls so far.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// Actions are what the calls so far need, sorted, each once.
func (c *Cloud) Actions() []string {
	var all []string
	for _, call := range c.Calls() {
		all = append(all, call.Needs...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// scope is the credential scope of a signed request.
var scope = regexp.MustCompile(`Credential=[^/]+/\d+/([^/]+)/([^/]+)/`)

// ServeHTTP answers a call of an SDK.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	signed := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if err := r.ParseForm(); err != nil || signed == nil || c.backends[signed[1]] == "" {
		no(http.StatusBadRequest, "AuthFailure", "no signature of a region here").write(w)
		return
	}
	call := Call{Region: signed[1], Action: r.Form.Get("Action"), Form: r.Form}
	if _, target, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		call.Action = target
	}
	call.Needs = []string{signed[2] + ":" + call.Action}
	if call.Action == "RunInstances" && r.Form.Get("TagSpecification.1.Tag.1.Key") != "" {
		call.Needs = append(call.Needs, "ec2:CreateTags")
	}
	c.mu.Lock()
	c.calls = append(c.calls, call)
	verdict, a := c.spoils(call)
	if verdict == passes || verdict == loses {
		c.advance()
		a = c.handle(call)
	}
	c.mu.Unlock()
	if verdict == drops || verdict == loses {
		panic(http.ErrAbortHandler)
	}
	a.write(w)
}

// handle carries a call out.
func (c *Cloud) handle(call Call) answer {
	if f, known := map[string]func(Call) answer{
		"RunInstances": c.run, "DescribeInstances": c.describe, "TerminateInstances": c.terminate,
		"ModifyInstanceAttribute": c.modify, "DescribeAvailabilityZones": c.describeZones,
		"DescribeSubnets": c.describeSubnets, "DescribeSecurityGroups": c.describeGroups,
		"DescribeImages": c.describeImages, "DescribeSpotInstanceRequests": c.describeRequests,
		"GetCallerIdentity": c.identity, "GetParameter": c.parameter,
	}[call.Action]; known {
		return f(call)
	}
	return no(http.StatusBadRequest, "InvalidAction", "the action "+call.Action+" is not known here")
}
