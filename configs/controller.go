package configs

import (
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Controller is the config of "burstctl controller". Paths are absolute once
// it is read. The zero Controller is refused.
type Controller struct {
	Listen    string   `yaml:"listen"`    // host:port of the control endpoint
	Advertise string   `yaml:"advertise"` // what nodes are told; empty is Listen
	Domain    string   `yaml:"domain"`    // trust domain
	Origin    string   `yaml:"origin"`    // the log's name
	State     string   `yaml:"state"`     // holds the log; not trusted: its loss or change is seen by the witnesses
	Keys      string   `yaml:"keys"`      // folder of secrets; trusted
	TLS       TLS      `yaml:"tls"`
	NATS      NATS     `yaml:"nats"`
	Sites     []Site   `yaml:"sites"`
	Rules     string   `yaml:"rules"`
	Places    Places   `yaml:"places"`
	Catalogue string   `yaml:"catalogue"`
	Roles     string   `yaml:"roles"`
	OIDC      *OIDC    `yaml:"oidc"`
	Offers    string   `yaml:"offers"`
	RawBudget budgets  `yaml:"budgets"`
	Issuer    Issuer   `yaml:"issuer"`
	Providers []Driver `yaml:"providers"`
	Lease     Lease    `yaml:"lease"`

	Heartbeat time.Duration           `yaml:"heartbeat"`
	Evidence  Evidence                `yaml:"evidence"`
	Budgets   map[string]policy.Money `yaml:"-"` // by team
}

type budgets map[string]amount

// TLS names a certificate, its key and the house CA.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"`
}

// NATS says how to reach the bus. Key is the edge's signing key; a controller has none.
type NATS struct {
	URL   string `yaml:"url"`
	Creds string `yaml:"creds"`
	CA    string `yaml:"ca"`
	Key   string `yaml:"key"`
}

// Site is one edge the controller listens to.
type Site struct {
	ID      string `yaml:"id"`
	EdgeKey string `yaml:"edge_key"` // public key its requests are signed with
	Witness string `yaml:"witness"`  // its cosignature key
}

// Places names the place table and the keys that must have signed it.
type Places struct {
	Table string   `yaml:"table"`
	Keys  []string `yaml:"keys"`
}

// OIDC says whose tokens are taken from people.
type OIDC struct {
	Issuer     string `yaml:"issuer"`
	Audience   string `yaml:"audience"`
	RolesClaim string `yaml:"roles_claim"`
}

// Issuer says who signs nodes' certificates: "vault" or "embedded".
type Issuer struct {
	Kind  string        `yaml:"kind"`
	Vault Vault         `yaml:"vault"`
	TTL   time.Duration `yaml:"ttl"` // at most 15m
}

// Vault says how to reach the PKI engine.
type Vault struct {
	Address      string `yaml:"address"`
	CA           string `yaml:"ca"`
	RoleIDFile   string `yaml:"role_id_file"`
	SecretIDFile string `yaml:"secret_id_file"`
	Mount        string `yaml:"mount"`
	Role         string `yaml:"role"`
}

// Driver is one provider: the local one, whose nodes are processes.
type Driver struct {
	Kind       string   `yaml:"kind"`
	Dir        string   `yaml:"dir"`
	Places     []string `yaml:"places"`
	Capacity   int      `yaml:"capacity"`   // nodes a place; 0 is no limit
	Namespaces string   `yaml:"namespaces"` // auto, on or off
}

// Lease bounds nodes in time.
type Lease struct {
	Max   time.Duration `yaml:"max"`
	Boot  time.Duration `yaml:"boot"`
	Stop  time.Duration `yaml:"stop"`
	Probe time.Duration `yaml:"probe"`
}

// Evidence says how many witnesses must cosign, and within which time.
type Evidence struct {
	Quorum int           `yaml:"quorum"`
	Within time.Duration `yaml:"within"`
}

// ReadController reads a controller's config.
func ReadController(path string) (Controller, error) {
	var c Controller
	if err := read(path, &c); err != nil {
		return c, err
	}
	c.Budgets = map[string]policy.Money{}
	for team, m := range c.RawBudget {
		c.Budgets[team] = m.Money
	}
	from(path, &c.State, &c.Keys, &c.TLS.Cert, &c.TLS.Key, &c.TLS.CA, &c.NATS.Creds, &c.NATS.CA, &c.Rules, &c.Places.Table,
		&c.Catalogue, &c.Roles, &c.Offers, &c.Issuer.Vault.CA, &c.Issuer.Vault.RoleIDFile, &c.Issuer.Vault.SecretIDFile)
	for i := range c.Sites {
		from(path, &c.Sites[i].EdgeKey, &c.Sites[i].Witness)
	}
	for i := range c.Providers {
		from(path, &c.Providers[i].Dir)
	}
	for i := range c.Places.Keys {
		from(path, &c.Places.Keys[i])
	}
	return c, missing(path, [2]string{"listen", c.Listen}, [2]string{"domain", c.Domain}, [2]string{"origin", c.Origin},
		[2]string{"state", c.State}, [2]string{"keys", c.Keys}, [2]string{"rules", c.Rules}, [2]string{"places.table", c.Places.Table},
		[2]string{"catalogue", c.Catalogue}, [2]string{"roles", c.Roles}, [2]string{"offers", c.Offers}, [2]string{"issuer.kind", c.Issuer.Kind})
}
