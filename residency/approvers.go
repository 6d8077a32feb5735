package residency

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// approvals is how many approvers, each with a key of their own, make an
// exception.
const approvals = 2

// Approvers are the keys of the people who may approve exceptions. Made by
// [NewApprovers] from a reader's own configuration, never from what is to be
// opened; the zero Approvers open nothing.
type Approvers struct{ list []note.Verifier }

// NewApprovers takes verifier keys, one a person. Two keys of one name, and one
// key under two names, are refused: two signatures must be two people's.
func NewApprovers(vkeys ...string) (Approvers, error) {
	var a Approvers
	var seen [][]byte
	for _, vkey := range vkeys {
		v, err := note.NewVerifier(strings.TrimSpace(vkey))
		if err != nil {
			return Approvers{}, fmt.Errorf("read approver's key: %w", err)
		}
		// The name holds no "+"; base64 may.
		parts := strings.SplitN(strings.TrimSpace(vkey), "+", 3)
		key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
		if err != nil {
			return Approvers{}, fmt.Errorf("read approver's key: %w", err)
		}
		for i, other := range a.list {
			if other.Name() == v.Name() || bytes.Equal(seen[i], key) {
				return Approvers{}, fmt.Errorf("read approvers' keys: %s and %s are one approver", other.Name(), v.Name())
			}
		}
		a.list, seen = append(a.list, v), append(seen, key)
	}
	return a, nil
}

// Names are the names of the approvers' keys.
func (a Approvers) Names() []string {
	names := make([]string, 0, len(a.list))
	for _, v := range a.list {
		names = append(names, v.Name())
	}
	return names
}

// SignException is one approval: the exception's text, signed as a C2SP note.
func SignException(text string, s note.Signer) ([]byte, error) {
	t, err := ReadException(text)
	if err != nil {
		return nil, fmt.Errorf("sign exception: %w", err)
	}
	out, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		return nil, fmt.Errorf("sign exception %s: %w", t.ID, err)
	}
	return out, nil
}

// Approval checks one approval of exactly this text and names the key that
// signed it.
func (a Approvers) Approval(text string, signed []byte) (string, error) {
	n, err := a.open(signed)
	switch {
	case err != nil:
		return "", fmt.Errorf("check approval: %w", err)
	case n.Text != text:
		return "", errors.New("check approval: it is of another text")
	case len(n.Sigs) != 1:
		return "", fmt.Errorf("check approval: it has %d signatures, want one", len(n.Sigs))
	}
	return n.Sigs[0].Name, nil
}

// Join puts approvals of one text together, in the order of their keys' names.
// It is what [Approvers.Open] takes once there are two.
func (a Approvers) Join(text string, signed ...[]byte) ([]byte, error) {
	all := &note.Note{Text: text}
	for _, one := range signed {
		if _, err := a.Approval(text, one); err != nil {
			return nil, err
		}
		n, err := a.open(one)
		if err != nil {
			return nil, err
		}
		all.Sigs = append(all.Sigs, n.Sigs...)
	}
	slices.SortFunc(all.Sigs, func(x, y note.Signature) int { return strings.Compare(x.Name, y.Name) })
	out, err := note.Sign(all)
	if err != nil {
		return nil, fmt.Errorf("join approvals: %w", err)
	}
	return out, nil
}

// Open is the only way to an [Exception]. It wants two signatures at least, all
// by approvers and no two by the same one, over exactly what Text writes. It
// does not look at the time: ask [Exception.Valid].
func (a Approvers) Open(sealed []byte) (Exception, error) {
	n, err := a.open(sealed)
	if err != nil {
		return Exception{}, fmt.Errorf("open exception: %w", err)
	}
	t, err := ReadException(n.Text)
	if err != nil {
		return Exception{}, fmt.Errorf("open exception: %w", err)
	}
	if len(n.Sigs) < approvals {
		return Exception{}, fmt.Errorf("open exception %s: signed by %d approver, want %d", t.ID, len(n.Sigs), approvals)
	}
	x := Exception{terms: t, digest: ExceptionDigest(n.Text)}
	for _, sig := range n.Sigs {
		x.signed = append(x.signed, sig.Name)
	}
	return x, nil
}

// open opens a note that approvers signed, each at most once, in no other
// spelling than Join writes.
func (a Approvers) open(signed []byte) (*note.Note, error) {
	if len(a.list) == 0 {
		return nil, errors.New("no approver's key is configured here")
	}
	n, err := note.Open(signed, note.VerifierList(a.list...))
	if err != nil {
		return nil, err
	}
	if len(n.UnverifiedSigs) != 0 {
		return nil, fmt.Errorf("%s is no approver here", n.UnverifiedSigs[0].Name)
	}
	again, err := note.Sign(n)
	sorted := slices.IsSortedFunc(n.Sigs, func(x, y note.Signature) int { return strings.Compare(x.Name, y.Name) })
	if err != nil || !bytes.Equal(again, signed) || !sorted || !oneSpelling(n.Sigs) {
		return nil, errors.New("the signatures are spelled in another way than they were written")
	}
	return n, nil
}
