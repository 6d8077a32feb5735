package roles_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs/roles"
	"github.com/burstctl/burstctl/configs/roles/rolestest"
)

// open is the issuer's tokens as the controller checks them.
func open(t *testing.T, i *rolestest.Issuer) *roles.Tokens {
	t.Helper()
	v, err := roles.NewOIDC(t.Context(), roles.OIDC{Issuer: i.URL, Audience: rolestest.Audience, Client: i.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestATokenIsTakenOnlyIfAllOfItIsRight(t *testing.T) {
	i := rolestest.Start(t)
	v := open(t, i)
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
			raw := i.Token(t, tt.change)
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
	i := rolestest.Start(t)
	v := open(t, i)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := i.Token(t, nil)
	signed := func(alg string, sign func(string) []byte) string {
		return rolestest.Sign(t, map[string]any{"alg": alg, "kid": "one"}, i.Claims(nil), sign)
	}
	parts := strings.Split(good, ".")
	other, _ := json.Marshal(i.Claims(map[string]any{"sub": "mallory"}))
	for name, raw := range map[string]string{
		"nothing":      "",
		"not a token":  "alice",
		"no signature": parts[0] + "." + parts[1] + ".",
		"other claims": parts[0] + "." + base64.RawURLEncoding.EncodeToString(other) + "." + parts[2],
		"alg none":     signed("none", func(string) []byte { return nil }),
		"the key as a MAC's": signed("HS256", func(text string) []byte {
			h := hmac.New(sha256.New, i.Key.N.Bytes())
			h.Write([]byte(text))
			return h.Sum(nil)
		}),
		"another key": signed("ES256", func(text string) []byte {
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

func TestGroupsAreFoundWithinAClaim(t *testing.T) {
	i := rolestest.Start(t)
	raw := i.Token(t, map[string]any{"realm_access": map[string]any{"roles": []string{"approver"}}})
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
	i := rolestest.Start(t)
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
