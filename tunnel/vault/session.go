package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
)

// session is one login. The zero session is none.
type session struct {
	token     string
	full      time.Duration // the life it had at login
	refresh   time.Time     // when to renew it, or log in anew
	end       time.Time
	renewable bool
}

// live gives a session to ask with, renewing it after a third of its life and
// logging in when it cannot be renewed. One caller does so, the others wait.
// A caller whose session was refused names it as stale, to get another.
func (v *Vault) live(ctx context.Context, stale string) (session, error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return session{}, ctx.Err()
	}
	now := v.now()
	cur := v.session
	usable := cur.token != "" && cur.token != stale && now.Before(cur.end)
	if usable && now.Before(cur.refresh) {
		return cur, nil
	}
	if usable && cur.renewable {
		next, err := v.renew(ctx, cur)
		if err == nil {
			return v.adopt(next), nil
		}
		v.log.DebugContext(ctx, "vault token not renewed", "error", v.explain(ctx, "renew token", err))
	}
	next, err := v.login(ctx)
	if err == nil {
		return v.adopt(next), nil
	}
	if usable { // it may last longer than the trouble
		v.log.WarnContext(ctx, "vault login failed", "token_ends", cur.end.UTC(), "error", err)
		return cur, nil
	}
	return session{}, err
}

func (v *Vault) adopt(s session) session {
	v.session = s
	v.named.SetToken(s.token)
	return s
}

// login trades the secret ID for a token. What Vault says of a refusal is not
// repeated, only its status: the text might hold what was sent.
func (v *Vault) login(ctx context.Context) (session, error) {
	roleID, err := readSecret(v.cfg.RoleIDFile)
	if err != nil {
		return session{}, &problem{"log in to vault: read role ID: " + err.Error(), err}
	}
	secretID, err := readSecret(v.cfg.SecretIDFile)
	if err != nil {
		return session{}, &problem{"log in to vault: read secret ID: " + err.Error(), err}
	}
	method, err := approle.NewAppRoleAuth(roleID, &approle.SecretID{FromString: secretID},
		approle.WithMountPath(v.cfg.AuthMount))
	if err != nil {
		return session{}, &problem{"log in to vault: role ID or secret ID is empty", err}
	}
	out, err := method.Login(ctx, v.anon)
	if err != nil {
		return session{}, v.explain(ctx, "log in to vault", quiet(err))
	}
	s, err := newSession(out, v.now())
	if err != nil {
		return session{}, v.doubt("log in to vault", err)
	}
	v.log.DebugContext(ctx, "vault login", "token_ends", s.end.UTC(), "renewable", s.renewable)
	return s, nil
}

// renew prolongs a session; one that comes back with less than half its first
// life nears its maximum and is not worth having.
func (v *Vault) renew(ctx context.Context, cur session) (session, error) {
	out, err := v.named.Auth().Token().RenewSelfWithContext(ctx, int(cur.full.Seconds()))
	if err != nil {
		return session{}, err
	}
	next, err := newSession(out, v.now())
	if err != nil {
		return session{}, err
	}
	if next.token != cur.token || next.end.Sub(v.now()) < cur.full/2 {
		return session{}, errors.New("renewal gave too little")
	}
	next.full = cur.full
	v.log.DebugContext(ctx, "vault token renewed", "token_ends", next.end.UTC())
	return next, nil
}

// newSession reads what a login or renewal answered; it goes by the life that
// Vault states, never by what was asked for.
func newSession(out *api.Secret, now time.Time) (session, error) {
	if out == nil || out.Auth == nil || out.Auth.ClientToken == "" {
		return session{}, errors.New("no token in it")
	}
	life := time.Duration(out.Auth.LeaseDuration) * time.Second
	if life <= 0 {
		return session{}, errors.New("the token never ends: set token_ttl on the AppRole")
	}
	s := session{token: out.Auth.ClientToken, full: life, end: now.Add(life), renewable: out.Auth.Renewable}
	s.refresh = now.Add(life / 3)
	if !s.renewable {
		s.refresh = now.Add(life * 2 / 3)
	}
	return s, nil
}

// maxSecret bounds a secret file; IDs are some forty bytes.
const maxSecret = 4 << 10

// readSecret reads a one-line file that nobody but its owner may read.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s has mode %s: make it 0600", path, info.Mode())
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || len(raw) > maxSecret || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s does not hold one line of text", path)
	}
	return text, nil
}
