package bus

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"
)

// Consume hands each announcement to h, one at a time, and acknowledges it after
// h returned nil. It returns nil when ctx is done or the connection closed, and
// an error at once if it could never work: no handler, no keys, or [ErrForbidden].
//
// It outlives everything else. When the server stops, the connection is lost, or
// stream or consumer are deleted, it makes them again and goes on with what is
// announced from then on. Keys are by site, and fixed for the call.
func (c *Conn) Consume(ctx context.Context, keys map[string]ed25519.PublicKey, h Handler) error {
	if h == nil || len(keys) == 0 {
		return errors.New("consume: no handler, or no site's key is given")
	}
	pause := bounded(0) // a watch, not a retry: its pauses are bounded, its life is ctx's
	for ctx.Err() == nil && !c.nc.IsClosed() {
		err := c.consume(ctx, keys, h, pause.Reset)
		if ctx.Err() != nil || c.nc.IsClosed() {
			break
		}
		if errors.Is(err, ErrForbidden) {
			return fmt.Errorf("consume: %w", err)
		}
		c.log.Warn("bus consumer interrupted", "error", err)
		wait(ctx, pause)
	}
	return nil
}

func wait(ctx context.Context, pause backoff.BackOff) {
	t := time.NewTimer(pause.NextBackOff())
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// consume runs until something about the stream looks wrong.
func (c *Conn) consume(ctx context.Context, keys map[string]ed25519.PublicKey, h Handler, well func()) error {
	c.mu.Lock()
	epoch := c.epoch
	c.mu.Unlock()
	cons, err := c.consumer(ctx)
	if err != nil {
		return err
	}
	// One message at a time, so that none waits here while its AckWait runs.
	it, err := cons.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(20*time.Second),
		jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	defer it.Stop()
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(epoch, cancel)()
	well()
	for until.Err() == nil { // asked first: a message that is there would win over a context that ended
		m, err := it.Next(jetstream.NextContext(until))
		if err != nil && until.Err() == nil {
			return fmt.Errorf("pull: %w", err)
		}
		if err == nil && ctx.Err() == nil {
			c.deliver(ctx, m, keys, h)
		}
	}
	return errors.New("the connection was lost and came back")
}

// deliver decides the fate of one message: acknowledged, later again, or never.
func (c *Conn) deliver(ctx context.Context, m jetstream.Msg, keys map[string]ed25519.PublicKey, h Handler) {
	meta, err := m.Metadata()
	if err != nil {
		c.log.Error("bus message without metadata", "subject", m.Subject(), "error", err)
		return
	}
	r, err := open(m.Subject(), m.Headers(), m.Data(), keys, time.Now())
	if rej, ok := errors.AsType[*Rejection](err); ok {
		c.reject(m, *rej)
		return
	}
	r.Delivery = int(meta.NumDelivered)
	if err := c.handle(ctx, m, r, h); err != nil {
		c.again(ctx, m, r, err)
		return
	}
	if err := m.Ack(); err != nil {
		c.log.Warn("bus ack lost, to be delivered again", "id", r.ID, "error", err)
	}
}

// handle calls h, and tells the server meanwhile that it is at work.
func (c *Conn) handle(ctx context.Context, m jetstream.Msg, r Received, h Handler) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	go func() {
		t := time.NewTicker(ackWait / 3)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if err := m.InProgress(); err != nil {
					c.log.Warn("bus sign of life lost", "id", r.ID, "error", err)
				}
			}
		}
	}()
	if _, typ, _ := parseSubject(m.Subject()); typ == TypeRequest {
		return h.Request(ctx, r)
	}
	return h.Signal(ctx, r)
}

// again asks for redelivery, unless this was the last one.
func (c *Conn) again(ctx context.Context, m jetstream.Msg, r Received, why error) {
	if r.Delivery > len(redelivery) {
		c.reject(m, Rejection{Exhausted, m.Subject(), r.Site, r.ID, r.Digest, why})
		return
	}
	delay := redelivery[r.Delivery-1]
	if ctx.Err() != nil {
		delay = 0 // the handler was stopped, it did not fail
	}
	c.log.Warn("bus handler failed", "id", r.ID, "site", r.Site, "delivery", r.Delivery, "again_in", delay, "error", why)
	if err := m.NakWithDelay(delay); err != nil {
		c.log.Warn("bus nak lost, to be delivered again after the ack wait", "id", r.ID, "error", err)
	}
}

// reject terminates a message and says so.
func (c *Conn) reject(m jetstream.Msg, rej Rejection) {
	log := c.log.Warn
	if rej.Reason == Stale {
		log = c.log.Info // a backlog after an outage is full of them
	}
	log("bus message rejected", "reason", string(rej.Reason), "subject", rej.Subject, "site", rej.Site,
		"id", rej.ID, "digest", rej.Digest, "error", &rej)
	if err := m.TermWithReason(string(rej.Reason)); err != nil {
		c.log.Warn("bus term lost, to be delivered again", "id", rej.ID, "error", err)
	}
	if c.cfg.Rejected != nil {
		c.cfg.Rejected(rej)
	}
}
