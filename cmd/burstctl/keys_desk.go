package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

// keyDesk is the desk with what changes keys. The claim of that action says
// what to do, in one of three forms: "rotate ROLE" for the controller's own log
// and grants keys; "rotate " and a statement of audit.SignChange for a key that
// lies elsewhere; "revoke ROLE[/SITE] [VKEY]".
type keyDesk struct{ desk }

// Do carries out an action a person may ask for.
func (k keyDesk) Do(ctx context.Context, actor, action, claim, reason string) error {
	switch action {
	case control.ActionRotate:
		k.turning.Lock()
		defer k.turning.Unlock()
		verb, what, _ := strings.Cut(claim, " ")
		switch {
		case verb == "rotate" && what == audit.RoleLog:
			return k.rotateLog(ctx, actor, "")
		case verb == "rotate" && what == audit.RoleGrants:
			return k.rotateGrants(ctx, actor)
		case verb == "rotate":
			return k.takeChange(ctx, actor, what)
		case verb == "revoke":
			return k.revoke(ctx, actor, what, reason)
		}
		return errors.New("change keys: neither rotate nor revoke")
	case control.ActionReload:
		if err := k.placesStand(); err != nil {
			return err
		}
	}
	return k.desk.Do(ctx, actor, action, claim, reason)
}

// rotateLog hands the log to its next key, which is durable before the entry
// is made. With a reason the old one is revoked by the same commit.
func (d *daemon) rotateLog(ctx context.Context, actor, revoked string) error {
	path := filepath.Join(d.conf.Keys, "log.key")
	old, next, err := d.pair(ctx, path, audit.RoleLog)
	if err != nil {
		return err
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	e, err := audit.NewRotation(at, actor, old.Signer, next.Signer, old.VKey, next.VKey)
	if err != nil {
		return err
	}
	var with []audit.Entry
	if revoked != "" {
		r, err := audit.NewRevocation(at, actor, audit.RoleLog, old.VKey, revoked)
		if err != nil {
			return err
		}
		with = append(with, r)
	}
	if err := d.log.Rotate(context.WithoutCancel(ctx), e, next.Signer, with...); err != nil {
		return err
	}
	d.lg.InfoContext(ctx, "key rotated", "role", audit.RoleLog, "now", next.VKey)
	return keys.Adopt(path, old.VKey)
}

// pair opens a key and its next one, which is made where there is none.
func (d *daemon) pair(ctx context.Context, path, role string) (old, next keys.Key, err error) {
	if old, err = openKey(ctx, path, role, d.lg); err != nil {
		return old, next, err
	}
	file, err := keys.Prepare(path, role, old.VKey)
	if err != nil {
		return old, next, err
	}
	next, err = openKey(ctx, file, role, d.lg)
	return old, next, err
}

// rotateGrants hands grants to the next key. Grants of the old one would not
// open here after the next start, so none may be in use.
func (d *daemon) rotateGrants(ctx context.Context, actor string) error {
	if claims := d.granted(); len(claims) > 0 {
		return fmt.Errorf("rotate grants: %d bursts hold grants of the present key: wait for their end, or end %s and "+
			"the others with \"burstctl revoke\"", len(claims), claims[0])
	}
	return d.turnGrants(ctx, actor)
}

// turnGrants hands grants to the next key; the entry goes with others, such as
// the revocation of the old one.
func (d *daemon) turnGrants(ctx context.Context, actor string, with ...audit.Entry) error {
	path := filepath.Join(d.conf.Keys, "grants.key")
	old, next, err := d.pair(ctx, path, audit.RoleGrants)
	if err != nil {
		return err
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	signed, err := audit.SignChange(at, audit.RoleGrants, old.Signer, next.Signer, old.VKey, next.VKey)
	if err != nil {
		return err
	}
	e, err := audit.NewChange(actor, signed)
	if err != nil {
		return err
	}
	if err := d.log.EnterChange(context.WithoutCancel(ctx), append([]audit.Entry{e}, with...)...); err != nil {
		return err
	}
	d.lg.InfoContext(ctx, "key rotated", "role", audit.RoleGrants, "now", next.VKey, "actor", actor)
	return errors.Join(d.grants.turn(next), keys.Adopt(path, old.VKey))
}

// granted are the bursts that hold a grant.
func (d *daemon) granted() (claims []string) {
	for _, s := range d.engine.Bursts() {
		if s.Grant != nil && s.Live() && s.Stopped == nil {
			claims = append(claims, s.Claim)
		}
	}
	return claims
}

// takeChange enters a change that was signed where the keys are. The old key
// must be one that counts here.
func (d *daemon) takeChange(ctx context.Context, actor, signed string) error {
	e, err := audit.NewChange(actor, signed)
	if err != nil {
		return err
	}
	c, err := audit.OpenChange(e)
	if err != nil {
		return err
	}
	if age := time.Since(e.At); age > 10*time.Minute || age < -time.Minute {
		return fmt.Errorf("change key of %s: it was signed at %s: sign it anew", c.Role, e.At.Format(time.RFC3339))
	}
	elsewhere := c.Role == audit.RoleWitness || c.Role == audit.RolePlaces
	if !elsewhere || !slices.Contains(d.inForce(c.Role), c.Old) {
		return fmt.Errorf("change key of %s: the old key is none that counts here", c.Role)
	}
	return d.log.EnterChange(context.WithoutCancel(ctx), e)
}

// revoke ends a key: the one in force, or one that is named. The log's and the
// grants key in force hand over to a next one; bursts end with their grants.
func (d *daemon) revoke(ctx context.Context, actor, what, reason string) error {
	what, vkey, named := strings.Cut(what, " ")
	role, site, _ := strings.Cut(what, "/")
	if strings.TrimSpace(reason) == "" {
		return errors.New("revoke key: say why with --reason")
	}
	if !named {
		v, err := d.presentKey(role, site)
		if err != nil {
			return err
		}
		vkey = v
	}
	if err := d.notRevoked(role, vkey); err != nil {
		return err
	}
	e, err := audit.NewRevocation(time.Now().UTC().Truncate(time.Millisecond), actor, role, vkey, reason)
	if err != nil {
		return err
	}
	enter := func() error { return d.log.EnterChange(context.WithoutCancel(ctx), e) }
	switch present, err := d.presentKey(role, site); {
	case role == audit.RoleLog && err == nil && present == vkey:
		return d.rotateLog(ctx, actor, reason)
	case role == audit.RoleGrants:
		if present == vkey {
			err = d.turnGrants(ctx, actor, e)
		} else {
			err = enter()
		}
		if err == nil {
			err = d.endGrants(actor)
		}
		return err
	}
	return enter()
}

// endGrants stops every burst that holds a grant.
func (d *daemon) endGrants(actor string) error {
	var errs []error
	for _, claim := range d.granted() {
		errs = append(errs, d.engine.Stop(claim, actor, burst.WhyRevoked, "the key of its grant is revoked"))
	}
	return errors.Join(errs...)
}

// presentKey is the newest verifier key of a role, of a witness that of a site.
func (d *daemon) presentKey(role, site string) (string, error) {
	files := map[string]string{audit.RoleLog: filepath.Join(d.conf.Keys, "log.vkey"),
		audit.RoleGrants: filepath.Join(d.conf.Keys, "grants.vkey")}
	if role == audit.RolePlaces && len(d.conf.Places.Keys) == 1 {
		files[role] = d.conf.Places.Keys[0]
	}
	for _, s := range d.conf.Sites {
		if role == audit.RoleWitness && s.ID == site {
			files[role] = s.Witness
		}
	}
	if files[role] == "" {
		return "", fmt.Errorf("find key of %s: name its site, or the verifier key with --key", role)
	}
	vkey, err := keys.VKey(files[role])
	if err != nil {
		return "", err
	}
	for _, c := range d.keyChanges() {
		if c.Role == role && c.Old == vkey && !c.Revokes() {
			vkey = c.Next
		}
	}
	return vkey, nil
}

// inForce are the newest verifier keys of a role that are not revoked.
func (d *daemon) inForce(role string) (vkeys []string) {
	sites := []string{""}
	for _, s := range d.conf.Sites {
		sites = append(sites, s.ID)
	}
	for _, site := range sites {
		if vkey, err := d.presentKey(role, site); err == nil && d.notRevoked(role, vkey) == nil {
			vkeys = append(vkeys, vkey)
		}
	}
	return vkeys
}

// keyChanges are the changes of keys the log holds.
func (d *daemon) keyChanges() (changes []audit.Change) {
	for _, leaf := range d.log.Changes() {
		if c, err := audit.OpenChange(leaf.Entry); err == nil { // the log opened it
			changes = append(changes, c)
		}
	}
	return changes
}

// notRevoked refuses a key that the log says is revoked.
func (d *daemon) notRevoked(role, vkey string) error {
	for _, leaf := range d.log.Changes() {
		c, err := audit.OpenChange(leaf.Entry)
		if err == nil && c.Role == role && c.Revokes() && c.Old == vkey {
			return fmt.Errorf("use key of %s: it is revoked by entry %d", role, leaf.Index)
		}
	}
	return nil
}

// placesStand refuses a place table that needs the signature of a key that is
// revoked.
func (d *daemon) placesStand() error {
	standing := configs.Places{Table: d.conf.Places.Table, Threshold: d.conf.Places.Need()}
	var gone error
	for _, path := range d.conf.Places.Keys {
		vkey, err := keys.VKey(path)
		if err == nil {
			err = d.notRevoked(audit.RolePlaces, vkey)
		}
		if err != nil {
			gone = frame.Wrap(frame.BadPlaces, err, "have the table signed with another key and name that in places.keys")
			continue
		}
		standing.Keys = append(standing.Keys, path)
	}
	if gone == nil || len(standing.Keys) < standing.Threshold {
		return gone
	}
	_, err := readPlaces(standing)
	return err
}

// keySite tells edges of changes of keys; everything else is the engine's.
type keySite struct {
	*perform.Engine
	log *audit.Log
}

// EnterFor makes an entry, or proves the first change of keys after one that
// the edge knows.
func (k keySite) EnterFor(ctx context.Context, site string, in tunnel.Entering) (tunnel.Entered, error) {
	if in.Kind != audit.AskChanges {
		return k.Engine.EnterFor(ctx, site, in)
	}
	var ask audit.AfterBody
	if err := audit.DecodeStrict(in.Body, &ask); err != nil {
		return tunnel.Entered{}, err
	}
	for _, leaf := range k.log.Changes() {
		if leaf.Index <= ask.After {
			continue
		}
		raw, err := leaf.Entry.Encode()
		if err != nil {
			return tunnel.Entered{}, err
		}
		x, err := k.log.Extend(ctx, in.Old, leaf.Index)
		return tunnel.Entered{Index: leaf.Index, Leaf: raw, Checkpoint: x.Checkpoint,
			Consistency: plain(x.Consistency), Inclusion: plain(x.Inclusion)}, err
	}
	return tunnel.Entered{Index: -1}, nil
}

// plain are hashes as the wire has them.
func plain(hs []tlog.Hash) [][32]byte {
	out := make([][32]byte, len(hs))
	for i, h := range hs {
		out[i] = h
	}
	return out
}
