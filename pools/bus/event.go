package bus

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"

	"github.com/burstctl/burstctl/policy"
)

// KeyID names a public key in a [Signature]: the first eight bytes of its
// SHA-256, in hex. It is a label for people, never what is trusted.
func KeyID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return hex.EncodeToString(sum[:8])
}

// envelope is a CloudEvent as its JSON spells it, of the attributes we use.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	DataContentType string          `json:"datacontenttype"`
	Time            time.Time       `json:"time"`
	Data            json.RawMessage `json:"data"`
}

// announcement is what an event says: one of Request and Signal.
type announcement struct {
	typ, site string
	at        time.Time // UTC, whole milliseconds
	request   policy.Request
	signal    policy.Signal
}

// about is the CloudEvents subject: the claim, or the pool.
func (a announcement) about() string {
	if a.typ == TypeRequest {
		return a.request.ID
	}
	return a.signal.Pool
}

// id is fresh for each announcement. A claim is unique; a pool only on its site.
func (a announcement) id() string {
	ms := strconv.FormatInt(a.at.UnixMilli(), 10)
	if a.typ == TypeRequest {
		return a.request.ID + "/" + ms
	}
	return a.site + "/" + a.signal.Pool + "/" + ms
}

var errOtherSite = errors.New("the body speaks for another site")

// check reports a body that does not belong to its envelope.
func (a announcement) check() error {
	said := a.signal.Site
	if a.typ == TypeRequest {
		said = a.request.Site
	}
	switch {
	case said != a.site:
		return fmt.Errorf("%w: %q", errOtherSite, said)
	case !eventKey.MatchString(a.about()):
		return fmt.Errorf("its claim or pool %q is not a name", a.about())
	case a.typ == TypeRequest && !a.request.At.Equal(a.at):
		return errors.New("the request was made at another time than the event")
	}
	return nil
}

// encode writes the one encoding of a.
func (a announcement) encode() ([]byte, error) {
	e := event.New(event.CloudEventsVersionV1)
	e.SetID(a.id())
	e.SetSource("burst/" + a.site)
	e.SetType(a.typ)
	e.SetSubject(a.about())
	e.SetTime(a.at)
	data := any(a.signal)
	if a.typ == TypeRequest {
		data = a.request
	}
	if err := e.SetData(event.ApplicationJSON, data); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return e.MarshalJSON()
}

// decode is strict: what it returns encodes to exactly payload.
func decode(site, typ string, payload []byte) (announcement, string, error) {
	var env envelope
	if err := json.Unmarshal(payload, &env); err != nil {
		return announcement{}, "", err
	}
	a := announcement{typ: typ, site: site, at: env.Time}
	body := any(&a.signal)
	if typ == TypeRequest {
		body = &a.request
	}
	if err := json.Unmarshal(env.Data, body); err != nil {
		return announcement{}, env.ID, err
	}
	if err := a.check(); err != nil {
		return announcement{}, env.ID, err
	}
	again, err := a.encode()
	if err != nil {
		return announcement{}, env.ID, err
	}
	if !bytes.Equal(again, payload) {
		n := 0
		for n < min(len(again), len(payload)) && again[n] == payload[n] {
			n++
		}
		return announcement{}, env.ID, fmt.Errorf("it is not in its one encoding, from byte %d on", n)
	}
	return a, env.ID, nil
}

// signed is what an edge key signs: the domain, the subject and the bytes.
func signed(subject string, payload []byte) []byte {
	return append([]byte("burst-event/v1\n"+subject+"\n"), payload...)
}

// seal encodes and signs an announcement.
func seal(a announcement, key ed25519.PrivateKey) (*nats.Msg, error) {
	payload, err := a.encode()
	if err != nil {
		return nil, err
	}
	if len(payload) > MaxBytes {
		return nil, fmt.Errorf("encode event: %d bytes, at most %d are taken", len(payload), MaxBytes)
	}
	m := nats.NewMsg(subject(a.site, a.typ))
	m.Data = payload
	m.Header.Set(nats.MsgIdHdr, a.id())
	m.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
	sign(m, key)
	return m, nil
}

// sign puts the one signature on m.
func sign(m *nats.Msg, key ed25519.PrivateKey) {
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed(m.Subject, m.Data)))
	m.Header.Set(Signature, KeyID(key.Public().(ed25519.PublicKey))+":"+sig)
}

// open checks a message and returns what was announced, or a [*Rejection].
// Nothing of it is decoded before the signature holds.
func open(
	subj string, h nats.Header, payload []byte, keys map[string]ed25519.PublicKey, now time.Time,
) (Received, error) {
	sum := sha256.Sum256(payload)
	r := Received{Digest: "sha256:" + hex.EncodeToString(sum[:]), ID: h.Get(nats.MsgIdHdr)}
	reject := func(reason Reason, err error) (Received, error) {
		return Received{}, &Rejection{reason, subj, r.Site, r.ID, r.Digest, err}
	}
	site, typ, err := parseSubject(subj)
	r.Site = site
	if err != nil {
		return reject(Foreign, err)
	}
	pub, known := keys[site]
	if !known || len(pub) != ed25519.PublicKeySize {
		return reject(Foreign, fmt.Errorf("no key of site %q is known", site))
	}
	if len(payload) > MaxBytes {
		return reject(Undecodable, fmt.Errorf("%d bytes, at most %d are taken", len(payload), MaxBytes))
	}
	if err := verify(subj, h, payload, pub); err != nil {
		return reject(Forged, err)
	}
	a, id, err := decode(site, typ, payload)
	switch {
	case errors.Is(err, errOtherSite):
		return reject(Foreign, err)
	case err != nil:
		return reject(Undecodable, err)
	case len(h.Values(nats.MsgIdHdr)) != 1 || h.Get(nats.MsgIdHdr) != id:
		return reject(Forged, fmt.Errorf("header %s is not the event's id", nats.MsgIdHdr))
	}
	r.ID, r.At, r.Request, r.Signal = id, a.at, a.request, a.signal
	if age := now.Sub(a.at); age > MaxAge || age < -MaxSkew {
		return reject(Stale, fmt.Errorf("it was announced at %s, %v before now; at most %v are taken",
			a.at.Format(time.RFC3339), age.Round(time.Second), MaxAge))
	}
	return r, nil
}

// verify checks the one signature of the site's key.
func verify(subj string, h nats.Header, payload []byte, pub ed25519.PublicKey) error {
	values := h.Values(Signature)
	if len(values) != 1 {
		return fmt.Errorf("%d %s headers, want one", len(values), Signature)
	}
	id, b64, ok := strings.Cut(values[0], ":")
	if !ok || id != KeyID(pub) {
		return fmt.Errorf("signed by key %.16q, the site's is %s", id, KeyID(pub))
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(b64)
	if err != nil {
		return fmt.Errorf("its signature is not base64: %w", err)
	}
	if len(sig) != ed25519.SignatureSize || !ed25519.Verify(pub, signed(subj, payload), sig) {
		return errors.New("its signature does not hold")
	}
	return nil
}
