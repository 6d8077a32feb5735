package roles_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs/roles"
)

// issuer is a small OIDC issuer on loopback, with TLS, discovery and a JWKS.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
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

// token signs claims with a header; sign is given what is to be signed.
func token(t *testing.T, header, claims map[string]any, sign func(string) []byte) string {
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

func (i *issuer) sign(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, i.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return sig
}

func (i *issuer) open(t *testing.T) *roles.Tokens {
	t.Helper()
	v, err := roles.NewOIDC(t.Context(), roles.OIDC{Issuer: i.URL, Audience: "burstctl", Client: i.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// claims are those of a good token, with changes; nil takes a claim away.
func (i *issuer) claims(change map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{"iss": i.URL, "aud": "burstctl", "sub": "alice", "iat": now.Unix(),
		"exp": now.Add(time.Hour).Unix(), "groups": []string{"operator", "auditor"}}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func TestATokenIsTakenOnlyIfAllOfItIsRight(t *testing.T) {
	i := newIssuer(t)
	v := i.open(t)
	rs256 := map[string]any{"alg": "RS256", "kid": "one"}
	type m = map[string]any
	for _, tt := range []struct {
		name   string
		change m
		want   string // the error; "" is taken
		groups []string
	}{
		{"good", nil, "", []string{"operator", "auditor"}},
		{"one audience of several", m{"aud": []string{"other", "burstctl"}}, "", []string{"operator", "auditor"}},
		{"no groups", m{"groups": nil}, "", nil},
		{"another audience", m{"aud": "grafana"}, "audience", nil},
		{"no audience", m{"aud": nil}, "audience", nil},
		{"another issuer", m{"iss": "https://evil.example"}, "issue", nil},
		{"expired", m{"exp": time.Now().Add(-time.Minute).Unix()}, "expired", nil},
		{"without an end", m{"exp": nil}, "expired", nil},
		{"not valid yet", m{"nbf": time.Now().Add(time.Hour).Unix()}, "before the nbf", nil},
		{"no subject", m{"sub": nil}, "subject", nil},
		{"a subject that breaks a line", m{"sub": "alice\nadmin"}, "subject", nil},
		{"groups that are no list", m{"groups": "operator"}, "not a list", nil},
		{"groups that are no texts", m{"groups": []any{1}}, "not a list of texts", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := token(t, rs256, i.claims(tt.change), i.sign)
			actor, groups, err := v.Verify(t.Context(), raw)
			if tt.want == "" {
				if err != nil || actor != "user:alice" || !slices.Equal(groups, tt.groups) {
					t.Errorf("got %q, %q, %v", actor, groups, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || actor != "" || groups != nil {
				t.Errorf("got %q, %q, %v; want an error with %q", actor, groups, err, tt.want)
			}
			if strings.Contains(err.Error(), raw) {
				t.Error("the error repeats the token")
			}
		})
	}
}

func TestATokenThatTheIssuerDidNotSignIsRefused(t *testing.T) {
	i := newIssuer(t)
	v := i.open(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := token(t, map[string]any{"alg": "RS256", "kid": "one"}, i.claims(nil), i.sign)
	parts := strings.Split(good, ".")
	other, _ := json.Marshal(i.claims(map[string]any{"sub": "mallory"}))
	for name, raw := range map[string]string{
		"nothing":            "",
		"not a token":        "alice",
		"no signature":       parts[0] + "." + parts[1] + ".",
		"other claims":       parts[0] + "." + b64(other) + "." + parts[2],
		"alg none":           token(t, map[string]any{"alg": "none"}, i.claims(nil), func(string) []byte { return nil }),
		"the key as a MAC's": token(t, map[string]any{"alg": "HS256", "kid": "one"}, i.claims(nil), i.mac),
		"another key": token(t, map[string]any{"alg": "ES256", "kid": "one"}, i.claims(nil), func(text string) []byte {
			sum := sha256.Sum256([]byte(text))
			r, s, err := ecdsa.Sign(rand.Reader, stranger, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}),
	} {
		if actor, _, err := v.Verify(t.Context(), raw); err == nil || actor != "" {
			t.Errorf("%s: taken as %q", name, actor)
		}
	}
}

// mac signs with the public key as if it were a shared secret.
func (i *issuer) mac(text string) []byte {
	h := hmac.New(sha256.New, i.key.N.Bytes())
	h.Write([]byte(text))
	return h.Sum(nil)
}

func TestGroupsAreFoundWithinAClaim(t *testing.T) {
	i := newIssuer(t)
	claims := i.claims(map[string]any{"realm_access": map[string]any{"roles": []string{"approver"}}})
	raw := token(t, map[string]any{"alg": "RS256", "kid": "one"}, claims, i.sign)
	for claim, want := range map[string][]string{"realm_access.roles": {"approver"}, "realm_access.none": nil,
		"none.roles": nil} {
		o := roles.OIDC{Issuer: i.URL, Audience: "burstctl", RolesClaim: claim, Client: i.Client()}
		v, err := roles.NewOIDC(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, groups, err := v.Verify(t.Context(), raw); err != nil || !slices.Equal(groups, want) {
			t.Errorf("%s: %q, %v", claim, groups, err)
		}
	}
}

func TestAnIssuerThatIsDoubtfulIsRefused(t *testing.T) {
	i := newIssuer(t)
	for name, o := range map[string]roles.OIDC{
		"nothing":            {},
		"no audience":        {Issuer: i.URL, Client: i.Client()},
		"an unknown CA":      {Issuer: i.URL, Audience: "burstctl"},
		"another name of it": {Issuer: i.URL + "/", Audience: "burstctl", Client: i.Client()},
		"plain http":         {Issuer: strings.Replace(i.URL, "https", "http", 1), Audience: "burstctl"},
	} {
		if v, err := roles.NewOIDC(t.Context(), o); err == nil {
			t.Errorf("%s: opened %v", name, v)
		}
	}
	var none *roles.Tokens
	if _, _, err := none.Verify(context.Background(), "x"); err == nil {
		t.Error("nil tokens took one")
	}
}
