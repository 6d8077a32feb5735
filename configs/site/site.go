// Package site puts an edge together from its config file, for the connector
// and for the demo alike. Where its GPU samples come from is the caller's to say:
// only the connector may reach the driver's library.
package site

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/control"
)

// Source is where samples come from, and what it knows of a queue and of time.
type Source struct {
	Sampler   onprem.Sampler
	Queue     edge.Queue // nil is none
	Threshold policy.Threshold
}

// Site is an edge with the connection it announces over.
type Site struct {
	Edge *edge.Edge
	bus  *bus.Conn
	conf configs.Edge
	lg   *slog.Logger
	seen string        // mark of what is held; only follow uses it and what follows
	held edge.Holdings // as it was last told to the edge
}

// Close gives the connection back.
func (s *Site) Close() { s.bus.Close() }

// Part is what of a site an error is about.
type Part string

// The parts with files of their own. An error without a part is about none.
const (
	Keys      Part = "keys"
	Rules     Part = "rules"
	Places    Part = "places"
	Catalogue Part = "catalogue"
	Slices    Part = "slices"
)

// Fault is an error about one part. Made by [Open]; the zero Fault is about none.
type Fault struct {
	Part Part
	Err  error
}

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns what happened.
func (f *Fault) Unwrap() error { return f.Err }

// of gives an error its part, unless it has one; nil stays nil.
func of(part Part, err error) error {
	if _, ok := errors.AsType[*Fault](err); ok || err == nil {
		return err
	}
	return &Fault{part, err}
}

// Open reads every file the config names and connects to the bus.
func Open(ctx context.Context, c configs.Edge, src Source, lg *slog.Logger) (*Site, error) {
	conf := edge.Config{Site: c.Site, Pool: c.Pool, Domain: c.Domain, Sampler: src.Sampler, Queue: src.Queue,
		Threshold: src.Threshold, Quarantine: c.Quarantine, Window: c.Window, Announce: c.Announce, Logger: lg}
	seen := mark(c) // before it is read: what changes meanwhile is looked at again
	for _, step := range []struct {
		part Part
		read func(configs.Edge, *edge.Config) error
	}{{Keys, identity}, {Keys, witness}, {Rules, law}, {Slices, holding(ctx)}, {Slices, payloads}} {
		if err := of(step.part, step.read(c, &conf)); err != nil {
			return nil, fmt.Errorf("open site %s: %w", c.Site, err)
		}
	}
	key, err := keys.Ed25519(c.NATS.Key)
	if err != nil {
		return nil, of(Keys, err)
	}
	roots, err := keys.Pool(c.NATS.CA)
	if err != nil {
		return nil, of(Keys, err)
	}
	conn, err := bus.Connect(ctx, bus.Config{URL: c.NATS.URL, CredsFile: c.NATS.Creds, Name: c.Site, Logger: lg,
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}})
	if err != nil {
		return nil, err
	}
	conf.Bus = bus.NewPublisher(conn, c.Site, key)
	e, err := edge.New(conf)
	if err != nil {
		conn.Close()
		return nil, err
	}
	held := edge.Holdings{Catalogue: conf.Catalogue, Slices: conf.Slices, Manifests: conf.Manifests}
	return &Site{e, conn, c, lg, seen, held}, nil
}

// identity reads who the edge is and whom it calls.
func identity(c configs.Edge, e *edge.Config) (err error) {
	if e.Cert, err = keys.Certificate(c.Control.Cert, c.Control.Key); err != nil {
		return err
	}
	house, err := keys.Pool(c.Control.CA)
	if err != nil {
		return err
	}
	if e.Grants, err = keys.Pool(c.GrantsCA); err != nil {
		return err
	}
	e.Control = control.NewClient(control.Options{Address: c.Control.Address, Domain: c.Domain, Roots: house,
		Cert: func() (*tls.Certificate, error) { return &e.Cert, nil }})
	return nil
}

// witness reads whom it trusts about the log, and what it remembers of it.
func witness(c configs.Edge, e *edge.Config) error {
	text, err := os.ReadFile(c.Trust)
	if err != nil {
		return fmt.Errorf("read trust: %w", err)
	}
	if e.Trust, err = audit.ParseTrust(text); err != nil {
		return fmt.Errorf("read trust: %s:%w", c.Trust, err)
	}
	skey, err := keys.Text(c.Witness.Key)
	if err != nil {
		return err
	}
	signer, err := audit.NewWitnessSigner(skey)
	if err != nil {
		return fmt.Errorf("read key %s: not a witness's key", c.Witness.Key)
	}
	log, err := keys.Verifier(c.LogKey)
	if err != nil {
		return err
	}
	former, err := formerWitness(c.Witness.Key)
	if err != nil {
		return err
	}
	if e.Witness, err = audit.OpenWitness(c.Witness.State, signer, log, former...); err != nil {
		return err
	}
	if e.GrantsKey, err = keys.Verifier(c.GrantsKey); err != nil {
		return err
	}
	e.Approvers, err = keys.Approvers(c.Approvers...)
	return err
}

// formerWitness are the witness's superseded keys: one of them may have signed
// what it remembers.
func formerWitness(path string) (vs []note.Verifier, err error) {
	vkeys, err := keys.Superseded(path)
	if err != nil {
		return nil, err
	}
	for _, vkey := range vkeys {
		v, err := audit.CosignatureVerifier(vkey)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}

// law reads the site's own rules, places and catalogue.
func law(c configs.Edge, e *edge.Config) (err error) {
	if e.Rules, err = ReadRules(c.Rules); err != nil {
		return err
	}
	standing := func(vs []note.Verifier) []note.Verifier { return e.Witness.Standing(audit.RolePlaces, vs...) }
	if e.Places, err = ReadPlaces(c.Places, standing); err != nil {
		return of(Places, err)
	}
	_, e.Catalogue, err = catalogueOf(c)
	return err
}

// ReadRules reads every .cedar file of a directory; none is an error.
func ReadRules(dir string) (*residency.Rules, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.cedar"))
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, fmt.Errorf("read rules: no .cedar file in %s", dir))
	}
	files := map[string][]byte{}
	for _, n := range names {
		if files[filepath.Base(n)], err = os.ReadFile(n); err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
	}
	return residency.ParseRules(files)
}

// ReadPlaces reads the place table, which as many keys as the threshold says,
// else all, must have signed. Of the keys only those that standing leaves count,
// which are those not revoked, as far as this edge has seen the log; nil leaves
// all.
func ReadPlaces(c configs.Places, standing func([]note.Verifier) []note.Verifier) (*residency.Table, error) {
	b, err := os.ReadFile(c.Table)
	if err != nil {
		return nil, fmt.Errorf("read places: %w", err)
	}
	vs, err := keys.Verifiers(c.Keys...)
	if err != nil {
		return nil, err
	}
	if len(vs) == 0 {
		return residency.ParseTable(b)
	}
	if standing != nil {
		vs = standing(vs)
	}
	t, _, err := residency.OpenTableBy(b, note.VerifierList(vs...), c.Need())
	return t, err
}
