package agent_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/issuer"
	"github.com/burstctl/burstctl/tunnel/slice"
)

const grantID = "grant-1"

const places = `provider,region,zone,partition,kind,country,groups,operator,parent,name,source
aws,eu-central-1,,aws,region,DE,EEA EU,US,US,Frankfurt,test
`

// desk is the controller of one burst: it hears pleas, holds them to what a
// controller holds them to, gives orders and hears reports.
type desk struct {
	ca       *issuer.CA
	verifier residency.Verifier
	table    *residency.Table
	rules    *residency.Rules
	job      *policy.Job
	slice    string
	payload  string // of the program's manifest; "" is none
	ttl      time.Duration
	say      func(n int) *tunnel.Answer // of the n-th plea, from 1; nil and a nil answer hear it
	reports  chan tunnel.Report
	pleas    chan plea

	mu      sync.Mutex // guards what follows
	drawn   int
	open    map[string]bool // nonces that were drawn and not yet used
	heard   int
	grant   residency.Grant
	receipt []byte
	order   tunnel.Order
	n       int64
	changed chan struct{}
	revoked bool
}

// plea is one plea that was granted.
type plea struct {
	nonce, key, serial string
	evidence           residency.Evidence
}

func newDesk(t *testing.T, grants ca, v residency.Verifier) *desk {
	t.Helper()
	authority, err := issuer.New(time.Now, domain, grants.pair)
	if err != nil {
		t.Fatal(err)
	}
	table, err := residency.ParseTable([]byte(places))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := residency.ParseRules(map[string][]byte{"r.cedar": []byte(
		`@id("p") @title("t") @basis("b") permit (principal, action, resource);`)})
	if err != nil {
		t.Fatal(err)
	}
	return &desk{ca: authority, verifier: v, table: table, rules: rules, ttl: time.Minute,
		reports: make(chan tunnel.Report, 100), pleas: make(chan plea, 100),
		open: map[string]bool{}, order: tunnel.OrderRun, changed: make(chan struct{})}
}

// Challenge draws a nonce.
func (d *desk) Challenge(_ string, attempt int) (nonce, grant string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drawn++
	nonce = fmt.Sprintf("nonce-%d-%d", attempt, d.drawn)
	d.open[nonce] = true
	return nonce, grantID, nil
}

// Hello hears a plea.
func (d *desk) Hello(ctx context.Context, h tunnel.Hello) (tunnel.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open[h.Nonce] {
		return tunnel.Answer{Standing: tunnel.Refused, Why: "the nonce is not fresh"}, nil
	}
	delete(d.open, h.Nonce)
	d.heard++
	if d.say != nil {
		if a := d.say(d.heard); a != nil {
			return *a, nil
		}
	}
	key, err := provenKey(h)
	if err != nil {
		return tunnel.Answer{Standing: tunnel.Refused, Why: err.Error()}, nil
	}
	if err := d.clear(h, key); err != nil {
		return tunnel.Answer{Standing: tunnel.Refused, Why: err.Error()}, nil
	}
	c, err := d.ca.Issue(ctx, h.CSR, grantID, d.ttl)
	if err != nil {
		return tunnel.Answer{}, err
	}
	d.receipt = fmt.Appendf(nil, "receipt %d of %s", d.heard, grantID)
	d.pleas <- plea{h.Nonce, key, c.Serial, h.Evidence}
	return tunnel.Answer{Standing: tunnel.Granted, Grant: grantID, Credential: &c, Receipt: d.receipt,
		Site: site, Job: d.job, Slice: d.slice, Payload: d.payload}, nil
}

// provenKey is the key of the request, which the plea proves to be held.
func provenKey(h tunnel.Hello) (string, error) {
	block, _ := pem.Decode(h.CSR)
	if block == nil {
		return "", errors.New("no certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", err
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(key, h.Signed(), h.Proof) {
		return "", errors.New("the key is not proven")
	}
	return digest(csr.RawSubjectPublicKeyInfo), nil
}

// clear proves the place and clears the slice, as the controller would.
func (d *desk) clear(h tunnel.Hello, key string) error {
	now := time.Now().UTC().Truncate(time.Second)
	p, err := residency.Prove(d.verifier, d.table, h.Evidence, residency.Expect{Instance: "i-1", At: now,
		Nonce: h.Nonce, NodeKey: key, Claimed: residency.Address{Provider: "aws", Region: "eu-central-1"}})
	if err != nil {
		return err
	}
	asked := residency.Slice{Name: "claims/2025-q3", Dataset: "claims", Class: residency.Personal, Pseudonymised: true,
		Origin: "DE", Purposes: []string{"model-training"}, Basis: "test"}
	g, v := d.rules.Clear(d.table, p,
		residency.Ask{Purpose: "model-training", Team: "fraud", Site: site, Slice: asked},
		residency.Terms{ID: grantID, Claim: claim, Attempt: 1, SliceDigest: d.slice, Payload: d.payload,
			NotBefore: now, Expires: now.Add(time.Hour)})
	if !v.Allowed {
		return errors.New(v.Why)
	}
	d.grant = g
	return nil
}

// Orders waits for an order past since.
func (d *desk) Orders(ctx context.Context, _, _ string, since int64) (tunnel.Order, int64, error) {
	for {
		d.mu.Lock()
		order, n, changed, revoked := d.order, d.n, d.changed, d.revoked
		d.mu.Unlock()
		if revoked {
			return "", 0, errRefused
		}
		if n > since {
			return order, n, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return order, n, nil
		}
	}
}

// Report hears the node.
func (d *desk) Report(_, _ string, r tunnel.Report) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.revoked {
		return errRefused
	}
	d.reports <- r
	return nil
}

// give orders something.
func (d *desk) give(o tunnel.Order) { d.change(func() { d.order = o }) }

// revoke takes the credential away.
func (d *desk) revoke() { d.change(func() { d.revoked = true }) }

func (d *desk) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	d.n++
	close(d.changed)
	d.changed = make(chan struct{})
}

// books is the edge's gate: it opens for the newest receipt, and keeps results.
type books struct {
	desk *desk

	mu      sync.Mutex
	results map[string][]byte
	opened  int
}

func (b *books) Open(_ context.Context, _ slice.Peer, receipt []byte) (residency.Grant, error) {
	b.desk.mu.Lock()
	g, ok := b.desk.grant, bytes.Equal(receipt, b.desk.receipt)
	b.desk.mu.Unlock()
	if !ok {
		return residency.Grant{}, &slice.Denied{Code: "receipt"}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened++
	return g, nil
}

func (b *books) Window(context.Context, residency.Grant, string, int64) (slice.Window, error) {
	return window{}, nil
}

func (b *books) Artefact(_ context.Context, _ residency.Grant, name string, _ int64) (slice.Sink, error) {
	return &arriving{books: b, name: name}, nil
}

// result is what came back under a name.
func (b *books) result(name string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.results[name]
	return string(r), ok
}

type window struct{}

func (window) Close(int64, int, string, string) error { return nil }

// arriving is a result on its way.
type arriving struct {
	bytes.Buffer
	books *books
	name  string
}

func (a *arriving) Commit(string) error {
	a.books.mu.Lock()
	defer a.books.mu.Unlock()
	a.books.results[a.name] = a.Bytes()
	return nil
}

func (a *arriving) Abort() error { return nil }
