package agent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/agent"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
	"github.com/burstctl/burstctl/tunnel/issuer"
	"github.com/burstctl/burstctl/tunnel/slice"
)

const (
	domain = "house.test"
	site   = "munich"
	claim  = "claim-1"
)

// ca is a certificate authority of the test.
type ca struct {
	pair tls.Certificate
	pool *x509.CertPool
}

func newCA(t *testing.T) ca {
	t.Helper()
	cert, key, err := issuer.NewCA(time.Now(), domain)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return ca{pair, pool}
}

// pin is how user data names the CA.
func (c ca) pin() string { return digest(c.pair.Certificate[0]) }

// leaf signs a certificate for a role; the CA's own goes with it.
func (c ca) leaf(t *testing.T, role tunnel.Role, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(tunnel.Identity{Domain: domain, Role: role, Name: name}.URI())
	if err != nil {
		t.Fatal(err)
	}
	parent, err := x509.ParseCertificate(c.pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{uri},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, parent, &key.PublicKey, c.pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, c.pair.Certificate[0]}, PrivateKey: key}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// world is a house with a controller's desk and an edge, and one node to run.
type world struct {
	desk    *desk
	config  agent.Config
	scratch string
	edge    *books
	store   *slice.DirStore
	calls   chan string // path of each call that reached the endpoint
}

// newWorld opens everything but the node, whose job is the shell script and
// leaves model.bin. The provider is the local one unless the test says else.
func newWorld(t *testing.T, script string) *world {
	t.Helper()
	house, grants := newCA(t), newCA(t)
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "claims.csv"), []byte("id,paid\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{scratch: t.TempDir(), store: slice.NewDirStore(), calls: make(chan string, 1000)}
	sliceDigest := w.hold(t, "claims/2025-q3", data)
	w.desk = newDesk(t, grants, local.New(pub))
	w.desk.job = &policy.Job{Name: "train", Team: "fraud", Command: []string{"/bin/sh", "-c", script},
		Outputs: []string{"model.bin"}}
	w.desk.slice = sliceDigest
	address := w.serve(t, house, grants)
	w.config = agent.Config{
		UserData: pools.UserData{Control: address, CA: house.pin(), Domain: domain, Claim: claim, Attempt: 1},
		Metadata: provider(t, priv), Road: free(t), Scratch: w.scratch,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.edge = &books{desk: w.desk, results: map[string][]byte{}}
	w.carry(t, slice.ServeConfig{Gate: w.edge, Store: w.store,
		TLS: slice.EdgeTLS(house.leaf(t, tunnel.RoleEdge, site), grants.pool, domain, nil)})
	return w
}

// hold lets the site hold a directory and returns its digest.
func (w *world) hold(t *testing.T, name, dir string) string {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	m, err := residency.BuildManifest(name, root.FS())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Add(m, root.FS()); err != nil {
		t.Fatal(err)
	}
	return m.Digest()
}

// serve opens the control endpoint and returns its address.
func (w *world) serve(t *testing.T, house, grants ca) string {
	t.Helper()
	s := &control.Server{Domain: domain, House: house.pool, Grants: grants.pool, Pleader: w.desk, Bearer: w.desk,
		Refused: errRefused, LongPoll: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	cert := house.leaf(t, tunnel.RoleController, "controller")
	ln, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS(func() (*tls.Certificate, error) { return &cert, nil }))
	if err != nil {
		t.Fatal(err)
	}
	srv := s.HTTP()
	srv.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	answer := srv.Handler
	srv.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case w.calls <- r.URL.Path:
		default:
		}
		answer.ServeHTTP(rw, r)
	})
	go func() { _ = srv.Serve(ln) }() // ends with the test
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// carry dials the node and serves it, again and again, until the test ends.
func (w *world) carry(t *testing.T, conf slice.ServeConfig) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			conn, err := net.Dial("tcp", w.config.Road)
			if err == nil {
				_ = slice.Serve(ctx, conn, conf) // the node goes away in many ways; dial again
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// provider is the local driver's metadata service.
func provider(t *testing.T, key ed25519.PrivateKey) agent.Metadata {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(rw).Encode(local.Sign(key, local.Document{
			Provider: "aws", Region: "eu-central-1", Instance: "i-1",
			Nonce: r.FormValue("nonce"), NodeKey: r.FormValue("node_key"), Issued: time.Now(),
		}))
	}))
	t.Cleanup(srv.Close)
	return agent.Local{Base: srv.URL}
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// run starts the node; the channel has how it ended. It is cut off with the test.
func (w *world) run(t *testing.T) (ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		done <- agent.Run(ctx, w.config)
	}()
	t.Cleanup(func() { cancel(); <-over })
	return done
}

// patience bounds every wait; on a loaded machine most of it may pass.
const patience = time.Minute

// next waits for the channel's next value.
func next[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
		panic("unreachable")
	}
}

// report waits for a report of that kind; progress in between is passed over.
func (w *world) report(t *testing.T, kind string, body any) {
	t.Helper()
	for {
		r := next(t, "a report of "+kind, w.desk.reports)
		if r.Kind == kind {
			if err := json.Unmarshal(r.Body, body); err != nil {
				t.Fatal(err)
			}
			return
		}
		if r.Kind != "job-progress" && r.Kind != "job-started" {
			t.Fatalf("%s %s was reported, want %s", r.Kind, r.Body, kind)
		}
	}
}

// end plays the controller's teardown and wants the node to end well.
func (w *world) end(t *testing.T, ended <-chan error) {
	t.Helper()
	w.desk.give(tunnel.OrderUnmount)
	w.report(t, "unmounted", &struct{}{})
	w.desk.revoke()
	if err := next(t, "the node to end", ended); err != nil {
		t.Errorf("the node ended with %v", err)
	}
}

// mounts are the mounts below the scratch directory.
func (w *world) mounts(t *testing.T) (found []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, w.scratch) {
			found = append(found, line)
		}
	}
	return found
}

var errRefused = errors.New("the credential is no longer good")
