package edge_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// spec is what a grant says, and how its node comes by it. A test alters the
// spec of an honest one.
type spec struct {
	residency.Terms
	Site, Slice string
	GrantedKey  *ecdsa.PrivateKey // whom the grant is for
	Key         *ecdsa.PrivateKey // whom the node is
	Named       string            // the grant that the node's certificate names
	Sealer      note.Signer
	EnteredAs   string // kind of the entry
	EnteredFor  string // claim of the entry
	Order       tunnel.Order
	Outputs     []string
	Protocols   []string // of the node; nil is those of today

	Law    string                   // the controller's rules; "" permits everything
	Known  []residency.Exception    // that the controller knows
	Except string                   // sealed beside the grant
	Bend   func(text string) string // changes the grant before it is sealed
}

// spec is of an honest node that may read the pseudonymised slice.
func (w *world) spec(id string) spec {
	key, now := cast.Key(w.t), time.Now().UTC().Truncate(time.Second)
	return spec{Terms: residency.Terms{ID: id, Claim: "c-" + id, Attempt: 1, SliceDigest: w.edge.Held()[pseudo],
		NotBefore: now, Expires: now.Add(time.Hour)}, Site: site, Slice: pseudo, GrantedKey: key, Key: key, Named: id,
		Sealer: w.sealer, EnteredAs: "cleared", EnteredFor: "c-" + id, Order: tunnel.OrderRun,
		Outputs: []string{"model.json"}}
}

// grant clears the node as a controller would whose rules permit everything.
func (w *world) grant(s spec) residency.Grant {
	w.t.Helper()
	facts, err := w.conf.Catalogue.Slice(s.Slice)
	if err != nil { // the site does not know it; the controller may
		facts = residency.Slice{Name: s.Slice, Dataset: "other", Class: residency.Public, Origin: "DE",
			Purposes: []string{"model-training"}, Basis: "a test"}
	}
	key := cast.KeyDigest(s.GrantedKey)
	at := residency.Address{Provider: "aws", Region: "eu-central-1"}
	now := time.Now().UTC().Truncate(time.Second)
	doc := local.Document{Provider: at.Provider, Region: at.Region, Instance: "i-1", Nonce: "n", NodeKey: key, Issued: now}
	verifier := local.New(w.provider.Public().(ed25519.PublicKey))
	p, err := residency.Prove(verifier, w.conf.Places, local.Sign(w.provider, doc),
		residency.Expect{Instance: "i-1", Claimed: at, Nonce: "n", NodeKey: key, At: now})
	must(w.t, err)
	ask := residency.Ask{Purpose: "model-training", Team: cast.Team, Site: s.Site, Slice: facts}
	g, v := rulesOf(w.t, cmp.Or(s.Law, permitAll)).With(now, s.Known...).Clear(w.conf.Places, p, ask, s.Terms)
	if !v.Allowed {
		w.t.Fatalf("grant not cleared: %s", v.Why)
	}
	return g
}

// receipt enters the grant and returns the proof, once the edge has cosigned it.
func (w *world) receipt(s spec) []byte {
	w.t.Helper()
	index := w.enterGrant(w.ctl, s)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	must(w.t, w.ctl.log.WaitCosigned(ctx, index))
	r, err := w.ctl.log.Receipt(ctx, index)
	must(w.t, err)
	return r
}

// enterGrant enters the grant in a controller's log.
func (w *world) enterGrant(c *controller, s spec) int64 {
	w.t.Helper()
	g := w.grant(s)
	sealed, err := g.Seal(s.Sealer)
	must(w.t, err)
	if s.Bend != nil {
		text, _, _ := strings.Cut(string(sealed), "\n\n")
		sealed, err = note.Sign(&note.Note{Text: s.Bend(text + "\n")}, s.Sealer)
		must(w.t, err)
	}
	body, err := audit.Canonical(&burst.Cleared{Grant: g.ID(), Sealed: string(sealed), NodeKey: g.NodeKey(),
		Expires: g.Expires(), Exception: s.Except})
	must(w.t, err)
	index, _, err := c.enter(w.t.Context(), s.EnteredFor, s.EnteredAs, "controller", body)
	must(w.t, err)
	return index
}

// node is the far end of the road: a real one.
type node struct {
	*slice.Road
	w      *world
	spec   spec
	serial string
}

// node comes up, shows the receipt to whoever dials, and is listed for the edge.
func (w *world) node(s spec, receipt []byte) *node {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	cert := w.grants.leaf(w.t, s.Key, tunnel.RoleGrant, s.Named)
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	must(w.t, err)
	n := &node{w: w, spec: s, serial: hex.EncodeToString(leaf.SerialNumber.Bytes())}
	conf := slice.NodeTLS(func() (*tls.Certificate, error) { return &cert, nil }, w.house.pool, domain, site)
	if s.Protocols != nil {
		conf.NextProtos = s.Protocols
	}
	n.Road, err = slice.Listen(w.t.Context(), ln, slice.NodeConfig{Receipt: receipt, Patience: time.Minute, TLS: conf})
	must(w.t, err)
	w.ctl.set(func(c *controller) {
		c.work.Grants = append(c.work.Grants, tunnel.Serving{Grant: s.Named, Claim: s.Claim, Reach: ln.Addr().String(),
			Order: s.Order, Outputs: s.Outputs})
	})
	return n
}

// honest is a node with an honest grant and its receipt.
func (w *world) honest(id string, change func(*spec)) *node {
	w.t.Helper()
	s := w.spec(id)
	if change != nil {
		change(&s)
	}
	return w.node(s, w.receipt(s))
}

// chunk reads one chunk of the slice's one file, within bound.
func (n *node) chunk(i int, bound time.Duration) error {
	ctx, cancel := context.WithTimeout(n.w.t.Context(), bound)
	defer cancel()
	b, err := n.Chunk(ctx, n.spec.SliceDigest, 0, i)
	if err == nil && len(b) != mib {
		n.w.t.Errorf("chunk %d has %d bytes", i, len(b))
	}
	return err
}

// reads wants these chunks.
func (n *node) reads(from, to int) {
	n.w.t.Helper()
	for i := from; i < to; i++ {
		if err := n.chunk(i, time.Minute); err != nil {
			n.w.t.Fatalf("chunk %d of %s: %v", i, n.spec, err)
		}
	}
}

// noByte wants the node to be refused with the code and to have got nothing.
func (n *node) noByte(t *testing.T, code string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := n.Ready(ctx)
		cancel()
		if err == nil {
			t.Fatal("the road is open")
		}
		if d, ok := errors.AsType[*slice.Denied](err); ok {
			if d.Code != code {
				t.Errorf("refused with code %q, want %q", d.Code, code)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("never refused: %v", err)
		}
	}
	if opened, _ := n.w.books(n.spec.Named); len(opened) > 0 || n.Bytes().Received > 0 {
		t.Errorf("%d windows were entered and %d bytes came", len(opened), n.Bytes().Received)
	}
}

// accounted wants the log to say of a grant that has ended what the node got,
// a manifest and what was asked for twice beside.
func (n *node) accounted() {
	n.w.t.Helper()
	if served, got := n.w.closed(n.spec.Named), n.Bytes().Received; served < got || served > got+2*mib {
		n.w.t.Errorf("the log says %d bytes, the node got %d", served, got)
	}
}
