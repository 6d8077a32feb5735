package residency

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxException is the longest an exception may hold.
const MaxException = 4 * time.Hour

// ExceptionReasons are the reason codes an exception may give; there are no
// others.
var ExceptionReasons = [...]string{"patient-safety", "legal-order", "security-incident", "continuity"}

// The bounds of what an exception may name.
const (
	maxWords = 1000 // bytes of an exception's reason in words
	maxScope = 16   // places, and rules to lift
)

// ExceptionTerms are what an exception says: one slice, purpose, team and site,
// at exactly these places, for at most [MaxException]. Made by whoever asks for
// one; they count for nothing until two approvers signed them.
type ExceptionTerms struct {
	ID        string    `json:"id"`
	Reason    string    `json:"reason"` // one of ExceptionReasons
	Words     string    `json:"words"`  // why, for the review; no personal data
	Site      string    `json:"site"`
	Slice     string    `json:"slice"`
	Purpose   string    `json:"purpose"`
	Team      string    `json:"team"`
	Places    []Address `json:"places"`          // exact: a region is none of its zones
	Lifts     []string  `json:"lifts,omitempty"` // ids of rules set aside; none: only a permit was missing
	NotBefore time.Time `json:"not_before"`      // UTC, whole seconds
	Expires   time.Time `json:"expires"`         // UTC, whole seconds; it does not hold then
}

// Check reports the first thing that keeps the terms from being an exception.
func (t ExceptionTerms) Check() error {
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"id", isName(t.ID)},
		{"reason", slices.Contains(ExceptionReasons[:], t.Reason)},
		{"words", isWords(t.Words)},
		{"site", isName(t.Site)},
		{"slice", isSliceName(t.Slice)},
		{"purpose", isName(t.Purpose)},
		{"team", isName(t.Team)},
		{"places", areAddresses(t.Places)},
		{"lifts", len(t.Lifts) == 0 || areNames(t.Lifts) && len(t.Lifts) <= maxScope},
		{"not_before", isInstant(t.NotBefore)},
		{"expires", isInstant(t.Expires) && t.Expires.After(t.NotBefore)},
	} {
		if !f.ok {
			return fmt.Errorf("check exception %q: its %s is missing or not well-formed", t.ID, f.name)
		}
	}
	if d := t.Expires.Sub(t.NotBefore); d > MaxException {
		return fmt.Errorf("check exception %q: it would hold for %v, at most %v is allowed", t.ID, d, MaxException)
	}
	return nil
}

// isWords reports whether s says something, on one line and in plain sight.
func isWords(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= maxWords && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// areAddresses reports whether there are addresses, all canonical and no two
// the same.
func areAddresses(as []Address) bool {
	for i, a := range as {
		if a.Check() != nil || slices.Contains(as[:i], a) {
			return false
		}
	}
	return len(as) > 0 && len(as) <= maxScope
}

// exceptionPreamble begins the text of an exception, so that no other signed
// note is one.
const exceptionPreamble = "burstctl/exception/v1\n"

// exceptionBody is what an exception says, in this order.
type exceptionBody struct {
	V int `json:"v"` // 1
	ExceptionTerms
}

// Text is what approvers sign: the whole exception, in its one spelling.
func (t ExceptionTerms) Text() (string, error) {
	if err := t.Check(); err != nil {
		return "", err
	}
	body, err := json.Marshal(exceptionBody{1, t})
	if err != nil {
		return "", fmt.Errorf("write exception %s: %w", t.ID, err)
	}
	return exceptionPreamble + string(body) + "\n", nil
}

// ReadException reads what Text writes, and nothing else. What it says is what
// somebody asks for: nobody need have signed it.
func ReadException(text string) (ExceptionTerms, error) {
	inner, ok := strings.CutPrefix(text, exceptionPreamble)
	body, line := strings.CutSuffix(inner, "\n")
	if !ok || !line {
		return ExceptionTerms{}, errors.New("read exception: the text is not one")
	}
	var b exceptionBody
	if err := decodeExact([]byte(body), &b); err != nil {
		return ExceptionTerms{}, fmt.Errorf("read exception: %w", err)
	}
	if b.V != 1 {
		return ExceptionTerms{}, fmt.Errorf("read exception: version %d is not known", b.V)
	}
	if err := b.Check(); err != nil {
		return ExceptionTerms{}, fmt.Errorf("read exception: %w", err)
	}
	return b.ExceptionTerms, nil
}

// Exception sets rules aside for one narrow scope and a few hours, because two
// approvers signed for it. Only [Approvers.Open] makes one; the zero Exception
// lifts nothing.
type Exception struct {
	terms  ExceptionTerms
	digest string
	signed []string // names of the approvers' keys
}

// ID names the exception, for ever.
func (x Exception) ID() string { return x.terms.ID }

// Digest is the "sha256:…" of its text; "" of the zero Exception.
func (x Exception) Digest() string { return x.digest }

// ExceptionDigest is the "sha256:…" of an exception's text.
func ExceptionDigest(text string) string { return digest([]byte(text)) }

// Expires is when it no longer holds, UTC.
func (x Exception) Expires() time.Time { return x.terms.Expires }

// Signed names the approvers' keys that signed it, in order.
func (x Exception) Signed() []string { return slices.Clone(x.signed) }

// Terms are what it says.
func (x Exception) Terms() ExceptionTerms {
	t := x.terms
	t.Places, t.Lifts = slices.Clone(t.Places), slices.Clone(t.Lifts)
	return t
}

// Valid reports whether it holds at this time: from its start until before its
// end.
func (x Exception) Valid(at time.Time) bool {
	return x.digest != "" && len(x.signed) >= approvals && x.terms.Check() == nil &&
		!at.Before(x.terms.NotBefore) && at.Before(x.terms.Expires)
}

// covers reports whether q is exactly what the exception is for.
func (x Exception) covers(q *question) bool {
	t := x.terms
	return t.ID != "" && t.Slice == q.ask.Slice.Name && t.Purpose == q.ask.Purpose && t.Team == q.ask.Team &&
		t.Site == q.ask.Site && slices.Contains(t.Places, q.place.Address)
}
