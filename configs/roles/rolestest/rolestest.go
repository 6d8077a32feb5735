// Package rolestest is an OIDC issuer for tests: TLS on loopback, discovery, a
// key set, and tokens as good or as bad as a test wants them.
package rolestest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Audience is whom the tokens are for.
const Audience = "burstctl"

// Issuer issues tokens until its test ends. Made by [Start].
type Issuer struct {
	*httptest.Server
	Key *rsa.PrivateKey // signs tokens; key ID "one"
}

// Start starts an issuer.
func Start(t testing.TB) *Issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{Key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth",
			"token_endpoint": i.URL + "/token", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig",
			"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}}})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Claims are those of alice, an operator and auditor, good for an hour, with
// changes; nil takes a claim away.
func (i *Issuer) Claims(change map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{"iss": i.URL, "aud": Audience, "sub": "alice", "iat": now.Unix(),
		"exp": now.Add(time.Hour).Unix(), "groups": []string{"operator", "auditor"}}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// Token is a token with these claims, signed by the issuer (RS256).
func (i *Issuer) Token(t testing.TB, change map[string]any) string {
	t.Helper()
	return Sign(t, map[string]any{"alg": "RS256", "kid": "one"}, i.Claims(change), func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(nil, i.Key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return sig
	})
}

// Sign is a token of any header and claims (RFC 7515, compact); sign is given
// what is to be signed.
func Sign(t testing.TB, header, claims map[string]any, sign func(text string) []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := b64(h) + "." + b64(c)
	return text + "." + b64(sign(text))
}
