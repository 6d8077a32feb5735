package perform_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// siteOnly is a slice that never leaves.
const siteOnly = "claims/originals"

// people are approvers with their keys, by name.
type people map[string]note.Signer

func approvers(t *testing.T, names ...string) (people, residency.Approvers) {
	t.Helper()
	all, vkeys := people{}, []string{}
	for _, name := range names {
		skey, vkey, err := note.GenerateKey(rand.Reader, cast.Domain+"/approver/"+name)
		must(t, err)
		all[name], err = note.NewSigner(skey)
		must(t, err)
		vkeys = append(vkeys, vkey)
	}
	a, err := residency.NewApprovers(vkeys...)
	must(t, err)
	return all, a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// abroad is a house that can have machines in Virginia only, with jobs that
// outlast every exception.
func abroad(t *testing.T, a residency.Approvers) func(*cast.Options) {
	return func(o *cast.Options) {
		virginia, err := cast.Offer("aws/us-east-1", "g5.12xlarge", "5.00 USD")
		must(t, err)
		law, err := cast.Law(rules.Files())
		must(t, err)
		law.Catalogue, err = residency.NewCatalogue([]residency.Dataset{{
			ID: "claims", Title: "Health claims", Owner: "claims", Class: residency.Special, Origin: "DE",
			Basis: "GDPR Art. 9(2)(h)", Purposes: []string{"model-training"}, Slices: []residency.SliceSpec{
				{Name: "claims/2025-q3", Dir: "claims"},
				{Name: cast.Pseudonymised, Class: residency.Personal, Pseudonymised: true, Dir: "pseudo"},
				{Name: siteOnly, Class: residency.SiteOnly, Dir: "originals"},
			}}})
		must(t, err)
		o.Law, o.Approvers, o.Job = law, a, 10*time.Hour
		o.Offerings = []sim.Offering{{Offer: virginia, Capacity: 4}}
	}
}

// plea is the text of an exception for Virginia, from now on for half an hour.
func plea(id, slice string) string {
	now := time.Now().UTC().Truncate(time.Second)
	text, err := residency.ExceptionTerms{ID: id, Reason: "patient-safety", Words: "ward 4 needs the model tonight",
		Site: cast.Place, Slice: slice, Purpose: "model-training", Team: cast.Team,
		Places: []residency.Address{{Provider: "aws", Region: "us-east-1"}}, Lifts: []string{"eu-only"},
		NotBefore: now, Expires: now.Add(30 * time.Minute)}.Text()
	if err != nil {
		panic(err) // the test wrote it
	}
	return text
}

// asks hands in a claim and waits for it to be in a phase.
func (w *world) asks(claim, slice string, until burst.Phase) burst.State {
	w.t.Helper()
	must(w.t, w.engine().Ask(cast.Request(claim, "job-"+claim, cast.Job(slice)), cast.Digest(claim)))
	return w.reaches(claim, until)
}

func (w *world) reaches(claim string, until burst.Phase) burst.State {
	w.t.Helper()
	for range 3 * 3600 {
		for _, s := range w.engine().Bursts() {
			if s.Claim == claim && s.Phase == until {
				return s
			}
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("%s is not %s after three hours", claim, until)
	return burst.State{}
}

// approve signs and hands in one approval.
func (w *world) approve(p people, name, text string) error {
	w.t.Helper()
	signed, err := residency.SignException(text, p[name])
	must(w.t, err)
	terms, err := residency.ReadException(text)
	must(w.t, err)
	return w.engine().ApproveException("user:"+name, terms.ID, signed)
}

func TestARefusedBurstIsAllowedOnlyAfterTheSecondApprovalAndEndsWithTheException(t *testing.T) {
	p, a := approvers(t, "anna", "ben", "rita", "carl")
	in(t, abroad(t, a), func(t *testing.T, w *world) {
		if s := w.asks("c-1", cast.Pseudonymised, burst.Ended); s.Decision.Plan != nil {
			t.Fatal("Virginia is allowed without an exception")
		}
		text := plea("x-1", cast.Pseudonymised)
		must(t, w.engine().RequestException("user:rita", text))
		if w.asks("c-2", cast.Pseudonymised, burst.Ended).Decision.Plan != nil {
			t.Fatal("asking for an exception was enough")
		}
		must(t, w.approve(p, "anna", text))
		for _, who := range []string{"rita", "anna"} { // asked for it; approved it
			if err := w.approve(p, who, text); !errors.Is(err, perform.ErrGlass) {
				t.Errorf("%s approves: %v", who, err)
			}
		}
		signed, err := residency.SignException(text, p["ben"])
		must(t, err)
		err = w.engine().ApproveException("user:anna2", "x-1", signed)
		if err == nil || !strings.Contains(err.Error(), "is not user:anna2's") {
			t.Errorf("with another person's key: %v", err)
		}
		if w.asks("c-3", cast.Pseudonymised, burst.Ended).Decision.Plan != nil {
			t.Fatal("one approval was enough")
		}
		must(t, w.Kill())
		w.start()
		must(t, w.approve(p, "ben", text))
		s := w.asks("c-4", cast.Pseudonymised, burst.Running)
		x := w.engine().Exceptions()[0]
		if s.Grant.Exception != "x-1" || !s.Grant.Expires.Equal(x.Terms.Expires) || len(x.Uses) != 2 {
			t.Errorf("the grant rests on %q until %v; uses %+v", s.Grant.Exception, s.Grant.Expires, x.Uses)
		}
		if s := w.asks("c-5", "claims/2025-q3", burst.Ended); s.Decision.Plan != nil {
			t.Error("another slice went along")
		}
		must(t, w.Kill()) // what is in force is what the log says
		w.start()
		s = w.reaches("c-4", burst.Ended)
		if s.Stopped == nil || s.Stopped.Why != burst.WhyExpired || !strings.Contains(s.Stopped.Detail, "exception x-1") {
			t.Errorf("it was stopped for %+v", s.Stopped)
		}
		if w.asks("c-6", cast.Pseudonymised, burst.Ended).Decision.Plan != nil {
			t.Error("it holds after its end")
		}
		for _, who := range []string{"user:rita", "user:anna", "user:ben", "user:carl"} {
			err := w.engine().ReviewException(who, "x-1", glass.Justified, "the ward's call is on file")
			if (err == nil) != (who == "user:carl") {
				t.Errorf("%s reviews: %v", who, err)
			}
		}
		for kind, n := range map[string]int{"requested": 1, "approved": 2, "used": 2, "reviewed": 1} {
			if got := w.count("break-glass-" + kind); got != n {
				t.Errorf("%d entries break-glass-%s, want %d", got, kind, n)
			}
		}
	})
}

func TestAnExceptionEndedEarlyCutsWhatRestsOnItNow(t *testing.T) {
	p, a := approvers(t, "anna", "ben")
	in(t, abroad(t, a), func(t *testing.T, w *world) {
		text := plea("x-1", cast.Pseudonymised)
		must(t, w.engine().RequestException("user:rita", text))
		must(t, w.approve(p, "anna", text))
		must(t, w.approve(p, "ben", text))
		w.asks("c-1", cast.Pseudonymised, burst.Running)
		must(t, w.engine().EndException("user:oscar", "x-1", "the ward is safe"))
		ended := time.Now()
		s := w.reaches("c-1", burst.Ended)
		if s.Stopped == nil || s.Stopped.Why != burst.WhyRules || s.GoneAt.Sub(ended) > 2*time.Minute {
			t.Errorf("stopped for %+v, gone %v after", s.Stopped, s.GoneAt.Sub(ended))
		}
		if w.asks("c-2", cast.Pseudonymised, burst.Ended).Decision.Plan != nil {
			t.Error("it still lifts a rule")
		}
	})
}

func TestAnExceptionThatCouldLiftNothingIsNotEntered(t *testing.T) {
	p, a := approvers(t, "anna", "ben")
	in(t, abroad(t, a), func(t *testing.T, w *world) {
		lifts := func(id string) string {
			return strings.Replace(plea("x-1", cast.Pseudonymised), `"lifts":["eu-only"]`, `"lifts":["`+id+`"]`, 1)
		}
		for want, text := range map[string]string{
			"no exception lifts that": plea("x-1", siteOnly),
			"no rule in force":        lifts("no-such-rule"),
			"has no @lift":            lifts("zone-follows-parent"),
			"not in the catalogue":    plea("x-1", "claims/1999"),
			"place":                   strings.Replace(plea("x-1", cast.Pseudonymised), "us-east-1", "moon-1", 1),
			"the text is not one":     "burstctl/grant/v1\n{}\n",
		} {
			err := w.engine().RequestException("user:rita", text)
			if !errors.Is(err, perform.ErrGlass) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
		if n := w.count("break-glass-requested"); n != 0 {
			t.Errorf("%d were entered", n)
		}
		old := plea("x-2", cast.Pseudonymised)
		must(t, w.engine().RequestException("user:rita", old))
		if err := w.engine().RequestException("user:rita", old); err == nil {
			t.Error("an id is used twice")
		}
		if err := w.engine().ReviewException("user:carl", "x-2", glass.Justified, "fine"); err == nil {
			t.Error("it is reviewed before its end")
		}
		time.Sleep(31*time.Minute + 10*time.Second) // not with a heartbeat
		if err := w.approve(p, "anna", old); err == nil {
			t.Error("it is approved after its end")
		}
	})
}

func TestWithoutApproversKeysNothingIsApprovedAndWhatWasHoldsNoLonger(t *testing.T) {
	p, a := approvers(t, "anna", "ben")
	in(t, abroad(t, a), func(t *testing.T, w *world) {
		text := plea("x-1", cast.Pseudonymised)
		must(t, w.engine().RequestException("user:rita", text))
		must(t, w.approve(p, "anna", text))
		must(t, w.approve(p, "ben", text))
		w.asks("c-1", cast.Pseudonymised, burst.Running)
		must(t, w.Kill())
		w.Approvers = residency.Approvers{}
		w.start()
		if s := w.reaches("c-1", burst.Ended); s.Stopped == nil || s.Stopped.Why != burst.WhyRules {
			t.Errorf("stopped for %+v", s.Stopped)
		}
		if w.asks("c-2", cast.Pseudonymised, burst.Ended).Decision.Plan != nil {
			t.Error("it holds where no approver is known")
		}
	})
}
