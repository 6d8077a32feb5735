package residency

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Terms are what a grant is for and how long it lasts. Made by the controller;
// a grant is made only if each of them is known.
type Terms struct {
	ID          string    `json:"id"`
	Claim       string    `json:"claim"`
	Attempt     int       `json:"attempt"`      // from 1
	Payload     string    `json:"payload"`      // digest of the program's manifest; "" for none
	SliceDigest string    `json:"slice_digest"` // of the manifest that may be read
	Epoch       int64     `json:"epoch"`        // of the controller
	NotBefore   time.Time `json:"not_before"`   // UTC, whole seconds
	Expires     time.Time `json:"expires"`      // UTC, whole seconds; the grant is not valid then
}

// missing names the terms that are not known.
func (t Terms) missing() []string {
	var names []string
	for _, f := range []struct {
		name  string
		known bool
	}{
		{"terms.id", isName(t.ID)},
		{"terms.claim", t.Claim != ""},
		{"terms.attempt", t.Attempt > 0},
		{"terms.payload", t.Payload == "" || isDigest(t.Payload)},
		{"terms.slice_digest", isDigest(t.SliceDigest)},
		{"terms.epoch", t.Epoch >= 0},
		{"terms.not_before", isInstant(t.NotBefore)},
		{"terms.expires", isInstant(t.Expires) && t.Expires.After(t.NotBefore)},
	} {
		if !f.known {
			names = append(names, f.name)
		}
	}
	return names
}

// isInstant reports whether t is set, UTC and has one spelling in JSON.
func isInstant(t time.Time) bool {
	return t.Year() > 1970 && t.Year() < 10000 && t.Location() == time.UTC && t.Nanosecond() == 0
}

// Grant says that one node, proven at one place, may read one slice for a
// while. Only [Rules.Clear] and [OpenGrant] make one; the zero Grant is never
// valid.
type Grant struct{ b grantBody }

// grantBody is what a sealed grant says, in this order.
type grantBody struct {
	V        int    `json:"v"` // 1
	Terms    Terms  `json:"terms"`
	Ask      Ask    `json:"ask"`
	Place    Place  `json:"place"`
	Instance string `json:"instance"`
	NodeKey  string `json:"node_key"`
	Evidence string `json:"evidence"` // digest
	Level    Level  `json:"level"`
	Trust    string `json:"trust"`
	Rules    string `json:"rules"`  // digest
	Places   string `json:"places"` // digest

	Exception string `json:"exception,omitempty"` // digest of the one it rests on
}

// Clear answers the second question: may the node that was proven read? If so
// it makes the grant; the zero Grant goes with every other verdict. Groups are
// those of the day it starts. Times are taken as UTC in whole seconds, the start
// rounded down and the end too. A grant that rests on an exception ends with it.
func (r *Rules) Clear(t *Table, p Proven, ask Ask, terms Terms) (Grant, Verdict) {
	q := question{stage: stageRead, ask: ask, place: p.place, proven: p.instance != "", level: p.level, trust: p.trust}
	v := r.answer(t.At(terms.NotBefore), q)
	if !v.Allowed {
		return Grant{}, v
	}
	terms.NotBefore = terms.NotBefore.UTC().Truncate(time.Second)
	terms.Expires = terms.Expires.UTC().Truncate(time.Second)
	excepted := ""
	if x := v.Exception; x != nil {
		excepted = x.Digest
		if x.Expires.Before(terms.Expires) {
			terms.Expires = x.Expires
		}
	}
	if v.Missing = terms.missing(); len(v.Missing) > 0 {
		v.Allowed, v.Rules, v.Exception = false, nil, nil
		v.Why = fmt.Sprintf("%s is refused: not known: %s", q.what(), strings.Join(v.Missing, ", "))
		return Grant{}, v
	}
	return Grant{grantBody{V: 1, Terms: terms, Ask: ask, Place: p.place, Instance: p.instance, NodeKey: p.nodeKey,
		Evidence: p.evidence, Level: p.level, Trust: p.trust, Rules: v.RulesDigest, Places: v.PlacesDigest,
		Exception: excepted}}, v
}

// check reports what keeps a body from being a grant that Clear could have
// made.
func (b grantBody) check() error {
	q := question{stage: stageRead, ask: b.Ask, place: b.Place, country: b.Place.Country, proven: true,
		level: b.Level, trust: b.Trust, day: b.Terms.NotBefore.Format(time.DateOnly)}
	missing := append(q.missing(), b.Terms.missing()...)
	rule, closed := q.closed()
	switch {
	case b.V != 1:
		return fmt.Errorf("version %d is not known", b.V)
	case len(missing) > 0:
		return fmt.Errorf("not known: %s", strings.Join(missing, ", "))
	case closed:
		return errors.New(rule.Title)
	case b.Instance == "":
		return errors.New("the instance is missing")
	}
	for _, d := range []string{b.NodeKey, b.Evidence, b.Rules, b.Places, cmp.Or(b.Exception, b.Rules)} {
		if !isDigest(d) {
			return fmt.Errorf("%q is not a digest", d)
		}
	}
	return nil
}

// grantPreamble begins a sealed grant, so that no other signed note is one.
const grantPreamble = "burstctl/grant/v1\n"

// Seal signs the grant as a C2SP signed note. The zero Grant cannot be sealed.
func (g Grant) Seal(s note.Signer) ([]byte, error) {
	if err := g.b.check(); err != nil {
		return nil, fmt.Errorf("seal grant %s: %w", g.b.Terms.ID, err)
	}
	body, err := json.Marshal(g.b)
	if err != nil {
		return nil, fmt.Errorf("seal grant %s: %w", g.b.Terms.ID, err)
	}
	out, err := note.Sign(&note.Note{Text: grantPreamble + string(body) + "\n"}, s)
	if err != nil {
		return nil, fmt.Errorf("seal grant %s: %w", g.b.Terms.ID, err)
	}
	return out, nil
}

// OpenGrant is the only way back in. It wants exactly one signature, by a key
// in v, over exactly what Seal writes. It does not look at the time: ask
// [Grant.Valid].
func OpenGrant(sealed []byte, v note.Verifiers) (Grant, error) {
	n, err := note.Open(sealed, v)
	if err != nil {
		return Grant{}, fmt.Errorf("open grant: %w", err)
	}
	text, ok := strings.CutPrefix(n.Text, grantPreamble)
	body, line := strings.CutSuffix(text, "\n")
	switch {
	case !ok || !line:
		return Grant{}, errors.New("open grant: the note is not a grant")
	case len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0:
		return Grant{}, errors.New("open grant: want exactly one signature")
	case !oneSpelling(n.Sigs):
		return Grant{}, errors.New("open grant: the signature is spelled in another way than it was written")
	}
	var b grantBody
	if err := decodeExact([]byte(body), &b); err != nil {
		return Grant{}, fmt.Errorf("open grant: %w", err)
	}
	if err := b.check(); err != nil {
		return Grant{}, fmt.Errorf("open grant: %w", err)
	}
	return Grant{b}, nil
}

// oneSpelling reports whether signatures are written as note.Sign writes them:
// base64 leaves bits of its last character unused, and a note whose bits differ
// there would open as well.
func oneSpelling(sigs []note.Signature) bool {
	for _, sig := range sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return false
		}
	}
	return true
}
