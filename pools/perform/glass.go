package perform

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// ErrGlass: an exception may not be asked for, approved, ended or reviewed in
// this way. Nothing was entered.
var ErrGlass = errors.New("the exception stays as it is")

// ErrNoLift: an exception was asked for of data or of a rule that none reaches.
// It is an [ErrGlass] as well.
var ErrNoLift = errors.New("no exception lifts that")

// RequestException enters that somebody asks for an exception. One that could
// lift nothing under the law in force is refused at once.
func (e *Engine) RequestException(actor, text string) error {
	return e.breakGlass(actor, func(at time.Time) (glass.Body, error) {
		b, err := e.glass.Request(text, at)
		if err != nil {
			return nil, err
		}
		return b, e.law.mayLift(text, at)
	})
}

// mayLift refuses an exception that the law keeps from lifting anything.
func (law InForce) mayLift(text string, at time.Time) error {
	t, err := residency.ReadException(text)
	if err != nil {
		return err
	}
	slice, err := law.Catalogue.Slice(t.Slice)
	if err != nil {
		return err
	}
	if slice.Class >= residency.SiteOnly {
		return fmt.Errorf("ask for exception %s: %s is %v, and %w", t.ID, t.Slice, slice.Class, ErrNoLift)
	}
	places := law.Places.At(at)
	for _, a := range t.Places {
		if _, err := places.Lookup(a); err != nil {
			return err
		}
	}
	rules := map[string]residency.Rule{}
	for _, rule := range law.Rules.List() {
		rules[rule.ID] = rule
	}
	for _, id := range t.Lifts {
		switch rule, ok := rules[id]; {
		case !ok:
			return fmt.Errorf("ask for exception %s: no rule in force has the id %s", t.ID, id)
		case rule.Lift == "":
			return fmt.Errorf("ask for exception %s: rule %s has no @lift: %w", t.ID, id, ErrNoLift)
		}
	}
	return nil
}

// ApproveException enters one person's approval: signed is the exception's text
// as [residency.SignException] signs it. The second one puts it in force.
func (e *Engine) ApproveException(actor, id string, signed []byte) error {
	return e.breakGlass(actor, func(at time.Time) (glass.Body, error) {
		b, err := e.glass.Approve(actor, id, string(signed), e.Approvers, at)
		return b, err
	})
}

// EndException ends an exception before its time, and with it the grants that
// rest on it.
func (e *Engine) EndException(actor, id, why string) error {
	err := e.breakGlass(actor, func(at time.Time) (glass.Body, error) {
		b, err := e.glass.End(id, why, at)
		return b, err
	})
	if err != nil {
		return err
	}
	return e.endUnlawful(actor, e.inForce())
}

// ReviewException enters what a person who had no part in an exception found of
// it afterwards.
func (e *Engine) ReviewException(actor, id, outcome, words string) error {
	return e.breakGlass(actor, func(at time.Time) (glass.Body, error) {
		b, err := e.glass.Review(actor, id, outcome, words, at)
		return b, err
	})
}

// Exceptions returns every exception the log knows, oldest first.
func (e *Engine) Exceptions() []glass.Life {
	e.glassMu.Lock()
	defer e.glassMu.Unlock()
	return e.glass.All()
}

// breakGlass enters what say returns at this time, and folds it. No decision is
// made meanwhile.
func (e *Engine) breakGlass(actor string, say func(at time.Time) (glass.Body, error)) error {
	e.lawMu.Lock()
	defer e.lawMu.Unlock()
	at := time.Now().UTC().Truncate(time.Millisecond)
	e.glassMu.Lock()
	body, err := say(at)
	e.glassMu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGlass, err)
	}
	raw, err := audit.Canonical(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", body.Kind(), err)
	}
	_, narrows := body.(*glass.Ended)
	leaves, err := e.append(narrows, audit.Entry{V: 1, Code: glass.Codes[body.Kind()], Kind: body.Kind(), At: at,
		Actor: actor, Body: raw})
	if err != nil {
		return err
	}
	e.pulse.beat()
	return e.foldGlass(leaves[0])
}

// foldGlass folds an entry about an exception, live and in recovery alike.
func (e *Engine) foldGlass(leaf audit.Leaf) error {
	e.glassMu.Lock()
	defer e.glassMu.Unlock()
	return e.glass.Add(leaf)
}

// excepting returns rules that know the exceptions in force at this time, and
// those exceptions' seals by digest.
func (e *Engine) excepting(rules *residency.Rules, at time.Time) (*residency.Rules, map[string]string) {
	e.glassMu.Lock()
	standing := e.glass.InForce(at, e.Approvers)
	e.glassMu.Unlock()
	seals := map[string]string{}
	var known []residency.Exception
	for _, x := range standing {
		known = append(known, x.Exception)
		seals[x.Digest()] = x.Sealed
	}
	return rules.With(at, known...), seals
}

// using is the entry of an exception's use, if the verdict rests on one, for
// the batch that holds the decision.
func using(v residency.Verdict, stage string, at residency.Address) []burst.Body {
	if x := burst.NewExcepted(v, stage, at); x != nil {
		return []burst.Body{x}
	}
	return nil
}

// isGlass reports whether an entry of the house is about an exception.
func isGlass(kind string) bool { return strings.HasPrefix(kind, "break-glass-") }
