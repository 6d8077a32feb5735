// Package glass is the life of exceptions ("break-glass"), folded from what the
// log says: asked for, approved by two people, used, ended, reviewed.
//
// # Before effect
//
// An exception counts from its second approval that is in the log, by another
// person with another key. [Book.InForce] opens it anew each time, with the
// approvers' keys that its caller was configured with: a log that names others
// opens nothing. The controller and whoever reviews its log fold with the same
// [Book], the one to refuse what does not follow, the other to find it.
//
// # Who
//
// A person is an actor of the log. Whoever asks does not approve, nobody
// approves twice, an approval is signed with the key of that person's name, and
// whoever reviews neither asked nor approved.
//
// # Non-goals
//
// What an exception lifts is residency's to say. No I/O, no clock.
package glass

import (
	"fmt"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// ReviewWithin is how long after its end the use of an exception may go without
// a review.
const ReviewWithin = 72 * time.Hour

// Outcomes of a review.
const (
	Justified = "justified"
	Misuse    = "misuse"
)

// Body is what an entry about an exception says. Its use is [burst.Excepted].
type Body interface{ Kind() string }

// The bodies, as they stand in the log.
type (
	// Requested asks for an exception: the whole text that approvers sign.
	Requested struct {
		Text string `json:"text"`
	}
	// Approved is one person's approval of that text.
	Approved struct {
		Exception string `json:"exception"` // its id
		Key       string `json:"key"`       // the name of the key that signed
		Signed    string `json:"signed"`    // the text, signed as a C2SP note
	}
	// Reviewed says afterwards whether the exception was justified.
	Reviewed struct {
		Exception string `json:"exception"`
		Outcome   string `json:"outcome"` // Justified or Misuse
		Words     string `json:"words"`
	}
	// Ended ends an exception before its time.
	Ended struct {
		Exception string `json:"exception"`
		Why       string `json:"why"`
	}
)

// Kind of every body.

func (Requested) Kind() string { return "break-glass-requested" }
func (Approved) Kind() string  { return "break-glass-approved" }
func (Reviewed) Kind() string  { return "break-glass-reviewed" }
func (Ended) Kind() string     { return "break-glass-ended" }

// Codes are the stable codes of the kinds.
var Codes = map[string]string{Requested{}.Kind(): "0601", Approved{}.Kind(): "0602", Reviewed{}.Kind(): "0604",
	Ended{}.Kind(): "0605"}

// New makes a body to decode an entry of this kind into; nil if the kind is no
// exception's.
func New(kind string) Body {
	for _, b := range []Body{new(Requested), new(Approved), new(Reviewed), new(Ended)} {
		if b.Kind() == kind {
			return b
		}
	}
	return nil
}

// Mark is an entry: where it lies, when it was made, and by whom. The zero Mark
// is none.
type Mark struct {
	Index int64     `json:"entry"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
}

// Is reports whether m is an entry.
func (m Mark) Is() bool { return !m.At.IsZero() }

// Approval is one person's signature.
type Approval struct {
	Mark
	Key    string `json:"key"`
	Signed string `json:"-"` // the note
}

// Use is one decision that rested on the exception.
type Use struct {
	Mark
	Claim string            `json:"claim"`
	Stage string            `json:"stage"`
	At    residency.Address `json:"place"`
	Aside []string          `json:"set_aside,omitempty"`
}

// Life is one exception, as the log tells it. Made by [Book.Add].
type Life struct {
	Terms     residency.ExceptionTerms `json:"terms"`
	Text      string                   `json:"-"`
	Digest    string                   `json:"digest"`
	Asked     Mark                     `json:"asked"`
	Approvals []Approval               `json:"approvals"`
	Uses      []Use                    `json:"uses"`
	Ended     Mark                     `json:"ended,omitzero"` // early
	Why       string                   `json:"why,omitempty"`  // it was ended
	Reviewed  Mark                     `json:"reviewed,omitzero"`
	Outcome   string                   `json:"outcome,omitempty"`
	Words     string                   `json:"words,omitempty"` // of the review
}

// Over is when the exception ends, or ended early.
func (l Life) Over() time.Time {
	if l.Ended.Is() && l.Ended.At.Before(l.Terms.Expires) {
		return l.Ended.At
	}
	return l.Terms.Expires
}

// Counted are the approvals by people who did not ask, one a person and key.
func (l Life) Counted() []Approval {
	var all []Approval
	for _, a := range l.Approvals {
		fresh := a.By != l.Asked.By
		for _, b := range all {
			fresh = fresh && a.By != b.By && a.Key != b.Key
		}
		if fresh {
			all = append(all, a)
		}
	}
	return all
}

// State is the exception at this time in a word.
func (l Life) State(at time.Time) string {
	switch {
	case l.Reviewed.Is():
		return "reviewed"
	case l.Ended.Is():
		return "ended"
	case !at.Before(l.Terms.Expires):
		return "expired"
	case len(l.Counted()) < 2:
		return fmt.Sprintf("%d of 2 approvals", len(l.Counted()))
	case at.Before(l.Terms.NotBefore):
		return "approved"
	}
	return "in force"
}

// Sealed is the text with the signatures that count and that approvers made. It
// is what [residency.Approvers.Open] takes.
func (l Life) Sealed(approvers residency.Approvers) ([]byte, error) {
	var signed [][]byte
	for _, a := range l.Counted() {
		key, err := approvers.Approval(l.Text, []byte(a.Signed))
		if err == nil && key == a.Key {
			signed = append(signed, []byte(a.Signed))
		}
	}
	return approvers.Join(l.Text, signed...)
}

// Book is every exception a log knows. The zero Book is empty and ready to use;
// it is not safe for use by several goroutines.
type Book struct{ lives []*Life }

// All returns the exceptions in the order they were asked for.
func (b *Book) All() []Life {
	all := make([]Life, 0, len(b.lives))
	for _, l := range b.lives {
		all = append(all, *l)
	}
	return all
}

// Find returns the exception of this id.
func (b *Book) Find(id string) (Life, error) {
	if l := b.find(id); l != nil {
		return *l, nil
	}
	return Life{}, fmt.Errorf("find exception %q: the log does not name it", id)
}

func (b *Book) find(id string) *Life {
	for _, l := range b.lives {
		if l.Terms.ID == id {
			return l
		}
	}
	return nil
}

// Standing is an exception in force, and its seal.
type Standing struct {
	residency.Exception
	Sealed string
}

// InForce opens the exceptions that hold at this time and were not ended.
func (b *Book) InForce(at time.Time, approvers residency.Approvers) []Standing {
	var all []Standing
	for _, l := range b.lives {
		if l.Ended.Is() || !at.Before(l.Terms.Expires) {
			continue
		}
		sealed, err := l.Sealed(approvers)
		if err != nil {
			continue
		}
		if x, err := approvers.Open(sealed); err == nil && x.Valid(at) {
			all = append(all, Standing{x, string(sealed)})
		}
	}
	return all
}

// Add folds an entry. Entries that are about no exception change nothing; one
// that cannot be read, or names an exception nobody asked for, is an error.
func (b *Book) Add(leaf audit.Leaf) error {
	e := leaf.Entry
	body := New(e.Kind)
	if _, used := burst.Kinds[e.Kind]; body == nil && (!used || e.Kind != (burst.Excepted{}).Kind()) {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("fold entry %d, %s: %w", leaf.Index, e.Kind, err) }
	m := Mark{leaf.Index, e.At, e.Actor}
	if body == nil {
		var x burst.Excepted
		if err := audit.DecodeStrict(e.Body, &x); err != nil {
			return fail(err)
		}
		return b.used(m, e.Burst, x, fail)
	}
	if err := audit.DecodeStrict(e.Body, body); err != nil {
		return fail(err)
	}
	if code := Codes[e.Kind]; e.Code != code {
		return fail(fmt.Errorf("its code is %s, not %s", e.Code, code))
	}
	if err := b.add(m, body); err != nil {
		return fail(err)
	}
	return nil
}

// used folds a decision that rested on an exception.
func (b *Book) used(m Mark, claim string, x burst.Excepted, fail func(error) error) error {
	l := b.find(x.Exception)
	if l == nil || l.Digest != x.Digest {
		return fail(fmt.Errorf("exception %q, %s, was never asked for", x.Exception, x.Digest))
	}
	l.Uses = append(l.Uses, Use{m, claim, x.Stage, x.At, x.Aside})
	return nil
}

func (b *Book) add(m Mark, body Body) error {
	if r, ok := body.(*Requested); ok {
		t, err := residency.ReadException(r.Text)
		if err == nil && b.find(t.ID) != nil {
			err = fmt.Errorf("exception %s was asked for before", t.ID)
		}
		if err == nil {
			b.lives = append(b.lives, &Life{Terms: t, Text: r.Text, Digest: residency.ExceptionDigest(r.Text), Asked: m})
		}
		return err
	}
	id := ""
	switch x := body.(type) {
	case *Approved:
		id = x.Exception
	case *Reviewed:
		id = x.Exception
	case *Ended:
		id = x.Exception
	}
	l := b.find(id)
	if l == nil {
		return fmt.Errorf("exception %q was never asked for", id)
	}
	switch x := body.(type) {
	case *Approved:
		l.Approvals = append(l.Approvals, Approval{m, x.Key, x.Signed})
	case *Reviewed:
		l.Reviewed, l.Outcome, l.Words = m, x.Outcome, x.Words
	case *Ended:
		l.Ended, l.Why = m, x.Why
	}
	return nil
}
