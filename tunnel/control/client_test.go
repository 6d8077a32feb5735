package control_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

// impostor serves whatever asks, with a certificate and at most a TLS version,
// and counts what it was asked.
func impostor(
	t *testing.T, cert *tls.Certificate, most uint16, do http.HandlerFunc,
) (addr string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}, MaxVersion: most,
		ClientAuth: tls.RequestClientCert})
	must(t, err)
	count := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		do(w, r)
	}
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(count)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return ln.Addr().String(), asked
}

// says answers every call with the same.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func pin(a *authority) string {
	sum := sha256.Sum256(a.cert.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestAServerThatIsNotTheControllerGetsNotOneRequest(t *testing.T) {
	house, grants, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	as := func(a *authority, role tunnel.Role, change func(*x509.Certificate)) *tls.Certificate {
		return a.leaf(t, role, "controller", change)
	}
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }
	client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	elsewhere := func(c *x509.Certificate) { c.URIs = uris(t, "else.test", tunnel.RoleController, "controller") }
	dns := func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{"localhost"} }
	dressed := as(stranger, tunnel.RoleController, nil)
	dressed.Certificate = append(dressed.Certificate, house.cert.Raw) // shows the CA that is pinned, and is not of it
	for name, tt := range map[string]struct {
		cert  *tls.Certificate
		roots *x509.CertPool
		pin   string
		most  uint16
		ok    bool
	}{
		"the controller, by its CA":       {as(house, tunnel.RoleController, nil), house.pool, "", 0, true},
		"the controller, by its pin":      {as(house, tunnel.RoleController, nil), nil, pin(house), 0, true},
		"an edge":                         {as(house, tunnel.RoleEdge, nil), house.pool, "", 0, false},
		"a user":                          {as(house, tunnel.RoleUser, nil), house.pool, "", 0, false},
		"a node":                          {as(grants, tunnel.RoleGrant, nil), house.pool, "", 0, false},
		"a controller by the grants CA":   {as(grants, tunnel.RoleController, nil), house.pool, "", 0, false},
		"a controller of another domain":  {as(house, tunnel.RoleController, elsewhere), house.pool, "", 0, false},
		"a controller long ago":           {as(house, tunnel.RoleController, past), house.pool, "", 0, false},
		"a controller that may not serve": {as(house, tunnel.RoleController, client), house.pool, "", 0, false},
		"a host by its DNS name":          {as(house, tunnel.RoleController, dns), house.pool, "", 0, false},
		"a controller of another pin":     {as(house, tunnel.RoleController, nil), nil, pin(stranger), 0, false},
		"a pin shown but not of it":       {dressed, nil, pin(house), 0, false},
		"a pin stands above the roots":    {as(house, tunnel.RoleController, nil), house.pool, pin(stranger), 0, false},
		"a controller nobody is to know":  {as(house, tunnel.RoleController, nil), nil, "", 0, false},
		"a controller that speaks 1.2":    {as(house, tunnel.RoleController, nil), house.pool, "", tls.VersionTLS12, false},
	} {
		t.Run(name, func(t *testing.T) {
			addr, asked := impostor(t, tt.cert, tt.most, says(200, "{}"))
			c := control.NewClient(control.Options{Address: addr, Domain: domain, Roots: tt.roots, Pin: tt.pin,
				Cert:  func() (*tls.Certificate, error) { return &tls.Certificate{}, nil },
				Token: func() (string, error) { return "of-ada", nil }})
			defer c.Forget()
			_, err := c.Hello(t.Context(), tunnel.Hello{Claim: "c-1"})
			if ok := err == nil; ok != tt.ok || asked.Load() > 0 != tt.ok {
				t.Errorf("asked %d times: %v", asked.Load(), err)
			}
			if leaf, _ := x509.ParseCertificate(tt.cert.Certificate[0]); tt.ok {
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: c.House()}); err != nil {
					t.Errorf("the house it proved: %v", err)
				}
			} else if control.Refused(err) {
				t.Errorf("a stranger's word counts: %v", err)
			} else if !c.House().Equal(x509.NewCertPool()) {
				t.Error("a house was taken from a stranger")
			}
		})
	}
}

func TestTheClientSaysNothingToWhereItIsSentOn(t *testing.T) {
	house := newAuthority(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	reached := make(chan struct{}, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			c.Close()
			reached <- struct{}{}
		}
	}()
	elsewhere := http.RedirectHandler("http://"+ln.Addr().String()+"/", http.StatusTemporaryRedirect)
	cert := house.leaf(t, tunnel.RoleController, "controller", nil)
	addr, _ := impostor(t, cert, 0, elsewhere.ServeHTTP)
	c := control.NewClient(control.Options{Address: addr, Domain: domain, Roots: house.pool})
	defer c.Forget()
	if err := c.Do(t.Context(), control.ActionRevoke, "c-1", ""); err == nil {
		t.Error("a redirect is an answer")
	}
	select {
	case <-reached:
		t.Error("it went where it was sent")
	default:
	}
}

func TestWithoutItsCredentialTheClientDoesNotCall(t *testing.T) {
	house := newAuthority(t)
	addr, asked := impostor(t, house.leaf(t, tunnel.RoleController, "controller", nil), 0, says(200, "{}"))
	gone := errors.New("token file is gone")
	for name, o := range map[string]control.Options{
		"token":       {Token: func() (string, error) { return "", gone }},
		"certificate": {Cert: func() (*tls.Certificate, error) { return nil, gone }},
	} {
		o.Address, o.Domain, o.Roots = addr, domain, house.pool
		c := control.NewClient(o)
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), gone.Error()) {
			t.Errorf("%s: %v", name, err)
		}
		c.Forget()
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("it called %d times", n)
	}
}

func TestAnAnswerThatIsNoneIsAnError(t *testing.T) {
	house := newAuthority(t)
	for name, tt := range map[string]struct {
		status int
		body   string
	}{
		"not JSON":         {200, "<html>"},
		"nothing":          {200, ""},
		"a bare 502":       {502, "Bad Gateway"},
		"an empty problem": {403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := impostor(t, house.leaf(t, tunnel.RoleController, "controller", nil), 0, says(tt.status, tt.body))
			c := control.NewClient(control.Options{Address: addr, Domain: domain, Roots: house.pool})
			defer c.Forget()
			if _, err := c.Work(t.Context(), -1); err == nil || control.Refused(err) {
				t.Errorf("work: %v", err)
			}
		})
	}
}
