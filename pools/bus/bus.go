// Package bus carries what sites say to the controller: signals and requests,
// as CloudEvents 1.0 over NATS JetStream.
//
// # A hint, never the truth
//
// The controller's log is the only queue. A site announces its level again and
// again, each time under a fresh event id, so a message that is lost, refused,
// worn out or wiped with its stream costs one period and nothing else. That is
// why a message older than two minutes is terminated rather than kept: the
// site has spoken since, or it no longer means it.
//
// # Who may say what
//
// Each site owns two subjects, burst.<site>.signal and burst.<site>.request,
// and its NATS user may publish nowhere else (see busserver). That alone would
// let whoever holds the bus spend money, so each event is also signed with the
// edge key: Ed25519 over "burst-event/v1", the subject and the exact bytes of
// the event. The receiver looks up the key by the subject's site, and demands
// that the source of the event and the site in its body are the same site.
//
// # One encoding
//
// A signed event has one encoding. The reader decodes it, encodes what it
// understood once more and demands the very bytes it was sent: that refuses
// unknown fields, duplicate keys, keys in another case, trailing bytes and all
// the other ways in which two readers come to differ. Its digest therefore
// names the event, and is what the controller enters.
//
// # Single use
//
// The stream refuses a repeated event id for ten minutes. That, too, is a
// hint. Whether a claim was used before is asked of the log, by the [Handler].
//
// *Non-goals*: results, commands, heartbeats and bytes of slices do not travel
// here; the bus neither elects a leader nor keeps state.
package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// The names both ends and the server's permissions agree on.
const (
	Stream   = "BURST"      // the JetStream stream of all announcements
	Durable  = "controller" // its one durable consumer, and the controller's user
	Subjects = "burst.*.*"  // what the stream takes

	TypeSignal  = "io.burst.signal.v1"  // CloudEvents type of a policy.Signal
	TypeRequest = "io.burst.request.v1" // CloudEvents type of a policy.Request

	// Signature is the header "keyid:base64" over the event; see [KeyID].
	Signature = "Burst-Signature"
)

// Bounds on an event's age and size. A constant and not a setting: a bus that
// could be told to take old requests would be.
const (
	MaxAge   = 2 * time.Minute  // older than this is stale
	MaxSkew  = 30 * time.Second // further in the future than this is stale as well
	MaxBytes = 64 << 10         // of the event, without headers
)

// Received is one announcement that passed every check. Made by [Conn.Consume]
// only; the zero Received announces nothing.
type Received struct {
	ID     string    // the event's: the claim or pool, and the millisecond
	Digest string    // "sha256:…" of the signed bytes
	Site   string    // who signed it
	At     time.Time // when it says it was announced, UTC
	// Delivery counts from 1 how often the stream handed it over.
	Delivery int
	Request  policy.Request // of a request, else zero
	Signal   policy.Signal  // of a signal, else zero
}

// Handler takes what was announced. It returns nil once what follows from the
// announcement is durable, and a refusal is such a thing; only then is the
// message acknowledged. An error asks for redelivery, five times at most. Calls
// come one at a time, and may repeat: the handler knows claims, the bus does not.
type Handler interface {
	Request(context.Context, Received) error
	Signal(context.Context, Received) error
}

// Reason says why a message was terminated unseen by the handler, or given up.
type Reason string

// Reasons, in the order in which they are looked for.
const (
	Foreign     Reason = "foreign"     // no such subject, unknown site, or speaking for another site
	Forged      Reason = "forged"      // no signature of the site's key over these bytes on this subject
	Undecodable Reason = "undecodable" // not the one encoding of a signal or request
	Stale       Reason = "stale"       // too old, or from the future
	Exhausted   Reason = "exhausted"   // genuine, but the handler failed at every delivery
)

// Rejection is a message that will not be delivered again. It holds no content.
type Rejection struct {
	Reason  Reason
	Subject string
	Site    string // as the subject has it; unproven unless Stale or Exhausted
	ID      string // of the event as far as known; unproven likewise
	Digest  string // "sha256:…" of the bytes
	Err     error  // what was wrong, in words
}

// Error lets a Rejection travel as an error.
func (r *Rejection) Error() string {
	return fmt.Sprintf("open event on %s: %s: %v", r.Subject, r.Reason, r.Err)
}

// Unwrap returns what was wrong.
func (r *Rejection) Unwrap() error { return r.Err }

var (
	siteName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	eventKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$`)
)

// CheckSite reports why a name cannot be a site's: it must be a DNS label, for
// it becomes one token of a subject.
func CheckSite(site string) error {
	if !siteName.MatchString(site) || site == Durable {
		return fmt.Errorf("check site %q: want lower-case letters, digits and hyphens, and not %q", site, Durable)
	}
	return nil
}

// Inbox is the subject prefix under which the user of that name, a site's or
// [Durable], hears replies. No other user may listen there.
func Inbox(user string) string { return "_INBOX." + user }

// subject is where a site announces one kind of event.
func subject(site, typ string) string {
	if typ == TypeRequest {
		return "burst." + site + ".request"
	}
	return "burst." + site + ".signal"
}

// parseSubject is the inverse of subject.
func parseSubject(s string) (site, typ string, err error) {
	tokens := strings.Split(s, ".")
	if len(tokens) != 3 || tokens[0] != "burst" {
		return "", "", errors.New("the subject is not burst.<site>.signal or burst.<site>.request")
	}
	if err := CheckSite(tokens[1]); err != nil {
		return "", "", err
	}
	for _, typ := range []string{TypeSignal, TypeRequest} {
		if subject(tokens[1], typ) == s {
			return tokens[1], typ, nil
		}
	}
	return tokens[1], "", fmt.Errorf("kind %q is neither signal nor request", tokens[2])
}
