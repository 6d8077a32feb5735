package vault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/issuer/issuertest"
	"github.com/burstctl/burstctl/tunnel/vault"
	"github.com/burstctl/burstctl/tunnel/vault/vaulttest"
)

const domain = "claims.example"

func open(t *testing.T, cfg vault.Config) *vault.Vault {
	t.Helper()
	v, err := vault.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func issue(t *testing.T, v *vault.Vault, grant string) (tunnel.Credential, error) {
	t.Helper()
	return v.Issue(t.Context(), issuertest.GrantRequest(t, issuertest.Key(t), domain, grant), grant, time.Minute)
}

func TestVaultKeepsTheContract(t *testing.T) {
	v := open(t, vaulttest.Start(t).ConfigurePKI(t, domain))
	issuertest.TestIssuer(t, issuertest.Subject{Issuer: v, Domain: domain, Roots: v.CA})
}

func TestASealedVaultDeniesClearlyAndComesBack(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	cfg.Patience = 300 * time.Millisecond
	v := open(t, cfg)
	cred, err := issue(t, v, "g-before")
	if err != nil {
		t.Fatal(err)
	}
	s.Seal(t)
	_, issueErr := issue(t, v, "g-sealed")
	revoked, revokedErr := v.Revoked(t.Context(), cred.Serial)
	_, loginErr := issue(t, open(t, cfg), "g-sealed")
	_, caErr := v.CA(t.Context())
	for what, err := range map[string]error{
		"issue": issueErr, "revoke": v.Revoke(t.Context(), cred.Serial), "revoked": revokedErr,
		"first login": loginErr, "CA": caErr,
	} {
		if !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", what, err)
			continue
		}
		oneClearLine(t, what, err, "is sealed (503)", cfg.Address, "vault operator unseal")
	}
	if revoked {
		t.Error("a sealed Vault counted as a revocation")
	}
	s.Unseal(t)
	if _, err := issue(t, v, "g-after"); err != nil {
		t.Errorf("issue after unsealing: %v", err)
	}
	if err := v.Revoke(t.Context(), cred.Serial); err != nil {
		t.Errorf("revoke after unsealing: %v", err)
	}
	if gone, err := v.Revoked(t.Context(), cred.Serial); err != nil || !gone {
		t.Errorf("Revoked = %v, %v after unsealing, want true", gone, err)
	}
}

func TestASealLiftedWithinPatienceIsNotNoticed(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	cfg.Patience = 20 * time.Second
	retried := make(chan struct{}, 1)
	cfg.Logger = slog.New(slog.NewTextHandler(signal{retried}, nil))
	v := open(t, cfg)
	s.Seal(t)
	done := make(chan error, 1)
	csr := issuertest.GrantRequest(t, issuertest.Key(t), domain, "g1")
	go func() {
		_, err := v.Issue(t.Context(), csr, "g1", time.Minute)
		done <- err
	}()
	<-retried
	s.Unseal(t)
	if err := <-done; err != nil {
		t.Errorf("issue across a short seal: %v", err)
	}
}

// signal says on a channel that something was logged.
type signal struct{ c chan<- struct{} }

func (s signal) Write(p []byte) (int, error) {
	select {
	case s.c <- struct{}{}:
	default:
	}
	return len(p), nil
}

func TestAMissingPermissionIsDeniedNotUnavailable(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	v := open(t, cfg)
	if _, err := issue(t, v, "g1"); err != nil {
		t.Fatal(err)
	}
	nothing := `path "none" { capabilities = ["read"] }`
	if err := s.Client(t).Sys().PutPolicyWithContext(t.Context(), cfg.Mount, nothing); err != nil {
		t.Fatal(err)
	}
	_, err := issue(t, v, "g2")
	if err == nil || errors.Is(err, vault.ErrUnavailable) {
		t.Fatalf("err = %v, want a refusal", err)
	}
	oneClearLine(t, "issue", err, "refuses it (403)", "configs/vault-setup.md")
}

func TestTheRoleInVaultRefusesAForeignGrantToo(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	cfg.TrustDomain = "elsewhere.example" // ours is lax; Vault's role is not
	csr := issuertest.GrantRequest(t, issuertest.Key(t), cfg.TrustDomain, "g1")
	_, err := open(t, cfg).Issue(t.Context(), csr, "g1", time.Minute)
	if err == nil || errors.Is(err, vault.ErrUnavailable) {
		t.Fatalf("err = %v, want a refusal", err)
	}
	oneClearLine(t, "issue", err, "refuses it (400)", "not valid for this role")
}

func TestALaxRoleInVaultIsCaughtAndItsLeafRevoked(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	write(t, s, cfg.Mount+"/roles/grants", map[string]any{
		"allow_any_name": true, "allowed_uri_sans": "*", "require_cn": false, "key_type": "any",
		"max_ttl": "15m", "not_before_duration": "30s", "key_usage": "DigitalSignature,CertSign",
	})
	_, err := issue(t, open(t, cfg), "g1")
	if err == nil {
		t.Fatal("took a leaf that may sign certificates")
	}
	oneClearLine(t, "issue", err, "may do more than sign a handshake")
	out, err := s.Client(t).Logical().ListWithContext(t.Context(), cfg.Mount+"/certs/revoked")
	if err != nil || out == nil || len(out.Data["keys"].([]any)) != 1 {
		t.Errorf("revoked in Vault: %v, %v, want that one leaf", out, err)
	}
}

func TestAThousandWordsOfErrorNameNoSecret(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	cfg.Patience = 200 * time.Millisecond
	var log lockedBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	const canary = "11111111-canary-2222-secret-333333333333"
	if err := os.WriteFile(cfg.SecretIDFile, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VAULT_TOKEN", "hvs.from-the-environment")
	t.Setenv("VAULT_ADDR", "http://192.0.2.1:8200")
	t.Setenv("VAULT_NAMESPACE", "elsewhere")
	_, wrong := issue(t, open(t, cfg), "g1")
	away := cfg
	away.Address = "http://127.0.0.1:1"
	_, unreachable := issue(t, open(t, away), "g1")
	lax := cfg
	lax.SecretIDFile = t.TempDir() + "/lax"
	if err := os.WriteFile(lax.SecretIDFile, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(lax.SecretIDFile, 0o644); err != nil { // whatever the umask
		t.Fatal(err)
	}
	_, mode := issue(t, open(t, lax), "g1")
	s.Seal(t)
	_, sealed := issue(t, open(t, cfg), "g1")
	oneClearLine(t, "wrong secret ID", wrong, "log in to vault", "refuses it (400)")
	oneClearLine(t, "unreachable", unreachable, "127.0.0.1:1", "cannot be reached")
	oneClearLine(t, "lax mode", mode, "0600")
	oneClearLine(t, "sealed", sealed, "is sealed")
	all := errors.Join(wrong, unreachable, mode, sealed).Error() + log.String()
	for _, secret := range []string{canary, "hvs."} {
		if strings.Contains(all, secret) {
			t.Errorf("%q got out:\n%s", secret, all)
		}
	}
}

func TestAnAbandonedCallSaysBothWhatAndWhy(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	cfg.Patience = time.Minute
	v := open(t, cfg)
	s.Seal(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := v.Revoked(ctx, "0123456789abcdef0123456789abcdef01234567")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("err = %v, want the deadline and that Vault is unavailable", err)
	}
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	if _, err := v.CA(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want cancelled", err)
	}
}

func TestAConfigurationThatCouldLeakIsRefused(t *testing.T) {
	good := vault.Config{
		Address: "https://vault.example:8200", RoleIDFile: "r", SecretIDFile: "s", Role: "grants", TrustDomain: domain,
	}
	open(t, good)
	for name, change := range map[string]func(*vault.Config){
		"nothing":             func(c *vault.Config) { *c = vault.Config{} },
		"http far away":       func(c *vault.Config) { c.Address = "http://vault.example:8200" },
		"a password in it":    func(c *vault.Config) { c.Address = "https://u:hunter2@vault.example" },
		"a query":             func(c *vault.Config) { c.Address = "https://vault.example/?token=hunter2" },
		"a socket":            func(c *vault.Config) { c.Address = "unix:///run/vault.sock" },
		"no secret ID":        func(c *vault.Config) { c.SecretIDFile = "" },
		"no role":             func(c *vault.Config) { c.Role = "" },
		"a mount that climbs": func(c *vault.Config) { c.Mount = "pki/../sys" },
		"a mount with query":  func(c *vault.Config) { c.Mount = "pki?x=" },
		"no trust domain":     func(c *vault.Config) { c.TrustDomain = "" },
		"a CA file not there": func(c *vault.Config) { c.CAFile = "/nonexistent.pem" },
	} {
		cfg := good
		change(&cfg)
		_, err := vault.New(cfg)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want a refusal without the secret", name, err)
		}
	}
}

// oneClearLine wants an error of one line that names all that is wanted.
func oneClearLine(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	text := err.Error()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %q does not say %q", what, text, w)
		}
	}
	if strings.Contains(text, "\n") || strings.Contains(text, "/v1/") || len(text) > 400 {
		t.Errorf("%s: not one clear line: %q", what, text)
	}
}

func write(t *testing.T, s *vaulttest.Server, path string, data map[string]any) {
	t.Helper()
	if _, err := s.Client(t).Logical().WriteWithContext(t.Context(), path, data); err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer is a log that goroutines share.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
