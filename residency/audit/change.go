package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Codes and kinds of the entries that change keys, beside RotationCode for the log's own.
const (
	ChangeCode     = "0904"
	ChangeKind     = "key-changed"
	RevocationCode = "0905"
	RevocationKind = "key-revoked"
)

// Roles of keys.
const (
	RoleLog     = "log"
	RoleWitness = "witness"
	RoleGrants  = "grants"
	RolePlaces  = "places"
)

// changeHead is the first line of what the old and the new key sign. No checkpoint has a second line that is no number.
const changeHead = "burstctl/key-change/v1"

// ChangeBody is the body of a change of a witness's, grants' or places' key.
type ChangeBody struct {
	// Note is a C2SP signed note, signed by the old and by the new key, as SignChange makes it.
	Note string `json:"note"`
}

// RevocationBody is the body of a revocation: from its entry on, what the key signed does not count.
type RevocationBody struct {
	Role   string `json:"role"`
	Key    string `json:"key"` // verifier key
	Reason string `json:"reason"`
}

// Change is an opened entry about keys. OpenChange makes it; the zero value changes nothing.
type Change struct {
	// Role is whose key it is: one of the Role constants.
	Role string
	// Old and Next are verifier keys. Next is "" where Old is revoked.
	Old, Next string
	// Reason is a revocation's.
	Reason string

	note      string
	old, next pubKey
}

// Revokes tells a revocation from a rotation.
func (c Change) Revokes() bool { return c.Next == "" }

// IsChange reports whether an entry is about keys; OpenChange reads it.
func IsChange(e Entry) bool {
	return slices.Contains([]string{RotationCode, ChangeCode, RevocationCode}, e.Code)
}

// OpenChange reads an entry about keys: a rotation of the log's key or of another, which both keys must have signed,
// or a revocation.
func OpenChange(e Entry) (Change, error) {
	switch {
	case e.Code == RotationCode:
		r, err := openRotation(e)
		return Change{Role: RoleLog, Old: r.old.vkey, Next: r.next.vkey, note: r.note, old: r.old, next: r.next}, err
	case e.Code == ChangeCode && e.Kind == ChangeKind:
		var body ChangeBody
		if err := DecodeStrict(e.Body, &body); err != nil {
			return Change{}, fmt.Errorf("read change of key: %w", err)
		}
		c, at, err := openChange(body.Note)
		if err == nil && !at.Equal(e.At) {
			err = errors.New("read change of key: another time than the entry's")
		}
		return c, err
	case e.Code == RevocationCode && e.Kind == RevocationKind:
		return openRevocation(e)
	}
	return Change{}, errors.New("read change of key: not an entry about keys")
}

// SignChange has the old and the new key of a role sign that the one hands over to the other. It is made where the
// keys are; NewChange puts it into an entry. oldKey and nextKey are the signers' verifier keys; both have one name.
func SignChange(at time.Time, role string, old, next note.Signer, oldKey, nextKey string) (string, error) {
	at = at.UTC()
	text := strings.Join([]string{changeHead, role, oldKey, nextKey, at.Format(time.RFC3339Nano), ""}, "\n")
	signed, err := note.Sign(&note.Note{Text: text}, old, next)
	if err == nil {
		_, _, err = openChange(string(signed))
	}
	if err != nil {
		return "", fmt.Errorf("sign change of key: %w", err)
	}
	return string(signed), nil
}

// NewChange makes the entry for what SignChange made. The actor is who asked for it.
func NewChange(actor, signed string) (Entry, error) {
	_, at, err := openChange(signed)
	if err != nil {
		return Entry{}, err
	}
	body, err := Canonical(ChangeBody{Note: signed})
	if err != nil {
		return Entry{}, fmt.Errorf("enter change of key: %w", err)
	}
	return Entry{V: 1, Code: ChangeCode, Kind: ChangeKind, At: at, Actor: actor, Body: body}, nil
}

// NewRevocation makes the entry that ends a key. The reason is entered: no personal data.
func NewRevocation(at time.Time, actor, role, vkey, reason string) (Entry, error) {
	body, err := Canonical(RevocationBody{Role: role, Key: vkey, Reason: reason})
	if err != nil {
		return Entry{}, fmt.Errorf("revoke key: %w", err)
	}
	e := Entry{V: 1, Code: RevocationCode, Kind: RevocationKind, At: at.UTC(), Actor: actor, Body: body}
	_, err = openRevocation(e)
	return e, err
}

func openRevocation(e Entry) (Change, error) {
	var body RevocationBody
	if err := DecodeStrict(e.Body, &body); err != nil {
		return Change{}, fmt.Errorf("read revocation: %w", err)
	}
	old, err := newPubKey(body.Role, body.Key)
	if err != nil {
		return Change{}, fmt.Errorf("read revocation: %w", err)
	}
	if strings.TrimSpace(body.Reason) == "" {
		return Change{}, errors.New("read revocation: no reason")
	}
	return Change{Role: body.Role, Old: body.Key, Reason: body.Reason, old: old}, nil
}

// openChange reads a statement and requires both signatures.
func openChange(signed string) (Change, time.Time, error) {
	text, _, _ := strings.Cut(signed, "\n\n")
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != changeHead || lines[1] == RoleLog {
		return Change{}, time.Time{}, errors.New("read change of key: not a statement of one")
	}
	at, err0 := time.Parse(time.RFC3339Nano, lines[4])
	old, err1 := newPubKey(lines[1], lines[2])
	next, err2 := newPubKey(lines[1], lines[3])
	if err := errors.Join(err0, err1, err2); err != nil {
		return Change{}, time.Time{}, fmt.Errorf("read change of key: %w", err)
	}
	if old.Name() != next.Name() || old.vkey == next.vkey || at.UTC().Format(time.RFC3339Nano) != lines[4] {
		return Change{}, time.Time{}, errors.New("read change of key: not two keys of one holder")
	}
	n, err := note.Open([]byte(signed), note.VerifierList(old, next))
	if err != nil {
		return Change{}, time.Time{}, fmt.Errorf("read change of key: %w", err)
	}
	if len(n.Sigs) != 2 || len(n.UnverifiedSigs) > 0 || n.Text != text+"\n" {
		return Change{}, time.Time{}, errors.New("read change of key: not signed by the old and the new key")
	}
	return Change{Role: lines[1], Old: lines[2], Next: lines[3], note: signed, old: old, next: next}, at, nil
}

// pubKey is a verifier with its text. The text is what tells it from others: name and hash, 32 bits, can be made to
// match.
type pubKey struct {
	note.Verifier
	vkey string
}

func newLogKey(vkey string) (pubKey, error) { return newPubKey(RoleLog, vkey) }

func newPubKey(role, vkey string) (pubKey, error) {
	switch role {
	case RoleWitness:
		v, err := CosignatureVerifier(vkey)
		return pubKey{v, vkey}, err
	case RoleLog, RoleGrants, RolePlaces:
		v, err := note.NewVerifier(vkey)
		return pubKey{v, vkey}, err
	}
	return pubKey{}, fmt.Errorf("no key has the role %q", role)
}

// reach says which keys count after some changes.
type reach int

const (
	newest   reach = iota // what may sign now
	standing              // the superseded as well, unless revoked: what signed before
	ever                  // all of them: what identifies a log
)

// follow applies the changes of a role to keys, in the order of the log. Only the newest of a line hands over; a
// revoked key neither does nor comes back.
func follow(role string, keys []pubKey, changes []Change, r reach) []pubKey {
	keys = slices.Clone(keys)
	has := func(vkey string) bool {
		return slices.ContainsFunc(keys, func(k pubKey) bool { return k.vkey == vkey })
	}
	drop := func(vkey string) { keys = slices.DeleteFunc(keys, func(k pubKey) bool { return k.vkey == vkey }) }
	over := map[string]bool{} // superseded or revoked
	for _, c := range changes {
		switch {
		case c.Role != role:
		case c.Revokes():
			if over[c.Old] = true; r != ever {
				drop(c.Old)
			}
		case has(c.Old) && !over[c.Old] && !over[c.Next]:
			if over[c.Old] = true; r == newest {
				drop(c.Old)
			}
			drop(c.Next)
			keys = append(keys, c.next)
		}
	}
	return keys
}

// standingFrom follows the changes of a role from verifiers whose text is not known: each must have signed what it
// hands over.
func standingFrom(role string, from []note.Verifier, changes []Change) []note.Verifier {
	var keys []pubKey
	for _, v := range from {
		keys = append(keys, pubKey{Verifier: v})
	}
	for _, c := range changes {
		i := slices.IndexFunc(keys, func(k pubKey) bool { return k.vkey == "" && c.isOf(k.Verifier) })
		if c.Role == role && i >= 0 {
			keys[i].vkey = c.Old
		}
	}
	return verifiers(follow(role, keys, changes, standing))
}

// isOf reports whether v is the key the change is about: by name and hash, and by its signature where it gave one.
func (c Change) isOf(v note.Verifier) bool {
	if c.old.Verifier == nil || c.old.Name() != v.Name() || c.old.KeyHash() != v.KeyHash() {
		return false
	}
	if c.Revokes() {
		return true // at worst a key of the same hash is refused as well
	}
	n, err := note.Open([]byte(c.note), note.VerifierList(v))
	return err == nil && len(n.Sigs) == 1
}

func verifiers(keys []pubKey) []note.Verifier {
	var vs []note.Verifier
	for _, k := range keys {
		vs = append(vs, k)
	}
	return vs
}
