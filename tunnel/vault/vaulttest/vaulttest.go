// Package vaulttest starts a real Vault for a test and sets it up as an
// operator would.
//
// # Which server
//
//   - BURST_TEST_VAULT_ADDR set: that one, with the token in the file that
//     BURST_TEST_VAULT_TOKEN_FILE names (and to seal it, the unseal key in
//     BURST_TEST_VAULT_UNSEAL_KEY_FILE). Each setup mounts engines of its own
//     there and takes them away again.
//   - Else the one of configs/tools/vault, built once into the user's cache
//     directory when BURST_REAL is set, which takes minutes the first time.
//   - Else, with no built one in that directory, the test is skipped.
//
// VAULT_ADDR and VAULT_TOKEN are never read: a test must not find its way to
// somebody's real Vault.
package vaulttest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Server is a running, unsealed Vault. Made by [Start], gone when its test is.
type Server struct {
	Addr string // http://127.0.0.1:port, or what BURST_TEST_VAULT_ADDR says

	token, unsealKey string
	borrowed         bool // not ours: clean up after the test
}

// Start gives the test a Vault, or skips it (under BURST_REAL: fails it) with
// one line on how to get one. Up in a third of a second once built.
func Start(t testing.TB) *Server {
	t.Helper()
	if addr := os.Getenv("BURST_TEST_VAULT_ADDR"); addr != "" {
		return &Server{
			Addr: addr, token: fileOf(t, "BURST_TEST_VAULT_TOKEN_FILE"),
			unsealKey: fileOf(t, "BURST_TEST_VAULT_UNSEAL_KEY_FILE"), borrowed: true,
		}
	}
	r := launch(t, binary(t))
	return &Server{Addr: r.Addr, token: r.RootToken, unsealKey: r.UnsealKey}
}

// Client is a root client.
func (s *Server) Client(t testing.TB) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{
		Address: s.Addr, HttpClient: &http.Client{Transport: &http.Transport{}}, Timeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	c.SetToken(s.token)
	return c
}

// Seal seals the server for everyone until [Server.Unseal], which is also
// called when the test ends.
func (s *Server) Seal(t testing.TB) {
	t.Helper()
	if s.unsealKey == "" {
		needs(t, "sealing this Vault needs BURST_TEST_VAULT_UNSEAL_KEY_FILE")
	}
	if err := s.Client(t).Sys().SealWithContext(t.Context()); err != nil {
		t.Fatalf("seal: %v", err)
	}
	if s.borrowed {
		t.Cleanup(func() { _, _ = s.Client(t).Sys().Unseal(s.unsealKey) })
	}
}

// Unseal opens a sealed server again and waits until it is active.
func (s *Server) Unseal(t testing.TB) {
	t.Helper()
	c := s.Client(t)
	if _, err := c.Sys().UnsealWithContext(t.Context(), s.unsealKey); err != nil {
		t.Fatalf("unseal: %v", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		h, err := c.Sys().HealthWithContext(t.Context())
		if err == nil && !h.Sealed && !h.Standby {
			return
		}
		<-tick.C
	}
	t.Fatal("unsealed, but not active after 10 s")
}

// fileOf reads the file that an environment variable names; unset is empty.
func fileOf(t testing.TB, env string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		return ""
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return strings.TrimSpace(string(raw))
}

// needs skips a test that lacks something, unless everything was promised.
func needs(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("BURST_REAL") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func suffix() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
