package burst_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
)

// dice makes bodies: mostly ones that could follow, some from nowhere.
type dice struct{ *rand.Rand }

func (d dice) body(s burst.State) burst.Body {
	kinds := slices.Sorted(func(yield func(string) bool) {
		for k := range burst.Kinds {
			if !yield(k) {
				return
			}
		}
	})
	kind := kinds[d.IntN(len(kinds))]
	if d.IntN(8) == 0 {
		return burst.Kinds[kind].New() // the zero body
	}
	if b := d.early(s, kind); b != nil {
		return b
	}
	return d.late(s, kind)
}

// early makes the bodies up to a credential.
func (d dice) early(s burst.State, kind string) burst.Body {
	at := noon.Add(time.Duration(d.IntN(7200)) * time.Second)
	attempt := max(0, s.Attempt-d.IntN(8)/7)
	switch kind {
	case "requested":
		return &burst.Requested{Request: policy.Request{ID: "c-1"}}
	case "decided":
		if d.IntN(4) == 0 {
			return &burst.Decided{Decision: policy.Decision{Refusal: "no offers"}}
		}
		return decided
	case "launch-intent":
		return &burst.LaunchIntent{Launch: pools.Launch{Attempt: attempt, Offer: offer}, BootBy: at}
	case "launched":
		return &burst.Launched{Node: pools.Node{ID: fmt.Sprintf("i-%d", attempt), Attempt: attempt, Launched: at}}
	case "launch-failed":
		return &burst.LaunchFailed{Attempt: attempt, Offer: offer.Key(), Final: d.IntN(4) == 0}
	case "proven":
		return &burst.PlacedAt{Attempt: attempt, Instance: fmt.Sprintf("i-%d", attempt)}
	case "unproven":
		return &burst.Unproven{Attempt: attempt}
	case "cleared":
		if d.IntN(4) == 0 { // rests on an exception, perhaps on one that was not entered
			return &burst.Cleared{Grant: fmt.Sprintf("c-1.%d", attempt), Expires: at, Exception: "sealed",
				Verdict: residency.Verdict{Exception: &residency.Excepted{ID: "x-1", Digest: "sha256:xx"}}}
		}
		return &burst.Cleared{Grant: fmt.Sprintf("c-1.%d", attempt), Expires: at}
	case "break-glass-used":
		stage := []string{burst.OnCreate, burst.OnRead}[d.IntN(2)]
		return &burst.Excepted{Exception: "x-1", Digest: "sha256:xx", Stage: stage}
	case "denied":
		if d.IntN(4) > 0 {
			return cleared
		}
		return &burst.Denied{Verdict: residency.Verdict{Why: "no"}}
	}
	return nil
}

// late makes the others.
func (d dice) late(s burst.State, kind string) burst.Body {
	at := noon.Add(time.Duration(d.IntN(7200)) * time.Second)
	grant, serial, node := fmt.Sprintf("c-1.%d", s.Attempt), fmt.Sprintf("%02d", d.IntN(4)), fmt.Sprintf("i-%d", s.Attempt)
	switch kind {
	case "issue-intent":
		return &burst.IssueIntent{Grant: grant, CSR: "csr"}
	case "issued":
		return &burst.Issued{Grant: grant, Serial: serial, NotAfter: at}
	case "round-trip":
		return &burst.RoundTrip{Grant: grant, Micros: d.Int64N(70_000_000), Samples: d.IntN(6)}
	case "serve-intent":
		return &burst.Window{Grant: grant, N: s.WindowN + d.IntN(3), Bytes: d.Int64() - 1<<40}
	case "serve-outcome":
		return &burst.Served{Grant: grant, N: d.IntN(s.WindowN + 2), Bytes: d.Int64N(1 << 62)}
	case "job-started":
		return &burst.Started{Grant: grant}
	case "job-progress":
		return &burst.Progress{Grant: grant, Epoch: d.IntN(9)}
	case "artefact":
		return &burst.Artefact{Grant: grant, Name: serial}
	case "released":
		return &burst.Release{Name: serial, Reason: "checked"}
	case "artefact-flagged":
		return &burst.Flag{Name: serial, Reason: "called back", Recall: d.Int64N(3)}
	case "artefact-cleared":
		return &burst.Unflag{Name: serial, Reason: "checked"}
	case "handed-out":
		return &burst.HandedOut{Name: serial}
	case "withheld":
		return &burst.Withheld{Name: serial, Why: serial}
	case "stop":
		if d.IntN(24) > 0 {
			return &burst.Progress{Grant: grant} // bursts that are stopped at once teach little
		}
		return &burst.Stop{Why: burst.WhyRevoked, By: at}
	case "unmounted":
		return &burst.Unmounted{}
	case "revoke-intent":
		return &burst.RevokeIntent{Serial: serial}
	case "revoked":
		return &burst.Revoked{Serial: serial, ProbeBy: at}
	case "probed":
		return &burst.Probed{Serial: serial, Refused: d.IntN(2) == 0, By: []string{"control", "edge", "issuer"}[d.IntN(3)]}
	case "delete-intent":
		return &burst.DeleteIntent{Node: node}
	case "gone":
		return &burst.Gone{Node: node}
	case "settled":
		return &burst.Settled{Attempt: s.Attempt, Spent: usd}
	}
	return &burst.Over{Outcome: "over"}
}

func TestNoReachableStateBreaksItsPromises(t *testing.T) {
	phases := map[burst.Phase]int{}
	for seed := range uint64(500) {
		d := dice{rand.New(rand.NewPCG(seed, 7))}
		var s burst.State
		var taken []burst.Event
		for i := range 250 {
			e := event(i, d.body(s))
			for range 6 * d.IntN(2) { // half of the time look for one that follows
				if burst.Accepts(s, e) {
					break
				}
				e = event(i, d.body(s))
			}
			before := show(s) // pointers are shared and must not be written through
			next, due := burst.Step(s, e)
			if show(s) != before {
				t.Fatalf("seed %d: %s changed the older state", seed, e.Body.Kind())
			}
			if ok := burst.Accepts(s, e); ok {
				taken = append(taken, e)
			} else if !reflect.DeepEqual(next, s) {
				t.Fatalf("seed %d: %s was refused and changed the state", seed, e.Body.Kind())
			}
			s = next
			phases[s.Phase]++
			if why := broken(s, due); why != "" {
				t.Fatalf("seed %d, after %s in phase %q: %s", seed, e.Body.Kind(), s.Phase, why)
			}
			if last := finish(s); last.Phase != burst.Ended && s.Phase != "" {
				t.Fatalf("seed %d: stuck in phase %q on the way back from %q: %+v", seed, last.Phase, s.Phase, s)
			}
		}
		again := burst.State{}
		for _, e := range taken {
			again, _ = burst.Step(again, e)
		}
		if !reflect.DeepEqual(again, s) {
			t.Fatalf("seed %d: what was taken folds to another state", seed)
		}
	}
	for _, p := range []burst.Phase{burst.Running, burst.Unmount, burst.Probing, burst.Settling, burst.Ended} {
		if phases[p] < 50 {
			t.Errorf("the dice reached phase %q %d times only", p, phases[p])
		}
	}
}

// show writes out what a state points to.
func show(s burst.State) string {
	var b strings.Builder
	fmt.Fprint(&b, s.Tried, s.Serials, s.Windows, s.Artefacts, s.Flags, s.Released, s.Probes)
	fmt.Fprint(&b, s.Grant, s.Stopped, s.Settled, s.Launch == nil, s.Node == nil, s.Place == nil)
	return b.String()
}

// broken names the promise that a state breaks.
func broken(s burst.State, due []burst.Effect) string {
	var open int64
	for _, n := range s.Windows {
		open += n
	}
	late := s.Deadline()
	switch {
	case (s.WindowN > 0 || len(s.Windows) > 0) && (s.Grant == nil || len(s.Serials) == 0):
		return "a window without grant and credential"
	case len(s.Serials) > 0 && (s.Grant == nil || s.Place == nil || s.Node == nil):
		return "a credential without grant, place and node"
	case s.Grant != nil && (s.Place == nil || s.Launch == nil):
		return "a grant without a proven place or a launch"
	case s.Node != nil && s.Launch == nil:
		return "a node without an intent"
	case open != s.Allowed || s.Served < 0 || s.Allowed < 0 || s.Allowed+s.Served < 0:
		return fmt.Sprintf("open windows allow %d, the sum says %d, served %d", open, s.Allowed, s.Served)
	case s.Live() && len(due) == 0 && (late.At.IsZero() || late.Body == nil && late.Effect == nil):
		return "nothing is due and nothing is waited for"
	case (s.Phase == burst.Settling || s.Phase == burst.Ended) && s.Node != nil && s.GoneAt.IsZero():
		return "past a node that is not gone"
	case s.Phase == burst.Deleting && slices.ContainsFunc(s.Serials, func(c burst.Serial) bool { return !c.Revoked }):
		return "deleting with a credential that is out"
	}
	return ""
}

// finish drives a burst by effects and deadlines alone, as if nobody else
// ever spoke again.
func finish(s burst.State) burst.State {
	for i := range 60 {
		if !s.Live() {
			break
		}
		var bodies []burst.Body
		if due := burst.Due(s); len(due) > 0 {
			bodies = perform(s, due[0])
		} else if late := s.Deadline(); late.Effect != nil {
			bodies = perform(s, *late.Effect)
		} else if stop, ok := late.Body.(*burst.Stop); ok {
			stop.By = late.At.Add(time.Second)
			bodies = []burst.Body{stop}
		} else {
			bodies = []burst.Body{late.Body}
		}
		for _, b := range bodies {
			s, _ = burst.Step(s, event(i, b))
		}
	}
	return s
}

// perform is what carrying out an effect enters, when all goes well.
func perform(s burst.State, f burst.Effect) []burst.Body {
	var intent, outcome burst.Body
	switch f.Do {
	case burst.DoDecide:
		return []burst.Body{decided}
	case burst.DoLaunch:
		intent = &burst.LaunchIntent{Launch: pools.Launch{Attempt: s.Attempt, Offer: offer}, BootBy: noon}
		outcome = &burst.Launched{Node: pools.Node{ID: fmt.Sprintf("i-%d", s.Attempt), Attempt: s.Attempt}}
	case burst.DoRevoke:
		intent, outcome = &burst.RevokeIntent{Serial: f.Serial}, &burst.Revoked{Serial: f.Serial, ProbeBy: noon}
	case burst.DoProbe:
		return []burst.Body{&burst.Probed{Serial: f.Serial, Refused: true, By: "issuer"}}
	case burst.DoDelete:
		intent, outcome = &burst.DeleteIntent{Node: s.Node.ID}, &burst.Gone{Node: s.Node.ID}
	case burst.DoSettle:
		return []burst.Body{&burst.Settled{Attempt: s.Attempt, Spent: usd}}
	case burst.DoEnd:
		return []burst.Body{&burst.Over{Outcome: "over"}}
	}
	if f.NeedsIntent {
		return []burst.Body{intent, outcome}
	}
	return []burst.Body{outcome}
}

func TestNoBodyPanicsInAStateThatNoLogLeadsTo(t *testing.T) {
	phases := []burst.Phase{"", burst.Asked, burst.Planned, burst.Launching, burst.Booting, burst.Placed, burst.Granted,
		burst.Running, burst.Unmount, burst.Revoking, burst.Probing, burst.Deleting, burst.Settling, burst.Ended, "nowhere"}
	d := dice{rand.New(rand.NewPCG(1, 2))}
	for _, p := range phases {
		s := burst.State{Phase: p, Attempt: 1, Issuing: "csr"}
		_ = s.Deadline()
		_, _ = burst.Step(s, event(0, nil))
		for range 400 {
			_, _ = burst.Step(s, event(0, d.body(s)))
		}
	}
}
