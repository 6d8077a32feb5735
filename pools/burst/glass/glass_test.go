package glass_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

var (
	noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	here = residency.Address{Provider: "aws", Region: "us-east-1"}
)

// log writes entries and folds them.
type log struct {
	t         *testing.T
	book      glass.Book
	next      int64
	signers   map[string]note.Signer
	approvers residency.Approvers
	text      string
}

func newLog(t *testing.T) *log {
	t.Helper()
	l := &log{t: t, signers: map[string]note.Signer{}}
	var vkeys []string
	for _, name := range []string{"anna", "ben", "rita"} {
		skey, vkey, err := note.GenerateKey(rand.Reader, "house.test/approver/"+name)
		l.must(err)
		l.signers[name], err = note.NewSigner(skey)
		l.must(err)
		vkeys = append(vkeys, vkey)
	}
	var err error
	l.approvers, err = residency.NewApprovers(vkeys...)
	l.must(err)
	l.text, err = residency.ExceptionTerms{ID: "x-1", Reason: "legal-order", Words: "court order 7/26", Site: "hq",
		Slice: "claims/2025", Purpose: "audit", Team: "legal", Places: []residency.Address{here},
		Lifts: []string{"eu-only"}, NotBefore: noon, Expires: noon.Add(time.Hour)}.Text()
	l.must(err)
	return l
}

func (l *log) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// enter folds a body so many minutes after noon.
func (l *log) enter(minutes int, actor string, body any, kind, code string) error {
	l.t.Helper()
	raw, err := json.Marshal(body)
	l.must(err)
	at := noon.Add(time.Duration(minutes) * time.Minute)
	e := audit.Entry{V: 1, Code: code, Kind: kind, At: at, Actor: actor, Body: raw}
	if kind == "break-glass-used" {
		e.Burst = "c-1"
	}
	l.next++
	return l.book.Add(audit.Leaf{Index: l.next, Entry: e})
}

func (l *log) says(minutes int, actor string, body glass.Body) {
	l.t.Helper()
	l.must(l.enter(minutes, actor, body, body.Kind(), glass.Codes[body.Kind()]))
}

// signed is a person's approval.
func (l *log) signed(key string) string {
	l.t.Helper()
	b, err := residency.SignException(l.text, l.signers[key])
	l.must(err)
	return string(b)
}

func (l *log) approves(minutes int, actor, key string) {
	l.t.Helper()
	l.says(minutes, "user:"+actor,
		&glass.Approved{Exception: "x-1", Key: "house.test/approver/" + key, Signed: l.signed(key)})
}

func (l *log) uses(minutes int, at residency.Address, aside ...string) {
	l.t.Helper()
	x := &burst.Excepted{Exception: "x-1", Digest: residency.ExceptionDigest(l.text), Stage: burst.OnRead, At: at,
		Aside: aside}
	l.must(l.enter(minutes, "controller", x, x.Kind(), "0603"))
}

func (l *log) inForce(minutes int) int {
	return len(l.book.InForce(noon.Add(time.Duration(minutes)*time.Minute), l.approvers))
}

func TestAnExceptionIsInForceFromItsSecondPersonsApprovalUntilItsEnd(t *testing.T) {
	l := newLog(t)
	l.says(0, "user:rita", &glass.Requested{Text: l.text})
	l.approves(1, "rita", "rita") // entered by a controller that did not ask
	l.approves(2, "anna", "anna")
	l.approves(3, "anna", "ben") // one person with two keys
	l.approves(3, "ben", "anna") // two people with one key
	if l.inForce(4) != 0 {
		t.Fatal("it is in force after one person's approval")
	}
	l.approves(5, "ben", "ben")
	if l.inForce(6) != 1 || l.inForce(60) != 0 || l.inForce(-1) != 0 {
		t.Errorf("in force at 6, 60 and -1 minutes: %d, %d, %d", l.inForce(6), l.inForce(60), l.inForce(-1))
	}
	if n := len(l.book.InForce(noon.Add(time.Minute), residency.Approvers{})); n != 0 {
		t.Error("it is in force where no approver is known")
	}
	l.says(7, "user:oscar", &glass.Ended{Exception: "x-1", Why: "over"})
	if l.inForce(8) != 0 {
		t.Error("it is in force after it was ended")
	}
}

func TestAnEntryThatDoesNotFollowIsAnError(t *testing.T) {
	l := newLog(t)
	for what, err := range map[string]error{
		"an approval of nothing": l.enter(0, "user:anna", &glass.Approved{Exception: "x-1"},
			"break-glass-approved", "0602"),
		"a use of nothing":    l.enter(0, "controller", &burst.Excepted{Exception: "x-1"}, "break-glass-used", "0603"),
		"another code":        l.enter(0, "user:rita", &glass.Requested{Text: l.text}, "break-glass-requested", "0602"),
		"a text that is none": l.enter(0, "user:rita", &glass.Requested{Text: "lift all"}, "break-glass-requested", "0601"),
		"an unknown key": l.enter(0, "user:rita", map[string]string{"text": l.text, "also": ""},
			"break-glass-requested", "0601"),
	} {
		if err == nil {
			t.Errorf("%s is folded", what)
		}
	}
	l.must(l.enter(0, "controller", map[string]int{"n": 1}, "heartbeat", "0900"))
	if len(l.book.All()) != 0 {
		t.Error("the book holds an exception")
	}
}

func TestFaultsAreWhatAReviewerLooksFor(t *testing.T) {
	asked := func(string) residency.Ask {
		return residency.Ask{Slice: residency.Slice{Name: "claims/2025"}, Purpose: "audit", Team: "legal", Site: "hq"}
	}
	good := func(l *log) {
		l.says(0, "user:rita", &glass.Requested{Text: l.text})
		l.approves(1, "anna", "anna")
		l.approves(2, "ben", "ben")
	}
	week := 7 * 24 * 60
	for name, tc := range map[string]struct {
		play func(l *log)
		last int // minutes after noon
		want string
	}{
		"all in order": {func(l *log) {
			good(l)
			l.uses(3, here, "eu-only")
			l.says(90, "user:carl", &glass.Reviewed{Exception: "x-1", Outcome: glass.Justified, Words: "it was"})
		}, week, ""},
		"never used":       {good, week, ""},
		"not reviewed":     {func(l *log) { good(l); l.uses(3, here) }, week, "not reviewed within 72h"},
		"not yet reviewed": {func(l *log) { good(l); l.uses(3, here) }, 71 * 60, ""},
		"one approval": {func(l *log) {
			l.says(0, "user:rita", &glass.Requested{Text: l.text})
			l.approves(1, "anna", "anna")
			l.uses(2, here)
			l.approves(3, "ben", "ben")
		}, 4, "after 1 of 2 approvals"},
		"approved by who asked": {func(l *log) {
			l.says(0, "user:rita", &glass.Requested{Text: l.text})
			l.approves(1, "anna", "anna")
			l.approves(1, "rita", "rita")
			l.uses(2, here)
		}, 4, "after 1 of 2 approvals"},
		"a signature that is none": {func(l *log) {
			l.says(0, "user:rita", &glass.Requested{Text: l.text})
			l.approves(1, "anna", "anna")
			l.says(1, "user:ben", &glass.Approved{Exception: "x-1", Key: "house.test/approver/ben",
				Signed: strings.Replace(l.signed("ben"), "7/26", "8/26", 1)})
			l.uses(2, here)
		}, 4, "after 1 of 2 approvals"},
		"after its end": {func(l *log) { good(l); l.uses(60, here) }, 61, "outside its time"},
		"after an early end": {func(l *log) {
			good(l)
			l.says(3, "user:oscar", &glass.Ended{Exception: "x-1", Why: "over"})
			l.uses(4, here)
		}, 5, "outside its time"},
		"another place": {func(l *log) {
			good(l)
			l.uses(3, residency.Address{Provider: "aws", Region: "us-west-2"})
		}, 5, "outside its scope"},
		"another rule": {func(l *log) { good(l); l.uses(3, here, "zone-follows-parent") }, 5, "which it does not name"},
		"reviewed by an approver": {func(l *log) {
			good(l)
			l.says(90, "user:anna", &glass.Reviewed{Exception: "x-1", Outcome: glass.Justified, Words: "mine"})
		}, 91, "approved it"},
		"reviewed before its end": {func(l *log) {
			good(l)
			l.says(9, "user:carl", &glass.Reviewed{Exception: "x-1", Outcome: glass.Justified, Words: "early"})
		}, 91, "has not ended"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			tc.play(l)
			x, err := l.book.Find("x-1")
			l.must(err)
			found := x.Faults(noon.Add(time.Duration(tc.last)*time.Minute), l.approvers, asked)
			if text := fmt.Sprint(found); tc.want == "" && len(found) > 0 || !strings.Contains(text, tc.want) {
				t.Errorf("found %v, want %q", found, tc.want)
			}
		})
	}
	l := newLog(t)
	good(l)
	l.uses(3, here)
	x, err := l.book.Find("x-1")
	l.must(err)
	if found := x.Faults(noon, l.approvers, func(string) residency.Ask { return residency.Ask{} }); len(found) != 1 {
		t.Errorf("a claim nobody knows: %v", found)
	}
}
