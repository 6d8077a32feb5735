package configs

import (
	"fmt"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Controller is the file of "burstctl controller". Made by [ReadController];
// the zero Controller names nothing and starts nothing. configs/controller.yaml
// explains each key.
type Controller struct {
	Listen    string // host:port of the control endpoint
	Advertise string // host:port nodes are told; empty is the address listened on
	Domain    string // trust domain of every identity
	State     string `path:"file"` // directory of the log
	Origin    string // name of the log
	Keys      string `path:"file"` // directory of the controller's keys
	TLS       TLS
	NATS      NATS
	Sites     []Site
	Rules     string `path:"file"` // directory of .cedar files
	Places    Places
	Catalogue string            `path:"file"`
	Roles     string            `path:"file"` // .cedar file, or a directory of them
	OIDC      *OIDC             // nil: certificates only
	Offers    string            `path:"file"` // CSV of pools/cloud/catalog
	Budgets   map[string]Budget // by team
	Spending  Spending
	Issuer    Issuer
	Providers []Driver
	Lease     Lease
	Heartbeat time.Duration
	Evidence  Evidence
	Approvers []string `path:"file"` // verifier keys of who may approve exceptions; none: no exception
	Choice    Choice

	Attestation Attestation
}

// TLS is a certificate of the house, its key and the house CA.
type TLS struct {
	Cert string `path:"file"`
	Key  string `path:"file"`
	CA   string `path:"file"`
}

// Site is a place of one's own with an edge connector.
type Site struct {
	ID      string
	EdgeKey string `path:"file"` // public key its requests are signed with
	Witness string `path:"file"` // verifier key it cosigns the log with
	Near    string // cloud region its line ends nearest to; empty is not said
	Uplink  int64  // of its line, in Mbit/s; 0 is not said
}

// OIDC is who issues people's tokens.
type OIDC struct {
	Issuer     string
	Audience   string
	RolesClaim string // claim that lists a person's groups
}

// Issuer is who signs nodes' certificates. Kind is "embedded" or "vault"; Vault
// is set for the latter only.
type Issuer struct {
	Kind  string
	TTL   time.Duration // at most 15 minutes
	Vault Vault
}

// Vault is how to reach Vault's PKI engine.
type Vault struct {
	Address      string
	CA           string `path:"file"` // empty: the system's roots
	Namespace    string
	AuthMount    string
	RoleIDFile   string `path:"file" json:"role_id_file"`
	SecretIDFile string `path:"file" json:"secret_id_file"`
	Mount        string
	Role         string
}

// Driver is a provider: where nodes may be made. Kind is "local", whose nodes
// are processes in Places, "aws" or "azure"; AWS and Azure are set for those alone.
type Driver struct {
	Kind       string
	AWS        *AWS
	Azure      *Azure
	Dir        string   `path:"file"` // nodes' directories
	Places     []string // each as residency.ParseAddress reads it
	Capacity   int      // nodes at a time, in each place
	Namespaces string   // "auto", "on" or "off"
	Command    []string // starts a node's host; empty: this very program
}

// Azure is a resource group to make machines in; pools/cloud/azure says more.
type Azure struct {
	Subscription   string
	ResourceGroup  string
	Subnets        map[string]string // IDs by region; no other region is sold
	Image          string
	Credential     string // "workload-identity", "managed-identity" or "default"
	ClientID       string `json:"client_id"`
	Identity       string // of the machines
	TrustedLaunch  bool
	HostEncryption bool
	Port           int
	Absence        time.Duration // between two observations that nothing was made
	Boot           *Boot         // nil: the image starts the agent by itself
	Tags           map[string]string
}

// Lease bounds how long nodes and credentials live.
type Lease struct {
	Max   time.Duration // of any burst
	Boot  time.Duration // from launch to a verified node
	Stop  time.Duration // for a job to end by itself
	Probe time.Duration // for a revoked credential to be refused everywhere
	Idle  time.Duration // without progress; 0 is for ever
}

// Choice is how offers are ranked. Percentages; see policy.Weights.
type Choice struct {
	Restart  int
	Transfer int
	Egress   int
	Returned int
	Carbon   policy.Money  // of a kilogram of CO2e; unknown counts nothing
	Stale    time.Duration `json:"stale_after"` // older prices are flagged
}

// Evidence is when a grant counts as evidence, and when none is given any more.
type Evidence struct {
	Quorum int           // witnesses that must have cosigned
	Within time.Duration // of the newest cosignature
}

// Attestation is whose identity documents are believed besides the local
// provider's. Empty paths believe nobody; the zero Attestation is that.
type Attestation struct {
	AWS                string `path:"file"`        // directory of rsa2048/REGION.pem
	AWSRSA1024         bool   `json:"aws_rsa1024"` // take the shared key's signatures too, at L1
	AzureRoots         string `path:"file"`        // directory of *.pem
	AzureIntermediates string `path:"file"`        // directory of *.pem
	Test               string `path:"file"`        // directory of a test signer
	AllowTestTrust     bool   // take its documents, at L0
}

// ReadController reads and checks the controller's file. Its error is *[Errors]
// unless the file could not be read at all.
func ReadController(path string) (Controller, error) {
	return read("controller", path, func(c *Controller, r *report) {
		c.checkLists(r)
		c.checkBudgets(r)
		c.Attestation.check(r)
		c.Places.check(r)
		if n := len(c.Sites); c.Evidence.Quorum > n {
			r.at(r.root.find("evidence", "quorum").position, false, "key evidence.quorum",
				fmt.Sprintf("it asks for %d witnesses and sites has %d", c.Evidence.Quorum, n), "ask for at most one a site")
		}
		if strings.HasSuffix(c.Listen, ":0") && c.Advertise != "" {
			r.at(r.root.find("advertise").position, false, "key advertise", "listen leaves the port to chance",
				"give listen a port")
		}
	})
}

// checkLists refuses two sites of one name and two drivers in one directory.
func (c *Controller) checkLists(r *report) {
	seen := map[string]bool{}
	for i, s := range c.Sites {
		if seen[s.ID] {
			where := r.root.find("sites", fmt.Sprint(i), "id").position
			r.at(where, false, "site "+s.ID, "it is listed twice", "keep one of them")
		}
		seen[s.ID] = true
	}
	dirs := map[string]bool{}
	for i, p := range c.Providers {
		c.checkKind(r, i, p)
		if p.Dir != "" && dirs[p.Dir] {
			r.at(r.root.find("providers", fmt.Sprint(i), "dir").position, false, "key providers.dir",
				"two providers share a directory", "give each its own")
		}
		dirs[p.Dir] = true
	}
}

// checkKind refuses keys of another kind of provider: whoever wrote them believes
// that they hold.
func (c *Controller) checkKind(r *report, i int, p Driver) {
	others := map[string][]string{"local": {"aws", "azure"},
		"aws": {"azure", "dir", "places", "command"}, "azure": {"aws", "dir", "places", "command"}}
	for _, key := range others[p.Kind] {
		if n := r.root.find("providers", fmt.Sprint(i), key); n != nil && n != r.root.find("providers", fmt.Sprint(i)) {
			r.at(n.position, false, "key providers."+key, "it says nothing for kind "+p.Kind, "remove it")
		}
	}
}

// check refuses half of a pair.
func (a Attestation) check(r *report) {
	for _, pair := range []struct {
		has, lacks bool
		key, other string
	}{
		{a.AWSRSA1024, a.AWS == "", "aws_rsa1024", "aws"},
		{a.AzureRoots != "", a.AzureIntermediates == "", "azure_roots", "azure_intermediates"},
		{a.AzureIntermediates != "", a.AzureRoots == "", "azure_intermediates", "azure_roots"},
		{a.AllowTestTrust, a.Test == "", "allow_test_trust", "test"},
	} {
		if pair.has && pair.lacks {
			r.at(r.root.find("attestation", pair.key).position, false, "key attestation."+pair.key,
				"it says nothing without attestation."+pair.other, "name that directory too")
		}
	}
}
