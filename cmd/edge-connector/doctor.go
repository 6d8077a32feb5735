package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/doctor"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/configs/site"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/residency/columnar"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

// checkup looks over a site's installation. Its check of the config fills it in
// for the others.
type checkup struct{ conf configs.Edge }

// checkEdge lists what doctor asks of a site, with what each rests on.
func checkEdge(path string) []doctor.Check {
	k := &checkup{}
	config := func(context.Context) []doctor.Finding {
		var err error
		if k.conf, err = configs.ReadEdge(path); err != nil {
			return doctor.Coded(frame.BadConfig, err)
		}
		return doctor.Good("%s is read, site %s", path, k.conf.Site)
	}
	needs := []string{"config"}
	checks := []doctor.Check{
		{Name: "config", Ask: config},
		{Name: "keys", Needs: needs, Ask: k.keys},
		{Name: "certificates", Needs: needs, Ask: k.certificates},
		{Name: "trust", Needs: needs, Ask: func(context.Context) []doctor.Finding {
			return doctor.Trust(k.conf.Trust, k.conf.LogKey)
		}},
		{Name: "witness", Needs: []string{"config", "keys", "trust"}, Ask: k.witness},
	}
	checks = append(checks, doctor.Law{
		Rules:     func() (*residency.Rules, error) { return site.ReadRules(k.conf.Rules) },
		Places:    func() (*residency.Table, error) { return site.ReadPlaces(k.conf.Places, nil) },
		Catalogue: k.catalogue,
	}.Checks(needs...)...)
	return append(checks,
		doctor.Check{Name: "pseudonyms", Needs: []string{"config", "catalogue"}, Ask: k.pseudonyms},
		doctor.Check{Name: "slices", Needs: []string{"config", "catalogue", "pseudonyms"}, Bound: time.Minute,
			Ask: k.slices},
		doctor.Check{Name: "quarantine", Needs: needs, Ask: k.quarantine},
		doctor.Check{Name: "gpus", Needs: needs, Bound: 15 * time.Second, Ask: k.gpus},
		doctor.Check{Name: "nats", Needs: []string{"config", "keys", "certificates"}, Ask: k.nats},
		doctor.Check{Name: "controller", Needs: []string{"config", "certificates"}, Ask: k.controller})
}

func (k *checkup) catalogue() (*residency.Catalogue, error) {
	sets, err := configs.ReadCatalogue(k.conf.Catalogue)
	if err != nil {
		return nil, err
	}
	return residency.NewCatalogue(sets)
}

// keys looks at every secret the edge opens, and at whom it believes.
func (k *checkup) keys(context.Context) (found []doctor.Finding) {
	c := k.conf
	if f := doctor.Secret("witness key", c.Witness.Key); f != nil {
		found = append(found, f...)
	} else if _, err := keys.Open(c.Witness.Key, audit.RoleWitness); err != nil {
		found = append(found, doctor.Coded(frame.KeyMissing, err)...)
	}
	found = append(found, doctor.Pair("edge key", c.NATS.Key, "")...)
	found = append(found, doctor.Secret("NATS credentials", c.NATS.Creds)...)
	for _, path := range append([]string{c.LogKey, c.GrantsKey}, c.Places.Keys...) {
		if _, err := keys.Verifier(path); err != nil {
			found = append(found, doctor.Coded(frame.KeyMissing, err)...)
		}
	}
	if found == nil {
		found = doctor.Good("each is there, and secrets are 0600")
	}
	return found
}

// certificates looks at the edge's own, the house's, the bus's and the grants CA.
func (k *checkup) certificates(context.Context) (found []doctor.Finding) {
	c := k.conf
	id := tunnel.Identity{Domain: c.Domain, Role: tunnel.RoleEdge, Name: c.Site}
	found = append(found, doctor.Certificate(c.Control.Cert, c.Control.Key, c.Control.CA, id)...)
	for _, ca := range []struct{ what, path string }{
		{"house CA", c.Control.CA}, {"grants CA", c.GrantsCA}, {"CA of NATS", c.NATS.CA},
	} {
		found = append(found, doctor.Authority(ca.what, ca.path)...)
	}
	if found == nil {
		found = doctor.Good("edge's, house CA, grants CA and CA of NATS are good for 30 days or more")
	}
	return found
}

// witness looks at whether the trust file names this very witness, and at what
// it remembers of the log.
func (k *checkup) witness(context.Context) []doctor.Finding {
	key, err := keys.Open(k.conf.Witness.Key, audit.RoleWitness)
	if err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	if _, err := os.Stat(k.conf.Witness.State); errors.Is(err, fs.ErrNotExist) {
		return doctor.Good("it has seen no tree yet")
	}
	signer, ok := key.Signer.(*audit.WitnessSigner)
	log, err := keys.Verifier(k.conf.LogKey)
	if err != nil || !ok {
		return doctor.Coded(frame.KeyMissing, errors.Join(err, errors.New("read witness: not a witness's key")))
	}
	vkeys, err := keys.Superseded(k.conf.Witness.Key)
	if err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	own := []note.Verifier{}
	for _, vkey := range append(vkeys, key.VKey) {
		v, err := audit.CosignatureVerifier(vkey)
		if err != nil {
			return doctor.Coded(frame.KeyMissing, err)
		}
		own = append(own, v)
	}
	w, err := audit.OpenWitness(k.conf.Witness.State, signer, log, own[:len(vkeys)]...)
	if err != nil {
		return doctor.Coded(frame.WitnessRefused, err)
	}
	if w.Size() == 0 {
		return doctor.Good("it has seen no tree yet")
	}
	found := doctor.Cosigned(w.Remembers(), own...)
	if found[0].Standing == doctor.OK {
		found = doctor.Good("it remembers a tree of %d entries; clock %s", w.Size(), found[0].What)
	}
	return found
}

// pseudonyms looks at the key of codes, if a slice of the catalogue needs one.
func (k *checkup) pseudonyms(context.Context) []doctor.Finding {
	sets, err := configs.ReadCatalogue(k.conf.Catalogue)
	if err != nil {
		return doctor.Coded(frame.BadCatalogue, err)
	}
	need := false
	for _, d := range sets {
		for _, s := range d.Slices {
			need = need || s.Pseudonymised
		}
	}
	if k.conf.Pseudonyms == "" && !need {
		return doctor.Good("no slice needs a key of codes")
	}
	key, err := columnar.ReadKey(k.conf.Pseudonyms)
	if err != nil {
		return doctor.Bad(err, "put the key back from the safe, 0600: another gives other codes")
	}
	return doctor.Good("key %s", key.ID())
}

// slices looks at whether every slice of the catalogue is held, unchanged.
func (k *checkup) slices(ctx context.Context) (found []doctor.Finding) {
	sets, err := configs.ReadCatalogue(k.conf.Catalogue)
	if err != nil {
		return doctor.Coded(frame.BadCatalogue, err)
	}
	if _, err := os.Stat(k.conf.Data); err != nil {
		return doctor.Coded(frame.SliceMissing, fmt.Errorf("read data: %w", err))
	}
	if _, err := os.Stat(k.conf.Slices); errors.Is(err, fs.ErrNotExist) {
		return doctor.Warned("edge-connector slices build makes them now; else the start does", "no slice is made yet")
	}
	store, err := site.OpenSlices(ctx, k.conf)
	if err != nil {
		return doctor.Bad(coded(err), "")
	}
	defer store.Close()
	held := 0
	for _, d := range sets {
		for _, s := range d.Slices {
			_, err := store.Held(d, s)
			switch {
			case errors.Is(err, columnar.ErrNotBuilt):
				found = append(found, doctor.Warned("edge-connector slices build makes it now; else the start does",
					"slice %s is not made as the catalogue has it", s.Name)...)
			case errors.Is(err, columnar.ErrNotNow):
				found = append(found, doctor.Warned("see its embargo and retention in the catalogue", "%v", err)...)
			case err != nil:
				found = append(found, doctor.Bad(coded(err), "")...)
			default:
				held++
			}
		}
	}
	return append(found, doctor.Good("%d slices are held, unchanged", held)...)
}

// quarantine looks at whether results can arrive, and at the room for them.
func (k *checkup) quarantine(context.Context) []doctor.Finding {
	if _, err := os.Stat(k.conf.Quarantine); errors.Is(err, fs.ErrNotExist) {
		return doctor.Good("quarantine is made at the start")
	}
	if f := doctor.Writable("quarantine", k.conf.Quarantine); f[0].Standing != doctor.OK {
		return f
	}
	return doctor.Room("quarantine", k.conf.Quarantine)
}

// gpus asks the sampler for one round, through the same helper process that the
// watch has: one that hangs is left alone.
func (k *checkup) gpus(ctx context.Context) []doctor.Finding {
	if k.conf.Sampler.Kind == "replay" {
		_, day, err := site.Replay(k.conf)
		if err != nil {
			return doctor.Coded(frame.BadConfig, err)
		}
		return doctor.Warned("use sampler kind nvml where GPUs are", "a recorded day is replayed: %s", day)
	}
	s, err := sampler(k.conf.Sampler.Library, time.Second)
	if err != nil {
		return doctor.Bad(err, "")
	}
	for round, err := range s.Samples(ctx) {
		if err != nil {
			return doctor.Bad(frame.Wrap(frame.NoNVML, err, ""), "")
		}
		ill := 0
		for _, g := range round {
			if g.Err != "" {
				ill++
			}
		}
		if ill > 0 {
			return doctor.Warned("edge-connector gpus shows what each says", "%d of %d GPUs give no good sample",
				ill, len(round))
		}
		return doctor.Good("%d GPUs", len(round))
	}
	return doctor.Coded(frame.NoNVML, errors.New("sample GPUs: no round came"))
}

// controller calls it as the edge does, and holds the clock against its answer.
func (k *checkup) controller(ctx context.Context) []doctor.Finding {
	c := k.conf
	pair, err := keys.Certificate(c.Control.Cert, c.Control.Key)
	if err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	house, err := keys.Pool(c.Control.CA)
	if err != nil {
		return doctor.Coded(frame.KeyMissing, err)
	}
	client := control.NewClient(control.Options{Address: c.Control.Address, Domain: c.Domain, Roots: house,
		Cert: func() (*tls.Certificate, error) { return &pair, nil }})
	w, err := client.Work(ctx, -1)
	if _, said := errors.AsType[*control.Problem](err); err != nil && !said {
		return doctor.Coded(frame.ControlAway, err)
	}
	if err != nil {
		return doctor.Bad(coded(err), "")
	}
	found := doctor.Clock("the controller's clock", client.Date(), time.Now(), false)
	if found[0].Standing != doctor.OK {
		return found
	}
	return doctor.Good("%s knows this site: %d grants, %d jobs; clocks agree", c.Control.Address, len(w.Grants),
		len(w.Jobs))
}

func (k *checkup) nats(ctx context.Context) []doctor.Finding {
	return doctor.NATS(ctx, k.conf.NATS, k.conf.Site)
}
