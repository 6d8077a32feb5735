package cast

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/attest/local"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/issuer"
)

// Start begins a life of the controller: it opens the log, folds it and runs.
// An error means that it is still down.
func (h *House) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{cancel: cancel, done: make(chan struct{}), ledger: h.newLedger()}
	log, err := audit.Open(ctx, h.log)
	if err != nil {
		cancel()
		return fmt.Errorf("start controller: %w", err)
	}
	ca, err := issuer.New(time.Now, Domain, h.ca)
	if err == nil {
		l.engine, err = perform.Open(ctx, h.config(log, l, ca))
	}
	if err == nil {
		err = h.restore(ca, l.engine)
	}
	if err != nil {
		cancel()
		return errors.Join(fmt.Errorf("start controller: %w", err), log.Close())
	}
	h.mu.Lock()
	h.life = l
	h.mu.Unlock()
	if h.Beside != nil {
		go h.Beside(ctx, l.engine)
	}
	go func() {
		l.err = errors.Join(l.engine.Run(ctx), log.Close())
		h.mu.Lock()
		if h.life == l {
			h.life = nil
		}
		h.mu.Unlock()
		cancel()
		close(l.done)
	}()
	return nil
}

// newLedger is an empty one with the house's one budget.
func (h *House) newLedger() *cloud.Ledger {
	return cloud.NewLedger([]policy.Budget{{Team: Team, Limit: h.Budget}})
}

func (h *House) config(log *audit.Log, l *life, ca *issuer.CA) perform.Config {
	var ledger perform.Ledger = l.ledger
	if h.Ledger != nil {
		ledger = h.Ledger(ledger)
	}
	return perform.Config{
		Log: log, Fleet: fleet{h, l, h.drivers()}, Issuer: &signer{h, ca},
		Ledger:    ledger,
		Verifiers: map[string]residency.Verifier{local.Kind: local.New(h.provider.Public().(ed25519.PublicKey))},
		Grants:    h.grants, GrantsKey: h.grantsV, Approvers: h.Approvers, InForce: h.Law, Offers: h.offers(),
		UserData: pools.UserData{Domain: Domain}, Timing: h.Timing, Alerts: h.Alerts,
		MaxPrice: map[string]policy.Money{"": h.MaxPrice},
		Logger:   h.Logger, Observe: func(leaf audit.Leaf) { h.observe(l, leaf) },
	}
}

// drivers are those of the providers that sell anything; all are the one cloud.
func (h *House) drivers() cloud.Fleet {
	f := cloud.Fleet{"aws": h.Cloud}
	for _, o := range h.Offerings {
		f[o.Offer.At.Provider] = h.Cloud
	}
	return f
}

func (h *House) offers() []policy.Offer {
	var all []policy.Offer
	for _, o := range h.Offerings {
		all = append(all, o.Offer)
	}
	return all
}

// restore hands the issuer back what the log holds.
func (h *House) restore(ca *issuer.CA, e *perform.Engine) error {
	var issued, revoked []string
	for _, s := range e.Bursts() {
		for _, c := range s.Serials {
			issued = append(issued, c.Number)
			if c.Revoked {
				revoked = append(revoked, c.Number)
			}
		}
	}
	return ca.Restore(issued, revoked)
}

// Kill ends the controller's life at once and returns why it ended, nil if
// because of the kill. Killing a dead one is no error.
func (h *House) Kill() error {
	h.mu.Lock()
	l := h.life
	h.mu.Unlock()
	if l == nil {
		return nil
	}
	l.cancel()
	<-l.done
	return l.err
}

// observe sees every entry once it is durable: it samples the invariants that
// must hold at all times, and may be the last thing a life does.
func (h *House) observe(l *life, leaf audit.Leaf) {
	reserved, spent := l.ledger.Totals()
	sum, err := reserved.Plus(spent)
	h.mu.Lock()
	defer h.mu.Unlock()
	if left, lerr := h.Budget.Minus(sum); err != nil || lerr != nil || left.Micros < 0 {
		h.broken = append(h.broken, fmt.Sprintf("at entry %d, %s: reserved %v and spent %v of %v",
			leaf.Index, leaf.Entry.Kind, reserved, spent, h.Budget))
	}
	if leaf.Entry.Burst != "" {
		h.kinds = append(h.kinds, leaf.Entry.Kind)
	}
	if h.die != nil && h.die(leaf) {
		h.die = nil
		l.cancel()
	}
}

// fleet is the cloud as one life of the controller reaches it.
type fleet struct {
	h *House
	l *life
	cloud.Fleet
}

// Launch may be the last thing a life does.
func (f fleet) Launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	n, err := f.Fleet.Launch(ctx, l)
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	if err == nil && f.h.gasp {
		f.h.gasp = false
		f.l.cancel()
		return pools.Node{}, errors.New("died before the answer")
	}
	return n, err
}

// signer is the issuer as the controller reaches it.
type signer struct {
	h  *House
	ca *issuer.CA
}

// errAway is what an issuer that is away answers.
var errAway = errors.New("issuer is away")

func (s *signer) err() error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.h.away {
		return errAway
	}
	return nil
}

// Issue signs unless the issuer is away.
func (s *signer) Issue(ctx context.Context, csr []byte, grant string, ttl time.Duration) (tunnel.Credential, error) {
	if err := s.err(); err != nil {
		return tunnel.Credential{}, err
	}
	return s.ca.Issue(ctx, csr, grant, ttl)
}

// Revoke revokes unless the issuer is away.
func (s *signer) Revoke(ctx context.Context, serial string) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.ca.Revoke(ctx, serial)
}

// Revoked answers unless the issuer is away.
func (s *signer) Revoked(ctx context.Context, serial string) (bool, error) {
	if err := s.err(); err != nil {
		return false, err
	}
	return s.ca.Revoked(ctx, serial)
}
