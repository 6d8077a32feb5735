package control_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/control"
)

const domain = "house.test"

// authority is a CA of the test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := newKey(t)
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

// leaf certifies an identity of the domain; change alters the template first.
func (a *authority) leaf(t testing.TB, role tunnel.Role, name string, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: uris(t, domain, role, name),
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
}

func uris(t testing.TB, domain string, role tunnel.Role, name string) []*url.URL {
	t.Helper()
	u, err := url.Parse(tunnel.Identity{Domain: domain, Role: role, Name: name}.URI())
	must(t, err)
	return []*url.URL{u}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The engine's sentinels, as the daemon wires them.
var (
	errRefused = errors.New("credential is refused")
	errUnknown = errors.New("claim is not in the log")
)

// world is an endpoint on loopback with two CAs and the parts behind it.
type world struct {
	*control.Server
	parts         *parts
	house, grants *authority
	http          *http.Server
	addr          string
}

// newWorld serves; change alters the server first.
func newWorld(t testing.TB, change func(*world)) *world {
	t.Helper()
	w := &world{parts: &parts{}, house: newAuthority(t), grants: newAuthority(t)}
	w.Server = &control.Server{Domain: domain, House: w.house.pool, Grants: w.grants.pool,
		Pleader: w.parts, Bearer: w.parts, Site: w.parts, Log: w.parts, Desk: w.parts, Plans: w.parts,
		Refused: errRefused, Unknown: errUnknown, Allow: func(string, []string, string) error { return nil }}
	if change != nil {
		change(w)
	}
	w.http = w.HTTP()
	w.http.ErrorLog = log.New(noPanic{t}, "", 0)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w.addr = ln.Addr().String()
	cert := w.house.leaf(t, tunnel.RoleController, "controller", nil)
	served := make(chan error, 1)
	go func() {
		served <- w.http.Serve(tls.NewListener(ln, w.TLS(func() (*tls.Certificate, error) { return cert, nil })))
	}()
	t.Cleanup(func() {
		w.http.Close()
		<-served
	})
	return w
}

// noPanic hears what the HTTP server complains of.
type noPanic struct{ t testing.TB }

func (n noPanic) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("panic")) {
		n.t.Errorf("a handler panicked: %s", b)
	}
	return len(b), nil
}

// client is the product's own client, with a certificate or none.
func (w *world) client(cert *tls.Certificate) *control.Client {
	o := control.Options{Address: w.addr, Domain: domain, Roots: w.house.pool}
	if cert != nil {
		o.Cert = func() (*tls.Certificate, error) { return cert, nil }
	}
	return control.NewClient(o)
}

// caller calls by hand, over connections of its own.
type caller struct {
	base   string
	http   *http.Client
	reused bool // whether the last call went over the connection of an earlier one
}

func (w *world) caller(t testing.TB, cert *tls.Certificate) *caller {
	conf := &tls.Config{RootCAs: w.house.pool, InsecureSkipVerify: true} // the endpoint is what is tested
	if cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	tr := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(tr.CloseIdleConnections)
	return &caller{base: "https://" + w.addr, http: &http.Client{Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	problem control.Problem // of an answer that is no 200
}

// call makes one call and holds its answer to the form all answers have.
func (c *caller) call(t testing.TB, method, path, body string, header ...string) answer {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { c.reused = i.Reused }}
	ctx := httptrace.WithClientTrace(t.Context(), trace)
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	must(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return form(t, answer{status: resp.StatusCode, header: resp.Header, body: b})
}

// form holds an answer to be one JSON value: a result, or problem details with
// the same status, a code and a sentence.
func form(t testing.TB, a answer) answer {
	t.Helper()
	want, v := "application/json", any(new(json.RawMessage))
	if a.status != http.StatusOK {
		want, v = "application/problem+json", &a.problem
	}
	d := json.NewDecoder(bytes.NewReader(a.body))
	if err := d.Decode(v); err != nil || a.header.Get("Content-Type") != want {
		t.Fatalf("status %d answers %q of type %s: %v", a.status, a.body, a.header.Get("Content-Type"), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("status %d answers more than one value: %q", a.status, a.body)
	}
	p := a.problem
	if a.status != http.StatusOK && (p.Status != a.status || !strings.HasPrefix(p.Code, "BRS-") || p.Detail == "") {
		t.Fatalf("status %d says %+v", a.status, p)
	}
	return a
}

// parts stands where the engine and the desk are, and notes who reached it.
type parts struct {
	err  error                 // what every call answers
	wait func(context.Context) // how long a poll hangs; nil does not

	mu  sync.Mutex
	got []string
}

func (p *parts) note(words ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, strings.Join(words, " "))
	return p.err
}

func (p *parts) poll(ctx context.Context) {
	if p.wait != nil {
		p.wait(ctx)
	}
}

// heard takes out what was noted.
func (p *parts) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := slices.Clone(p.got)
	p.got = nil
	return got
}

func (p *parts) Challenge(claim string, _ int) (string, string, error) {
	return "nonce", "grant", p.note("challenge", claim)
}

func (p *parts) Hello(_ context.Context, h tunnel.Hello) (tunnel.Answer, error) {
	return tunnel.Answer{Standing: tunnel.Wait}, p.note("hello", h.Claim)
}

func (p *parts) Orders(ctx context.Context, grant, serial string, since int64) (tunnel.Order, int64, error) {
	p.poll(ctx)
	return tunnel.OrderRun, since + 1, p.note("orders", grant, serial)
}

func (p *parts) Report(grant, serial string, r tunnel.Report) error {
	return p.note("report", grant, serial, r.Kind)
}

func (p *parts) Work(ctx context.Context, site string, since int64) tunnel.Work {
	p.poll(ctx)
	_ = p.note("work", site)
	return tunnel.Work{N: since + 1}
}

func (p *parts) EnterFor(_ context.Context, site string, in tunnel.Entering) (tunnel.Entered, error) {
	return tunnel.Entered{}, p.note("enter", site, in.Claim)
}

func (p *parts) Extension(ctx context.Context, _ int64) (tunnel.Extension, error) {
	p.poll(ctx)
	return tunnel.Extension{}, p.note("extension")
}

func (p *parts) Cosign([]byte) error { return p.note("cosign") }

func (p *parts) Submit(actor, site string, job policy.Job) (control.JobInfo, error) {
	return control.JobInfo{ID: "job-1", Site: site, Job: job, By: actor}, p.note("submit", actor, site)
}

func (p *parts) Plan(actor, site string, job policy.Job) (control.Planned, error) {
	return control.Planned{Site: site, Job: job}, p.note("plan", actor, site)
}

func (p *parts) Apply(actor, sealed string, _ int) (control.JobInfo, error) {
	return control.JobInfo{ID: "job-1", By: actor}, p.note("apply", actor, sealed)
}

func (p *parts) Status() control.Status { _ = p.note("status"); return control.Status{} }

func (p *parts) Do(_ context.Context, actor, action, claim, _ string) error {
	return p.note("do", actor, action, claim)
}
