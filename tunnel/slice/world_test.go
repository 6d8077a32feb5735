package slice

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
	"github.com/burstctl/burstctl/tunnel"
)

const (
	domain    = "house.test"
	site      = "munich"
	testChunk = 64 << 10
)

var receipt = []byte("receipt of grant-1")

// house is a CA of the test's trust domain.
type house struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newHouse(t testing.TB) *house {
	t.Helper()
	key := newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test house"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{cert, key, x509.NewCertPool()}
	h.pool.AddCert(cert)
	return h
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// leaf signs a certificate for the key; change alters the template first.
func (h *house) leaf(t testing.TB, key *ecdsa.PrivateKey, uri string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{u},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, h.cert, &key.PublicKey, h.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tap is the edge's connection as an independent witness sees it.
type tap struct {
	*net.TCPConn
	wrote atomic.Int64
	last  atomic.Int64 // unix nanoseconds of the last byte
}

func (c *tap) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	if n > 0 {
		c.wrote.Add(int64(n))
		c.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// world is a site with a slice, and a node granted to read it.
type world struct {
	house  *house
	key    *ecdsa.PrivateKey // the node's
	node   tls.Certificate
	edge   tls.Certificate
	dir    string // where the slice lies
	m      residency.Manifest
	digest string
	store  *DirStore
	books  *books
	budget int64
	now    func() time.Time
	report func(error)
	rounds Rounds
	ln     net.Listener
}

var content = map[string]int{
	"claims.csv": 5*testChunk + 17, "empty": 0, "train": 100, "year=2025/part-0.parquet": 12 * testChunk,
	"year=2025/q3/part-1.parquet": 1,
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{house: newHouse(t), key: newKey(t), dir: t.TempDir(), store: NewDirStore()}
	for name, size := range content {
		path := filepath.Join(w.dir, name)
		b := make([]byte, size)
		rand.Read(b)
		mode := fs.FileMode(0o644)
		if name == "train" {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, mode)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	if w.m, err = residency.BuildManifest("claims/2025-q3", root.FS()); err != nil {
		t.Fatal(err)
	}
	w.rechunk(t)
	if err := w.store.Add(w.m, root.FS()); err != nil {
		t.Fatal(err)
	}
	w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), nil)
	w.edge = w.house.leaf(t, newKey(t), tunnel.Identity{Domain: domain, Role: tunnel.RoleEdge, Name: site}.URI(), nil)
	w.books = &books{grant: w.grant(t, "grant-1", time.Hour), dir: t.TempDir()}
	return w
}

// rechunk cuts the manifest smaller, so that small files have many chunks.
func (w *world) rechunk(t testing.TB) {
	t.Helper()
	w.m.ChunkSize = testChunk
	for i := range w.m.Files {
		b := w.file(t, w.m.Files[i].Name)
		w.m.Files[i].Chunks = []string{}
		for part := range slices.Chunk(b, testChunk) {
			w.m.Files[i].Chunks = append(w.m.Files[i].Chunks, hexOf(part))
		}
	}
	if w.digest = w.m.Digest(); w.digest == "" {
		t.Fatal("the test's manifest does not hold together")
	}
}

func (w *world) file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// index is the number of a file in the manifest.
func (w *world) index(name string) int {
	return slices.IndexFunc(w.m.Files, func(f residency.File) bool { return f.Name == name })
}

// grant clears the world's node for its slice, as the controller would.
func (w *world) grant(t testing.TB, id string, life time.Duration) residency.Grant {
	t.Helper()
	tab, err := residency.ParseTable([]byte(`provider,region,zone,partition,kind,country,groups,operator,parent,name,source
aws,eu-central-1,,aws,region,DE,EEA EU,US,US,Frankfurt,test
`))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := residency.ParseRules(map[string][]byte{"r.cedar": []byte(
		`@id("p") @title("t") @basis("b") permit (principal, action, resource);`)})
	if err != nil {
		t.Fatal(err)
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&w.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	key := "sha256:" + hex.EncodeToString(sum[:])
	now := time.Now().UTC().Truncate(time.Second)
	p, err := residency.Prove(local.New(pub), tab, local.Sign(priv, local.Document{
		Provider: "aws", Region: "eu-central-1", Instance: "i-1", Nonce: "n", NodeKey: key, Issued: now,
	}), residency.Expect{
		Instance: "i-1", Claimed: residency.Address{Provider: "aws", Region: "eu-central-1"},
		Nonce: "n", NodeKey: key, At: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	g, v := rules.Clear(tab, p, residency.Ask{
		Purpose: "model-training", Team: "fraud", Site: site, Slice: residency.Slice{
			Name: "claims/2025-q3", Dataset: "claims", Class: residency.Personal, Pseudonymised: true,
			Origin: "DE", Purposes: []string{"model-training"}, Basis: "test",
		},
	}, residency.Terms{
		ID: id, Claim: "claim-1", Attempt: 1, SliceDigest: w.digest, NotBefore: now, Expires: now.Add(life),
	})
	if !v.Allowed {
		t.Fatalf("grant not cleared: %s", v.Why)
	}
	return g
}

// listen opens the node's end, and closes it with the test.
func (w *world) listen(t testing.TB, patience time.Duration) *Road {
	t.Helper()
	var err error
	if w.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r, err := Listen(t.Context(), w.ln, NodeConfig{
		TLS:     NodeTLS(func() (*tls.Certificate, error) { return &w.node, nil }, w.house.pool, domain, site),
		Receipt: receipt, Patience: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// dial connects to the node, with a witness on the wire.
func (w *world) dial(t testing.TB) *tap {
	t.Helper()
	conn, err := net.Dial("tcp", w.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return &tap{TCPConn: conn.(*net.TCPConn)}
}

// serve serves the node once over conn; the channel has how it ended.
func (w *world) serve(ctx context.Context, conn net.Conn) <-chan error {
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, conn, ServeConfig{
			TLS: EdgeTLS(w.edge, w.house.pool, domain, w.now), Gate: w.books, Store: w.store,
			WindowBytes: w.budget, Now: w.now, Report: w.report, Rounds: w.rounds,
		})
	}()
	return ended
}

// open is a road in service, and how to end it.
func (w *world) open(t testing.TB, patience time.Duration) (r *Road, conn *tap, cut func(), ended <-chan error) {
	t.Helper()
	r = w.listen(t, patience)
	conn = w.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended = w.serve(ctx, conn)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r, conn, cancel, ended
}

// readAll fetches a whole file by chunks.
func (w *world) readAll(t testing.TB, r *Road, name string) []byte {
	t.Helper()
	i, all := w.index(name), []byte{}
	for k := range w.m.Files[i].Chunks {
		b, err := r.Chunk(t.Context(), w.digest, i, k)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}
