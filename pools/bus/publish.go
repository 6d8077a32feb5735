package bus

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/burstctl/burstctl/policy"
)

// publishFor bounds the tries of one announcement. After it the caller
// announces anew, at its next period.
const publishFor = 20 * time.Second

// Publisher announces for one site. Made by [NewPublisher]; safe for several goroutines.
type Publisher struct {
	conn *Conn
	site string
	key  ed25519.PrivateKey
	most time.Duration
}

// NewPublisher announces over c what site says, signed with its edge key. A bad
// site or key shows at the first announcement.
func NewPublisher(c *Conn, site string, key ed25519.PrivateKey) *Publisher {
	return &Publisher{conn: c, site: site, key: key, most: publishFor}
}

// Signal announces the level of a pool. It returns once the stream holds it.
func (p *Publisher) Signal(ctx context.Context, s policy.Signal) error {
	err := p.announce(ctx, announcement{typ: TypeSignal, signal: s})
	if err != nil {
		return fmt.Errorf("announce signal of pool %s: %w", s.Pool, err)
	}
	return nil
}

// Request announces a request, with At set to now. It returns once the stream
// holds it, which is not an answer: announce it again until there is one.
func (p *Publisher) Request(ctx context.Context, r policy.Request) error {
	err := p.announce(ctx, announcement{typ: TypeRequest, request: r})
	if err != nil {
		return fmt.Errorf("announce request %s: %w", r.ID, err)
	}
	return nil
}

func (p *Publisher) announce(ctx context.Context, a announcement) error {
	if err := CheckSite(p.site); err != nil {
		return err
	}
	if len(p.key) != ed25519.PrivateKeySize {
		return errors.New("the edge key is missing")
	}
	a.site, a.at = p.site, time.Now().UTC().Truncate(time.Millisecond)
	if a.typ == TypeRequest {
		a.request.At = a.at
	}
	m, err := seal(a, p.key)
	if err != nil {
		return err
	}
	// What the controller would refuse is not sent.
	own := map[string]ed25519.PublicKey{p.site: p.key.Public().(ed25519.PublicKey)}
	if _, err := open(m.Subject, m.Header, m.Data, own, a.at); err != nil {
		return err
	}
	var last error
	err = backoff.Retry(func() error {
		last = p.conn.publish(ctx, m)
		if errors.Is(last, ErrForbidden) {
			return backoff.Permanent(last)
		}
		return last
	}, backoff.WithContext(bounded(p.most), ctx))
	if err != nil {
		return errors.Join(last, ctx.Err())
	}
	return nil
}

// publish tries once. The same bytes under the same id are one announcement,
// however often they are tried.
func (c *Conn) publish(ctx context.Context, m *nats.Msg) error {
	ctx, done := c.watched(ctx, m.Subject, callTimeout)
	defer done()
	_, err := c.js.PublishMsg(ctx, m, jetstream.WithExpectStream(Stream))
	if err != nil && !c.nc.IsConnected() {
		return fmt.Errorf("publish on %s: %w: %w", m.Subject, ErrAway, err)
	}
	if err != nil {
		return fmt.Errorf("publish on %s: %w", m.Subject, reason(ctx, err))
	}
	return nil
}
