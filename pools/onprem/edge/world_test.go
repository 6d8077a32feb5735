package edge_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

// The names of the test's house. The site holds three slices and a program.
const (
	domain = "house.test"
	site   = "munich"
	pseudo = "claims/2025-q3-pseudonymised"
	raw    = "claims/2025-q3"
	roads  = "roads/2025"
	mib    = 1 << 20
)

func TestMain(m *testing.M) {
	busserver.BeforeBubbles()
	cast.InMemory()
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// authority is a CA of the test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := cast.Key(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
		BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	a := &authority{cert, key, x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

// leaf certifies a key for an identity of the domain, for ten minutes.
func (a *authority) leaf(t testing.TB, key *ecdsa.PrivateKey, role tunnel.Role, name string) tls.Certificate {
	t.Helper()
	u, err := url.Parse(tunnel.Identity{Domain: domain, Role: role, Name: name}.URI())
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{u},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
}

// world is a house with one real edge. Its controller is a real endpoint over a
// real log, and says whatever a test has it say.
type world struct {
	t             testing.TB
	house, grants *authority
	ctl           *controller
	addr          string
	http          *http.Server
	conf          edge.Config
	edge          *edge.Edge
	said          *lockedBuffer // the edge's log
	logOptions    audit.Options
	twin          *audit.Witness // has the edge's witness key, and a memory of its own
	logKey        note.Verifier
	sealer        note.Signer // seals grants
	provider      ed25519.PrivateKey
	ended         chan error // how Run ended
	end           context.CancelFunc
}

// newWorld starts everything; change alters the edge's configuration first.
func newWorld(t testing.TB, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, house: newAuthority(t), grants: newAuthority(t), said: &lockedBuffer{}, ended: make(chan error, 1)}
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	w.provider = priv
	w.keys()
	log, err := audit.Open(t.Context(), w.logOptions)
	must(t, err)
	t.Cleanup(func() { log.Close() })
	w.ctl = &controller{log: log, changed: make(chan struct{})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w.addr = ln.Addr().String()
	w.serve(ln)
	w.configure()
	if change != nil {
		change(w)
	}
	w.edge, err = edge.New(w.conf)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	w.end = cancel
	go func() { w.ended <- w.edge.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		w.ctl.set(func(c *controller) { c.before, c.after, c.extend = nil, nil, nil })
		select {
		case <-w.ended:
		case <-time.After(time.Minute):
			t.Error("the edge does not end")
		}
		w.http.Close()
		if t.Failed() {
			t.Logf("the edge said:\n%s", w.said)
		}
	})
	return w
}

// keys makes the keys of log, witness and grants.
func (w *world) keys() {
	t, dir := w.t, w.t.TempDir()
	skey, vkey, err := audit.GenerateLogKey(domain + "/log")
	must(t, err)
	signer, err := note.NewSigner(skey)
	must(t, err)
	w.logKey, err = note.NewVerifier(vkey)
	must(t, err)
	wskey, wvkey, err := audit.GenerateWitnessKey(domain + "/edge/" + site)
	must(t, err)
	wsigner, err := audit.NewWitnessSigner(wskey)
	must(t, err)
	wverifier, err := audit.CosignatureVerifier(wvkey)
	must(t, err)
	w.logOptions = audit.Options{Dir: filepath.Join(dir, "log"), Reserve: 64 << 10, Origin: domain + "/log",
		Signer: signer, Witnesses: []note.Verifier{wverifier}, Quorum: 1, OnFatal: func(error) {}}
	must(t, audit.Create(w.logOptions))
	w.conf.Trust, err = audit.NewTrust(1, vkey, wvkey)
	must(t, err)
	w.conf.Witness, err = audit.OpenWitness(filepath.Join(dir, "witness"), wsigner, w.logKey)
	must(t, err)
	w.twin, err = audit.OpenWitness(filepath.Join(dir, "twin"), wsigner, w.logKey)
	must(t, err)
	gskey, gvkey, err := note.GenerateKey(rand.Reader, domain+"/grants")
	must(t, err)
	w.sealer, err = note.NewSigner(gskey)
	must(t, err)
	w.conf.GrantsKey, err = note.NewVerifier(gvkey)
	must(t, err)
}

// serve answers on ln as the house's controller.
func (w *world) serve(ln net.Listener) {
	srv := &control.Server{Domain: domain, House: w.house.pool, Grants: w.grants.pool, Site: w.ctl, Log: w.ctl,
		LongPoll: time.Second}
	w.http = srv.HTTP()
	w.http.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	cert := w.house.leaf(w.t, cast.Key(w.t), tunnel.RoleController, "controller")
	tl := tls.NewListener(ln, srv.TLS(func() (*tls.Certificate, error) { return &cert, nil }))
	go func(h *http.Server) { _ = h.Serve(tl) }(w.http) // until it is closed
}

// comeBack serves again where the controller was.
func (w *world) comeBack() {
	w.t.Helper()
	ln, err := net.Listen("tcp", w.addr)
	must(w.t, err)
	w.serve(ln)
}

const permitAll = `@id("all") @title("all") @basis("a test") permit (principal, action, resource);`

const forbidAll = `@id("none") @title("nothing leaves") @basis("a test") forbid (principal, action, resource);`

func rulesOf(t testing.TB, text string) *residency.Rules {
	t.Helper()
	r, err := residency.ParseRules(map[string][]byte{"site.cedar": []byte(text)})
	must(t, err)
	return r
}

// configure gives the edge its site: keys, law, data, and a sampler that is at rest.
func (w *world) configure() {
	t, c := w.t, &w.conf
	law, err := cast.Law(map[string][]byte{"site.cedar": []byte(permitAll)})
	must(t, err)
	c.Site, c.Pool, c.Domain, c.Grants = site, "main", domain, w.grants.pool
	c.Cert = w.house.leaf(t, cast.Key(t), tunnel.RoleEdge, site)
	c.Control = control.NewClient(control.Options{Address: w.addr, Domain: domain, Roots: w.house.pool,
		Cert: func() (*tls.Certificate, error) { return &c.Cert, nil }})
	c.Rules, c.Places, c.Catalogue = law.Rules, law.Places, law.Catalogue
	c.Bus, c.Sampler = silence{}, resting{}
	c.Quarantine, c.Window, c.Announce = filepath.Join(t.TempDir(), "quarantine"), 4*mib, 200*time.Millisecond
	c.Slices = map[string]fs.FS{}
	for name, size := range map[string]int{pseudo: 9 * mib, raw: mib, roads: 3 * mib} {
		c.Slices[name] = directory(t, "rows.csv", size)
	}
	c.Payloads = []fs.FS{directory(t, "train", 1000)}
	c.Logger = slog.New(slog.NewTextHandler(w.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// directory holds one file of random bytes.
func directory(t testing.TB, name string, size int) fs.FS {
	t.Helper()
	dir, b := t.TempDir(), make([]byte, size)
	_, _ = rand.Read(b)
	must(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

// silence is a bus nobody listens to; resting a sampler that has nothing to say.
type (
	silence struct{}
	resting struct{}
)

func (silence) Signal(context.Context, policy.Signal) error   { return nil }
func (silence) Request(context.Context, policy.Request) error { return nil }

func (resting) Samples(ctx context.Context) iter.Seq2[[]onprem.Sample, error] {
	return func(func([]onprem.Sample, error) bool) { <-ctx.Done() }
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// line waits until the edge has said something that holds all the words.
func (w *world) line(words ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("the edge says %q", words), func() bool {
		for l := range strings.Lines(w.said.String()) {
			all := true
			for _, word := range words {
				all = all && strings.Contains(l, word)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// until polls what no channel tells.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Fatalf("not within a minute: %s", what)
}
