package busserver

import (
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/burstctl/burstctl/pools/bus"
)

// permissions are the subjects of a user. All others are denied.
type permissions struct{ publish, subscribe []string }

// edgeMay: announce for its own site, and hear whether the stream took it. The
// answer comes to the inbox, so no question to JetStream's API is needed.
func edgeMay(site string) permissions {
	return permissions{[]string{"burst." + site + ".>"}, []string{bus.Inbox(site) + ".>"}}
}

// controllerMay: make and read the one stream. It may not delete it, nor
// announce in a site's name.
func controllerMay() permissions {
	const api = "$JS.API."
	return permissions{
		publish: []string{
			api + "STREAM.CREATE." + bus.Stream,
			api + "STREAM.UPDATE." + bus.Stream,
			api + "STREAM.INFO." + bus.Stream,
			api + "CONSUMER.CREATE." + bus.Stream + "." + bus.Durable,
			api + "CONSUMER.INFO." + bus.Stream + "." + bus.Durable,
			api + "CONSUMER.MSG.NEXT." + bus.Stream + "." + bus.Durable,
			"$JS.ACK." + bus.Stream + "." + bus.Durable + ".>",
		},
		subscribe: []string{bus.Inbox(bus.Durable) + ".>"},
	}
}

// claims writes the permissions into a user's JWT.
func (p permissions) claims(name, key string, ttl time.Duration) *jwt.UserClaims {
	u := jwt.NewUserClaims(key)
	u.Name = name
	u.Expires = time.Now().Add(ttl).Unix()
	u.Pub.Allow, u.Sub.Allow = p.publish, p.subscribe
	u.Limits.Subs = 16
	u.Limits.Payload = 2 * bus.MaxBytes
	u.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeInProcess}
	return u
}
