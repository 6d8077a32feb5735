package perform

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
)

// controller is the actor of what the engine does by itself.
const controller = "controller"

// enter makes bodies durable, as one batch, and folds them. It is the only way
// a burst's state changes while the engine lives. What does not follow in the
// burst's state is refused before it reaches the log.
func (e *Engine) enter(l *life, actor string, bodies ...burst.Body) error {
	_, err := e.enterAll(l, actor, bodies...)
	return err
}

// enterOne enters one body and returns its leaf.
func (e *Engine) enterOne(l *life, actor string, body burst.Body) (audit.Leaf, error) {
	leaves, err := e.enterAll(l, actor, body)
	if err != nil {
		return audit.Leaf{}, err
	}
	return leaves[0], nil
}

func (e *Engine) enterAll(l *life, actor string, bodies ...burst.Body) ([]audit.Leaf, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Now().UTC().Truncate(time.Millisecond)
	entries := make([]audit.Entry, len(bodies))
	next := l.state
	for i, body := range bodies {
		ev := burst.Event{Claim: l.claim, At: at, Actor: actor, Body: body}
		if !burst.Accepts(next, ev) {
			return nil, fmt.Errorf("enter %s of %s in phase %q: %w", body.Kind(), l.claim, next.Phase, errOrder)
		}
		next, _ = burst.Step(next, ev)
		raw, err := audit.Canonical(body)
		if err != nil {
			return nil, fmt.Errorf("encode %s of %s: %w", body.Kind(), l.claim, err)
		}
		entries[i] = audit.Entry{V: 1, Code: burst.Kinds[body.Kind()].Code, Kind: body.Kind(), Burst: l.claim,
			At: at, Actor: actor, Body: raw}
	}
	leaves, err := e.append(teardown(bodies), entries...)
	if err != nil {
		return nil, err
	}
	for _, leaf := range leaves {
		if err := e.apply(l, leaf); err != nil {
			return nil, err
		}
	}
	l.pulse.beat()
	e.pulse.beat()
	return leaves, nil
}

// teardown reports whether every body narrows what is out there: such entries
// may use the reserve that the log keeps for a full disk.
func teardown(bodies []burst.Body) bool {
	for _, b := range bodies {
		switch b.(type) {
		case *burst.Denied, *burst.Served, *burst.Stop, *burst.Unmounted, *burst.RevokeIntent, *burst.Revoked, *burst.Probed,
			*burst.DeleteIntent, *burst.Gone, *burst.Settled, *burst.Over, *burst.LaunchFailed, *burst.Launched, *burst.Issued,
			*burst.Flag:
		default:
			return false
		}
	}
	return true
}

// append makes entries durable. A full disk refuses what is new and lets
// teardown go on. Any other error is final: what the log may or may not hold
// is found out by the next start, from the disk.
func (e *Engine) append(reserved bool, entries ...audit.Entry) ([]audit.Leaf, error) {
	if err := context.Cause(e.ctx); err != nil {
		return nil, fmt.Errorf("enter in log: engine has stopped: %w", err)
	}
	for _, entry := range entries {
		if _, err := entry.Encode(); err != nil { // too long, say: the speaker's fault, not the disk's
			return nil, fmt.Errorf("enter in log: %w", err)
		}
	}
	enter := e.Log.Enter
	if reserved {
		enter = e.Log.EnterReserved
	}
	first, err := enter(context.WithoutCancel(e.ctx), entries...)
	if err != nil {
		err = fmt.Errorf("enter in log: %w", err)
		if !errors.Is(err, audit.ErrFull) {
			e.fatal(err)
		}
		return nil, err
	}
	leaves := make([]audit.Leaf, len(entries))
	for i, entry := range entries {
		leaves[i] = audit.Leaf{Index: first + int64(i), Entry: entry}
		if e.Observe != nil {
			e.Observe(leaves[i])
		}
	}
	return leaves, nil
}

// fold takes one entry of the log, in recovery.
func (e *Engine) fold(leaf audit.Leaf) error {
	if leaf.Entry.Burst == "" {
		return e.foldHouse(leaf)
	}
	l := e.bursts[leaf.Entry.Burst]
	if l == nil {
		l = &life{claim: leaf.Entry.Burst, pulse: newPulse()}
		e.bursts[l.claim] = l
		e.order = append(e.order, l.claim)
	}
	return e.apply(l, leaf)
}

// apply folds one durable entry into its burst and into the ledger, live and
// in recovery alike.
func (e *Engine) apply(l *life, leaf audit.Leaf) error {
	kind, ok := burst.Kinds[leaf.Entry.Kind]
	if !ok || kind.Code != leaf.Entry.Code {
		return fmt.Errorf("fold entry %d: kind %q with code %q is unknown", leaf.Index, leaf.Entry.Kind, leaf.Entry.Code)
	}
	body := kind.New()
	if err := audit.DecodeStrict(leaf.Entry.Body, body); err != nil {
		return fmt.Errorf("fold entry %d: %w", leaf.Index, err)
	}
	ev := burst.Event{Claim: l.claim, At: leaf.Entry.At, Actor: leaf.Entry.Actor, Index: leaf.Index, Body: body}
	if !burst.Accepts(l.state, ev) {
		return fmt.Errorf("fold entry %d: %s of %s in phase %q: %w",
			leaf.Index, leaf.Entry.Kind, l.claim, l.state.Phase, errOrder)
	}
	l.state, _ = burst.Step(l.state, ev)
	if isGlass(leaf.Entry.Kind) {
		return e.foldGlass(leaf)
	}
	e.remember(l.state, ev)
	return e.account(l.state, ev)
}

// account keeps the ledger in step with the log. Both calls may be repeated.
func (e *Engine) account(s burst.State, ev burst.Event) error {
	switch b := ev.Body.(type) {
	case *burst.Decided:
		if b.Decision.Plan != nil {
			day := cmp.Or(b.Day, policy.Day(ev.At))
			return e.Ledger.Replay(s.Request.Charge(s.Attempt, day, b.Decision.Plan.Reserve))
		}
	case *burst.LaunchFailed:
		return e.Ledger.Settle(s.Claim, b.Attempt, cmp.Or(b.Spent, nothing(s.Decision.Plan.Reserve)))
	case *burst.Settled:
		return e.Ledger.Settle(s.Claim, b.Attempt, b.Spent)
	case *burst.Over:
		if s.Decision.Plan == nil || s.Settled != nil || s.Launch != nil {
			return nil
		}
		if _, failed := s.Tried[s.Decision.Plan.Offer.Key()]; !failed { // else that settled it
			return e.Ledger.Settle(s.Claim, s.Attempt, nothing(s.Decision.Plan.Reserve))
		}
	}
	return nil
}

// account names one attempt of a claim.
func account(claim string, attempt int) string { return fmt.Sprintf("%s/%d", claim, attempt) }

// nothing is no money in m's currency.
func nothing(m policy.Money) policy.Money { return policy.Money{Currency: m.Currency} }

// house makes one entry about the house itself durable.
func (e *Engine) house(code, kind, actor string, body any) error {
	_, err := e.houseLeaf(code, kind, actor, body)
	return err
}

// houseLeaf makes one entry about the house itself durable and returns its leaf.
func (e *Engine) houseLeaf(code, kind, actor string, body any) (audit.Leaf, error) {
	raw, err := audit.Canonical(body)
	if err != nil {
		return audit.Leaf{}, fmt.Errorf("encode %s: %w", kind, err)
	}
	entry := audit.Entry{V: 1, Code: code, Kind: kind, At: time.Now().UTC().Truncate(time.Millisecond), Actor: actor,
		Body: json.RawMessage(raw)}
	leaves, err := e.append(kind == "recalled", entry) // it narrows
	if err != nil {
		return audit.Leaf{}, err
	}
	e.pulse.beat()
	return leaves[0], nil
}
