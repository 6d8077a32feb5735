package bus_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"

	"github.com/burstctl/burstctl/pools/bus"
)

// pair makes the edge keys of fra and muc from fixed seeds.
func pair() (map[string]ed25519.PrivateKey, map[string]ed25519.PublicKey) {
	keys, pubs := map[string]ed25519.PrivateKey{}, map[string]ed25519.PublicKey{}
	for i, site := range []string{"fra", "muc"} {
		keys[site] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
		pubs[site] = keys[site].Public().(ed25519.PublicKey)
	}
	return keys, pubs
}

func TestAnEventIsACloudEventAnyoneCanRead(t *testing.T) {
	keys, pubs := pair()
	r, at := stamped("fra", "claim-1", time.Now())
	m, err := bus.SealRequest("fra", at, r, keys["fra"])
	must(t, err)
	var e event.Event
	must(t, e.UnmarshalJSON(m.Data))
	must(t, e.Validate())
	if e.Type() != bus.TypeRequest || e.Source() != "burst/fra" || e.ID() != m.Header.Get(nats.MsgIdHdr) ||
		e.Subject() != "claim-1" || !e.Time().Equal(at) || e.DataContentType() != "application/json" {
		t.Fatalf("not as announced: %v", e)
	}
	got, err := bus.Open(m, pubs, at)
	must(t, err)
	if got.Request.Job.Name != r.Job.Name || got.Site != "fra" || !strings.HasPrefix(got.Digest, "sha256:") {
		t.Fatalf("got %+v", got)
	}
}

func TestWhatIsNotExactlyWhatASiteSignedIsRejected(t *testing.T) {
	keys, pubs := pair()
	now := time.Now()
	replace := func(old, by string) func(*nats.Msg) {
		return func(m *nats.Msg) { m.Data = bytes.Replace(m.Data, []byte(old), []byte(by), 1) }
	}
	resigned := func(f func(*nats.Msg)) func(*nats.Msg) {
		return func(m *nats.Msg) { f(m); bus.Resign(m, keys["fra"]) }
	}
	for name, c := range map[string]struct {
		change func(*nats.Msg)
		want   bus.Reason
	}{
		"a tampered budget":         {replace(`50000000`, `99000000`), bus.Forged},
		"another site's key":        {func(m *nats.Msg) { bus.Resign(m, keys["muc"]) }, bus.Forged},
		"no signature":              {func(m *nats.Msg) { m.Header.Del(bus.Signature) }, bus.Forged},
		"two signatures":            {func(m *nats.Msg) { m.Header.Add(bus.Signature, "x") }, bus.Forged},
		"another site's subject":    {func(m *nats.Msg) { m.Subject = "burst.muc.request" }, bus.Forged},
		"the other kind's subject":  {func(m *nats.Msg) { m.Subject = "burst.fra.signal" }, bus.Forged},
		"an unknown site":           {func(m *nats.Msg) { m.Subject = "burst.ber.request" }, bus.Foreign},
		"an unknown kind":           {func(m *nats.Msg) { m.Subject = "burst.fra.command" }, bus.Foreign},
		"another message id":        {func(m *nats.Msg) { m.Header.Set(nats.MsgIdHdr, "claim-1/1") }, bus.Forged},
		"an unknown attribute":      {resigned(replace(`{"spec`, `{"x":"y","spec`)), bus.Undecodable},
		"an unknown field":          {resigned(replace(`"job_id"`, `"jobid":"a","job_id"`)), bus.Undecodable},
		"a duplicate key":           {resigned(replace(`"job_id"`, `"job_id":"a","job_id"`)), bus.Undecodable},
		"a key in another case":     {resigned(replace(`"job_id"`, `"JOB_ID"`)), bus.Undecodable},
		"white space":               {resigned(replace(`,`, `, `)), bus.Undecodable},
		"trailing bytes":            {resigned(func(m *nats.Msg) { m.Data = append(m.Data, '\n') }), bus.Undecodable},
		"a later time in the event": {resigned(replace(`"time":"2`, `"time":"3`)), bus.Undecodable},
		"another source":            {resigned(replace(`burst/fra`, `burst/muc`)), bus.Undecodable},
		"another site in the body":  {resigned(replace(`"site":"fra"`, `"site":"muc"`)), bus.Foreign},
		"too many bytes":            {resigned(replace(`train`, strings.Repeat("x", bus.MaxBytes))), bus.Undecodable},
		"nothing":                   {resigned(func(m *nats.Msg) { m.Data = nil }), bus.Undecodable},
		"a signature cut short": {func(m *nats.Msg) {
			id, _, _ := strings.Cut(m.Header.Get(bus.Signature), ":")
			m.Header.Set(bus.Signature, id+":"+base64.StdEncoding.EncodeToString([]byte("short")))
		}, bus.Forged},
	} {
		t.Run(name, func(t *testing.T) {
			r, at := stamped("fra", "claim-1", now)
			m, err := bus.SealRequest("fra", at, r, keys["fra"])
			must(t, err)
			before := bytes.Clone(m.Data)
			c.change(m)
			_, err = bus.Open(m, pubs, now)
			rej, ok := errors.AsType[*bus.Rejection](err)
			if !ok || rej.Reason != c.want {
				t.Fatalf("got %v, want %s (changed: %v)", err, c.want, !bytes.Equal(before, m.Data))
			}
		})
	}
}

func TestAnEventIsTakenForTwoMinutesAndNotBeforeItsTime(t *testing.T) {
	keys, pubs := pair()
	r, at := stamped("fra", "claim-1", time.Now())
	m, err := bus.SealRequest("fra", at, r, keys["fra"])
	must(t, err)
	for after, taken := range map[time.Duration]bool{
		0: true, bus.MaxAge: true, bus.MaxAge + time.Millisecond: false,
		-bus.MaxSkew: true, -bus.MaxSkew - time.Millisecond: false,
	} {
		if _, err := bus.Open(m, pubs, at.Add(after)); (err == nil) != taken {
			t.Errorf("%v after: taken %v, want %v: %v", after, err == nil, taken, err)
		}
	}
}

func TestTextThatIsNotUTF8IsNeverAnnounced(t *testing.T) {
	keys, pubs := pair()
	r, at := stamped("fra", "claim-1", time.Now())
	r.Job.Name = "bad \xff name"
	m, err := bus.SealRequest("fra", at, r, keys["fra"])
	must(t, err)
	if _, err := bus.Open(m, pubs, at); err == nil {
		t.Fatal("an event whose text changes when read was taken")
	}
}

// Fuzz with -fuzzminimizetime=10x: the JSON stream pool makes coverage flicker.
func FuzzDecode(f *testing.F) {
	keys, _ := pair()
	r, at := stamped("fra", "claim-1", time.Date(2026, 3, 9, 14, 0, 0, 0, time.UTC))
	m, err := bus.SealRequest("fra", at, r, keys["fra"])
	must(f, err)
	f.Add(true, m.Data)
	f.Add(false, m.Data)
	f.Add(true, []byte(`{"specversion":"1.0","data":null}`))
	f.Add(false, []byte(`{"specversion":"1.0","id":"x","data_base64":1}`))
	f.Fuzz(func(t *testing.T, isRequest bool, payload []byte) {
		typ := map[bool]string{true: bus.TypeRequest, false: bus.TypeSignal}[isRequest]
		again, err := bus.Decode(typ, payload)
		if err == nil && !bytes.Equal(again, payload) {
			t.Fatalf("two encodings of one event:\n%s\n%s", payload, again)
		}
	})
}
