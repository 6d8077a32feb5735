package perform_test

import (
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// settle waits until the newest entries are witnessed.
func settle() { time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(90 * time.Second))) }

// recall calls back, or fails the test.
func (w *world) recall(data, digest, reason string) {
	w.t.Helper()
	if err := w.engine().Recall("user:oscar", perform.Recall{Data: data, Digest: digest, Reason: reason}); err != nil {
		w.t.Fatal(err)
	}
}

// flags are why the one result is flagged, once for each recall.
func (w *world) flags() (reasons []string) {
	w.t.Helper()
	for _, f := range w.state().Flags {
		reasons = append(reasons, f.Reason)
	}
	return reasons
}

func TestARecallFlagsWhatBurstsLongOverMadeAndAPersonMustClearIt(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.ask()
		w.until(burst.Ended)
		time.Sleep(24 * time.Hour)
		w.recall("roads", "", "another dataset")
		w.recall("claim", "", "a name that only begins alike")
		w.recall("claims", cast.Digest("another manifest"), "another state of the slice")
		if got := w.flags(); len(got) != 0 {
			t.Fatalf("flagged for %q", got)
		}
		w.recall(cast.Pseudonymised, cast.Digest(cast.Pseudonymised), "consent withdrawn")
		if s := w.state(); len(s.Flags) != 1 || s.FlaggedFor("model.json", s.Artefacts[0].Digest) != "consent withdrawn" {
			t.Fatalf("flags %+v", s.Flags)
		}
		for _, tc := range []struct {
			verb              func(actor, claim, name, reason string) error
			who, reason, want string
		}{
			{w.engine().Release, "user:anna", "checked", "it is flagged: consent withdrawn"},
			{w.engine().Unflag, "user:anna", " ", "a reason is missing"},
			{w.engine().Unflag, "user:anna", strings.Repeat("x", 501), "longer than 500 bytes"},
			{w.engine().Unflag, "user:anna", "trained again without them", ""},
			{w.engine().Unflag, "user:anna", "again", "it is not flagged"},
			{w.engine().Release, "user:anna", "checked", ""},
		} {
			err := tc.verb(tc.who, claim, "model.json", tc.reason)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s, %q: %v, want %q", tc.who, tc.reason, err, tc.want)
			}
		}
		w.recall("claims", "", "the whole dataset was an error")
		if s := w.state(); s.FlaggedFor("model.json", s.Artefacts[0].Digest) == "" || len(s.Flags) != 2 {
			t.Errorf("a second recall leaves flags %+v", s.Flags)
		}
		r := cast.Request("c-late", "job-2", cast.Job(cast.Pseudonymised))
		if err := w.engine().Ask(r, cast.Digest("event")); err != nil {
			t.Fatal(err)
		}
		settle()
		late := w.engine().Bursts()[1]
		if late.Phase != burst.Ended || late.Launch != nil || !strings.Contains(late.Decision.Refusal, "was called back") {
			t.Errorf("the manifest that was called back is granted again: %q, %+v", late.Phase, late.Decision)
		}
	})
}

func TestARecallStopsWhatRunsAndFlagsWhatComesBackAfterIt(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.ask()
		s := w.until(burst.Running)
		w.recall("claims", "", "consent withdrawn")
		if s := w.state(); s.Stopped == nil || s.Stopped.Why != burst.WhyRevoked || s.Stopped.Detail != "consent withdrawn" {
			t.Fatalf("stopped %+v", s.Stopped)
		}
		a := &burst.Artefact{Grant: s.Grant.ID, Name: "model.json", Digest: cast.Digest("model"), Bytes: 3, Class: "personal"}
		if err := w.Site.Keep(t.Context(), claim, a); err != nil {
			t.Fatal(err)
		}
		if got := w.flags(); len(got) != 1 || got[0] != "consent withdrawn" {
			t.Errorf("what came back late is flagged for %q", got)
		}
		w.until(burst.Ended)
		settle()
	})
}

func TestARecallThatACrashInterruptsIsFinishedByTheNextStart(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.ask()
		w.until(burst.Ended)
		w.DieAt(func(l audit.Leaf) bool { return l.Entry.Kind == "recalled" })
		_ = w.engine().Recall("user:oscar", perform.Recall{Data: "claims", Reason: "consent withdrawn"})
		w.down()
		if n := w.count("artefact-flagged"); n != 0 {
			t.Fatalf("%d flags before the crash", n)
		}
		w.start()
		time.Sleep(time.Second)
		if got := w.flags(); len(got) != 1 || got[0] != "consent withdrawn" {
			t.Errorf("after the start flagged for %q", got)
		}
		for range 2 {
			if err := w.Kill(); err != nil {
				t.Fatal(err)
			}
			w.start()
			settle()
		}
		if n, err := w.count("artefact-flagged"), w.engine().Release("user:anna", claim, "model.json", "x"); n != 1 ||
			err == nil {
			t.Errorf("after two more starts %d flags, release: %v", n, err)
		}
		time.Sleep(20 * time.Second)
	})
}

func TestARecallNamesItsDataItsReasonAndNothingElse(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		for _, r := range []perform.Recall{{}, {Data: "claims"}, {Data: "claims", Reason: " "}, {Reason: "r"},
			{Data: "claims roads", Reason: "r"}, {Data: "Claims", Reason: "r"}, {Data: strings.Repeat("a", 300), Reason: "r"},
			{Data: "claims", Reason: strings.Repeat("a", 501)}, {Data: "claims", Digest: "sha256:ab", Reason: "r"},
			{Data: "claims", Digest: strings.ToUpper(cast.Digest("x")), Reason: "r"}} {
			if err := w.engine().Recall("user:oscar", r); err == nil {
				t.Errorf("%+v is entered", r)
			}
		}
		if n := w.count("recalled"); n != 0 {
			t.Errorf("%d entries", n)
		}
		settle()
	})
}
