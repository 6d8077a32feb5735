package vaulttest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/burstctl/burstctl/tunnel/vault"
)

// AppRole is the name of the role that ConfigurePKI makes under the
// configuration's AuthMount, for tests that change it.
const AppRole = "burst"

// policy is all that the controller may do; configs/vault-setup.md has it too.
const policy = `
path "%[1]s/sign/%[2]s"      { capabilities = ["update"] }
path "%[1]s/revoke"          { capabilities = ["update"] }
path "%[1]s/cert/+"          { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
`

// ConfigurePKI prepares the server as configs/vault-setup.md tells an operator
// to, under mounts with a suffix of its own, and returns the configuration of a
// controller in the trust domain. Its files are the test's, mode 0600.
func (s *Server) ConfigurePKI(t testing.TB, domain string) vault.Config {
	t.Helper()
	c, tail := s.Client(t), suffix()
	cfg := vault.Config{
		Address: s.Addr, Mount: "pki-" + tail, AuthMount: "approle-" + tail, Role: "grants",
		TrustDomain: domain, Patience: 2 * time.Second,
	}
	if s.borrowed {
		t.Cleanup(func() {
			_ = c.Sys().Unmount(cfg.Mount)
			_ = c.Sys().DisableAuth(cfg.AuthMount)
			_ = c.Sys().DeletePolicy(cfg.Mount)
		})
	}
	s.pki(t, c, cfg)
	s.approle(t, c, cfg)
	read := func(path, field string) string {
		out, err := c.Logical().ReadWithContext(t.Context(), path)
		return answer(t, out, err, field)
	}
	role := "auth/" + cfg.AuthMount + "/role/" + AppRole
	dir := t.TempDir()
	cfg.RoleIDFile = keep(t, dir, "role-id", read(role+"/role-id", "role_id"))
	out, err := c.Logical().WriteWithContext(t.Context(), role+"/secret-id", nil)
	cfg.SecretIDFile = keep(t, dir, "secret-id", answer(t, out, err, "secret_id"))
	return cfg
}

// pki mounts the engine with a root of its own and a role for grants.
func (s *Server) pki(t testing.TB, c *api.Client, cfg vault.Config) {
	t.Helper()
	err := c.Sys().MountWithContext(t.Context(), cfg.Mount, &api.MountInput{
		Type: "pki", Config: api.MountConfigInput{MaxLeaseTTL: "2160h"},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, cfg.Mount+"/root/generate/internal", map[string]any{
		"common_name": "burstctl grants of " + cfg.TrustDomain, "ttl": "2160h",
		"key_type": "ec", "key_bits": 256, "max_path_length": 0,
	})
	write(t, c, cfg.Mount+"/roles/"+cfg.Role, map[string]any{
		"allowed_uri_sans":    "spiffe://" + cfg.TrustDomain + "/grant/*",
		"max_ttl":             "15m",
		"not_before_duration": "30s",
		"key_type":            "any", // a node's key is P-256 or Ed25519; the controller checks
		"key_usage":           "DigitalSignature",
		"client_flag":         true,
		"server_flag":         true,
		"require_cn":          false,
		"use_csr_common_name": false,
		"use_csr_sans":        false,
		"allow_ip_sans":       false,
		"allow_localhost":     false,
		"no_store":            false, // stored, so that it can be revoked
		"generate_lease":      false,
	})
}

// approle mounts the login and lets its one role do what the policy says.
func (s *Server) approle(t testing.TB, c *api.Client, cfg vault.Config) {
	t.Helper()
	if err := c.Sys().PutPolicyWithContext(t.Context(), cfg.Mount, fmt.Sprintf(policy, cfg.Mount, cfg.Role)); err != nil {
		t.Fatal(err)
	}
	err := c.Sys().EnableAuthWithOptionsWithContext(t.Context(), cfg.AuthMount, &api.EnableAuthOptions{Type: "approle"})
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, "auth/"+cfg.AuthMount+"/role/"+AppRole, map[string]any{
		"token_policies": cfg.Mount, "token_no_default_policy": true,
		"token_ttl": "20m", "token_max_ttl": "1h",
	})
}

func write(t testing.TB, c *api.Client, path string, data map[string]any) {
	t.Helper()
	if _, err := c.Logical().WriteWithContext(t.Context(), path, data); err != nil {
		t.Fatal(err)
	}
}

// answer takes one text field out of an answer.
func answer(t testing.TB, out *api.Secret, err error, field string) string {
	t.Helper()
	if err != nil || out == nil {
		t.Fatalf("no %s: %v", field, err)
	}
	text, ok := out.Data[field].(string)
	if !ok {
		t.Fatalf("no %s in the answer", field)
	}
	return text
}

// keep writes a secret to a file only we may read.
func keep(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
