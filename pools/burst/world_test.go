package burst_test

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
)

var (
	noon  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	here  = residency.Address{Provider: "aws", Region: "eu-central-1"}
	usd   = policy.Money{Micros: 5e6, Currency: "USD"}
	offer = policy.Offer{At: here, Type: "g5.12xlarge", GPUs: 4, PerHour: usd, AsOf: "2026-03-01"}
	plan  = &policy.Plan{Offer: offer, Lease: time.Hour, Reserve: usd}
)

// The bodies of a burst that goes well, in order.
var (
	requested    = &burst.Requested{Request: policy.Request{ID: "c-1", Site: "hq"}, Digest: "sha256:aa"}
	decided      = &burst.Decided{Decision: policy.Decision{Plan: plan}}
	launchIntent = &burst.LaunchIntent{Launch: pools.Launch{Claim: "c-1", Attempt: 1, Offer: offer},
		BootBy: noon.Add(time.Minute)}
	launched     = &burst.Launched{Node: pools.Node{ID: "i-1", Claim: "c-1", Attempt: 1, Launched: noon}}
	placed       = &burst.PlacedAt{Attempt: 1, Instance: "i-1", NodeKey: "k"}
	cleared      = &burst.Cleared{Grant: "c-1.1", Sealed: "sealed", NodeKey: "k", Expires: noon.Add(time.Hour)}
	issueIntent  = &burst.IssueIntent{Grant: "c-1.1", CSR: "sha256:bb", TTL: time.Minute}
	issued       = &burst.Issued{Grant: "c-1.1", Serial: "01", NotAfter: noon.Add(time.Minute)}
	window       = &burst.Window{Grant: "c-1.1", N: 1, Bytes: 100}
	served       = &burst.Served{Grant: "c-1.1", N: 1, Bytes: 60}
	stopped      = &burst.Stop{Why: burst.WhyFinished, By: noon.Add(2 * time.Minute)}
	unmounted    = &burst.Unmounted{Confirmed: true}
	revokeIntent = &burst.RevokeIntent{Serial: "01"}
	revoked      = &burst.Revoked{Serial: "01", ProbeBy: noon.Add(3 * time.Minute)}
	probed       = &burst.Probed{Serial: "01", Refused: true, By: "control"}
	deleteIntent = &burst.DeleteIntent{Node: "i-1"}
	gone         = &burst.Gone{Node: "i-1"}
	settled      = &burst.Settled{Attempt: 1, Reserved: usd, Spent: usd}
	over         = &burst.Over{Outcome: "finished"}
)

var whole = []burst.Body{requested, decided, launchIntent, launched, placed, cleared, issueIntent, issued,
	window, served, stopped, unmounted, revokeIntent, revoked, probed, deleteIntent, gone, settled, over}

// fold steps through bodies, one event a second. Each must follow.
func fold(t testing.TB, s burst.State, bodies ...burst.Body) burst.State {
	t.Helper()
	for i, b := range bodies {
		e := event(i, b)
		if !burst.Accepts(s, e) {
			t.Fatalf("%s does not follow in phase %q", b.Kind(), s.Phase)
		}
		s, _ = burst.Step(s, e)
	}
	return s
}

func event(i int, b burst.Body) burst.Event {
	at := noon.Add(time.Duration(i) * time.Second)
	return burst.Event{Claim: "c-1", At: at, Actor: "controller", Index: int64(i), Body: b}
}

// upTo folds the good burst up to and including a body.
func upTo(t testing.TB, last burst.Body) burst.State {
	t.Helper()
	for i, b := range whole {
		if b == last {
			return fold(t, burst.State{}, whole[:i+1]...)
		}
	}
	t.Fatalf("%s is no part of a whole burst", last.Kind())
	return burst.State{}
}
