package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/residency/audit"
)

// NATS connects to the bus under a name and ends the connection again.
func NATS(ctx context.Context, c configs.NATS, name string) []Finding {
	roots, err := keys.Pool(c.CA)
	if err != nil {
		return Coded(frame.KeyMissing, err)
	}
	began := time.Now()
	conn, err := bus.Connect(ctx, bus.Config{URL: c.URL, CredsFile: c.Creds, Name: name, Wait: 4 * time.Second,
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}})
	if away, ok := errors.AsType[*bus.ConnectError](err); ok {
		return Bad(fmt.Errorf("connect to NATS at %s: %w", away.URL, away.Cause), away.Remedy)
	}
	if err != nil {
		return Coded(frame.NATSAway, err)
	}
	conn.Close()
	return Good("%s let %s in, %d ms", c.URL, name, time.Since(began).Milliseconds())
}

// Bounds of a clock: certificates are taken a minute early at most.
const (
	apart    = 5 * time.Second
	farApart = time.Minute
)

// Clock holds this machine's clock against another's, which cannot be older
// than what it said at: later is what it may be by age.
func Clock(whose string, at, now time.Time, age bool) []Finding {
	off := now.Sub(at)
	const fix = "let both machines keep time by NTP: certificates and grants end by the clock"
	switch {
	case off > -apart && (age || off < apart):
		return Good("not before %s (%s)", whose, at.UTC().Format(time.RFC3339))
	case off > -farApart && off < farApart:
		return Warned(fix, "this clock is %v from %s", off.Round(time.Second), whose)
	}
	return Bad(fmt.Errorf("this clock is %v from %s", off.Round(time.Second), whose), fix)
}

// Cosigned holds the clock against the newest cosignature under a checkpoint by
// one of the witnesses.
func Cosigned(checkpoint []byte, witnesses ...note.Verifier) []Finding {
	at, err := audit.CosignedAt(checkpoint, witnesses...)
	if err != nil {
		return Good("no cosignature to hold it against")
	}
	return Clock("the newest cosignature", at, time.Now(), true)
}
