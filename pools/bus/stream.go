package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// callTimeout bounds one question to the server.
const callTimeout = 5 * time.Second

// streamConfig is asserted at every start: the stream is ours, whoever made it.
// At its limits it refuses new messages, loudly, and drops none.
func (c *Conn) streamConfig() jetstream.StreamConfig {
	storage, most := jetstream.FileStorage, int64(1<<30)
	if c.cfg.InMemory {
		storage, most = jetstream.MemoryStorage, 32<<20
	}
	return jetstream.StreamConfig{
		Name:        Stream,
		Description: "announcements of sites; a hint, may be wiped at any time",
		Subjects:    []string{Subjects},
		Retention:   jetstream.LimitsPolicy,
		Storage:     storage,
		Replicas:    max(c.cfg.Replicas, 1),
		Discard:     jetstream.DiscardNew,
		MaxAge:      7 * 24 * time.Hour,
		MaxBytes:    most,
		MaxMsgSize:  MaxBytes + 4<<10, // the event, and its headers
		Duplicates:  10 * time.Minute,
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: false,
	}
}

// ackWait is how long the server waits for a sign of life of the handler.
const ackWait = 30 * time.Second

// redelivery is how long a failed delivery waits, by its number.
var redelivery = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

func consumerConfig(replicas int) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       Durable,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    len(redelivery) + 1,
		MaxAckPending: 64,
		Replicas:      max(replicas, 1),
	}
}

// Ensure makes the stream, or asserts its settings where it exists. The
// controller calls it; an edge may not, and gets [ErrForbidden].
func (c *Conn) Ensure(ctx context.Context) error {
	ctx, done := c.watched(ctx, "$JS.API.", callTimeout)
	defer done()
	if _, err := c.js.CreateOrUpdateStream(ctx, c.streamConfig()); err != nil {
		return fmt.Errorf("ensure stream %s: %w", Stream, reason(ctx, err))
	}
	return nil
}

// consumer asserts stream and durable consumer.
func (c *Conn) consumer(ctx context.Context) (jetstream.Consumer, error) {
	if err := c.Ensure(ctx); err != nil {
		return nil, err
	}
	ctx, done := c.watched(ctx, "$JS.API.", callTimeout)
	defer done()
	cons, err := c.js.CreateOrUpdateConsumer(ctx, Stream, consumerConfig(c.cfg.Replicas))
	if err != nil {
		return nil, fmt.Errorf("ensure consumer %s: %w", Durable, reason(ctx, err))
	}
	return cons, nil
}
