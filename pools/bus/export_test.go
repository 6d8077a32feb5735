package bus

import (
	"crypto/ed25519"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/burstctl/burstctl/policy"
)

// The tests speak as an adversary would, who is not bound to a Publisher.

// SealRequest signs a request as site, whatever the body says.
func SealRequest(site string, at time.Time, r policy.Request, key ed25519.PrivateKey) (*nats.Msg, error) {
	return seal(announcement{typ: TypeRequest, site: site, at: at, request: r}, key)
}

// Open checks a message as a consumer does.
func Open(m *nats.Msg, keys map[string]ed25519.PublicKey, now time.Time) (Received, error) {
	return open(m.Subject, m.Header, m.Data, keys, now)
}

// Resign signs the bytes of m as they are now.
func Resign(m *nats.Msg, key ed25519.PrivateKey) { sign(m, key) }

// Decode is the reader without signature and age.
func Decode(typ string, payload []byte) ([]byte, error) {
	a, _, err := decode("fra", typ, payload)
	if err != nil {
		return nil, err
	}
	return a.encode()
}

// Publish puts a message on the stream as it is.
func (c *Conn) Publish(m *nats.Msg) error { return c.nc.PublishMsg(m) }

// PublishFor shortens the publisher's bound.
func (p *Publisher) PublishFor(d time.Duration) *Publisher { p.most = d; return p }

// NATS is the connection underneath.
func (c *Conn) NATS() *nats.Conn { return c.nc }
