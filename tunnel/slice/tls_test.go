package slice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

func TestAPeerThatIsNotTheGrantGetsNoByte(t *testing.T) {
	other := newHouse(t)
	for what, spoil := range map[string]func(*testing.T, *world){
		"another grant": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-2"), nil)
		},
		"another domain": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, w.key, tunnel.GrantURI("else", "grant-1"), nil)
		},
		"another key": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, newKey(t), tunnel.GrantURI(domain, "grant-1"), nil)
		},
		"another CA": func(t *testing.T, w *world) {
			w.node = other.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), nil)
		},
		"a user": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, w.key, tunnel.Identity{Domain: domain, Role: tunnel.RoleUser, Name: "grant-1"}.URI(), nil)
		},
		"two names": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), func(c *x509.Certificate) {
				u, _ := url.Parse(tunnel.GrantURI(domain, "grant-2"))
				c.URIs = append(c.URIs, u)
			})
		},
		"expired": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), func(c *x509.Certificate) {
				c.NotAfter = time.Now().Add(-time.Second)
			})
		},
		"too long a life": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), func(c *x509.Certificate) {
				c.NotAfter = time.Now().Add(50 * time.Minute)
			})
		},
		"for clients only": func(t *testing.T, w *world) {
			w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), func(c *x509.Certificate) {
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			})
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			spoil(t, w)
			w.noByte(t)
		})
	}
}

// noByte serves the world's node once, whose reader must get nothing, and
// returns how the edge saw it end.
func (w *world) noByte(t *testing.T) error {
	t.Helper()
	r := w.listen(t, 200*time.Millisecond)
	conn := w.dial(t)
	ended := w.serve(t.Context(), conn)
	if _, err := r.Chunk(t.Context(), w.digest, 0, 0); err == nil {
		t.Error("a chunk was served")
	}
	w.ln.Close()
	err := <-ended
	if err == nil {
		t.Error("the edge saw nothing wrong")
	}
	if served := w.books.check(t); served != 0 || conn.wrote.Load() > overhead {
		t.Errorf("entered %d bytes, %d on the wire", served, conn.wrote.Load())
	}
	return err
}

func TestANodeTakesOnlyItsOwnSitesEdge(t *testing.T) {
	for what, id := range map[string]tunnel.Identity{
		"another site": {Domain: domain, Role: tunnel.RoleEdge, Name: "oslo"},
		"a controller": {Domain: domain, Role: tunnel.RoleController, Name: site},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.edge = w.house.leaf(t, newKey(t), id.URI(), nil)
			r := w.listen(t, time.Second)
			if err := <-w.serve(t.Context(), w.dial(t)); err == nil {
				t.Error("served")
			}
			ctx, done := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer done()
			if err := r.Ready(ctx); !errors.Is(err, ErrUnserved) {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

func TestNobodyIsWantedByDefault(t *testing.T) {
	w := newWorld(t)
	rootless := Want{Domain: domain, Roles: []tunnel.Role{tunnel.RoleGrant}}
	for _, want := range []Want{{}, rootless, {Roots: w.house.pool, Domain: domain}} {
		if _, err := VerifyPeer(tls.ConnectionState{Version: tls.VersionTLS13}, want); err == nil {
			t.Errorf("%+v is met", want)
		}
	}
	a, b := net.Pipe()
	defer b.Close()
	if err := Serve(t.Context(), a, ServeConfig{}); err == nil {
		t.Error("the zero config serves")
	}
	if _, err := Listen(t.Context(), nil, NodeConfig{}); err == nil {
		t.Error("the zero config listens")
	}
}
