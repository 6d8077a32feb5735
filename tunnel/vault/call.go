package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/vault/api"
)

// call asks Vault with a live token. While Vault is unavailable it tries again
// for cfg.Patience; every other error ends it.
func (v *Vault) call(
	ctx context.Context, op string, ask func(context.Context, *api.Client) (*api.Secret, error),
) (*api.Secret, error) {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(v.cfg.Patience))
	var last error
	out, err := backoff.RetryNotifyWithData(func() (*api.Secret, error) {
		out, err := v.once(ctx, ask)
		if err == nil {
			return out, nil
		}
		last = v.explain(ctx, op, err)
		if !errors.Is(last, ErrUnavailable) || ctx.Err() != nil {
			return nil, backoff.Permanent(last)
		}
		return nil, last
	}, backoff.WithContext(policy, ctx), func(err error, wait time.Duration) {
		v.log.WarnContext(ctx, "vault unavailable", "op", op, "again_in", wait, "error", err)
	})
	if cause := ctx.Err(); err != nil && cause != nil && !errors.Is(last, cause) {
		return nil, fmt.Errorf("%w (%w)", last, cause) // the policy gives the context's error alone
	}
	return out, err
}

// once asks one time, and once more with a new login if the token is refused:
// Vault gives 403 for a dead token and a missing permission alike.
func (v *Vault) once(
	ctx context.Context, ask func(context.Context, *api.Client) (*api.Secret, error),
) (*api.Secret, error) {
	s, err := v.live(ctx, "")
	if err != nil {
		return nil, err
	}
	out, err := ask(ctx, v.named)
	if status(err) != http.StatusForbidden {
		return out, err
	}
	if _, err := v.live(ctx, s.token); err != nil {
		return nil, err
	}
	return ask(ctx, v.named)
}

// problem is an explained error: one line that says what, where, why and what
// to do, over the sentinel or cause that a caller may act on.
type problem struct {
	line  string
	cause error
}

func (p *problem) Error() string { return p.line }

func (p *problem) Unwrap() error { return p.cause }

// explain turns the library's many-line errors, which hold the URL and
// whatever the server said, into a problem. An explained error only gains its
// operation.
func (v *Vault) explain(ctx context.Context, op string, err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return &problem{op + ": " + p.line, p.cause}
	}
	at := fmt.Sprintf("%s: vault at %s ", op, v.cfg.Address)
	if re, ok := errors.AsType[*api.ResponseError](err); ok {
		why, cause := reason(re)
		return &problem{at + v.hide(why), cause}
	}
	ue, reach := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded): // the caller's own: no verdict came in time
		return &problem{at + "gave no answer in the time there was; nothing is allowed meanwhile",
			errors.Join(ErrUnavailable, ctx.Err())}
	case ctx.Err() != nil:
		return &problem{at + "was not waited for: " + ctx.Err().Error(), ctx.Err()}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{fmt.Sprintf("%sgave no answer in %s; nothing is allowed meanwhile; see that it runs",
			at, requestTimeout), ErrUnavailable}
	case reach:
		return &problem{at + "cannot be reached: " + v.hide(ue.Err.Error()) +
			"; nothing is allowed meanwhile; check the address, its CA file and that vault runs", ErrUnavailable}
	}
	return &problem{at + "answered what this version does not read: " + v.hide(err.Error()), nil}
}

// reason says what a status means and what to do about it; the cause is an
// ErrUnavailable where waiting may help (codes: Vault's HTTP API, "Status codes").
func reason(re *api.ResponseError) (string, error) {
	said := strings.Join(strings.Fields(strings.Join(re.Errors, "; ")), " ")
	const wait = "; nothing is allowed meanwhile; "
	unavailable := func(what, todo string) (string, error) {
		return fmt.Sprintf("%s (%d)%s%s", what, re.StatusCode, wait, todo), ErrUnavailable
	}
	switch code := re.StatusCode; {
	case strings.Contains(said, "Vault is sealed"):
		why, _ := unavailable("is sealed", "unseal it with `vault operator unseal`")
		return why, ErrSealed
	case code == http.StatusTooManyRequests:
		return unavailable("is a standby or throttles", "address the active node, or raise its rate limit quota")
	case code == 472 || code == 473:
		return unavailable("is a recovery or performance standby", "address the active node")
	case code == http.StatusNotImplemented:
		return unavailable("is not initialised", "initialise it with `vault operator init`")
	case code >= 500:
		return unavailable("fails: "+said, "see its log")
	case code == http.StatusForbidden:
		return "refuses it (403); compare the token's policy with configs/vault-setup.md", ErrRefused
	default:
		return fmt.Sprintf("refuses it (%d): %s", code, said), nil
	}
}

// quiet drops what the server said, for answers to requests that held a secret.
func quiet(err error) error {
	re, ok := errors.AsType[*api.ResponseError](err)
	if !ok {
		return err
	}
	bare := &api.ResponseError{StatusCode: re.StatusCode, Errors: []string{"see its audit log for why"}}
	if slices.ContainsFunc(re.Errors, func(s string) bool { return strings.Contains(s, "Vault is sealed") }) {
		bare.Errors = []string{"Vault is sealed"}
	}
	return bare
}

// hide takes the session's token out of a text from outside, and keeps it to
// one line of bearable length.
func (v *Vault) hide(text string) string {
	if token := v.named.Token(); token != "" {
		text = strings.ReplaceAll(text, token, "(hidden)")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// status is the HTTP status of an answer that was an error, else zero.
func status(err error) int {
	if re, ok := errors.AsType[*api.ResponseError](err); ok {
		return re.StatusCode
	}
	return 0
}
