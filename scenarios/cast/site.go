package cast

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// Site is the edge of the house: it cosigns what extends the log it knows, and
// serves bytes only after the window for them is entered and cosigned. Made by
// [New].
type Site struct {
	house   *House
	witness *audit.Witness
	log     sync.Mutex // one witness operation at a time
	told    *perform.Engine

	mu    sync.Mutex // guards the rest
	blind bool
	lost  map[string][]pending // windows that are to be closed, by grant
	Sent  map[string]int64     // bytes that really went out, by grant; read it when all is quiet
}

// pending is what a window served, not entered yet.
type pending struct{ body burst.Served }

// windowBytes is the size of a serve window.
const windowBytes = 1000

// SetBlind keeps the site from cosigning anything, or not any more.
func (s *Site) SetBlind(blind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = blind
}

func (s *Site) isBlind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blind
}

// Remembers is the checkpoint the site cosigned last.
func (s *Site) Remembers() []byte { return s.witness.Remembers() }

// Witness follows the log until ctx ends.
func (s *Site) Witness(ctx context.Context) {
	for ctx.Err() == nil {
		e, err := s.house.Engine()
		if err == nil && !s.isBlind() {
			err = s.follow(ctx, e)
		}
		if err != nil || s.isBlind() {
			Sleep(ctx, time.Second)
		}
	}
}

// follow cosigns one newer checkpoint, or finds within a second that there is none.
func (s *Site) follow(ctx context.Context, e *perform.Engine) error {
	old := s.witness.Size()
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	x, err := e.Extension(wait, old)
	if err != nil {
		return err
	}
	tree, err := audit.TreeOf(x.Checkpoint)
	if err != nil {
		return err
	}
	s.log.Lock()
	defer s.log.Unlock()
	if s.witness.Size() != old || s.isBlind() || tree.N == old && s.told == e {
		return nil
	}
	cosigned, err := s.witness.Cosign(time.Now(), x.Checkpoint, old, proof(x.Consistency))
	if err != nil {
		return err
	}
	s.told = e // a restarted controller may not have heard of the last one
	return e.Cosign(cosigned)
}

// Serve sends n bytes of a manifest to the peer, window by window, once its
// receipt and grant hold. An error leaves the rest unsent.
func (s *Site) Serve(ctx context.Context, p Peer, manifest string, n int64) error {
	grant, err := s.open(p)
	if err != nil {
		return err
	}
	for n > 0 {
		budget := min(n, windowBytes)
		e, err := s.house.Engine()
		if err != nil {
			return err
		}
		work, err := s.settle(ctx, e, grant)
		if err != nil {
			return err
		}
		if work.Order != tunnel.OrderRun || slices.Contains(work.Revoked, p.Serial) {
			return fmt.Errorf("serve %s: the grant has ended", grant.ID())
		}
		w := burst.Window{Grant: grant.ID(), N: work.Window + 1, Manifest: manifest, Bytes: budget}
		if err := s.enter(ctx, e, grant.Claim(), &w); err != nil {
			return err
		}
		s.mu.Lock()
		s.Sent[grant.ID()] += budget
		s.lost[grant.ID()] = append(s.lost[grant.ID()],
			pending{burst.Served{Grant: grant.ID(), N: w.N, Bytes: budget, Chunks: 1, Digest: manifest}})
		s.mu.Unlock()
		n -= budget
		if _, err := s.settle(ctx, e, grant); err != nil && n == 0 {
			return nil // all is out; the window is closed later
		}
	}
	return nil
}

// open demands what pools/onprem/edge demands before the first byte.
func (s *Site) open(p Peer) (residency.Grant, error) {
	entry, _, size, err := audit.OpenReceipt(p.Receipt, s.house.Trust)
	if err != nil {
		return residency.Grant{}, err
	}
	if size > s.witness.Size() || entry.Kind != "cleared" {
		return residency.Grant{}, errors.New("receipt is of no grant that this site has cosigned")
	}
	var cleared burst.Cleared
	if err := audit.DecodeStrict(entry.Body, &cleared); err != nil {
		return residency.Grant{}, err
	}
	g, err := residency.OpenGrant([]byte(cleared.Sealed), note.VerifierList(s.house.grantsV))
	if err != nil {
		return residency.Grant{}, err
	}
	if g.ID() != p.Grant || g.NodeKey() != p.Key || g.Site() != Place || !g.Valid(time.Now()) {
		return residency.Grant{}, errors.New("grant is not this peer's, or not now")
	}
	return g, nil
}

// settle closes what was served, and what an earlier life of the controller
// left open, and returns how the grant stands.
func (s *Site) settle(ctx context.Context, e *perform.Engine, g residency.Grant) (tunnel.Serving, error) {
	work, err := standing(ctx, e, g.ID())
	if err != nil {
		return work, err
	}
	s.mu.Lock()
	closing := slices.Clone(s.lost[g.ID()])
	s.mu.Unlock()
	for _, o := range work.Open {
		if !slices.ContainsFunc(closing, func(p pending) bool { return p.body.N == o.N }) {
			closing = append(closing, pending{burst.Served{Grant: g.ID(), N: o.N, Bytes: o.Bytes, Why: "lost"}})
		}
	}
	for _, p := range closing {
		if slices.ContainsFunc(work.Open, func(o tunnel.Open) bool { return o.N == p.body.N }) {
			if err := s.enter(ctx, e, g.Claim(), &p.body); err != nil {
				return work, err
			}
		}
	}
	s.mu.Lock()
	delete(s.lost, g.ID())
	s.mu.Unlock()
	return standing(ctx, e, g.ID())
}

// standing asks the controller how a grant stands.
func standing(ctx context.Context, e *perform.Engine, grant string) (tunnel.Serving, error) {
	for _, w := range e.Work(ctx, Place, -1).Grants {
		if w.Grant == grant {
			return w, nil
		}
	}
	return tunnel.Serving{}, fmt.Errorf("serve %s: the controller does not list it", grant)
}

// Keep enters a result's digest, as when it has arrived in quarantine.
func (s *Site) Keep(ctx context.Context, claim string, a *burst.Artefact) error {
	e, err := s.house.Engine()
	if err != nil {
		return err
	}
	return s.enter(ctx, e, claim, a)
}

// enter returns once the site has seen the entry in the log and cosigned it.
func (s *Site) enter(ctx context.Context, e *perform.Engine, claim string, body burst.Body) error {
	if s.isBlind() {
		return errors.New("the site cosigns nothing")
	}
	raw, err := audit.Canonical(body)
	if err != nil {
		return err
	}
	s.log.Lock()
	defer s.log.Unlock()
	old := s.witness.Size()
	in, err := e.EnterFor(ctx, Place, tunnel.Entering{Claim: claim, Kind: body.Kind(), Body: raw, Old: old})
	if err != nil {
		return err
	}
	cosigned, err := s.witness.Cosign(time.Now(), in.Checkpoint, old, proof(in.Consistency))
	if err != nil {
		return err
	}
	tree, err := audit.TreeOf(cosigned)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof(in.Inclusion), tree.N, tree.Hash, in.Index, tlog.RecordHash(in.Leaf)); err != nil {
		return err
	}
	return e.Cosign(cosigned)
}

func proof(hs [][32]byte) []tlog.Hash {
	p := make([]tlog.Hash, len(hs))
	for i, h := range hs {
		p[i] = h
	}
	return p
}

// Sleep waits for d or the end of ctx.
func Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
