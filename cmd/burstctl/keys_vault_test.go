package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/tunnel/vault"
	"github.com/burstctl/burstctl/tunnel/vault/vaulttest"
)

// transitKeys makes Ed25519 keys in Vault and lets the controller's role sign
// with them, as docs/runbooks.md tells an operator to.
func transitKeys(t *testing.T, s *vaulttest.Server, names ...string) vault.Config {
	t.Helper()
	cfg := s.ConfigurePKI(t, demoDomain)
	policy := `path "auth/token/renew-self" { capabilities = ["update"] }` + "\n"
	mount := strings.Replace(cfg.Mount, "pki", "transit", 1)
	write := func(path string, data map[string]any) {
		if _, err := s.Client(t).Logical().WriteWithContext(t.Context(), path, data); err != nil {
			t.Fatal(err)
		}
	}
	write("sys/mounts/"+mount, map[string]any{"type": "transit"})
	for _, name := range names {
		write(mount+"/keys/"+name, map[string]any{"type": "ed25519"})
		policy += fmt.Sprintf("path %q { capabilities = [\"read\"] }\npath %q { capabilities = [\"update\"] }\n",
			mount+"/keys/"+name, mount+"/sign/"+name)
	}
	if err := s.Client(t).Sys().PutPolicyWithContext(t.Context(), cfg.Mount, policy); err != nil {
		t.Fatal(err)
	}
	cfg.Mount = mount
	return cfg
}

func TestTheLogAndGrantsKeysMoveIntoVault(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := transitKeys(t, s, "log", "grants")
	h := keyHouse(t)
	h.start(t, h.bin, "edge", "--config", "edge.yaml")
	controller := h.start(t, h.bin, "controller", "--config", "controller.yaml")
	h.sealed(t)
	for _, role := range []string{"log", "grants"} {
		at := filepath.Join(h.dir, "keys", "controller", role+".next")
		ref := fmt.Sprintf("address: %s\nauth_mount: %s\nmount: %s\nkey: %s\nrole_id_file: %s\nsecret_id_file: %s\n",
			cfg.Address, cfg.AuthMount, cfg.Mount, role, cfg.RoleIDFile, cfg.SecretIDFile)
		if err := os.WriteFile(at+".key", []byte(ref), 0o600); err != nil {
			t.Fatal(err)
		}
		vkey := h.says(t, 0, "keys", "public", "--name", demoDomain+"/"+role, at+".key")
		if err := os.WriteFile(at+".vkey", []byte(vkey), 0o600); err != nil {
			t.Fatal(err)
		}
		h.says(t, 0, "keys", "rotate", role)
		if now := h.vkey(t, "controller/"+role+".vkey"); now != strings.TrimSpace(vkey) {
			t.Fatalf("%s: the key is %s", role, now)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	h.handIn(ctx, h.at)
	h.kind(t, "ended", 1)
	h.sealed(t)
	h.says(t, 0, "audit", "verify", "log", "--trust", "trust.txt")

	s.Seal(t)
	h.handInAnother(ctx)
	if state := controller.end(0); state != "exit status 1" {
		t.Errorf("ended with %s", state)
	}
	said, err := os.ReadFile(filepath.Join(h.dir, "controller.log"))
	if err != nil || !strings.Contains(string(said), "is sealed (503)") {
		t.Errorf("said %q, %v", said, err)
	}
	before := h.kinds()[""]
	if said := h.says(t, 1, "controller", "--config", "controller.yaml"); !strings.Contains(said, "BRS-1204") {
		t.Errorf("a start under a sealed Vault: %s", said)
	}
	s.Unseal(t)
	h.start(t, h.bin, "controller", "--config", "controller.yaml")
	h.kind(t, "opened", 2)
	h.sealed(t)
	if h.kinds()[""] <= before {
		t.Error("nothing was entered after unsealing")
	}
}

// handInAnother asks for an entry, whatever comes of it.
func (h house) handInAnother(ctx context.Context) {
	k := caller{address: h.at, as: filepath.Join(h.dir, "keys", "user-demo")}
	if client, err := k.client(ctx); err == nil {
		_ = client.Do(ctx, "rules.reload", "", "") // a law is entered
	}
}
