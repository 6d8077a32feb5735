// Package control is the one endpoint that nodes, edges and people call, over
// HTTPS with TLS 1.3.
//
// # Who may call what
//
// A node without a certificate may ask for a challenge and plead with evidence
// (/v1/node/challenge, /v1/node/hello), nothing else. With the certificate of
// its grant it hears orders and reports. An edge (certificate of its site)
// fetches its work, asks for entries and witnesses the log. A person comes with
// a certificate of the house or an OIDC token; every call is a named action
// that the role file must allow. Each role's certificates must come from that
// role's own CA: the CA that signs grants cannot make an edge or a user.
//
// Authorisation is checked on every request, never remembered by connection.
//
// # How it says no
//
// Every refusal is one [Problem] with a status, a code of "help exit-codes" and
// a sentence. What goes wrong inside the house is logged there and not told.
//
// # Non-goals
//
// No slice byte passes here; those travel the road (tunnel/slice).
package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// Pleader hears nodes that have no credential yet.
type Pleader interface {
	Challenge(claim string, attempt int) (nonce, grant string, err error)
	Hello(ctx context.Context, h tunnel.Hello) (tunnel.Answer, error)
}

// Bearer hears nodes by their grant's credential. An error that wraps the
// server's Refused means the credential is no longer good.
type Bearer interface {
	Orders(ctx context.Context, grant, serial string, since int64) (tunnel.Order, int64, error)
	Report(grant, serial string, r tunnel.Report) error
}

// Site hears edges.
type Site interface {
	Work(ctx context.Context, site string, since int64) tunnel.Work
	EnterFor(ctx context.Context, site string, in tunnel.Entering) (tunnel.Entered, error)
}

// Witnessed is the log as a witness sees it.
type Witnessed interface {
	Extension(ctx context.Context, old int64) (tunnel.Extension, error)
	Cosign(cosigned []byte) error
}

// Desk hears people. Actor is who asks; it has been allowed to.
type Desk interface {
	Submit(actor, site string, job policy.Job) (JobInfo, error)
	Status() Status
	Do(ctx context.Context, actor, action, claim, reason string) error
}

// Server is the endpoint. Fields left nil refuse what they would answer; none
// may change once [Server.HTTP] was called.
type Server struct {
	Domain  string
	House   *x509.CertPool // signs edges, users and the controller
	Grants  *x509.CertPool // signs grants, nothing else
	Pleader Pleader
	Bearer  Bearer
	Site    Site
	Log     Witnessed
	Desk    Desk
	Plans   Planner
	// Allow says whether somebody known may do an action; nil allows nothing.
	Allow func(actor string, groups []string, action string) error
	// Token says whom a token names; nil takes no tokens.
	Token func(ctx context.Context, raw string) (actor string, groups []string, err error)
	// Code is the code of an error of the desk, "BRS-" and four digits, or ""; nil knows none.
	Code     func(error) string
	Refused  error         // the engine's sentinel for a credential that is no longer good
	Unknown  error         // the engine's sentinel for a claim it does not know
	LongPoll time.Duration // how long a poll may hang, at most 30 s; 0 is 10 s
	Logger   *slog.Logger  // nil is silent
}

// TLS is the server side's configuration: TLS 1.3, certificates asked for and
// checked per request, no session tickets.
func (s *Server) TLS(cert func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
		NextProtos:             []string{"http/1.1"},
	}
}

// peer identifies the caller by certificate, now. No certificate is an error.
func (s *Server) peer(r *http.Request, roles ...tunnel.Role) (slice.Peer, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return slice.Peer{}, errors.New("identify caller: no certificate")
	}
	roots := s.House
	for _, role := range roles {
		if role == tunnel.RoleGrant {
			roots = s.Grants
		}
	}
	return slice.VerifyPeer(*r.TLS, slice.Want{Roots: roots, Domain: s.Domain, Roles: roles,
		Usage: x509.ExtKeyUsageClientAuth})
}

// caller identifies a person: by token where one is shown, else by certificate.
func (s *Server) caller(r *http.Request) (actor string, groups []string, err error) {
	if raw, ok := bearerToken(r); ok && s.Token != nil {
		if actor, groups, err = s.Token(r.Context(), raw); err == nil && actor == "" {
			err = errors.New("identify caller: the token names nobody")
		}
	} else {
		var p slice.Peer
		p, err = s.peer(r, tunnel.RoleUser)
		actor = "user:" + p.Identity.Name
	}
	if err != nil {
		return "", nil, unknown(err)
	}
	return actor, groups, nil
}

// may asks whether somebody known may do the action.
func (s *Server) may(actor string, groups []string, action string) error {
	if s.Allow == nil {
		return problem{http.StatusForbidden, denied, fmt.Errorf("allow %s: no roles are configured", action)}
	}
	if err := s.Allow(actor, groups, action); err != nil {
		return problem{http.StatusForbidden, denied, err}
	}
	return nil
}

// allowed identifies a person and asks whether it may do the action.
func (s *Server) allowed(r *http.Request, action string) (string, error) {
	actor, groups, err := s.caller(r)
	if err != nil {
		return "", err
	}
	return actor, s.may(actor, groups, action)
}
