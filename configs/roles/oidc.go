package roles

import (
	"context"
	"fmt"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDC says whose tokens are taken. The zero OIDC takes none.
type OIDC struct {
	Issuer     string // https URL, exactly as in the token
	Audience   string
	RolesClaim string // claim that lists the bearer's roles; empty is "roles"
}

// Tokens checks tokens of one issuer. Made by [NewOIDC].
type Tokens struct {
	verifier *oidc.IDTokenVerifier
	claim    string
}

// NewOIDC asks the issuer for its keys.
func NewOIDC(ctx context.Context, o OIDC) (*Tokens, error) {
	p, err := oidc.NewProvider(ctx, o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("reach OIDC issuer %s: %w", o.Issuer, err)
	}
	if o.RolesClaim == "" {
		o.RolesClaim = "roles"
	}
	return &Tokens{p.Verifier(&oidc.Config{ClientID: o.Audience}), o.RolesClaim}, nil
}

// Verify checks a token's signature, issuer, audience and time, and returns
// its subject as an actor with its roles.
func (t *Tokens) Verify(ctx context.Context, raw string) (actor string, groups []string, err error) {
	token, err := t.verifier.Verify(ctx, raw)
	if err != nil {
		return "", nil, fmt.Errorf("check token: %w", err)
	}
	if token.Subject == "" || strings.ContainsAny(token.Subject, " \n\t") {
		return "", nil, fmt.Errorf("check token: subject %q is no name", token.Subject)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return "", nil, fmt.Errorf("check token: %w", err)
	}
	if list, ok := claims[t.claim].([]any); ok {
		for _, v := range list {
			if s, ok := v.(string); ok {
				groups = append(groups, s)
			}
		}
	}
	return "user:" + token.Subject, groups, nil
}
