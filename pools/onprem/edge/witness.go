package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// witness follows the log: each newer checkpoint is checked against the last,
// remembered, and only then cosigned. A log that forked or went back is never
// cosigned again; that ends the edge, since nothing more can be proven to it.
func (e *Edge) witness(ctx context.Context) error {
	pause := e.pauses()
	for ctx.Err() == nil {
		err := e.follow1(ctx)
		if fork, ok := errors.AsType[*audit.ForkError](err); ok {
			return fmt.Errorf("witness log: %w", fork)
		}
		if err == nil {
			pause.Reset()
			continue
		}
		e.Logger.WarnContext(ctx, "log not witnessed", "error", err)
		sleep(ctx, pause.NextBackOff())
	}
	return nil
}

// follow1 waits for one newer checkpoint and cosigns it.
func (e *Edge) follow1(ctx context.Context) error {
	old := e.Witness.Size()
	x, err := e.Control.Extension(ctx, old)
	if err != nil {
		return err
	}
	e.log.Lock()
	if e.Witness.Size() != old {
		e.log.Unlock()
		return nil // an entry of ours was faster
	}
	cosigned, err := e.cosign(ctx, x.Checkpoint, old, treeProof(x.Consistency))
	e.log.Unlock()
	if err != nil {
		return err
	}
	return e.Control.Cosign(ctx, cosigned)
}

// cosign has the witness cosign a checkpoint. Where the log's key has changed,
// it follows the entries that say so first. It is called with the log's turn.
func (e *Edge) cosign(ctx context.Context, checkpoint []byte, old int64, proof []tlog.Hash) ([]byte, error) {
	cosigned, err := e.Witness.Cosign(time.Now(), checkpoint, old, proof)
	if !errors.Is(err, audit.ErrOtherKey) {
		return cosigned, err
	}
	steps, err := e.changes(ctx, old)
	if err != nil {
		return nil, err
	}
	cosigned, err = e.Witness.Follow(time.Now(), old, steps, checkpoint, proof)
	if err == nil {
		e.Logger.InfoContext(ctx, "log's key was rotated", "entry", e.Witness.Seen())
	}
	return cosigned, err
}

// changes asks for every change of keys that this edge has not taken up yet.
func (e *Edge) changes(ctx context.Context, old int64) (steps []audit.Step, err error) {
	for after := e.Witness.Seen(); ; {
		raw, err := audit.Canonical(audit.AfterBody{After: after})
		if err != nil {
			return nil, fmt.Errorf("ask for changes of keys: %w", err)
		}
		in, err := e.Control.Enter(ctx, tunnel.Entering{Kind: audit.AskChanges, Body: raw, Old: old})
		if err != nil {
			return nil, fmt.Errorf("ask for changes of keys: %w", err)
		}
		if in.Index < 0 {
			return steps, nil
		}
		if in.Index <= after {
			return nil, errors.New("ask for changes of keys: the answer goes back")
		}
		after = in.Index
		steps = append(steps, audit.Step{Index: in.Index, Leaf: in.Leaf, Checkpoint: in.Checkpoint,
			Consistency: treeProof(in.Consistency), Inclusion: treeProof(in.Inclusion)})
	}
}

// learn takes up every change of keys now. It is asked before a grant is
// opened, so that a revoked key opens none; no answer is a refusal.
func (e *Edge) learn(ctx context.Context) error {
	e.log.Lock()
	defer e.log.Unlock()
	old := e.Witness.Size()
	steps, err := e.changes(ctx, old)
	if err != nil || len(steps) == 0 {
		return err
	}
	cosigned, err := e.Witness.Follow(time.Now(), old, steps, nil, nil)
	if err != nil {
		return err
	}
	e.Logger.InfoContext(ctx, "keys have changed", "entry", e.Witness.Seen())
	e.handIn(ctx, cosigned)
	return nil
}

// trust is whom this edge trusts about the log, after the changes it has seen.
func (e *Edge) trust() audit.Trust { return e.Witness.Trust(e.Trust) }

// grantKeys are the keys that open grants, after the changes it has seen.
func (e *Edge) grantKeys() note.Verifiers {
	return note.VerifierList(e.Witness.Standing(audit.RoleGrants, e.GrantsKey)...)
}

// enter asks for an entry and returns once this edge has seen it in the log,
// under a checkpoint it has cosigned.
func (e *Edge) enter(ctx context.Context, claim string, body burst.Body) error {
	raw, err := audit.Canonical(body)
	if err != nil {
		return fmt.Errorf("enter %s: %w", body.Kind(), err)
	}
	e.log.Lock()
	defer e.log.Unlock()
	old := e.Witness.Size()
	in, err := e.Control.Enter(ctx, tunnel.Entering{Claim: claim, Kind: body.Kind(), Body: raw, Old: old})
	if err != nil {
		return fmt.Errorf("enter %s: %w", body.Kind(), err)
	}
	if err := isOurs(in.Leaf, claim, body.Kind(), raw); err != nil {
		return fmt.Errorf("enter %s: %w", body.Kind(), err)
	}
	cosigned, err := e.cosign(ctx, in.Checkpoint, old, treeProof(in.Consistency))
	if err != nil {
		return fmt.Errorf("enter %s: %w", body.Kind(), err)
	}
	if err := included(cosigned, in); err != nil {
		return fmt.Errorf("enter %s: %w", body.Kind(), err)
	}
	e.handIn(ctx, cosigned)
	return nil
}

// handIn gives a cosignature to the log, which learns of it in its own time:
// the witness loop repeats it if this fails.
func (e *Edge) handIn(ctx context.Context, cosigned []byte) {
	go func() {
		if err := e.Control.Cosign(context.WithoutCancel(ctx), cosigned); err != nil {
			e.Logger.WarnContext(ctx, "cosignature not handed in", "error", err)
		}
	}()
}

// isOurs checks that the leaf says what was asked and nothing else.
func isOurs(leaf []byte, claim, kind string, body json.RawMessage) error {
	entry, err := audit.DecodeEntry(leaf)
	if err != nil {
		return err
	}
	if entry.Burst != claim || entry.Kind != kind || !bytes.Equal(entry.Body, body) {
		return errors.New("the log holds another entry than was asked for")
	}
	return nil
}

// included checks that the leaf is in the tree this edge has just cosigned.
func included(checkpoint []byte, in tunnel.Entered) error {
	tree, err := audit.TreeOf(checkpoint)
	if err != nil {
		return err
	}
	proof := make(tlog.RecordProof, len(in.Inclusion))
	for i, h := range in.Inclusion {
		proof[i] = h
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, in.Index, tlog.RecordHash(in.Leaf))
}

func treeProof(hs [][32]byte) []tlog.Hash {
	proof := make([]tlog.Hash, len(hs))
	for i, h := range hs {
		proof[i] = h
	}
	return proof
}

// pauses are bounded in length: an edge never gives up on its controller.
func (e *Edge) pauses() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(min(e.Announce, 5*time.Second)),
		backoff.WithMaxElapsedTime(0),
	)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
