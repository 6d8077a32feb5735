package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// controller is what the edge calls: a real log, and level state that a test
// writes. Its hooks make it lie, hang and lose answers.
type controller struct {
	log *audit.Log

	mu      sync.Mutex
	work    tunnel.Work
	changed chan struct{}
	before  func(tunnel.Entering) error // refuses before anything is entered
	after   func(tunnel.Entering, *tunnel.Entered) error
	extend  func(context.Context, int64) (tunnel.Extension, error)
}

// set changes the level state or a hook, and tells the edge.
func (c *controller) set(change func(*controller)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
	c.work.N++
	close(c.changed)
	c.changed = make(chan struct{})
}

// grant changes one grant's level state.
func (c *controller) grant(id string, change func(*tunnel.Serving)) {
	c.set(func(c *controller) {
		i := slices.IndexFunc(c.work.Grants, func(s tunnel.Serving) bool { return s.Grant == id })
		if i < 0 {
			return // it is listed no more
		}
		c.work.Grants = slices.Clone(c.work.Grants)
		change(&c.work.Grants[i])
	})
}

func (c *controller) Work(ctx context.Context, _ string, since int64) tunnel.Work {
	for {
		c.mu.Lock()
		work, changed := c.work, c.changed
		c.mu.Unlock()
		if work.N > since {
			return work
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return work
		}
	}
}

func (c *controller) hooks() (func(tunnel.Entering) error, func(tunnel.Entering, *tunnel.Entered) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.before, c.after
}

func (c *controller) EnterFor(ctx context.Context, _ string, in tunnel.Entering) (tunnel.Entered, error) {
	if in.Kind == audit.AskChanges {
		return tunnel.Entered{Index: -1}, nil
	}
	if in.Kind == tunnel.AskRelease {
		return c.prove(ctx, in)
	}
	before, after := c.hooks()
	if before != nil {
		if err := before(in); err != nil {
			return tunnel.Entered{}, err
		}
	}
	if err := c.fold(in); err != nil {
		return tunnel.Entered{}, err
	}
	index, raw, err := c.enter(ctx, in.Claim, in.Kind, "edge:"+site, in.Body)
	if err != nil {
		return tunnel.Entered{}, err
	}
	x, err := c.log.Extend(ctx, in.Old, index)
	if err != nil {
		return tunnel.Entered{}, err
	}
	out := tunnel.Entered{Index: index, Leaf: raw, Checkpoint: x.Checkpoint, Consistency: hashes(x.Consistency),
		Inclusion: hashes(x.Inclusion)}
	if after != nil {
		err = after(in, &out)
	}
	return out, err
}

// fold keeps the windows of a grant, as pools/burst does.
func (c *controller) fold(in tunnel.Entering) error {
	var err error
	switch body := burst.Kinds[in.Kind].New().(type) {
	case *burst.Window:
		if err := audit.DecodeStrict(in.Body, body); err != nil {
			return err
		}
		c.grant(body.Grant, func(s *tunnel.Serving) {
			if s.Order != tunnel.OrderRun || body.N != s.Window+1 {
				err = errors.New("does not follow")
				return
			}
			s.Window, s.Open = body.N, append(slices.Clone(s.Open), tunnel.Open{N: body.N, Bytes: body.Bytes})
		})
	case *burst.Served:
		if err := audit.DecodeStrict(in.Body, body); err != nil {
			return err
		}
		c.grant(body.Grant, func(s *tunnel.Serving) {
			i := slices.IndexFunc(s.Open, func(o tunnel.Open) bool { return o.N == body.N })
			if i < 0 || body.Bytes > s.Open[i].Bytes {
				err = errors.New("does not follow")
				return
			}
			s.Open = slices.Delete(slices.Clone(s.Open), i, i+1)
		})
	}
	return err
}

func (c *controller) enter(
	ctx context.Context, claim, kind, actor string, body json.RawMessage,
) (int64, []byte, error) {
	e := audit.Entry{V: 1, Code: burst.Kinds[kind].Code, Kind: kind, Burst: claim, Actor: actor, Body: body,
		At: time.Now().UTC().Truncate(time.Millisecond)}
	leaf, err := e.Encode()
	if err != nil {
		return 0, nil, err
	}
	index, err := c.log.Enter(ctx, e)
	return index, leaf, err
}

func (c *controller) Extension(ctx context.Context, old int64) (tunnel.Extension, error) {
	c.mu.Lock()
	extend := c.extend
	c.mu.Unlock()
	if extend != nil {
		return extend(ctx, old)
	}
	if err := c.log.Wait(ctx, old); err != nil && ctx.Err() == nil {
		return tunnel.Extension{}, err
	}
	return extension(context.WithoutCancel(ctx), c.log, old)
}

func extension(ctx context.Context, l *audit.Log, old int64) (tunnel.Extension, error) {
	x, err := l.Extend(ctx, old, -1)
	return tunnel.Extension{Checkpoint: x.Checkpoint, Consistency: hashes(x.Consistency)}, err
}

func (c *controller) Cosign(cosigned []byte) error { return c.log.AddCosignature(cosigned) }

func hashes(hs []tlog.Hash) [][32]byte {
	out := make([][32]byte, len(hs))
	for i, h := range hs {
		out[i] = h
	}
	return out
}

// entered reads every body of a kind from the log, in order.
func entered[T any](w *world, kind string) (all []T) {
	w.t.Helper()
	for leaf, err := range w.ctl.log.Entries(w.t.Context(), 0) {
		must(w.t, err)
		if leaf.Entry.Kind == kind {
			var v T
			must(w.t, audit.DecodeStrict(leaf.Entry.Body, &v))
			all = append(all, v)
		}
	}
	return all
}

// books are the windows of a grant: what each allowed, and how it was closed.
func (w *world) books(grant string) (opened []burst.Window, closed map[int]burst.Served) {
	w.t.Helper()
	for _, o := range entered[burst.Window](w, "serve-intent") {
		if o.Grant == grant {
			opened = append(opened, o)
		}
	}
	closed = map[int]burst.Served{}
	for _, s := range entered[burst.Served](w, "serve-outcome") {
		if s.Grant == grant {
			if _, twice := closed[s.N]; twice {
				w.t.Errorf("window %d of %s is closed twice", s.N, grant)
			}
			closed[s.N] = s
		}
	}
	for i, o := range opened {
		if o.N != i+1 || closed[o.N].Bytes > o.Bytes {
			w.t.Errorf("window %d of %s allowed %d bytes and served %d", o.N, grant, o.Bytes, closed[o.N].Bytes)
		}
	}
	return opened, closed
}

// closed waits until every window of the grant is closed and returns the bytes served.
func (w *world) closed(grant string) (served int64) {
	w.t.Helper()
	w.until("every window of "+grant+" is closed", func() bool {
		opened, closed := w.books(grant)
		return len(opened) == len(closed)
	})
	_, closed := w.books(grant)
	for _, s := range closed {
		served += s.Bytes
	}
	return served
}

func (s spec) String() string { return fmt.Sprintf("%s of %s", s.ID, s.Claim) }
