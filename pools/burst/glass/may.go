package glass

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Ahead is how long before its start an exception may be asked for: an
// emergency is now.
const Ahead = time.Hour

// Request is the entry of somebody who asks for an exception at this time, or
// why none is made.
func (b *Book) Request(text string, at time.Time) (*Requested, error) {
	t, err := residency.ReadException(text)
	switch {
	case err != nil:
		return nil, err
	case b.find(t.ID) != nil:
		return nil, fmt.Errorf("ask for exception %s: the log has one of this id", t.ID)
	case !at.Before(t.Expires):
		return nil, fmt.Errorf("ask for exception %s: it would have ended already", t.ID)
	case t.NotBefore.Sub(at) > Ahead:
		return nil, fmt.Errorf("ask for exception %s: it would begin in more than %v", t.ID, Ahead)
	}
	return &Requested{Text: text}, nil
}

// Approve is the entry of a person's approval, signed as
// [residency.SignException] does, or why none is made.
func (b *Book) Approve(actor, id, signed string, approvers residency.Approvers, at time.Time) (*Approved, error) {
	l, err := b.Find(id)
	if err != nil {
		return nil, err
	}
	no := func(why string) (*Approved, error) { return nil, fmt.Errorf("approve exception %s: %s", id, why) }
	key, err := approvers.Approval(l.Text, []byte(signed))
	switch {
	case err != nil:
		return no(err.Error())
	case l.Ended.Is() || !at.Before(l.Terms.Expires):
		return no("it has ended")
	case actor == l.Asked.By:
		return no(actor + " asked for it; two other people must approve")
	case !owns(actor, key):
		return no(fmt.Sprintf("key %s is not %s's", key, actor))
	case slices.ContainsFunc(l.Approvals, func(a Approval) bool { return a.By == actor || a.Key == key }):
		return no(actor + " has approved it already; another person must")
	}
	return &Approved{Exception: id, Key: key, Signed: signed}, nil
}

// owns reports whether a key is the actor's own, by its name's last part:
// "house.test/approver/anna" is user:anna's.
func owns(actor, key string) bool {
	name, ok := strings.CutPrefix(actor, "user:")
	return ok && name != "" && strings.HasSuffix(key, "/"+name)
}

// End is the entry that ends an exception before its time, or why none is made.
func (b *Book) End(id, why string, at time.Time) (*Ended, error) {
	l, err := b.Find(id)
	switch {
	case err != nil:
		return nil, err
	case l.Ended.Is() || !at.Before(l.Terms.Expires):
		return nil, fmt.Errorf("end exception %s: it has ended", id)
	case strings.TrimSpace(why) == "":
		return nil, fmt.Errorf("end exception %s: a reason is missing", id)
	}
	return &Ended{Exception: id, Why: why}, nil
}

// Review is the entry of a review, or why none is made.
func (b *Book) Review(actor, id, outcome, words string, at time.Time) (*Reviewed, error) {
	l, err := b.Find(id)
	if err != nil {
		return nil, err
	}
	err = reviewable(l, actor, outcome, at)
	if err == nil && l.Reviewed.Is() {
		err = errors.New("it is reviewed already")
	}
	if err == nil && strings.TrimSpace(words) == "" {
		err = errors.New("say in words what the review found")
	}
	if err != nil {
		return nil, fmt.Errorf("review exception %s: %w", id, err)
	}
	return &Reviewed{Exception: id, Outcome: outcome, Words: words}, nil
}

// reviewable says what keeps a review by this person at this time from counting.
func reviewable(l Life, actor, outcome string, at time.Time) error {
	switch {
	case outcome != Justified && outcome != Misuse:
		return fmt.Errorf("outcome %q is neither %s nor %s", outcome, Justified, Misuse)
	case at.Before(l.Over()):
		return errors.New("it has not ended yet")
	case actor == l.Asked.By:
		return fmt.Errorf("%s asked for it; another person must review it", actor)
	case slices.ContainsFunc(l.Approvals, func(a Approval) bool { return a.By == actor }):
		return fmt.Errorf("%s approved it; another person must review it", actor)
	}
	return nil
}

// Fault is what the log shows to be wrong about an exception, by the entry that
// shows it.
type Fault struct {
	Mark
	Claim string
	Text  string
}

// Faults finds what the log shows against an exception, given the time of its
// last entry. With approvers' keys the signatures are verified once more;
// without any they are taken as entered. The scope of a use is checked by its
// place; ask says what a claim asked for, as far as the log knows it.
func (l Life) Faults(last time.Time, approvers residency.Approvers, ask func(claim string) residency.Ask) []Fault {
	var all []Fault
	find := func(m Mark, claim, format string, args ...any) {
		all = append(all, Fault{m, claim, "exception " + l.Terms.ID + " " + fmt.Sprintf(format, args...)})
	}
	for _, u := range l.Uses {
		if n := len(l.before(u.Index, approvers)); n < 2 {
			find(u.Mark, u.Claim, "was used after %d of 2 approvals", n)
		}
		if u.Mark.At.Before(l.Terms.NotBefore) || !u.Mark.At.Before(l.Over()) {
			find(u.Mark, u.Claim, "was used outside its time")
		}
		if a := ask(u.Claim); a.Slice.Name != l.Terms.Slice || a.Purpose != l.Terms.Purpose || a.Team != l.Terms.Team ||
			a.Site != l.Terms.Site || !slices.Contains(l.Terms.Places, u.At) {
			find(u.Mark, u.Claim, "was used outside its scope, at %s", u.At)
		}
		for _, id := range u.Aside {
			if !slices.Contains(l.Terms.Lifts, id) {
				find(u.Mark, u.Claim, "set aside rule %s, which it does not name", id)
			}
		}
	}
	switch {
	case l.Reviewed.Is():
		if err := reviewable(l, l.Reviewed.By, l.Outcome, l.Reviewed.At); err != nil {
			find(l.Reviewed, "", "was reviewed by somebody who may not, or too early: %v", err)
		}
	case len(l.Uses) > 0 && last.Sub(l.Over()) > ReviewWithin:
		find(l.Uses[0].Mark, l.Uses[0].Claim, "was used and not reviewed within %v of its end", ReviewWithin)
	}
	return all
}

// before are the approvals that count and were entered before an entry.
func (l Life) before(index int64, approvers residency.Approvers) []Approval {
	return slices.DeleteFunc(l.Counted(), func(a Approval) bool {
		if len(approvers.Names()) == 0 {
			return a.Index >= index
		}
		key, err := approvers.Approval(l.Text, []byte(a.Signed))
		return a.Index >= index || err != nil || key != a.Key || !owns(a.By, key)
	})
}
