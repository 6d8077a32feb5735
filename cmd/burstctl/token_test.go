package main

import (
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs/roles/rolestest"
	"github.com/burstctl/burstctl/residency/audit"
)

// TestAPersonWithATokenMayDoWhatItsGroupsMay calls a controller of its own
// process with tokens of a real OIDC issuer, which it knows by the system's
// roots, as any.
func TestAPersonWithATokenMayDoWhatItsGroupsMay(t *testing.T) {
	bin := programs(t)
	issuer := rolestest.Start(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", ca)
	h := withTokens(t, newHouse(t, filepath.Join(bin, "burstctl")), issuer)
	h.start(t, filepath.Join(bin, "nats-server"), "-c", filepath.Join(h.dir, "keys", "nats", "nats.conf"))
	h.start(t, h.bin, "controller", "--config", "controller.yaml")

	type m = map[string]any
	operator, submitter := m{"sub": "oscar"}, m{"sub": "sally", "groups": []string{"submitter"}}
	ended := m{"exp": time.Now().Add(-time.Minute).Unix()}
	submit := []string{"submit", "--site", "hq", "job.yaml"}
	for _, tc := range []struct {
		name   string
		claims m
		call   []string
		exit   int
		says   string
	}{
		{"an operator may look", operator, []string{"status"}, 0, "witnessed"},
		{"an operator may not hand in", operator, submit, 4, "BRS-4003"},
		{"a submitter may", submitter, submit, 0, "job-1 handed in for site hq by user:sally"},
		{"a submitter may not reload", submitter, []string{"reload"}, 4, "BRS-4003"},
		{"nobody without a group may look", m{"sub": "nora", "groups": nil}, []string{"status"}, 4, "BRS-4003"},
		{"a token that has ended is nobody's", ended, []string{"status"}, 4, "BRS-4001"},
		{"a token for another service too", m{"aud": "grafana"}, []string{"status"}, 4, "BRS-4001"},
	} {
		token := issuer.Token(t, tc.claims)
		exit, out := h.with(t, token, tc.call...)
		if exit != tc.exit || !strings.Contains(out, tc.says) {
			t.Errorf("%s: exit %d, want %d with %s:\n%s", tc.name, exit, tc.exit, tc.says, out)
		}
		if strings.Contains(out, token) {
			t.Errorf("%s: the token is shown:\n%s", tc.name, out)
		}
	}
	if got := h.handedInBy(t); got != "user:sally" {
		t.Errorf("the log says the job was handed in by %q", got)
	}
	log, err := os.ReadFile(filepath.Join(h.dir, "controller.log"))
	if err != nil || strings.Contains(string(log), "eyJ") {
		t.Errorf("a token is in the controller's log, or it cannot be read: %v", err)
	}
}

// withTokens lets the house take the issuer's tokens, under the roles of the
// example, at ports that are free.
func withTokens(t *testing.T, h house, i *rolestest.Issuer) house {
	t.Helper()
	h.at, h.nats = freePort(t), freePort(t)
	ports := []string{"127.0.0.1:8443", h.at, "127.0.0.1:0", h.at, "127.0.0.1:4222", h.nats}
	h.fill(t, ports, "controller.yaml", "keys/nats/nats.conf")
	roles, err := os.ReadFile(filepath.Join("..", "..", "configs", "roles.cedar"))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile(filepath.Join(h.dir, "controller.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	conf = fmt.Appendf(conf, "\noidc:\n  issuer: %s\n  audience: %s\n", i.URL, rolestest.Audience)
	for name, b := range map[string][]byte{"roles.cedar": roles, "controller.yaml": conf} {
		if err := os.WriteFile(filepath.Join(h.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// with calls the controller with a token and returns the exit status and all
// that was said.
func (h house) with(t *testing.T, token string, args ...string) (int, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), h.bin, append(args, "--controller", h.at, "--domain", demoDomain,
		"--as", filepath.Join(h.dir, "keys", "user-demo"), "--token-file", file)...)
	cmd.Dir = h.dir
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}

// handedInBy is the actor of the log's entry about the job.
func (h house) handedInBy(t *testing.T) string {
	t.Helper()
	for leaf, err := range audit.Read(t.Context(), os.DirFS(filepath.Join(h.dir, "log"))) {
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Entry.Kind == "job-submitted" {
			return leaf.Entry.Actor
		}
	}
	return ""
}
