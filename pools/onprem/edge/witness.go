package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
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
		e.Logger.WarnContext(ctx, "log not witnessed", "error", err.Error())
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
	cosigned, err := e.Witness.Cosign(time.Now(), x.Checkpoint, old, treeProof(x.Consistency))
	e.log.Unlock()
	if err != nil {
		return err
	}
	return e.Control.Cosign(ctx, cosigned)
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
	cosigned, err := e.Witness.Cosign(time.Now(), in.Checkpoint, old, treeProof(in.Consistency))
	if err != nil {
		return fmt.Errorf("enter %s: %w", body.Kind(), err)
	}
	if err := included(cosigned, in); err != nil {
		return fmt.Errorf("enter %s: %w", body.Kind(), err)
	}
	go func() { // the log learns of it in its own time; the witness loop repeats it if this fails
		if err := e.Control.Cosign(context.WithoutCancel(ctx), cosigned); err != nil {
			e.Logger.WarnContext(ctx, "cosignature not handed in", "error", err.Error())
		}
	}()
	return nil
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
