package cost

import (
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

func usd(micros int64) policy.Money { return policy.Money{Micros: micros, Currency: "USD"} }

// log is a log that a test writes entry by entry.
type log struct {
	t    *testing.T
	book Book
	n    int64
	now  time.Time
}

func newLog(t *testing.T, at string) *log {
	t.Helper()
	now, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	return &log{t: t, now: now}
}

// enter enters bodies of a claim, after a pause.
func (l *log) enter(pause time.Duration, claim string, bodies ...burst.Body) {
	l.t.Helper()
	l.now = l.now.Add(pause)
	for _, body := range bodies {
		raw, err := audit.Canonical(body)
		if err != nil {
			l.t.Fatal(err)
		}
		l.book.Add(audit.Leaf{Index: l.n, Entry: audit.Entry{V: 1, Code: burst.Kinds[body.Kind()].Code, Kind: body.Kind(),
			Burst: claim, At: l.now, Actor: "controller", Body: raw}})
		if err := l.book.Err(); err != nil {
			l.t.Fatal(err)
		}
		l.n++
	}
}

// kind is one kind of burst.
type kind struct {
	claim, team, queue, region string
	perHour                    int64
	gpus                       int
}

func (k kind) offer() policy.Offer {
	return policy.Offer{At: residency.Address{Provider: "aws", Region: k.region}, Type: "g5.12xlarge", GPU: "A10G",
		GPUs: k.gpus, PerHour: usd(k.perHour), AsOf: "2026-09-01", Source: "list"}
}

func (k kind) node() string { return "i-" + k.claim }

// launch takes a burst to the point where its machine is there.
func (l *log) launch(k kind) {
	l.t.Helper()
	o := k.offer()
	r := policy.Request{ID: k.claim, Site: "hq", JobID: "job-" + k.claim, Job: policy.Job{Name: "train", Team: k.team,
		Queue: k.queue, Slice: "claims/2025-q3", GPUs: k.gpus, Command: []string{"x"}, Budget: usd(100e6),
		Lease: 10 * time.Hour}}
	plan := &policy.Plan{Offer: o, Lease: 10 * time.Hour, Reserve: o.PerHour.For(10 * time.Hour)}
	l.enter(0, k.claim, &burst.Requested{Request: r}, &burst.Decided{Decision: policy.Decision{Plan: plan}},
		&burst.LaunchIntent{Launch: pools.Launch{Claim: k.claim, Attempt: 1, Offer: o}, BootBy: l.now.Add(time.Hour)},
		&burst.Launched{Node: pools.Node{ID: k.node(), Claim: k.claim, Attempt: 1, At: o.At, Launched: l.now}})
}

// run takes it on until its job has begun.
func (l *log) run(k kind) {
	l.t.Helper()
	g := k.claim + ".1"
	l.enter(0, k.claim, &burst.PlacedAt{Attempt: 1, Instance: k.node()},
		&burst.Cleared{Grant: g, Expires: l.now.Add(99 * time.Hour)},
		&burst.IssueIntent{Grant: g, CSR: "c"}, &burst.Issued{Grant: g, Serial: "s", NotAfter: l.now.Add(time.Hour)},
		&burst.Started{Grant: g})
}

// report is what its job says after a pause.
func (l *log) report(pause time.Duration, k kind, epoch int, samples, milliwatts int64) {
	l.t.Helper()
	l.enter(pause, k.claim, &burst.Progress{Grant: k.claim + ".1", Epoch: epoch, Samples: samples, Milliwatts: milliwatts})
}

// end tears it down after a pause and settles it for how long it ran.
func (l *log) end(pause time.Duration, k kind, ran time.Duration) {
	l.t.Helper()
	l.enter(pause, k.claim, &burst.Stop{Why: burst.WhyFinished, By: l.now}, &burst.Unmounted{Confirmed: true},
		&burst.RevokeIntent{Serial: "s"}, &burst.Revoked{Serial: "s", ProbeBy: l.now},
		&burst.Probed{Serial: "s", Refused: true, By: "control"}, &burst.DeleteIntent{Node: k.node()},
		&burst.Gone{Node: k.node()},
		&burst.Settled{Attempt: 1, Reserved: usd(k.perHour * 10), Spent: usd(k.perHour).For(ran), Ran: ran}, &burst.Over{})
}

var (
	night = kind{"c-1", "ml", "night", "eu-central-1", 6_000_000, 4}
	other = kind{"c-2", "ops", "", "eu-west-1", 1_000_000, 1}
)

// twoBursts is a log of one burst over midnight, settled, and one that still runs.
func twoBursts(t *testing.T) *log {
	l := newLog(t, "2026-10-31T23:00:00Z")
	l.launch(night)
	l.run(night)
	for epoch := 3; epoch <= 6; epoch++ { // it goes on from a checkpoint
		l.report(30*time.Minute, night, epoch, int64(epoch-2)*500, 500_000)
	}
	l.end(0, night, 2*time.Hour)
	l.launch(other)
	l.run(other)
	l.enter(90*time.Minute, "c-3", &burst.Requested{Request: policy.Request{ID: "c-3"}})
	return l
}

// launchOf is the intent of a claim's first attempt.
func launchOf(claim string, o policy.Offer, at time.Time) *burst.LaunchIntent {
	return &burst.LaunchIntent{Launch: pools.Launch{Claim: claim, Attempt: 1, Offer: o}, BootBy: at.Add(time.Hour)}
}
