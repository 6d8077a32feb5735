package cast

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// Manners say how nodes behave. The zero Manners are those of an honest node.
type Manners struct {
	Mute bool // never pleads
	Deaf bool // never lets go
	Exit int  // the job's exit code
}

// Peer is a node as the site sees it: its certificate and the receipt it shows.
type Peer struct {
	Grant, Serial, Key string
	Receipt            []byte
}

// node is one machine that came up.
type node struct {
	house   *House
	made    pools.Node
	key     *ecdsa.PrivateKey
	peer    Peer
	renew   time.Time // when the credential is renewed
	slice   string    // manifests
	payload string
	began   time.Time // when the job began; zero before
	epoch   int
	kept    bool // the result is with the site
}

// Nodes brings every machine of the cloud to life, each under the manners it
// finds, until ctx ends.
func (h *House) Nodes(ctx context.Context, manners func() Manners) {
	seen := map[string]bool{}
	for ctx.Err() == nil {
		for _, i := range h.Cloud.Inventory() {
			if !seen[i.Node.ID] && i.Ended.IsZero() {
				seen[i.Node.ID] = true
				n := &node{house: h, made: i.Node, key: Key(h.t)}
				go n.live(ctx, manners)
			}
		}
		Sleep(ctx, time.Second)
	}
}

// live looks once a second what there is to do, as long as the machine is there.
func (n *node) live(ctx context.Context, manners func() Manners) {
	for ctx.Err() == nil && n.house.Cloud.Alive(n.made.ID) {
		if e, err := n.house.Engine(); err == nil {
			if err := n.tick(ctx, e, manners()); err != nil {
				n.house.Logger.DebugContext(ctx, "node", "id", n.made.ID, "error", err.Error())
			}
		}
		Sleep(ctx, time.Second)
	}
}

// tick does the next thing.
func (n *node) tick(ctx context.Context, e *perform.Engine, m Manners) error {
	if m.Mute && n.peer.Serial == "" {
		return nil
	}
	if n.peer.Serial == "" || time.Now().After(n.renew) {
		if err := n.plead(ctx, e); n.peer.Serial == "" { // a renewal that fails leaves the old one
			return err
		}
	}
	order, _, err := e.Orders(ctx, n.peer.Grant, n.peer.Serial, -1)
	if err != nil {
		return err
	}
	switch order {
	case tunnel.OrderRun:
		return n.work(ctx, e, m)
	case tunnel.OrderUnmount:
		if !m.Deaf {
			return n.say(e, "unmounted", struct{}{})
		}
	}
	return nil
}

// plead asks for a credential, or for the next one.
func (n *node) plead(ctx context.Context, e *perform.Engine) error {
	hello, err := n.house.Plea(e, n.made, n.key)
	if err != nil {
		return err
	}
	a, err := e.Hello(ctx, hello)
	if err != nil || a.Standing != tunnel.Granted {
		return errors.Join(err, fmt.Errorf("plea stands %q: %s", a.Standing, a.Why))
	}
	n.peer = Peer{Grant: a.Grant, Serial: a.Credential.Serial, Key: KeyDigest(n.key), Receipt: a.Receipt}
	n.slice, n.payload = a.Slice, a.Payload
	now := time.Now()
	n.renew = now.Add(a.Credential.NotAfter.Sub(now) / 2)
	return nil
}

// work mounts, runs the job and hands in its result.
func (n *node) work(ctx context.Context, e *perform.Engine, m Manners) error {
	if n.began.IsZero() {
		if err := n.house.Site.Serve(ctx, n.peer, n.slice, 2500); err != nil {
			return err
		}
		if err := n.house.Site.Serve(ctx, n.peer, n.payload, 500); err != nil {
			return err
		}
		if err := n.say(e, "job-started", burst.Started{Grant: n.peer.Grant, Mount: "copy", Payload: n.payload}); err != nil {
			return err
		}
		n.began = time.Now()
	}
	const epochs = 4
	if done := int(time.Since(n.began) * epochs / n.house.Job); done > n.epoch && n.epoch < epochs {
		p := burst.Progress{Grant: n.peer.Grant, Epoch: n.epoch + 1, Epochs: epochs, Metric: "loss", Micros: 1e6}
		if err := n.say(e, "job-progress", p); err != nil {
			return err
		}
		n.epoch++
	}
	if n.epoch < epochs {
		return nil
	}
	if !n.kept {
		a := &burst.Artefact{Grant: n.peer.Grant, Name: "model.json", Digest: n.payload, Bytes: 300, Class: "personal"}
		if err := n.house.Site.Keep(ctx, n.made.Claim, a); err != nil {
			return err
		}
		n.kept = true
	}
	return n.say(e, "job-finished", tunnel.Finished{Exit: m.Exit})
}

// say reports something.
func (n *node) say(e *perform.Engine, kind string, body any) error {
	raw, err := audit.Canonical(body)
	if err != nil {
		return err
	}
	return e.Report(n.peer.Grant, n.peer.Serial, tunnel.Report{Kind: kind, Body: json.RawMessage(raw)})
}

// Plea asks for a challenge and answers it as the machine's agent does.
func (h *House) Plea(e *perform.Engine, n pools.Node, key *ecdsa.PrivateKey) (tunnel.Hello, error) {
	nonce, grant, err := e.Challenge(n.Claim, n.Attempt)
	if err != nil {
		return tunnel.Hello{}, err
	}
	evidence, err := h.Cloud.Evidence(n.ID, nonce, KeyDigest(key))
	if err != nil {
		return tunnel.Hello{}, err
	}
	uri, err := url.Parse(tunnel.GrantURI(Domain, grant))
	if err != nil {
		return tunnel.Hello{}, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{uri}}, key)
	if err != nil {
		return tunnel.Hello{}, err
	}
	hello := tunnel.Hello{Claim: n.Claim, Attempt: n.Attempt, Nonce: nonce, Evidence: evidence,
		CSR: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})}
	return hello, Sign(&hello, key)
}

// Document is what the provider would sign for a machine that runs in another
// region of AWS than before.
func (h *House) Document(instance, region, nonce string, key *ecdsa.PrivateKey) (residency.Evidence, error) {
	e := local.Sign(h.provider, local.Document{Provider: "aws", Region: region, Instance: instance, Nonce: nonce,
		NodeKey: KeyDigest(key), Issued: time.Now()})
	if e.Document == nil {
		return e, errors.New("sign document: not done")
	}
	return e, nil
}

// Sign proves possession of key over the hello as it stands.
func Sign(h *tunnel.Hello, key *ecdsa.PrivateKey) (err error) {
	h.Proof, err = ecdsa.SignASN1(rand.Reader, key, h.Signed())
	return err
}

// Key makes a node's key.
func Key(t interface{ Fatal(...any) }) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// KeyDigest is the "sha256:…" of the key's SPKI.
func KeyDigest(key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}
