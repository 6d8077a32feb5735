package bus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/bus/busserver"
)

func TestMain(m *testing.M) {
	busserver.BeforeBubbles()
	os.Exit(m.Run())
}

// world is a real server with its authority, two sites fra and muc, and their edge keys.
type world struct {
	t        *testing.T
	dir      string
	server   *busserver.Server
	tlsHere  *tls.Config
	tlsThere *tls.Config
	edge     map[string]ed25519.PrivateKey
	keys     map[string]ed25519.PublicKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), edge: map[string]ed25519.PrivateKey{}, keys: map[string]ed25519.PublicKey{}}
	for _, site := range []string{"fra", "muc"} {
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		w.edge[site], w.keys[site] = key, pub
	}
	must(t, busserver.Init(w.dir, []string{"fra", "muc"}))
	w.tlsHere, w.tlsThere = certificates(t)
	w.start("127.0.0.1:0")
	return w
}

func (w *world) start(listen string) {
	w.t.Helper()
	s, err := busserver.Start(busserver.Options{Dir: w.dir, TLS: w.tlsHere, Listen: listen})
	must(w.t, err)
	w.t.Cleanup(s.Shutdown)
	w.server = s
}

func (w *world) config(name string) bus.Config {
	return bus.Config{URL: w.server.URL(), TLS: w.tlsThere, CredsFile: busserver.Creds(w.dir, name), Name: name}
}

func (w *world) connect(cfg bus.Config) *bus.Conn {
	w.t.Helper()
	c, err := bus.Connect(w.t.Context(), cfg)
	must(w.t, err)
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) publisher(site string) *bus.Publisher {
	w.t.Helper()
	return bus.NewPublisher(w.connect(w.config(site)), site, w.edge[site])
}

// consume runs the controller's consumer until the test ends.
func (w *world) consume() *recorder {
	w.t.Helper()
	h := newRecorder()
	cfg := w.config(bus.Durable)
	cfg.Rejected = func(r bus.Rejection) { h.rejected <- r }
	c := w.connect(cfg)
	must(w.t, c.Ensure(w.t.Context()))
	h.run(w.t, c, w.keys)
	return h
}

// super connects as a user of the account who may do everything.
func (w *world) super() *nats.Conn {
	w.t.Helper()
	seed, err := os.ReadFile(filepath.Join(w.dir, "keys", "burst.seed"))
	must(w.t, err)
	account, err := nkeys.FromSeed(seed)
	must(w.t, err)
	user, err := nkeys.CreateUser()
	must(w.t, err)
	key, err := user.PublicKey()
	must(w.t, err)
	text, err := jwt.NewUserClaims(key).Encode(account)
	must(w.t, err)
	nc, err := nats.Connect(w.server.URL(), nats.Secure(w.tlsThere),
		nats.UserJWT(func() (string, error) { return text, nil }, user.Sign))
	must(w.t, err)
	w.t.Cleanup(nc.Close)
	return nc
}

func (w *world) superStream() jetstream.JetStream {
	js, err := jetstream.New(w.super())
	must(w.t, err)
	return js
}

// recorder is a handler whose answers a test chooses.
type recorder struct {
	got      chan bus.Received
	rejected chan bus.Rejection

	mu     sync.Mutex
	answer func(bus.Received) error
}

func newRecorder() *recorder {
	return &recorder{got: make(chan bus.Received, 100), rejected: make(chan bus.Rejection, 100)}
}

func (h *recorder) run(t *testing.T, c *bus.Conn, keys map[string]ed25519.PublicKey) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Consume(ctx, keys, h); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
}

func (h *recorder) answers(f func(bus.Received) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

func (h *recorder) Request(_ context.Context, r bus.Received) error {
	h.mu.Lock()
	answer := h.answer
	h.mu.Unlock()
	h.got <- r
	if answer == nil {
		return nil
	}
	return answer(r)
}

func (h *recorder) Signal(ctx context.Context, r bus.Received) error { return h.Request(ctx, r) }

// wantRequest waits for a request of that claim.
func (h *recorder) wantRequest(t *testing.T, claim string) bus.Received {
	t.Helper()
	for {
		select {
		case r := <-h.got:
			if r.Request.ID == claim {
				return r
			}
		case r := <-h.rejected:
			t.Fatalf("rejected instead of delivered: %v", &r)
		case <-time.After(30 * time.Second):
			t.Fatalf("no request %s within 30 s", claim)
		}
	}
}

func (h *recorder) wantRejected(t *testing.T, reason bus.Reason) bus.Rejection {
	t.Helper()
	select {
	case r := <-h.rejected:
		if r.Reason != reason {
			t.Fatalf("rejected as %s, want %s: %v", r.Reason, reason, r.Err)
		}
		return r
	case r := <-h.got:
		t.Fatalf("delivered, want %s: %+v", reason, r)
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing %s within 30 s", reason)
	}
	return bus.Rejection{}
}

func (h *recorder) wantNothing(t *testing.T) {
	t.Helper()
	select {
	case r := <-h.got:
		t.Fatalf("delivered though it should not: %+v", r)
	case r := <-h.rejected:
		t.Fatalf("rejected though it never should have come: %v", &r)
	default:
	}
}

// request is one that says all there is to say.
func request(site, id string) policy.Request {
	at := time.Date(2026, 3, 9, 14, 0, 0, 0, time.UTC)
	return policy.Request{
		ID: id, Site: site, JobID: "job-7", SliceDigest: "sha256:aa", PayloadDigest: "sha256:bb",
		Job: policy.Job{
			Name: "retrain <claims> & more", Team: "risk", Slice: "claims/2025-q3", Purpose: "training", GPUs: 4,
			Command: []string{"train", "--epochs=3"}, Budget: policy.Money{Micros: 50e6, Currency: "EUR"}, Lease: time.Hour,
		},
		Signal: policy.Signal{Site: site, Pool: "a100", Saturated: true, Since: at, At: at, Rule: "≥ 90% for 15m"},
	}
}

// stamped is a request as it was announced at that time.
func stamped(site, id string, at time.Time) (policy.Request, time.Time) {
	at = at.UTC().Truncate(time.Millisecond)
	r := request(site, id)
	r.At = at
	return r, at
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// certificates makes a CA, a server's configuration for 127.0.0.1 and a client's.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	from := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, from, from, &key.PublicKey, key)
	must(t, err)
	ca, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: pool}
}

// eventually polls what no callback tells, such as the server's own counters.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("not within 20 s: %s", what)
}

// wipe removes what the stopped server had stored.
func (w *world) wipe() { must(w.t, os.RemoveAll(filepath.Join(w.dir, "jetstream"))) }
