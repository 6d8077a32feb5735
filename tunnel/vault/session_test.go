package vault_test

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel/issuer/issuertest"
	"github.com/burstctl/burstctl/tunnel/vault"
	"github.com/burstctl/burstctl/tunnel/vault/vaulttest"
)

// logins counts what the log says of tokens.
func logins(log *lockedBuffer) (logins, renewals int) {
	text := log.String()
	return strings.Count(text, "vault login\""), strings.Count(text, "vault token renewed")
}

func logged(cfg *vault.Config) *lockedBuffer {
	log := new(lockedBuffer)
	cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return log
}

func TestATokenIsRenewedAfterAThirdAndReplacedAtItsMaximum(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	write(t, s, "auth/"+cfg.AuthMount+"/role/"+vaulttest.AppRole, map[string]any{
		"token_policies": cfg.Mount, "token_no_default_policy": true, "token_ttl": "3s", "token_max_ttl": "5s",
	})
	log := logged(&cfg)
	v := open(t, cfg)
	start := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < 8*time.Second { // Vault's clock is real: past one maximum
		<-tick.C
		if _, err := v.CA(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := issue(t, v, "g1"); err != nil {
			t.Fatalf("after %s: %v", time.Since(start), err)
		}
	}
	if in, re := logins(log); in < 2 || in > 4 || re < 1 {
		t.Errorf("%d logins and %d renewals in 8 s of 3 s tokens of at most 5 s:\n%s", in, re, log)
	}
}

func TestARevokedTokenIsReplacedWithoutTheCallerNoticing(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	log := logged(&cfg)
	v := open(t, cfg)
	if _, err := issue(t, v, "g1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Client(t).Sys().RevokePrefixWithContext(t.Context(), "auth/"+cfg.AuthMount); err != nil {
		t.Fatal(err)
	}
	if _, err := issue(t, v, "g2"); err != nil {
		t.Fatal(err)
	}
	if in, _ := logins(log); in != 2 {
		t.Errorf("%d logins, want 2:\n%s", in, log)
	}
}

func TestManyCallersShareOneLogin(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	log := logged(&cfg)
	v := open(t, cfg)
	csr := issuertest.GrantRequest(t, issuertest.Key(t), domain, "g1")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := v.Issue(t.Context(), csr, "g1", time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if in, _ := logins(log); in != 1 {
		t.Errorf("%d logins, want 1:\n%s", in, log)
	}
}

func TestASecretIDReplacedOnDiskIsUsedAtTheNextLogin(t *testing.T) {
	s := vaulttest.Start(t)
	cfg := s.ConfigurePKI(t, domain)
	right, err := os.ReadFile(cfg.SecretIDFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.SecretIDFile, []byte("not-it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := open(t, cfg)
	if _, err := issue(t, v, "g1"); err == nil || errors.Is(err, vault.ErrUnavailable) {
		t.Fatalf("err = %v, want a refusal", err)
	}
	if err := os.WriteFile(cfg.SecretIDFile, right, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := issue(t, v, "g1"); err != nil {
		t.Error(err)
	}
}

func TestAnEverlastingTokenIsRefused(t *testing.T) {
	v := open(t, answering(t, 200, `{"auth":{"client_token":"t","lease_duration":0}}`))
	_, err := issue(t, v, "g1")
	oneClearLine(t, "login", err, "token_ttl")
}

// answering is the configuration for a server that gives every request the
// same answer: for statuses a healthy Vault cannot be brought to give.
func answering(t *testing.T, code int, body string) vault.Config {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	})}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(ln) })
	t.Cleanup(func() { srv.Close(); served.Wait() })
	cfg := vault.Config{
		Address: "http://" + ln.Addr().String(), Role: "grants", TrustDomain: domain, Patience: 50 * time.Millisecond,
	}
	dir := t.TempDir()
	cfg.RoleIDFile, cfg.SecretIDFile = dir+"/role-id", dir+"/secret-id"
	for _, f := range []string{cfg.RoleIDFile, cfg.SecretIDFile} {
		if err := os.WriteFile(f, []byte("canary-id"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func TestNoStatusIsEverTakenForLeave(t *testing.T) {
	for _, c := range []struct {
		code        int
		body        string
		unavailable bool
	}{
		{429, `{"errors":["canary-id"]}`, true}, {472, `{}`, true}, {473, `{}`, true},
		{500, `{"errors":["canary-id"]}`, true}, {501, `{}`, true}, {502, `<html>canary-id`, true}, {503, ``, true},
		{400, `{"errors":["canary-id"]}`, false}, {403, `{"errors":["canary-id"]}`, false}, {404, ``, false},
		{200, ``, false}, {200, `{"auth":null}`, false}, {200, `<html>`, false}, {204, ``, false},
		{200, `{"data":{"revocation_time":1}}`, false}, {307, ``, false},
	} {
		v := open(t, answering(t, c.code, c.body))
		_, issueErr := issue(t, v, "g1")
		gone, goneErr := v.Revoked(t.Context(), "0abc")
		_, caErr := v.CA(t.Context())
		for what, err := range map[string]error{
			"issue": issueErr, "revoke": v.Revoke(t.Context(), "0abc"), "revoked": goneErr, "CA": caErr,
		} {
			oneClearLine(t, what, err)
			if err != nil && strings.Contains(err.Error(), "canary-id") {
				t.Errorf("%d %s: %v repeats what was sent", c.code, what, err)
			}
			if errors.Is(err, vault.ErrUnavailable) != c.unavailable {
				t.Errorf("%d %s: %v, unavailable should be %v", c.code, what, err, c.unavailable)
			}
		}
		if gone {
			t.Errorf("%d: counted as a revocation", c.code)
		}
	}
}
