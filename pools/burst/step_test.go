package burst_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
)

func TestAWholeBurstPassesEveryPhaseInOrder(t *testing.T) {
	want := []burst.Phase{burst.Asked, burst.Planned, burst.Launching, burst.Booting, burst.Placed, burst.Granted,
		burst.Granted, burst.Running, burst.Running, burst.Running, burst.Unmount, burst.Revoking, burst.Revoking,
		burst.Probing, burst.Deleting, burst.Deleting, burst.Settling, burst.Settling, burst.Ended}
	var s burst.State
	for i, b := range whole {
		s = fold(t, s, b)
		if s.Phase != want[i] {
			t.Errorf("after %s the phase is %q, want %q", b.Kind(), s.Phase, want[i])
		}
	}
	if s.Live() || s.Outcome != "finished" || s.Served != 60 || s.Allowed != 0 || len(s.Windows) != 0 || s.WindowN != 1 {
		t.Errorf("at the end: %+v", s)
	}
}

func TestWhatIsDueFollowsFromThePhaseAlone(t *testing.T) {
	for _, tc := range []struct {
		after burst.Body
		want  []burst.Effect
	}{
		{requested, []burst.Effect{{Do: burst.DoDecide}}},
		{decided, []burst.Effect{{Do: burst.DoLaunch, NeedsIntent: true}}},
		{launchIntent, []burst.Effect{{Do: burst.DoLaunch}}},
		{launched, nil}, {placed, nil}, {cleared, nil}, {issued, nil}, {stopped, nil},
		{unmounted, []burst.Effect{{Do: burst.DoRevoke, Serial: "01", NeedsIntent: true}}},
		{revokeIntent, []burst.Effect{{Do: burst.DoRevoke, Serial: "01"}}},
		{revoked, nil},
		{probed, []burst.Effect{{Do: burst.DoDelete, NeedsIntent: true}}},
		{deleteIntent, []burst.Effect{{Do: burst.DoDelete}}},
		{gone, []burst.Effect{{Do: burst.DoSettle}}},
		{settled, []burst.Effect{{Do: burst.DoEnd}}},
		{over, nil},
	} {
		if got := burst.Due(upTo(t, tc.after)); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("after %s due is %+v, want %+v", tc.after.Kind(), got, tc.want)
		}
	}
}

func TestWhatDoesNotFollowChangesNothing(t *testing.T) {
	for _, tc := range []struct {
		why   string
		after burst.Body
		body  burst.Body
	}{
		{"a claim is used once", requested, requested},
		{"nothing is decided twice", decided, decided},
		{"an intent is of the attempt that was planned", decided, &burst.LaunchIntent{
			Launch: pools.Launch{Attempt: 2}, BootBy: noon}},
		{"an intent says until when the node is waited for", decided, &burst.LaunchIntent{Launch: launchIntent.Launch}},
		{"a node has an earlier intent", decided, launched},
		{"a node of another attempt is not ours", launchIntent, &burst.Launched{Node: pools.Node{ID: "i-1", Attempt: 2}}},
		{"the proven machine is the one our call made", launched, &burst.PlacedAt{Attempt: 1, Instance: "i-2"}},
		{"no grant without a proven place", launched, cleared},
		{"a grant has an end", placed, &burst.Cleared{Grant: "c-1.1", Sealed: "x"}},
		{"a grant has a name", placed, &burst.Cleared{Sealed: "x", Expires: noon}},
		{"no credential without a grant", placed, issueIntent},
		{"no credential without its intent", cleared, issued},
		{"a credential is for this grant", issueIntent, &burst.Issued{Grant: "c-2.1", Serial: "01"}},
		{"no round trip without a credential", cleared, &burst.RoundTrip{Grant: "c-1.1", Micros: 1, Samples: 1}},
		{"a round trip is of this grant", issued, &burst.RoundTrip{Grant: "c-2.1", Micros: 1, Samples: 1}},
		{"a round trip takes time", issued, &burst.RoundTrip{Grant: "c-1.1", Samples: 1}},
		{"a round trip takes no hour", issued, &burst.RoundTrip{Grant: "c-1.1", Micros: 3_600_000_000, Samples: 1}},
		{"a round trip is measured", issued, &burst.RoundTrip{Grant: "c-1.1", Micros: 1}},
		{"no round trip after a stop", stopped, &burst.RoundTrip{Grant: "c-1.1", Micros: 1, Samples: 1}},
		{"no window without a credential", cleared, window},
		{"a window is of this grant", issued, &burst.Window{Grant: "c-2.1", N: 1, Bytes: 1}},
		{"windows are numbered without gaps", issued, &burst.Window{Grant: "c-1.1", N: 2, Bytes: 1}},
		{"a window allows something", issued, &burst.Window{Grant: "c-1.1", N: 1}},
		{"windows do not overflow", window, &burst.Window{Grant: "c-1.1", N: 2, Bytes: math.MaxInt64}},
		{"no more is served than was allowed", window, &burst.Served{Grant: "c-1.1", N: 1, Bytes: 101}},
		{"a window is closed once", served, served},
		{"no window after a stop", stopped, &burst.Window{Grant: "c-1.1", N: 2, Bytes: 1}},
		{"a burst is stopped once", stopped, &burst.Stop{Why: burst.WhyRevoked, By: noon}},
		{"a stop says until when the node is waited for", issued, &burst.Stop{Why: burst.WhyRevoked}},
		{"only a node that was told to lets go", issued, unmounted},
		{"nothing is revoked while it is mounted", stopped, revokeIntent},
		{"a revocation follows its intent", unmounted, revoked},
		{"a revocation says until when the probe is waited for", revokeIntent, &burst.Revoked{Serial: "01"}},
		{"a stranger's serial is not ours to revoke", unmounted, &burst.RevokeIntent{Serial: "02"}},
		{"nothing is deleted before its probe", revoked, deleteIntent},
		{"nothing is gone before its intent", probed, gone},
		{"another node's end is not ours", deleteIntent, &burst.Gone{Node: "i-2"}},
		{"nothing is settled before it is gone", deleteIntent, settled},
		{"a burst ends settled", gone, over},
		{"after the end there is nothing", over, &burst.Stop{Why: burst.WhyRevoked, By: noon}},
	} {
		s := upTo(t, tc.after)
		next, _ := burst.Step(s, event(99, tc.body))
		if burst.Accepts(s, event(99, tc.body)) || !reflect.DeepEqual(next, s) {
			t.Errorf("%s: %s was taken in phase %q", tc.why, tc.body.Kind(), s.Phase)
		}
	}
}

func TestARefusedRequestEndsWithoutANode(t *testing.T) {
	s := fold(t, upTo(t, requested), &burst.Decided{Decision: policy.Decision{Refusal: "3 offers: 3 residency"}})
	if s.Phase != burst.Settling || s.Attempt != 0 || s.Outcome != "refused: 3 offers: 3 residency" {
		t.Fatalf("%+v", s)
	}
	s = fold(t, s, &burst.Over{Outcome: s.Outcome})
	if s.Live() {
		t.Errorf("phase %q", s.Phase)
	}
}

func TestAnOfferWithoutCapacityIsNotTriedAgain(t *testing.T) {
	before := upTo(t, launchIntent)
	s := fold(t, before, &burst.LaunchFailed{Attempt: 1, Offer: offer.Key(), Why: "no capacity"})
	if s.Phase != burst.Asked || s.Launch != nil || s.Tried[offer.Key()] != "no capacity" || len(before.Tried) != 0 {
		t.Fatalf("%+v", s)
	}
	if s = fold(t, s, decided); s.Attempt != 2 || s.Phase != burst.Planned {
		t.Errorf("attempt %d in phase %q", s.Attempt, s.Phase)
	}
}

func TestAStopFindsEveryPhaseAWayBack(t *testing.T) {
	for after, want := range map[burst.Body]burst.Phase{
		requested: burst.Settling, decided: burst.Settling, launchIntent: burst.Launching, launched: burst.Deleting,
		placed: burst.Deleting, cleared: burst.Deleting, issueIntent: burst.Unmount, issued: burst.Unmount,
	} {
		s := fold(t, upTo(t, after), &burst.Stop{Why: burst.WhyRevoked, By: noon.Add(time.Minute)})
		if s.Phase != want || s.Stopped == nil {
			t.Errorf("stopped after %s: phase %q, want %q", after.Kind(), s.Phase, want)
		}
	}
}

func TestANodeFoundAfterTheStopIsDeletedUnproven(t *testing.T) {
	s := fold(t, upTo(t, launchIntent), &burst.Stop{Why: burst.WhyRevoked, By: noon}, launched)
	if s.Phase != burst.Deleting {
		t.Fatalf("phase %q", s.Phase)
	}
	if got := burst.Due(s); !reflect.DeepEqual(got, []burst.Effect{{Do: burst.DoDelete, NeedsIntent: true}}) {
		t.Errorf("due: %+v", got)
	}
}

func TestACredentialSignedDuringTheStopIsRevokedAfterUnmount(t *testing.T) {
	for name, before := range map[string]burst.State{
		"the first": upTo(t, issueIntent), "a renewal": fold(t, upTo(t, issued), issueIntent),
	} {
		s := fold(t, before, stopped, &burst.Issued{Grant: "c-1.1", Serial: "02", NotAfter: noon})
		if s.Phase != burst.Unmount {
			t.Errorf("%s: phase %q, want the node still asked to let go", name, s.Phase)
		}
		s = fold(t, s, unmounted)
		for s.Phase == burst.Revoking {
			f := burst.Due(s)[0]
			s = fold(t, s, &burst.RevokeIntent{Serial: f.Serial}, &burst.Revoked{Serial: f.Serial, ProbeBy: noon})
		}
		if s.Phase != burst.Probing || s.Current() != "02" {
			t.Errorf("%s: phase %q, newest %q", name, s.Phase, s.Current())
		}
	}
}

func TestNoSerialIsIssuedTwice(t *testing.T) {
	s := fold(t, upTo(t, issued), issueIntent)
	if burst.Accepts(s, event(0, issued)) || burst.Accepts(s, event(0, &burst.Issued{Grant: "c-1.1"})) {
		t.Error("a serial that could never be revoked twice was taken")
	}
}

func TestOnlyTheNewestCredentialsRefusalEndsTheProbe(t *testing.T) {
	second := &burst.Issued{Grant: "c-1.1", Serial: "02", NotAfter: noon}
	s := fold(t, upTo(t, issued), issueIntent, second, stopped, unmounted,
		revokeIntent, revoked, &burst.RevokeIntent{Serial: "02"}, &burst.Revoked{Serial: "02", ProbeBy: noon})
	for _, p := range []burst.Probed{
		{Serial: "01", Refused: true, By: "control"}, // an old one says nothing of the newest
		{Serial: "02", Refused: true, By: "edge"},    // the edge only knows what it was told
		{Serial: "02", By: "issuer"},                 // not refused
	} {
		if next := fold(t, s, &p); next.Phase != burst.Probing || len(next.Probes) != 1 {
			t.Errorf("after %+v: phase %q", p, next.Phase)
		}
	}
	if s = fold(t, s, &burst.Probed{Serial: "02", Refused: true, By: "issuer"}); s.Phase != burst.Deleting {
		t.Errorf("phase %q", s.Phase)
	}
}

func TestANodeHeardOfLateIsStillGivenItsTimeToBoot(t *testing.T) {
	s := upTo(t, decided)
	intent := *launchIntent
	intent.Launch.Expires, intent.BootBy = noon.Add(time.Hour), noon.Add(5*time.Minute)
	s, _ = burst.Step(s, burst.Event{At: noon, Body: &intent})
	for away, want := range map[time.Duration]time.Duration{
		0: 5 * time.Minute, 20 * time.Minute: 25 * time.Minute, 58 * time.Minute: time.Hour, 2 * time.Hour: time.Hour,
	} {
		late, _ := burst.Step(s, burst.Event{At: noon.Add(away), Body: launched})
		if got := late.Deadline().At.Sub(noon); got != want {
			t.Errorf("heard of after %v: waited for until %v, want %v", away, got, want)
		}
	}
}

func TestADeniedPlaceIsDeletedWithoutACredential(t *testing.T) {
	s := fold(t, upTo(t, placed), &burst.Denied{Verdict: residency.Verdict{Why: "not there"}})
	if s.Phase != burst.Deleting || s.Grant != nil || s.Stopped.Why != burst.WhyDenied {
		t.Errorf("%+v", s)
	}
}

func TestAWindowClosesAtAnyLaterTime(t *testing.T) {
	open := upTo(t, window)
	for _, after := range [][]burst.Body{
		{}, {stopped}, {stopped, unmounted}, {stopped, unmounted, revokeIntent, revoked, probed},
	} {
		s := fold(t, fold(t, open, after...), served)
		if s.Served != 60 || s.Allowed != 0 {
			t.Errorf("in phase %q: served %d, allowed %d", s.Phase, s.Served, s.Allowed)
		}
	}
}

func TestAGrantOnAnExceptionFollowsOnlyTheEntryOfItsUse(t *testing.T) {
	excepted := *cleared
	excepted.Exception = "sealed"
	excepted.Verdict.Exception = &residency.Excepted{ID: "x-1", Digest: "sha256:xx"}
	used := &burst.Excepted{Exception: "x-1", Digest: "sha256:xx", Stage: burst.OnRead}
	s := upTo(t, placed)
	if burst.Accepts(s, event(9, &excepted)) {
		t.Error("it follows where no use was entered")
	}
	other := &burst.Excepted{Exception: "x-2", Digest: "sha256:yy", Stage: burst.OnRead}
	if burst.Accepts(fold(t, s, other), event(9, &excepted)) {
		t.Error("it follows the use of another")
	}
	bare, sealed := excepted, *cleared
	bare.Exception, sealed.Exception = "", "sealed"
	if burst.Accepts(fold(t, s, used), event(9, &bare)) || burst.Accepts(fold(t, s, used), event(9, &sealed)) {
		t.Error("it follows without its seal, or with a seal and no verdict")
	}
	s = fold(t, s, used, &excepted)
	if stop, ok := s.Deadline().Body.(*burst.Stop); !ok || !strings.Contains(stop.Detail, "exception x-1") {
		t.Errorf("at its end: %+v", s.Deadline().Body)
	}
	for _, stage := range []string{burst.OnCreate, "", "serve"} {
		if burst.Accepts(upTo(t, placed), event(9, &burst.Excepted{Digest: "sha256:xx", Stage: stage})) {
			t.Errorf("stage %q follows the proof of place", stage)
		}
	}
}
