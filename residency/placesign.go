package residency

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// tablePreamble begins a signed table, so that no other signed note is one.
const tablePreamble = "burstctl/places/v1\n"

// ReadTable reads a table, sealed or bare, for people to look at. It checks no
// signature: by are the names that the note says have signed.
func ReadTable(b []byte) (t *Table, by []string, err error) {
	n, err := unsealed(b)
	if err != nil {
		return nil, nil, fmt.Errorf("read places: %w", err)
	}
	for _, s := range n.UnverifiedSigs {
		by = append(by, s.Name)
	}
	t, err = ParseTable([]byte(strings.TrimPrefix(n.Text, tablePreamble)))
	return t, by, err
}

// unsealed is the note that b is or, of a bare table, will be.
func unsealed(b []byte) (*note.Note, error) {
	n := &note.Note{Text: tablePreamble + string(b)}
	var unknown *note.UnverifiedNoteError
	if _, err := note.Open(b, note.VerifierList()); errors.As(err, &unknown) {
		n = unknown.Note
	}
	if !strings.HasPrefix(n.Text, tablePreamble) {
		return nil, errors.New("the note is not a place table")
	}
	return n, nil
}

// SignTable seals a table as a C2SP signed note. It signs only what ParseTable
// reads. A table that is sealed already gets further signatures: the ones it
// has are kept and not checked.
func SignTable(b []byte, signers ...note.Signer) ([]byte, error) {
	n, err := unsealed(b)
	if err != nil {
		return nil, fmt.Errorf("sign places: %w", err)
	}
	if _, err := ParseTable([]byte(strings.TrimPrefix(n.Text, tablePreamble))); err != nil {
		return nil, fmt.Errorf("sign places: %w", err)
	}
	if len(signers) == 0 {
		return nil, errors.New("sign places: no signer")
	}
	out, err := note.Sign(n, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign places: %w", err)
	}
	return out, nil
}

// OpenTable checks the note against the keys in v and reads the table in it.
// One known signature suffices; a bad one by a known key is an error.
func OpenTable(signed []byte, v note.Verifiers) (*Table, error) {
	t, _, err := OpenTableBy(signed, v, 1)
	return t, err
}

// OpenTableBy is [OpenTable] where need keys of those in v must have signed. It
// returns the names of those that did. That two names in v are two keys is the
// caller's to see to.
func OpenTableBy(signed []byte, v note.Verifiers, need int) (*Table, []string, error) {
	n, err := note.Open(signed, v)
	if err != nil {
		return nil, nil, fmt.Errorf("open places: %w", err)
	}
	text, ok := strings.CutPrefix(n.Text, tablePreamble)
	if !ok || !oneSpelling(n.Sigs) {
		return nil, nil, errors.New("open places: the note is not a place table")
	}
	var by []string
	for _, s := range n.Sigs { // note.Open takes each key once
		by = append(by, s.Name)
	}
	if need < 1 || len(by) < need {
		return nil, by, fmt.Errorf("open places: %d of the keys that count have signed, want %d", len(by), need)
	}
	t, err := ParseTable([]byte(text))
	if err != nil {
		return nil, by, fmt.Errorf("open places: %w", err)
	}
	return t, by, nil
}
