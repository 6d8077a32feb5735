package perform

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel"
)

// nonces are the challenges that are out, by claim and attempt. They are
// forgotten by a restart: the node asks for another.
type nonces struct {
	mu  sync.Mutex
	out map[string]string
}

// Challenge gives a node the nonce its next hello must carry, and the grant
// its CSR must name. Each is good for one hello.
func (e *Engine) Challenge(claim string, attempt int) (nonce, grant string, err error) {
	l, err := e.find(claim)
	if err != nil {
		return "", "", err
	}
	if attempt != l.now().Attempt {
		return "", "", fmt.Errorf("challenge attempt %d of burst %s: %w", attempt, claim, ErrUnknownClaim)
	}
	nonce = rand.Text()
	e.nonces.mu.Lock()
	defer e.nonces.mu.Unlock()
	if e.nonces.out == nil {
		e.nonces.out = map[string]string{}
	}
	e.nonces.out[account(claim, attempt)] = nonce
	return nonce, grantID(claim, attempt), nil
}

// spend takes a nonce out of circulation.
func (n *nonces) spend(key, nonce string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	want, ok := n.out[key]
	delete(n.out, key)
	return ok && nonce != "" && want == nonce
}

// grantID names the grant of an attempt.
func grantID(claim string, attempt int) string { return fmt.Sprintf("%s.%d", claim, attempt) }

// Hello hears a node's plea. It proves the node's place, asks the rules about
// that place, and lets a credential be signed, each step durable before the
// next. A renewal is the same plea again.
func (e *Engine) Hello(ctx context.Context, h tunnel.Hello) (tunnel.Answer, error) {
	l, err := e.find(h.Claim)
	if err != nil {
		return tunnel.Answer{}, err
	}
	l.hello.Lock()
	defer l.hello.Unlock()
	s := l.now()
	wait := tunnel.Answer{Standing: tunnel.Wait, Grant: grantID(h.Claim, h.Attempt)}
	switch {
	case h.Attempt != s.Attempt || s.Stopped != nil || !s.Live():
		return tunnel.Answer{Standing: tunnel.Refused, Why: "the attempt has ended"}, nil
	case s.Node == nil:
		return wait, nil // the cloud's answer is not in the log yet
	}
	if !e.nonces.spend(account(h.Claim, h.Attempt), h.Nonce) {
		return wait, nil // our challenge, spent or from before a restart: ask for another
	}
	key, err := checkHello(h)
	if err == nil && s.NodeKey != "" && s.NodeKey != key {
		err = errors.New("another key was bound to this instance first")
	}
	ours := err == nil && s.NodeKey == key
	var proven residency.Proven
	if err == nil {
		proven, err = e.prove(s, h, key)
	}
	if err == nil && s.Place != nil && proven.Place().Address != s.Place.Address {
		err = fmt.Errorf("the node moved from %v to %v", s.Place.Address, proven.Place().Address)
	}
	if err != nil {
		return e.unproven(l, s, h, ours, err)
	}
	return e.clear(ctx, l, h, proven)
}

// unproven enters refused evidence. If it was the node's own, a live
// credential ends with it; anybody else's plea changes nothing then.
func (e *Engine) unproven(l *life, s burst.State, h tunnel.Hello, ours bool, why error) (tunnel.Answer, error) {
	e.Logger.Warn("evidence refused", "claim", h.Claim, "attempt", h.Attempt, "error", why.Error())
	if s.Phase != burst.Booting && !ours {
		return tunnel.Answer{Standing: tunnel.Refused, Why: why.Error()}, nil
	}
	if s.Phase != burst.Booting {
		return tunnel.Answer{Standing: tunnel.Refused, Why: why.Error()},
			e.Stop(h.Claim, controller, burst.WhyDenied, why.Error())
	}
	u := &burst.Unproven{Attempt: h.Attempt, Why: why.Error(), Evidence: digest(h.Evidence.Document)}
	return tunnel.Answer{Standing: tunnel.Refused, Why: why.Error()}, e.enter(l, node(s), u)
}

// checkHello verifies that the plea's key signed it and returns the key's digest.
func checkHello(h tunnel.Hello) (string, error) {
	block, rest := pem.Decode(h.CSR)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 0 {
		return "", errors.New("check hello: no single certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("check hello: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return "", fmt.Errorf("check hello: request: %w", err)
	}
	pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(pub, h.Signed(), h.Proof) {
		return "", errors.New("check hello: proof is not by the key of the request")
	}
	sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// prove turns evidence into a proven place. The instance is the one our own
// create call returned, never one the node names.
func (e *Engine) prove(s burst.State, h tunnel.Hello, key string) (residency.Proven, error) {
	v := e.Verifiers[h.Evidence.Kind]
	if v == nil {
		return residency.Proven{}, fmt.Errorf("prove place: evidence of kind %q is not accepted", h.Evidence.Kind)
	}
	e.lawMu.RLock()
	defer e.lawMu.RUnlock()
	return residency.Prove(v, e.law.Places, h.Evidence, residency.Expect{
		Instance: s.Node.ID, Claimed: s.Launch.Offer.At, Nonce: h.Nonce, NodeKey: key, At: time.Now(),
	})
}

// clear asks the rules about the proven place and enters what they say. The
// law cannot change between the answer and its entry.
func (e *Engine) clear(ctx context.Context, l *life, h tunnel.Hello, p residency.Proven) (tunnel.Answer, error) {
	s := l.now()
	if s.Phase == burst.Booting || s.Phase == burst.Placed {
		if err := e.secondDecision(l, s, p); err != nil {
			return tunnel.Answer{}, err
		}
		s = l.now()
	}
	if s.Stopped != nil {
		return tunnel.Answer{Standing: tunnel.Refused, Why: s.Stopped.Detail}, nil
	}
	return e.issue(ctx, l, h)
}

// secondDecision enters the proven place and whether the slice may be read there.
func (e *Engine) secondDecision(l *life, s burst.State, p residency.Proven) error {
	e.lawMu.RLock()
	defer e.lawMu.RUnlock()
	var bodies []burst.Body
	if s.Phase == burst.Booting {
		bodies = append(bodies, &burst.PlacedAt{
			Attempt: s.Attempt, Instance: p.Instance(), Place: p.Place(), Moved: p.Moved(), Level: p.Level(),
			Trust: p.Trust(), NodeKey: p.NodeKey(), Evidence: p.EvidenceDigest(),
		})
	}
	ask, err := e.law.ask(s.Request)
	if err != nil {
		return err
	}
	lease := s.Decision.Plan.Lease
	expires := s.Launch.Expires.Add(e.working(lease) - lease)
	now := time.Now().UTC()
	rules, seals := e.excepting(e.law.Rules, now)
	g, v := rules.Clear(e.law.Places, p, ask, residency.Terms{
		ID: grantID(l.claim, s.Attempt), Claim: l.claim, Attempt: s.Attempt, Payload: s.Request.PayloadDigest,
		SliceDigest: s.Request.SliceDigest, NotBefore: now.Truncate(time.Second), Expires: expires,
	})
	if !v.Allowed {
		return e.enter(l, controller, append(bodies, &burst.Denied{Verdict: v, StopBy: e.stopBy()})...)
	}
	sealed, err := g.Seal(e.Grants)
	if err != nil {
		return fmt.Errorf("seal grant %s: %w", g.ID(), err)
	}
	bodies = append(bodies, using(v, burst.OnRead, p.Place().Address)...)
	return e.enter(l, controller, append(bodies, &burst.Cleared{
		Grant: g.ID(), Sealed: string(sealed), NodeKey: g.NodeKey(), Expires: g.Expires(), Verdict: v,
		Idle:      e.idle(s.Request.Job.Idle),
		Exception: seals[g.Exception()],
	})...)
}

// idle is how long a job may be silent: as long as it asked for, and never
// longer than the house allows.
func (e *Engine) idle(asked time.Duration) time.Duration {
	if e.Timing.Idle > 0 && (asked <= 0 || asked > e.Timing.Idle) {
		return e.Timing.Idle
	}
	return max(asked, 0)
}

// issue lets a credential be signed once the grant's receipt can be had.
func (e *Engine) issue(ctx context.Context, l *life, h tunnel.Hello) (tunnel.Answer, error) {
	s := l.now()
	answer := tunnel.Answer{Standing: tunnel.Wait, Grant: s.Grant.ID}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := e.Log.WaitCosigned(wait, s.Grant.Index); err != nil {
		answer.Why = "the edge has not cosigned the grant yet"
		return answer, nil
	}
	receipt, err := e.Log.Receipt(ctx, s.Grant.Index)
	if err != nil {
		return answer, fmt.Errorf("issue for %s: %w", s.Grant.ID, err)
	}
	ttl := min(e.Timing.TTL, time.Until(s.Grant.Expires)).Truncate(time.Second)
	if err := e.enter(l, controller, &burst.IssueIntent{Grant: s.Grant.ID, CSR: digest(h.CSR), TTL: ttl}); err != nil {
		return answer, err
	}
	cred, err := e.Issuer.Issue(ctx, h.CSR, s.Grant.ID, ttl)
	if err != nil {
		return answer, fmt.Errorf("issue for %s: %w", s.Grant.ID, err)
	}
	issued := &burst.Issued{Grant: s.Grant.ID, Serial: cred.Serial, NotAfter: cred.NotAfter}
	if err := e.enter(l, controller, issued); err != nil {
		return answer, err
	}
	if s = l.now(); s.Phase != burst.Running {
		return tunnel.Answer{Standing: tunnel.Refused, Why: "the burst was stopped"}, nil
	}
	r := s.Request
	return tunnel.Answer{Standing: tunnel.Granted, Grant: s.Grant.ID, Credential: &cred, Receipt: receipt, Site: r.Site,
		Job: &r.Job, Slice: r.SliceDigest, Payload: r.PayloadDigest}, nil
}

// grant opens the sealed grant of s.
func (e *Engine) grant(s burst.State) (residency.Grant, error) {
	return residency.OpenGrant([]byte(s.Grant.Sealed), note.VerifierList(e.GrantsKey))
}

// node is the actor of what a node reports.
func node(s burst.State) string { return "node:" + account(s.Claim, s.Attempt) }

// bearer finds the burst a credential was issued for. A credential that was
// revoked is refused; the refusal is the probe that teardown waits for.
func (e *Engine) bearer(grant, serial string) (*life, burst.State, error) {
	claim := grant[:max(strings.LastIndexByte(grant, '.'), 0)] // see grantID
	if l, err := e.find(claim); err == nil {
		s := l.now()
		i := slices.IndexFunc(s.Serials, func(c burst.Serial) bool { return c.Number == serial })
		switch {
		case s.Grant == nil || s.Grant.ID != grant || i < 0:
		case s.Serials[i].Revoked:
			return l, s, e.refuse(l, s, serial)
		default:
			return l, s, nil
		}
	}
	return nil, burst.State{}, fmt.Errorf("credential %s: %w", serial, ErrRefused)
}

// ErrRefused: the credential is not, or no longer, good. It never will be.
var ErrRefused = errors.New("credential is refused")

// refuse enters that a revoked credential was tried and refused.
func (e *Engine) refuse(l *life, s burst.State, serial string) error {
	if s.Phase == burst.Probing && serial == s.Current() {
		p := &burst.Probed{Serial: serial, Refused: true, By: "control",
			Detail: "tried at the control endpoint after its revocation"}
		if err := e.enter(l, controller, p); err != nil && !errors.Is(err, errOrder) {
			return err
		}
	}
	return fmt.Errorf("credential %s: %w", serial, ErrRefused)
}

// Orders returns what the bearer is to do, as soon as the number of orders is
// past since or ctx ends.
func (e *Engine) Orders(ctx context.Context, grant, serial string, since int64) (tunnel.Order, int64, error) {
	l, _, err := e.bearer(grant, serial)
	if err != nil {
		return "", 0, err
	}
	n := l.pulse.wait(ctx, since)
	_, s, err := e.bearer(grant, serial) // it may have been revoked meanwhile
	return order(s), n, err
}

// order follows from the phase alone.
func order(s burst.State) tunnel.Order {
	switch s.Phase {
	case burst.Running:
		return tunnel.OrderRun
	case burst.Unmount:
		return tunnel.OrderUnmount
	case burst.Revoking, burst.Probing:
		return tunnel.OrderProbe
	case burst.Deleting, burst.Settling, burst.Ended:
		return tunnel.OrderExit
	}
	return tunnel.OrderWait
}
