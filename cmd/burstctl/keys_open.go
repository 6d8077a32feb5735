package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/vault"
)

// openKey opens a key file of a role: a secret, or the reference to a key in
// Vault, which must be the one whose verifier key lies beside.
func openKey(ctx context.Context, path, role string, lg *slog.Logger) (keys.Key, error) {
	held, err := keys.Held(path)
	if err != nil {
		return keys.Key{}, frame.Wrap(frame.KeyMissing, err, "")
	}
	if held {
		k, err := keys.Open(path, role)
		return k, frame.Wrap(frame.KeyMissing, err, "")
	}
	ref, err := configs.ReadTransit(path)
	if err != nil {
		return keys.Key{}, frame.Wrap(frame.BadConfig, err, "")
	}
	vkey, err := keys.VKey(keys.Public(path))
	if err != nil {
		return keys.Key{}, frame.Wrap(frame.KeyMissing, err, "write it there: \"burstctl keys public\" prints it")
	}
	s, err := vault.OpenTransit(ctx, transitConfig(ref, lg), ref.Key, vkey)
	if err != nil {
		return keys.Key{}, frame.Wrap(cmp.Or(codeOf(err), frame.KeyMissing), err, "")
	}
	return keys.Key{Signer: s, VKey: vkey}, nil
}

// transitConfig is how to reach the Vault of a reference.
func transitConfig(ref configs.Transit, lg *slog.Logger) vault.Config {
	return vault.Config{Address: ref.Address, CAFile: ref.CA, Namespace: ref.Namespace, AuthMount: ref.AuthMount,
		RoleIDFile: ref.RoleIDFile, SecretIDFile: ref.SecretIDFile, Mount: ref.Mount, Logger: lg}
}

// logSigner opens the key the log signs with. A rotation that was cut short is
// finished first: what the checkpoint bears says whether the log has it.
func (d *daemon) logSigner(ctx context.Context) (note.Signer, error) {
	path := filepath.Join(d.conf.Keys, "log.key")
	err := keys.Settle(path, func(vkey string) bool {
		head, err := os.ReadFile(filepath.Join(d.conf.State, "log", "checkpoint"))
		if err != nil {
			return false
		}
		v, err := note.NewVerifier(vkey)
		return err == nil && audit.SignedWith(head, v)
	})
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	k, err := openKey(ctx, path, audit.RoleLog, d.lg)
	return k.Signer, err
}

// grantKey opens the key that seals grants; the log says whether a rotation
// that was cut short has happened. A revoked key seals nothing.
func (d *daemon) grantKey(ctx context.Context) (*turning, error) {
	path := filepath.Join(d.conf.Keys, "grants.key")
	err := keys.Settle(path, func(vkey string) bool {
		for _, c := range d.keyChanges() {
			if c.Role == audit.RoleGrants && c.Next == vkey {
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	k, err := openKey(ctx, path, audit.RoleGrants, d.lg)
	if err != nil {
		return nil, err
	}
	if err := d.notRevoked(audit.RoleGrants, k.VKey); err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "put another key in its place; see docs/runbooks.md, Rotate keys")
	}
	t := new(turning)
	return t, t.turn(k)
}

// turning is a key that can be rotated while others hold it. The zero turning
// must be given a key first.
type turning struct {
	mu sync.RWMutex
	s  note.Signer
	v  note.Verifier
}

// turn puts a key in place of the one before.
func (t *turning) turn(k keys.Key) error {
	v, err := note.NewVerifier(k.VKey)
	if err != nil {
		return frame.Wrap(frame.KeyMissing, err, "")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s, t.v = k.Signer, v
	return nil
}

func (t *turning) now() (note.Signer, note.Verifier) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.s, t.v
}

// Name, KeyHash, Sign and Verify are those of the key in force.
func (t *turning) Name() string { s, _ := t.now(); return s.Name() }

// KeyHash is that of the key in force.
func (t *turning) KeyHash() uint32 { s, _ := t.now(); return s.KeyHash() }

// Sign signs with the key in force.
func (t *turning) Sign(msg []byte) ([]byte, error) { s, _ := t.now(); return s.Sign(msg) }

// Verify checks with the key in force.
func (t *turning) Verify(msg, sig []byte) bool { _, v := t.now(); return v.Verify(msg, sig) }
