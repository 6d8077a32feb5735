package perform

import (
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// enterLaw enters what is in force from here on and, with it, every legal hold
// that the log has told otherwise so far: set, changed or lifted. All of it is
// durable or nothing is. It is called with the law locked.
func (e *Engine) enterLaw(actor string, in InForce) error {
	at := time.Now().UTC().Truncate(time.Millisecond)
	var entries []audit.Entry
	add := func(code, kind string, body any) error {
		raw, err := audit.Canonical(body)
		if err != nil {
			return fmt.Errorf("encode %s: %w", kind, err)
		}
		entries = append(entries, audit.Entry{V: 1, Code: code, Kind: kind, At: at, Actor: actor, Body: raw})
		return nil
	}
	err := add("0501", "law", law{in.Rules.Digest(), in.Places.Digest(), in.Catalogue.Digest(), in.Places.Version()})
	set, lifted := e.holds.Changes(in.Catalogue.Holds())
	for i, h := range slices.Concat(set, lifted) {
		kind := residency.HoldSet
		if i >= len(set) {
			kind = residency.HoldLifted
		}
		if err == nil {
			err = add(residency.HoldCodes[kind], kind, h)
		}
	}
	if err != nil {
		return err
	}
	leaves, err := e.append(false, entries...)
	if err != nil {
		return err
	}
	for _, leaf := range leaves[1:] {
		if err := e.foldHold(leaf); err != nil {
			return err
		}
	}
	e.pulse.beat()
	return nil
}

// foldHold remembers what the log tells of holds, live and in recovery alike.
func (e *Engine) foldHold(leaf audit.Leaf) error {
	var h residency.HoldOf
	if err := audit.DecodeStrict(leaf.Entry.Body, &h); err != nil {
		return fmt.Errorf("fold entry %d: %w", leaf.Index, err)
	}
	if leaf.Entry.Kind == residency.HoldLifted {
		delete(e.holds, h.Dataset)
		return nil
	}
	if e.holds == nil {
		e.holds = residency.Holds{}
	}
	e.holds[h.Dataset] = h.Hold
	return nil
}
