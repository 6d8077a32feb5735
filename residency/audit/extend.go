package audit

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Extension is the newest checkpoint with what a witness needs to follow it: the proof that it extends a tree the
// witness remembers and, if it was asked for, the proof that a leaf is in it. The log makes it; nobody trusts it
// unproven.
type Extension struct {
	Checkpoint  []byte
	Size        int64
	Consistency []tlog.Hash
	Inclusion   []tlog.Hash // nil without a leaf
}

// Extend proves the newest tree to a witness that remembers old entries and, with leaf ≥ 0, that the leaf is in it. A
// witness that remembers more than the log holds is told so by ErrBehind: this log was rolled back or is another.
func (l *Log) Extend(ctx context.Context, old, leaf int64) (Extension, error) {
	tree := l.tree()
	if old > tree.size {
		return Extension{}, fmt.Errorf("extend tree: the witness remembers %d entries, this log has %d: %w",
			old, tree.size, ErrBehind)
	}
	consistency, err := l.Consistency(ctx, old, tree.size)
	if err != nil {
		return Extension{}, fmt.Errorf("extend tree: %w", err)
	}
	x := Extension{Checkpoint: tree.bytes(), Size: tree.size, Consistency: consistency}
	if leaf < 0 {
		return x, nil
	}
	if x.Inclusion, err = tlog.ProveRecord(tree.size, leaf, l.hashes(tree)); err != nil {
		return Extension{}, fmt.Errorf("extend tree: prove leaf %d: %w", leaf, err)
	}
	return x, nil
}
