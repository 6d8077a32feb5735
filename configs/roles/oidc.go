package roles

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDC says whose tokens are taken. The zero OIDC takes none.
type OIDC struct {
	Issuer     string       // URL, exactly as in the token
	Audience   string       // that a token must name
	RolesClaim string       // list of the bearer's groups; empty is "groups"; "a.b" looks within a
	Client     *http.Client // reaches the issuer; nil is one that gives up after 10 s
}

// Tokens checks the tokens of one issuer. Made by [NewOIDC]; the zero Tokens
// refuse all.
type Tokens struct {
	verifier *oidc.IDTokenVerifier
	claim    string
}

// NewOIDC asks the issuer who it is and where its keys are. The keys themselves
// are fetched when the first token comes, and again when one is unknown.
func NewOIDC(ctx context.Context, o OIDC) (*Tokens, error) {
	if o.Audience == "" {
		return nil, errors.New("reach OIDC issuer: no audience is named, so every token of the issuer would do")
	}
	if u, err := url.Parse(o.Issuer); err != nil || u.Scheme != "https" {
		return nil, errors.New("reach OIDC issuer: its URL is not https")
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, o.Client), o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("reach OIDC issuer %s: %w", o.Issuer, err)
	}
	if o.RolesClaim == "" {
		o.RolesClaim = "groups"
	}
	v := p.Verifier(&oidc.Config{ClientID: o.Audience,
		SupportedSigningAlgs: []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA}})
	return &Tokens{v, o.RolesClaim}, nil
}

// Verify checks a token's signature, issuer, audience and time, and returns its
// subject as an actor, "user:…", with its groups. The token is in no error.
func (t *Tokens) Verify(ctx context.Context, raw string) (actor string, groups []string, err error) {
	if t == nil || t.verifier == nil {
		return "", nil, errors.New("check token: no issuer is configured")
	}
	token, err := t.verifier.Verify(ctx, raw)
	if err != nil {
		return "", nil, fmt.Errorf("check token: %w", err)
	}
	if !isSubject(token.Subject) {
		return "", nil, errors.New("check token: its subject is no plain name")
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return "", nil, fmt.Errorf("check token: %w", err)
	}
	if groups, err = groupsOf(claims, t.claim); err != nil {
		return "", nil, fmt.Errorf("check token: %w", err)
	}
	return "user:" + token.Subject, groups, nil
}

// isSubject takes names that can stand in a log entry and a policy.
func isSubject(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.@|:", r))
	}) < 0
}

// groupsOf reads a claim that is a list of texts. No claim is no groups; a claim
// of another shape is an error.
func groupsOf(claims map[string]any, claim string) ([]string, error) {
	v, ok := claims[claim]
	for inner, rest := claims, claim; !ok && strings.Contains(rest, "."); {
		var first string
		first, rest, _ = strings.Cut(rest, ".")
		if inner, ok = inner[first].(map[string]any); !ok {
			return nil, nil
		}
		v, ok = inner[rest]
	}
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("claim %q is not a list", claim)
	}
	var groups []string
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, fmt.Errorf("claim %q is not a list of texts", claim)
		}
		groups = append(groups, s)
	}
	return groups, nil
}
