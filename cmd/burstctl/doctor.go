package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/doctor"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/vault"
)

// checkup looks over a controller's installation. Its check of the config
// fills it in for the others.
type checkup struct{ conf configs.Controller }

// checkController lists what doctor asks of a controller, with what each rests on.
func checkController(path string) []doctor.Check {
	k := &checkup{}
	config := func(context.Context) []doctor.Finding {
		var err error
		if k.conf, err = configs.ReadController(path); err != nil {
			return doctor.Coded(frame.BadConfig, err)
		}
		return doctor.Good("%s is read, %d sites, %d providers", path, len(k.conf.Sites), len(k.conf.Providers))
	}
	needs := []string{"config"}
	checks := []doctor.Check{
		{Name: "config", Ask: config},
		{Name: "keys", Needs: needs, Ask: k.keys},
		{Name: "certificates", Needs: needs, Ask: k.certificates},
		{Name: "sites", Needs: needs, Ask: k.sites},
	}
	checks = append(checks, doctor.Law{
		Rules:     func() (*residency.Rules, error) { return readRules(k.conf.Rules) },
		Places:    func() (*residency.Table, error) { return readPlaces(k.conf.Places) },
		Catalogue: func() (*residency.Catalogue, error) { return readCatalogue(k.conf.Catalogue) },
	}.Checks(needs...)...)
	return append(checks,
		doctor.Check{Name: "roles", Needs: needs, Ask: k.roles},
		doctor.Check{Name: "offers", Needs: needs, Ask: k.offers},
		doctor.Check{Name: "attestation", Needs: needs, Ask: k.attestation},
		doctor.Check{Name: "log", Needs: []string{"config", "keys", "sites"}, Bound: time.Minute, Ask: k.log},
		doctor.Check{Name: "clock", Needs: []string{"config", "sites"}, Ask: k.clock},
		doctor.Check{Name: "disk", Needs: needs, Ask: func(context.Context) []doctor.Finding {
			return doctor.Room("log", k.conf.State)
		}},
		doctor.Check{Name: "nats", Needs: []string{"config", "keys", "certificates"}, Ask: k.nats},
		doctor.Check{Name: "issuer", Needs: []string{"config", "keys"}, Ask: k.issuer})
}

// keys looks at every secret the controller opens.
func (k *checkup) keys(context.Context) (found []doctor.Finding) {
	for _, key := range []struct{ what, name, role string }{
		{"log key", "log.key", audit.RoleLog}, {"grants key", "grants.key", audit.RoleGrants},
	} {
		found = append(found, heldKey(key.what, filepath.Join(k.conf.Keys, key.name), key.role)...)
	}
	found = append(found, doctor.Pair("key of the local provider", providerKey(k.conf), "")...)
	found = append(found, doctor.Secret("NATS credentials", k.conf.NATS.Creds)...)
	if v := k.conf.Issuer.Vault; k.conf.Issuer.Kind == "vault" {
		found = append(found, doctor.Secret("Vault role ID", v.RoleIDFile)...)
		found = append(found, doctor.Secret("Vault secret ID", v.SecretIDFile)...)
	}
	if found == nil {
		found = doctor.Good("each is there, 0600, and fits its public half")
	}
	return found
}

// heldKey looks at a key file, or at the reference to a key in Vault.
func heldKey(what, path, role string) []doctor.Finding {
	held, err := keys.Held(path)
	if err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	if held {
		return doctor.Signer(what, path, role, keys.Public(path))
	}
	ref, err := configs.ReadTransit(path)
	if err != nil {
		return doctor.Coded(frame.BadConfig, err)
	}
	if _, err := keys.Verifier(keys.Public(path)); err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	return append(doctor.Secret("Vault role ID of the "+what, ref.RoleIDFile),
		doctor.Secret("Vault secret ID of the "+what, ref.SecretIDFile)...)
}

// certificates looks at the controller's, the house's, the bus's and, where the
// controller signs nodes' certificates itself, the grants CA.
func (k *checkup) certificates(context.Context) (found []doctor.Finding) {
	c := k.conf
	id := tunnel.Identity{Domain: c.Domain, Role: tunnel.RoleController, Name: "controller"}
	found = append(found, doctor.Certificate(c.TLS.Cert, c.TLS.Key, c.TLS.CA, id)...)
	found = append(found, doctor.Authority("house CA", c.TLS.CA)...)
	found = append(found, doctor.Authority("CA of NATS", c.NATS.CA)...)
	if ca := filepath.Join(c.Keys, "grants-ca"); c.Issuer.Kind == "embedded" {
		if _, err := keys.Certificate(ca+".pem", ca+".key"); err != nil {
			found = append(found, doctor.Coded(frame.KeyMissing, err)...)
		}
		found = append(found, doctor.Authority("grants CA", ca+".pem")...)
	}
	if found == nil {
		found = doctor.Good("controller's, house CA, CA of NATS and grants CA are good for 30 days or more")
	}
	return found
}

// sites looks at what the controller knows its edges by.
func (k *checkup) sites(context.Context) (found []doctor.Finding) {
	for _, s := range k.conf.Sites {
		if _, err := keys.Ed25519Public(s.EdgeKey); err != nil {
			found = append(found, doctor.Coded(frame.KeyMissing, fmt.Errorf("site %s: %w", s.ID, err))...)
		}
	}
	if _, err := k.witnesses(); err != nil {
		found = append(found, doctor.Coded(frame.KeyMissing, err)...)
	}
	if found == nil {
		found = doctor.Good("keys of %d edges and their witnesses", len(k.conf.Sites))
	}
	return found
}

// witnesses are the verifier keys of the sites' witnesses.
func (k *checkup) witnesses() (vs []note.Verifier, err error) {
	for _, s := range k.conf.Sites {
		vkey, err := keys.VKey(s.Witness)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", s.ID, err)
		}
		v, err := audit.CosignatureVerifier(vkey)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", s.ID, err)
		}
		vs = append(vs, v)
	}
	return vs, nil
}

// roles reads who may ask, without calling who issues tokens.
func (k *checkup) roles(context.Context) []doctor.Finding {
	c := k.conf
	c.OIDC = nil
	if _, _, err := readRoles(c); err != nil {
		return doctor.Bad(err, "")
	}
	return doctor.Good("roles are read")
}

func (k *checkup) offers(context.Context) []doctor.Finding {
	offers, err := readOffers(k.conf)
	if err != nil {
		return doctor.Bad(err, "")
	}
	if len(offers) == 0 {
		return doctor.Warned("add rows to "+k.conf.Offers, "there is none: no job can burst")
	}
	return doctor.Good("%d offers, each with its price", len(offers))
}

// attestation reads whose identity documents are believed, and warns of what
// ran out as attest certs does.
func (k *checkup) attestation(context.Context) (found []doctor.Finding) {
	at := k.conf.Attestation
	const renew = "put the provider's newer certificates beside them; docs/attestation.md says where they are published"
	if _, err := awsVerifier(at, 0); err != nil {
		found = append(found, doctor.Bad(err, "name a directory that holds rsa2048/REGION.pem under attestation.aws")...)
	}
	o, err := azureOptions(at)
	if err != nil {
		const fix = "name directories of *.pem under attestation.azure_roots and azure_intermediates"
		found = append(found, doctor.Bad(err, fix)...)
	}
	if o != nil {
		for _, name := range append(o.Roots.Expired(time.Now(), 0), o.Intermediates.Expired(time.Now(), soon)...) {
			found = append(found, doctor.Warned(renew, "Azure certificate is out of date or soon will be: %s", name)...)
		}
	}
	if at.AllowTestTrust {
		found = append(found, doctor.Warned("take allow_test_trust out where data is real",
			"documents of the test signer in %s are taken, at L0", at.Test)...)
	}
	switch {
	case found != nil:
	case at.AWS == "" && at.AzureRoots == "":
		found = doctor.Good("no cloud's documents are believed, only the local provider's")
	default:
		found = doctor.Good("certificates are read, and good for 30 days or more")
	}
	return found
}

// log verifies the log by its own key and its sites' witnesses. One that was
// not begun is well.
func (k *checkup) log(ctx context.Context) []doctor.Finding {
	root, err := os.OpenRoot(filepath.Join(k.conf.State, "log"))
	if errors.Is(err, fs.ErrNotExist) {
		return doctor.Good("it is begun when the controller starts")
	}
	if err != nil {
		return doctor.Coded(frame.FileFailed, err)
	}
	defer root.Close()
	trust, err := k.trust()
	if err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	const fix = "see that each site's edge-connector runs: nothing is served that no witness has seen"
	r, err := audit.Verify(ctx, root.FS(), trust)
	whole := r.Entries == r.Size && len(r.Problems) == 1 // the one being that too few have cosigned
	if err != nil && whole && len(r.Cosigners) < k.conf.Evidence.Quorum {
		return doctor.Warned(fix, "%d entries fit their signed tree, %d of %d witnesses have cosigned", r.Size,
			len(r.Cosigners), k.conf.Evidence.Quorum)
	}
	if err != nil {
		return doctor.Coded(frame.LogUnverified, err)
	}
	return doctor.Good("%d entries fit their signed and cosigned tree", r.Size)
}

// trust is that in the log's own key and the witnesses of the config.
func (k *checkup) trust() (audit.Trust, error) {
	log, err := keys.VKey(filepath.Join(k.conf.Keys, "log.vkey"))
	if err != nil {
		return audit.Trust{}, err
	}
	var witnesses []string
	for _, s := range k.conf.Sites {
		vkey, err := keys.VKey(s.Witness)
		if err != nil {
			return audit.Trust{}, err
		}
		witnesses = append(witnesses, vkey)
	}
	return audit.NewTrust(k.conf.Evidence.Quorum, log, witnesses...)
}

// clock holds the clock against the newest cosignature.
func (k *checkup) clock(context.Context) []doctor.Finding {
	head, err := os.ReadFile(filepath.Join(k.conf.State, "log", "checkpoint"))
	if err != nil {
		return doctor.Good("no log yet to hold it against")
	}
	witnesses, err := k.witnesses()
	if err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	return doctor.Cosigned(head, witnesses...)
}

// issuer asks Vault for its CA, which needs a login; the embedded issuer needs
// nothing that was not looked at.
func (k *checkup) issuer(ctx context.Context) []doctor.Finding {
	if k.conf.Issuer.Kind != "vault" {
		return doctor.Good("embedded: certificates are signed here, for %v", k.conf.Issuer.TTL)
	}
	conf := vaultConfig(k.conf, slog.New(slog.NewTextHandler(io.Discard, nil)))
	conf.Patience = 4 * time.Second
	v, err := vault.New(conf)
	if err != nil {
		return doctor.Coded(frame.BadConfig, err)
	}
	if _, err := v.CA(ctx); err != nil {
		return doctor.Bad(coded(err), "")
	}
	return doctor.Good("Vault at %s let the controller in and has a CA", conf.Address)
}

func (k *checkup) nats(ctx context.Context) []doctor.Finding {
	return doctor.NATS(ctx, k.conf.NATS, "controller")
}
