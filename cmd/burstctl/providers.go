package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/pools/cloud/local"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/aws"
	"github.com/burstctl/burstctl/residency/attest/azure"
	attest "github.com/burstctl/burstctl/residency/attest/local"
	"github.com/burstctl/burstctl/tunnel/issuer"
	"github.com/burstctl/burstctl/tunnel/vault"
)

// openIssuer opens who signs nodes' certificates.
func (d *daemon) openIssuer(context.Context) error {
	c := d.conf.Issuer
	switch c.Kind {
	case "embedded":
		ca := filepath.Join(d.conf.Keys, "grants-ca")
		cert, err := keys.Certificate(ca+".pem", ca+".key")
		if err != nil {
			return frame.Wrap(frame.KeyMissing, err, "")
		}
		d.issuer, err = issuer.New(time.Now, d.conf.Domain, cert)
		return err
	case "vault":
		v, err := vault.New(vaultConfig(d.conf, d.lg))
		d.issuer = v
		return frame.Wrap(frame.BadConfig, err, "")
	}
	return frame.Wrap(frame.BadConfig, fmt.Errorf("open issuer: kind is %q, want vault or embedded", c.Kind), "")
}

// vaultConfig is how to reach Vault from the config file's section.
func vaultConfig(c configs.Controller, lg *slog.Logger) vault.Config {
	v := c.Issuer.Vault
	return vault.Config{Address: v.Address, CAFile: v.CA, Namespace: v.Namespace, AuthMount: v.AuthMount,
		RoleIDFile: v.RoleIDFile, SecretIDFile: v.SecretIDFile, Mount: v.Mount, Role: v.Role,
		TrustDomain: c.Domain, Logger: lg}
}

// restoreIssuer gives the embedded issuer back what the log says it did.
func restoreIssuer(i any, states []burst.State) error {
	ca, ok := i.(*issuer.CA)
	if !ok {
		return nil
	}
	var issued, revoked []string
	for _, s := range states {
		for _, c := range s.Serials {
			issued = append(issued, c.Number)
			if c.Revoked {
				revoked = append(revoked, c.Number)
			}
		}
	}
	return ca.Restore(issued, revoked)
}

// openFleet opens every provider.
func (d *daemon) openFleet(context.Context) error {
	d.fleet = cloud.Fleet{}
	for i, p := range d.conf.Providers {
		open := map[string]func(configs.Driver) (map[string]pools.Driver, error){
			"local": d.openLocal, "aws": d.openAWS, "azure": d.openAzure}[p.Kind]
		if open == nil {
			return frame.Wrap(frame.BadConfig, fmt.Errorf("open provider: kind is %q, want local, aws or azure", p.Kind), "")
		}
		drivers, err := open(p)
		if err != nil {
			return err
		}
		for provider, driver := range drivers {
			if d.fleet[provider] != nil { // one memory per provider, or a node would be listed by none
				return frame.Wrap(frame.BadConfig,
					fmt.Errorf("open provider %d: an earlier one makes nodes at %s too", i+1, provider),
					"list all places of "+provider+" in one entry of providers")
			}
			d.fleet[provider] = driver
		}
	}
	return nil
}

// openLocal opens the local driver, which plays one provider per name its places
// have, each with its own directory.
func (d *daemon) openLocal(p configs.Driver) (map[string]pools.Driver, error) {
	spaces, err := namespaces(p.Namespaces)
	if err != nil {
		return nil, err
	}
	byProvider, err := placesOf(p)
	if err != nil {
		return nil, err
	}
	all := map[string]pools.Driver{}
	for provider, places := range byProvider {
		if all[provider], err = d.localDriver(p, provider, places, spaces); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// placesOf sorts an entry's places by provider, each with its capacity.
func placesOf(p configs.Driver) (map[string]map[residency.Address]int, error) {
	byProvider := map[string]map[residency.Address]int{}
	for _, place := range p.Places {
		at, err := residency.ParseAddress(place)
		if err != nil {
			return nil, frame.Wrap(frame.BadConfig, err, "")
		}
		if byProvider[at.Provider] == nil {
			byProvider[at.Provider] = map[residency.Address]int{}
		}
		byProvider[at.Provider][at] = cmp.Or(p.Capacity, local.NoLimit)
	}
	return byProvider, nil
}

func (d *daemon) localDriver(
	p configs.Driver, provider string, places map[residency.Address]int, spaces bool,
) (pools.Driver, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	host := p.Command
	if len(host) == 0 {
		host = []string{exe, "node-host"}
	}
	drv, err := local.Open(local.Options{Dir: filepath.Join(p.Dir, provider), Places: places, Namespaces: spaces,
		Command: host, NodeCommand: []string{exe, "node"}, Lifeline: d.lifeline, KeyFile: providerKey(d.conf)})
	if err != nil {
		return nil, frame.Wrap(frame.FileFailed, err, "")
	}
	return drv, nil
}

// providerKey is the file of the key that signs local identity documents.
func providerKey(c configs.Controller) string { return filepath.Join(c.Keys, "local-provider.key") }

// namespaces decides whether nodes get namespaces of their own.
func namespaces(wish string) (bool, error) {
	may := os.Geteuid() == 0 && local.Isolates() // root in a container often may not
	switch wish {
	case "", "auto":
		return may, nil
	case "off":
		return false, nil
	case "on":
		if !may {
			return false, frame.Wrap(frame.BadConfig, errors.New("open provider: namespaces: on needs root"),
				"run as root that may make namespaces (CAP_SYS_ADMIN), or say auto")
		}
		return true, nil
	}
	return false, frame.Wrap(frame.BadConfig, fmt.Errorf("open provider: namespaces is %q", wish), "say auto, on or off")
}

// verifiers are who evidence is believed from.
func (d *daemon) verifiers() (map[string]residency.Verifier, error) {
	key, err := keys.Ed25519(providerKey(d.conf))
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, frame.Wrap(frame.KeyMissing, errors.New("read local provider's key: no Ed25519 key"), "")
	}
	all := map[string]residency.Verifier{attest.Kind: attest.New(pub)}
	if err := d.cloudVerifiers(all); err != nil {
		return nil, frame.Wrap(frame.BadConfig, err, "")
	}
	return all, nil
}

// cloudVerifiers adds those of clouds, as the section attestation says. No
// instance of ours is older than the longest lease and the time to boot.
func (d *daemon) cloudVerifiers(all map[string]residency.Verifier) error {
	at := d.conf.Attestation
	onAWS, err := awsVerifier(at, d.conf.Lease.Max+d.conf.Lease.Boot)
	if err != nil {
		return err
	}
	if onAWS != nil {
		all[aws.Kind] = onAWS
	}
	if onAWS != nil && at.AWSRSA1024 {
		all[aws.KindRSA1024] = onAWS
	}
	o, err := azureOptions(at)
	if err != nil || o == nil {
		return err
	}
	all[azure.Kind] = azure.New(*o)
	for _, name := range append(o.Roots.Expired(time.Now(), 0), o.Intermediates.Expired(time.Now(), soon)...) {
		d.lg.Warn("certificate is out of date or soon will be", "name", name)
	}
	return nil
}

// sweep looks for nodes that nobody should pay for, and for bursts whose node
// is gone. An incomplete listing changes nothing.
func (d *daemon) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	missed := map[string]int{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		nodes, err := d.fleet.List(ctx)
		if err != nil {
			d.lg.WarnContext(ctx, "nodes not listed", "error", err)
			continue
		}
		listed := map[string]bool{}
		for _, n := range nodes {
			listed[n.ID] = true
		}
		states := d.engine.Bursts()
		d.lost(ctx, states, listed, missed)
		doomed, err := cloud.Sweep(nodes, life(states), time.Now(),
			cloud.SweepOptions{Grace: sweepGrace, Expected: expected(states)})
		if err != nil {
			d.lg.WarnContext(ctx, "not all is swept", "error", err)
		}
		for _, n := range doomed {
			d.lg.WarnContext(ctx, "node swept", "node", n.ID, "claim", n.Claim, "why", n.Why)
			_ = d.fleet.Delete(ctx, n.ID) // asked again at the next tick until it is gone
		}
	}
}

const (
	sweepEvery = 5 * time.Second
	sweepGrace = time.Minute
)

// lost stops bursts whose node was missing from two listings in a row. A node
// that was never listed, nor has proved itself, may just not be listed yet: no
// cloud promises that it is at once. Its boot deadline ends it.
func (d *daemon) lost(ctx context.Context, states []burst.State, listed map[string]bool, missed map[string]int) {
	for _, s := range states {
		if s.Node == nil || !s.Live() || s.Stopped != nil {
			continue
		}
		_, seen := missed[s.Node.ID]
		if listed[s.Node.ID] {
			missed[s.Node.ID] = 0
			continue
		}
		if !seen && s.Place == nil {
			continue
		}
		if missed[s.Node.ID]++; missed[s.Node.ID] >= 2 {
			if err := d.engine.Stop(s.Claim, "controller", burst.WhyLost, "the cloud no longer lists its node"); err != nil {
				d.lg.WarnContext(ctx, "lost burst not stopped", "claim", s.Claim, "error", err)
			}
		}
	}
}

// expected is how many nodes the log knows of that were not proved gone.
func expected(states []burst.State) (n int) {
	for _, s := range states {
		if s.Node != nil && s.Live() && s.Stopped == nil {
			n++
		}
	}
	return n
}

// life says what the log knows of an attempt.
func life(states []burst.State) func(string, int) cloud.Life {
	return func(claim string, attempt int) cloud.Life {
		for _, s := range states {
			if s.Claim == claim && (s.Attempt > attempt || !s.Live()) {
				return cloud.Over
			}
			if s.Claim == claim {
				return cloud.Alive
			}
		}
		return cloud.Unknown
	}
}
