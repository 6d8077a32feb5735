package vault_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/vault"
	"github.com/burstctl/burstctl/tunnel/vault/vaulttest"
)

// transit gives the controller's role an Ed25519 key in a transit engine, as
// configs/vault-setup.md tells an operator to.
func transit(t *testing.T, s *vaulttest.Server, key string) vault.Config {
	t.Helper()
	cfg := s.ConfigurePKI(t, domain)
	mount := strings.Replace(cfg.Mount, "pki", "transit", 1)
	write(t, s, "sys/mounts/"+mount, map[string]any{"type": "transit"})
	write(t, s, mount+"/keys/"+key, map[string]any{"type": "ed25519"})
	policy := `path "` + mount + `/keys/` + key + `" { capabilities = ["read"] }
path "` + mount + `/sign/` + key + `" { capabilities = ["update"] }
path "auth/token/renew-self" { capabilities = ["update"] }`
	if err := s.Client(t).Sys().PutPolicyWithContext(t.Context(), cfg.Mount, policy); err != nil {
		t.Fatal(err)
	}
	cfg.Mount, cfg.Patience = mount, 300*time.Millisecond
	return cfg
}

// opened is the key in Vault and its verifier key.
func opened(t *testing.T, cfg vault.Config, key, name string) (*vault.Transit, string) {
	t.Helper()
	vkey, err := vault.TransitPublic(t.Context(), cfg, key, name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := vault.OpenTransit(t.Context(), cfg, key, vkey)
	if err != nil {
		t.Fatal(err)
	}
	return k, vkey
}

const origin = domain + "/log"

func TestALogWhoseKeyIsInVaultIsSignedRotatedAndVerified(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := transit(t, s, "log")
	k, vkey := opened(t, cfg, "log", origin)
	write(t, s, cfg.Mount+"/keys/log/rotate", nil) // a later version in Vault is not ours until the log says so
	o := audit.Options{Dir: filepath.Join(t.TempDir(), "log"), Origin: origin, Signer: k, Reserve: 4096,
		OnFatal: func(err error) { t.Error(err) }}
	if err := audit.Create(o); err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	beat := audit.Entry{V: 1, Code: "0900", Kind: "heartbeat", At: time.Now(), Actor: "controller"}
	if _, err := l.Enter(t.Context(), beat); err != nil {
		t.Fatal(err)
	}
	next, nextKey := opened(t, cfg, "log", origin)
	if nextKey == vkey {
		t.Fatal("Vault's rotation gave no new key")
	}
	e, err := audit.NewRotation(time.Now(), "user:alice", k, next, vkey, nextKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Rotate(t.Context(), e, next); err != nil {
		t.Fatal(err)
	}

	s.Seal(t)
	_, err = l.Enter(t.Context(), beat)
	if !errors.Is(err, vault.ErrUnavailable) || strings.Contains(err.Error(), "\n") ||
		!strings.Contains(err.Error(), "is sealed (503)") || l.Size() != 2 {
		t.Errorf("entered under a sealed Vault: %v, %d entries", err, l.Size())
	}
	s.Unseal(t)
	if _, err := l.Enter(t.Context(), beat); err != nil {
		t.Errorf("after unsealing: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o.Signer = next
	again, err := audit.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	trust, err := audit.NewTrust(0, vkey)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(t.Context(), os.DirFS(o.Dir), trust); err != nil || r.Size != 3 {
		t.Errorf("verify with the first key: %v, %d entries", err, r.Size)
	}
}

func TestAKeyInVaultThatIsNotTheOneHandedOutIsRefused(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := transit(t, s, "log")
	k, vkey := opened(t, cfg, "log", origin)
	_, other, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	mismatch := func(err error) bool { return err != nil && strings.Contains(err.Error(), "public key mismatch") }
	if _, err := vault.OpenTransit(t.Context(), cfg, "log", other); !mismatch(err) {
		t.Errorf("another verifier key: %v", err)
	}
	write(t, s, cfg.Mount+"/keys/log/config", map[string]any{"deletion_allowed": true})
	if _, err := s.Client(t).Logical().DeleteWithContext(t.Context(), cfg.Mount+"/keys/log"); err != nil {
		t.Fatal(err)
	}
	write(t, s, cfg.Mount+"/keys/log", map[string]any{"type": "ed25519"})
	if _, err := k.Sign([]byte("text\n")); !mismatch(err) {
		t.Errorf("the key was exchanged in Vault: %v", err)
	}
	if _, err := vault.OpenTransit(t.Context(), cfg, "log", vkey); !mismatch(err) {
		t.Errorf("after a restart: %v", err)
	}
	write(t, s, cfg.Mount+"/keys/rsa", map[string]any{"type": "rsa-2048"})
	for _, key := range []string{"rsa", "none", "../sys"} {
		if _, err := vault.TransitPublic(t.Context(), cfg, key, origin); err == nil {
			t.Errorf("took %q for a key", key)
		}
	}
}
