package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"
	"golang.org/x/mod/sumdb/note"
)

// Transit signs notes with an Ed25519 key that never leaves Vault's transit
// engine. Made by [OpenTransit]; safe for concurrent use; the zero Transit is
// unusable. It is a note.Signer, and believes no signature that its verifier
// does not: a key exchanged in Vault is noticed at once.
type Transit struct {
	v       *Vault
	key     string
	version int
	verify  note.Verifier
}

// OpenTransit finds the version of the key whose public half vkey names. No
// such version is an error: the key in Vault is not the one that was handed
// out. Of cfg, Mount is the transit engine's and empty means "transit"; Role
// and TrustDomain have no part in it.
func OpenTransit(ctx context.Context, cfg Config, key, vkey string) (*Transit, error) {
	verify, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("open key %q in vault: %w", key, err)
	}
	_, rest, _ := strings.Cut(vkey, "+")
	_, text, _ := strings.Cut(rest, "+") // name+hash+key; base64 may hold more of them
	want, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(want) != 1+ed25519.PublicKeySize {
		return nil, fmt.Errorf("open key %q in vault: the verifier key is not Ed25519", key)
	}
	v, versions, err := transitKeys(ctx, cfg, key)
	if err != nil {
		return nil, err
	}
	for n, pub := range versions {
		if bytes.Equal(pub, want[1:]) {
			return &Transit{v, key, n, verify}, nil
		}
	}
	return nil, fmt.Errorf("open key %q in vault at %s: public key mismatch: none of its %d versions is %s", key,
		v.cfg.Address, len(versions), vkey)
}

// TransitPublic is the verifier key, under the holder's name, of the newest
// version of a key in Vault: what is handed out when it is first made.
func TransitPublic(ctx context.Context, cfg Config, key, name string) (string, error) {
	_, versions, err := transitKeys(ctx, cfg, key)
	if err != nil {
		return "", err
	}
	newest := 0
	for n := range versions {
		newest = max(newest, n)
	}
	return note.NewEd25519VerifierKey(name, versions[newest])
}

// transitKeys reads the public keys of a transit key by version.
func transitKeys(ctx context.Context, cfg Config, key string) (*Vault, map[int]ed25519.PublicKey, error) {
	cfg.Mount, cfg.Role, cfg.TrustDomain = cmp.Or(cfg.Mount, "transit"), key, "keys"
	v, err := New(cfg)
	if err != nil {
		return nil, nil, err
	}
	op := fmt.Sprintf("open key %q", key)
	out, err := v.call(ctx, op, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return c.Logical().ReadWithContext(ctx, cfg.Mount+"/keys/"+key)
	})
	if err != nil {
		return nil, nil, err
	}
	if out == nil {
		return nil, nil, fmt.Errorf("%s: vault at %s has no such key at %s", op, cfg.Address, cfg.Mount)
	}
	if kind := out.Data["type"]; kind != "ed25519" {
		return nil, nil, fmt.Errorf("%s: vault at %s has it as %v, not ed25519", op, cfg.Address, kind)
	}
	versions := map[int]ed25519.PublicKey{}
	all, _ := out.Data["keys"].(map[string]any)
	for n, k := range all {
		fields, _ := k.(map[string]any)
		text, _ := fields["public_key"].(string)
		pub, err := base64.StdEncoding.DecodeString(text)
		version, err2 := strconv.Atoi(n)
		if err := errors.Join(err, err2); err != nil || len(pub) != ed25519.PublicKeySize {
			return nil, nil, v.doubt(op, errors.New("a version of the key has no public half"))
		}
		versions[version] = pub
	}
	if len(versions) == 0 {
		return nil, nil, v.doubt(op, errors.New("the key has no version"))
	}
	return v, versions, nil
}

// Name is the name in the verifier key.
func (t *Transit) Name() string { return t.verify.Name() }

// KeyHash is the hash in the verifier key.
func (t *Transit) KeyHash() uint32 { return t.verify.KeyHash() }

// Verifier checks this key's signatures, without Vault.
func (t *Transit) Verifier() note.Verifier { return t.verify }

// Sign has Vault sign msg. While Vault is unavailable it tries again for
// Config.Patience; then, and for anything else, the error says why and nothing
// is signed. A signature of another key is refused.
func (t *Transit) Sign(msg []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.v.cfg.Patience+2*requestTimeout)
	defer cancel()
	op := fmt.Sprintf("sign with key %q", t.key)
	out, err := t.v.call(ctx, op, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return c.Logical().WriteWithContext(ctx, t.v.cfg.Mount+"/sign/"+t.key, map[string]any{
			"input": base64.StdEncoding.EncodeToString(msg), "key_version": t.version,
		})
	})
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, t.v.doubt(op, errors.New("empty answer"))
	}
	text, _ := out.Data["signature"].(string)
	raw, ok := strings.CutPrefix(text, fmt.Sprintf("vault:v%d:", t.version))
	sig, err := base64.StdEncoding.DecodeString(raw)
	if !ok || err != nil || !t.verify.Verify(msg, sig) {
		return nil, t.v.doubt(op, errors.New("public key mismatch: the signature is not of the key that was handed out"))
	}
	return sig, nil
}
