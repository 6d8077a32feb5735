// Package vault issues and revokes a grant's credentials through HashiCorp
// Vault's PKI engine, logged in by AppRole.
//
// # Trust
//
// Vault signs; this package believes little of the answer. The leaf must hold
// the key of the node's request, the grant's URI and no other name, and end
// within the time asked for ([issuer.CheckLeaf]), else it is revoked at once
// and nothing is handed on.
//
// # Unavailable is not allowed
//
// A Vault that is sealed, standing by, throttled, failing or unreachable gives
// [ErrUnavailable] after a bounded number of tries. Nothing is ever issued or
// taken as revoked on such an answer.
//
// # Secrets
//
// The secret ID is read from its 0600 file at each login and not kept. Neither
// it nor a token reaches an error, a log, an argument or the environment, and
// no VAULT_ variable is heeded. A try whose answer was lost may leave a leaf in
// Vault that nobody holds; it ends within [tunnel.MaxTTL] and opens nothing
// without the node's key.
//
// How an operator prepares Vault is in configs/vault-setup.md; vaulttest makes
// the same calls. *Non-goals*: other engines, other logins, response wrapping.
package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/burstctl/burstctl/tunnel"
)

// Errors of every call. None of them allows anything.
var (
	// ErrUnavailable says that Vault gave no verdict: sealed, standing by,
	// throttled, failing or out of reach. Try again later.
	ErrUnavailable = errors.New("vault is unavailable")
	// ErrSealed is the ErrUnavailable that ends when a person unseals it.
	ErrSealed = fmt.Errorf("vault is sealed: %w", ErrUnavailable)
	// ErrRefused says that the token may not do it, whatever it asks again.
	ErrRefused = errors.New("vault refuses it")
)

// Config says where Vault is and as whom to ask it. Made by the configuration
// reader; the zero Config is refused.
type Config struct {
	Address      string        // https://host:port; plain http is for loopback only
	CAFile       string        // PEM roots for Address; empty means the system's
	Namespace    string        // enterprise namespace; usually empty
	AuthMount    string        // where approle is mounted; empty means "approle"
	RoleIDFile   string        // 0600 file with the role ID
	SecretIDFile string        // 0600 file with the secret ID, read at each login
	Mount        string        // where the PKI engine is mounted; empty means "pki"
	Role         string        // the PKI role that signs grants
	TrustDomain  string        // of every URI SAN
	Patience     time.Duration // how long to retry an unavailable Vault; zero means 10 s
	Logger       *slog.Logger  // nil discards
}

// Vault is an issuer of credentials. Made by [New]; safe for concurrent use;
// the zero Vault is unusable. It starts no goroutine and needs no closing.
type Vault struct {
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	anon  *api.Client // never has a token: logs in
	named *api.Client // has the session's token

	turn    chan struct{} // of size 1: who holds it may change session
	session session
}

const (
	requestTimeout  = 10 * time.Second
	defaultPatience = 10 * time.Second
)

// New checks the configuration. It does not call Vault: that may be sealed now
// and open when the first grant comes.
func New(cfg Config) (*Vault, error) {
	if cfg.Mount == "" {
		cfg.Mount = "pki"
	}
	if cfg.AuthMount == "" {
		cfg.AuthMount = "approle"
	}
	if cfg.Patience <= 0 {
		cfg.Patience = defaultPatience
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := check(cfg); err != nil {
		return nil, fmt.Errorf("configure vault: %w", err)
	}
	hc, err := httpClient(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("configure vault: %w", err)
	}
	v := &Vault{cfg: cfg, log: cfg.Logger, now: time.Now, turn: make(chan struct{}, 1)}
	for _, c := range []**api.Client{&v.anon, &v.named} {
		if *c, err = newClient(cfg, hc); err != nil {
			return nil, fmt.Errorf("configure vault: %w", err)
		}
	}
	return v, nil
}

// check refuses what could send a secret to the wrong place or ask for names
// that are not ours.
func check(cfg Config) error {
	u, err := url.Parse(cfg.Address)
	if err != nil {
		return errors.New("address is not a URL") // the URL may hold a password
	}
	bare := u.User == nil && u.RawQuery == "" && u.Fragment == "" && (u.Path == "" || u.Path == "/")
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	switch {
	case !bare || u.Host == "":
		return errors.New("address must be https://host:port and nothing more")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return fmt.Errorf("address at host %s is not https: a secret would travel in the clear", u.Host)
	case cfg.RoleIDFile == "" || cfg.SecretIDFile == "":
		return errors.New("needs a role ID file and a secret ID file")
	}
	for _, name := range []string{cfg.Mount, cfg.AuthMount, cfg.Role} {
		if name == "" || strings.ContainsFunc(name, notInPath) || strings.Contains(name, "..") {
			return fmt.Errorf("%q is not the name of a mount or role", name)
		}
	}
	if _, err := tunnel.ParseIdentity(tunnel.GrantURI(cfg.TrustDomain, "x")); err != nil {
		return fmt.Errorf("trust domain %q is not a plain lowercase name", cfg.TrustDomain)
	}
	return nil
}

func notInPath(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._/", r)
}

// httpClient goes straight to the address: no proxy, no redirect.
func httpClient(caFile string) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		roots, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(roots) {
			return nil, fmt.Errorf("read CA file: no certificate in %s", caFile)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     conf,
			TLSHandshakeTimeout: requestTimeout,
			ForceAttemptHTTP2:   true,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// newClient makes a client that owes nothing to the environment. The library
// reads VAULT_ variables all the same, so what it took from them is put back.
func newClient(cfg Config, hc *http.Client) (*api.Client, error) {
	c, err := api.NewClient(&api.Config{
		Address: cfg.Address, HttpClient: hc, Timeout: requestTimeout, DisableRedirects: true,
		MaxRetries: 0, // one policy of retries, ours: see call
	})
	if err != nil {
		return nil, errors.New("a VAULT_ variable of the environment does not parse: unset it, none is needed")
	}
	c.ClearToken()
	c.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	if cfg.Namespace != "" {
		c.SetNamespace(cfg.Namespace)
	}
	return c, nil
}

// CA returns the PEM certificate of the authority that signs grants.
func (v *Vault) CA(ctx context.Context) ([]byte, error) {
	const op = "read CA"
	out, err := v.call(ctx, op, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return c.Logical().ReadWithContext(ctx, v.cfg.Mount+"/cert/ca")
	})
	if err != nil {
		return nil, err
	}
	cert, err := certificate(out, "certificate")
	if err != nil {
		return nil, v.doubt(op, err)
	}
	if !cert.IsCA {
		return nil, v.doubt(op, errors.New("the certificate is no CA's"))
	}
	return encode(cert), nil
}
