package edge_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// notInGermany is a site rule that approvers may set aside for a while.
const notInGermany = `@id("not-de") @title("not in Germany") @basis("a test") @lift("break-glass")
	forbid (principal, action, resource) when { context.place.country == "DE" };`

// approver is a person's key.
type approver struct {
	note.Signer
	vkey string
}

func newApprover(t *testing.T, name string) approver {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, domain+"/approver/"+name)
	must(t, err)
	s, err := note.NewSigner(skey)
	must(t, err)
	return approver{s, vkey}
}

func approversOf(t *testing.T, people ...approver) residency.Approvers {
	t.Helper()
	var vkeys []string
	for _, p := range people {
		vkeys = append(vkeys, p.vkey)
	}
	a, err := residency.NewApprovers(vkeys...)
	must(t, err)
	return a
}

// excepts is an exception of the honest question, changed, and its seal.
func excepts(t *testing.T, change func(*residency.ExceptionTerms), people ...approver) (residency.Exception, string) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	x := residency.ExceptionTerms{ID: "x-1", Reason: "continuity", Words: "a test", Site: site, Slice: pseudo,
		Purpose: "model-training", Team: cast.Team, Lifts: []string{"not-de"}, NotBefore: now.Add(-time.Hour),
		Expires: now.Add(time.Hour), Places: []residency.Address{{Provider: "aws", Region: "eu-central-1"}}}
	if change != nil {
		change(&x)
	}
	text, err := x.Text()
	must(t, err)
	var signers []note.Signer
	for _, p := range people {
		signers = append(signers, p)
	}
	sealed, err := note.Sign(&note.Note{Text: text}, signers...)
	must(t, err)
	e, err := approversOf(t, people...).Open(sealed)
	if err != nil {
		return residency.Exception{}, string(sealed) // signed by one only
	}
	return e, string(sealed)
}

// The controller here lies: its own rules forbid, it makes up approvers of its
// own, and it bends grants as it likes. What it cannot do is sign for the people
// whose keys this edge was configured with.
func TestAControllerThatForgesOrWidensAnExceptionServesNothing(t *testing.T) {
	anna, ben := newApprover(t, "anna"), newApprover(t, "ben")
	eve, mallory := newApprover(t, "eve"), newApprover(t, "mallory")
	w := newWorld(t, func(w *world) {
		w.conf.Rules, w.conf.Approvers = rulesOf(t, permitAll+notInGermany), approversOf(t, anna, ben)
	})
	good, sealed := excepts(t, nil, anna, ben)
	made, forged := excepts(t, nil, eve, mallory)
	_, single := excepts(t, nil, anna)
	other := func(x *residency.ExceptionTerms) { x.Team, x.ID = "research", "x-2" }
	_, others := excepts(t, other, anna, ben)
	theirs, _ := excepts(t, other, eve, mallory) // the same text, so the same digest
	short := func(x *residency.ExceptionTerms) { x.Expires, x.ID = x.Expires.Add(-50*time.Minute), "x-3" }
	brief, briefly := excepts(t, short, anna, ben)
	with := func(known residency.Exception, seal string) func(*spec) {
		return func(s *spec) {
			s.Law, s.Known, s.Except = permitAll+notInGermany, []residency.Exception{known}, seal
		}
	}
	says := func(known residency.Exception, seal, from, to string) func(*spec) {
		return func(s *spec) {
			with(known, seal)(s)
			s.Bend = func(text string) string { return strings.Replace(text, from, to, 1) }
		}
	}
	for id, tt := range map[string]struct {
		change func(*spec)
		code   string
	}{
		"no-exception":          {nil, "rules"},
		"its-seal-left-out":     {with(good, ""), "exception"},
		"strangers-signatures":  {with(made, forged), "exception"},
		"one-approvers":         {with(made, single), "exception"},
		"anothers-seal":         {with(good, others), "exception"},
		"of-another-team":       {says(good, others, good.Digest(), theirs.Digest()), "rules"},
		"a-seal-and-no-word":    {func(s *spec) { s.Except = sealed }, "exception"},
		"a-word-taken-back":     {says(good, "", `,"exception":"`+good.Digest()+`"`, ""), "rules"},
		"a-grant-that-outlasts": {says(brief, briefly, expiry(brief), expiry(good)), "exception"},
	} {
		t.Run(id, func(t *testing.T) { w.honest(id, tt.change).noByte(t, tt.code) })
	}
	w.honest("two-approvers", with(good, sealed)).reads(0, 1)
	w.edge.SetRules(rulesOf(t, permitAll+strings.Replace(notInGermany, `@lift("break-glass")`, "", 1)))
	w.honest("no-longer-liftable", with(good, sealed)).noByte(t, "rules")
}

// expiry is the end of a grant that rests on an exception, as its seal has it.
func expiry(x residency.Exception) string {
	return `"expires":"` + x.Expires().Format(time.RFC3339) + `"`
}

func TestAnEdgeWithoutApproversKeysLetsNoExceptionThrough(t *testing.T) {
	anna, ben := newApprover(t, "anna"), newApprover(t, "ben")
	w := newWorld(t, func(w *world) { w.conf.Rules = rulesOf(t, permitAll+notInGermany) })
	good, sealed := excepts(t, nil, anna, ben)
	w.honest("g-1", func(s *spec) {
		s.Law, s.Known, s.Except = permitAll+notInGermany, []residency.Exception{good}, sealed
	}).noByte(t, "exception")
	w.line("peer refused", "no approver's key is configured here")
}

func TestServingEndsWithTheException(t *testing.T) {
	anna, ben := newApprover(t, "anna"), newApprover(t, "ben")
	w := newWorld(t, func(w *world) {
		w.conf.Rules, w.conf.Approvers = rulesOf(t, permitAll+notInGermany), approversOf(t, anna, ben)
	})
	soon := time.Now().UTC().Truncate(time.Second).Add(8 * time.Second)
	x, sealed := excepts(t, func(x *residency.ExceptionTerms) { x.Expires = soon }, anna, ben)
	n := w.honest("g-1", func(s *spec) {
		s.Law, s.Known, s.Except = permitAll+notInGermany, []residency.Exception{x}, sealed
	})
	n.reads(0, 1)
	time.Sleep(time.Until(soon) + time.Second/4)
	// At most the window that was open is used up: 4 MiB hold the manifest and three chunks.
	for i := 1; n.chunk(i, time.Second) == nil; i++ {
		if i == 3 {
			t.Fatal("a window was opened after the end")
		}
	}
	if opened, _ := w.books("g-1"); len(opened) != 1 {
		t.Errorf("%d windows were entered", len(opened))
	}
}
