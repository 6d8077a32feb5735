package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// RotationCode and RotationKind mark the entry by which a log changes its key.
const (
	RotationCode = "0903"
	RotationKind = "key-rotated"
)

// rotationHead is the first line of what both keys sign. No checkpoint has a second line that is no number.
const rotationHead = "burstctl/log-key-rotation/v1"

// RotationBody is the body of a rotation entry.
type RotationBody struct {
	// Note is a C2SP signed note, signed by the old and by the new key. Its text has five lines: a fixed header, the
	// origin, the old verifier key, the new one, and the time, which is the entry's.
	Note string `json:"note"`
}

// NewRotation makes the entry in which the old key hands the log to the next. oldKey and nextKey are the verifier keys
// of the signers; all of them bear the log's name.
func NewRotation(at time.Time, actor string, old, next note.Signer, oldKey, nextKey string) (Entry, error) {
	at = at.UTC()
	text := strings.Join([]string{rotationHead, old.Name(), oldKey, nextKey, at.Format(time.RFC3339Nano), ""}, "\n")
	signed, err := note.Sign(&note.Note{Text: text}, old, next)
	if err != nil {
		return Entry{}, fmt.Errorf("sign rotation: %w", err)
	}
	body, err := Canonical(RotationBody{Note: string(signed)})
	if err != nil {
		return Entry{}, fmt.Errorf("sign rotation: %w", err)
	}
	e := Entry{V: 1, Code: RotationCode, Kind: RotationKind, At: at, Actor: actor, Body: body}
	if _, err := openRotation(e); err != nil {
		return Entry{}, fmt.Errorf("sign rotation: %w", err)
	}
	return e, nil
}

// Rotate enters e, made by NewRotation with the log's present signer, under a checkpoint that next signs, and lets next
// sign from then on. Witnesses and trust files that name the old key must be told of the new one; Verify follows e.
func (l *Log) Rotate(ctx context.Context, e Entry, next note.Signer) error {
	r, err := openRotation(e)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	leaf, err := e.Encode()
	if err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	l.turn.Lock()
	err = l.rotate(r, leaf, next)
	l.turn.Unlock()
	l.tell()
	if err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	return nil
}

func (l *Log) rotate(r rotation, leaf []byte, next note.Signer) error {
	n, err := note.Open([]byte(r.note), note.VerifierList(selfVerifier{l.signer}, selfVerifier{next}))
	if err != nil || len(n.Sigs) != 2 {
		return errors.New("the entry does not lead from the log's key to the next one")
	}
	l.mu.Lock()
	err = l.refusal(false)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	old := l.signer
	l.signer = next
	if _, err := l.commit([][]byte{leaf}); err != nil {
		l.signer = old
		return err
	}
	return nil
}

// logKey is a key a log signs with. Its text is what tells it from others: name and hash, 32 bits, can be made to
// match.
type logKey struct {
	note.Verifier
	vkey string
}

func newLogKey(vkey string) (logKey, error) {
	v, err := note.NewVerifier(vkey)
	return logKey{v, vkey}, err
}

// rotation is an opened rotation entry.
type rotation struct {
	old, next logKey
	note      string
}

// openRotation reads a rotation entry and requires both signatures.
func openRotation(e Entry) (rotation, error) {
	var body RotationBody
	if e.Code != RotationCode || e.Kind != RotationKind {
		return rotation{}, errors.New("read rotation: not a rotation entry")
	}
	if err := DecodeStrict(e.Body, &body); err != nil {
		return rotation{}, fmt.Errorf("read rotation: %w", err)
	}
	text, _, _ := strings.Cut(body.Note, "\n\n")
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != rotationHead || lines[4] != e.At.UTC().Format(time.RFC3339Nano) {
		return rotation{}, errors.New("read rotation: not a rotation statement of the entry's time")
	}
	old, err1 := newLogKey(lines[2])
	next, err2 := newLogKey(lines[3])
	if err := errors.Join(err1, err2); err != nil {
		return rotation{}, fmt.Errorf("read rotation: %w", err)
	}
	if old.Name() != lines[1] || next.Name() != lines[1] || old.vkey == next.vkey {
		return rotation{}, errors.New("read rotation: not two keys of one log")
	}
	n, err := note.Open([]byte(body.Note), note.VerifierList(old, next))
	if err != nil {
		return rotation{}, fmt.Errorf("read rotation: %w", err)
	}
	if len(n.Sigs) != 2 || len(n.UnverifiedSigs) > 0 || n.Text != text+"\n" {
		return rotation{}, errors.New("read rotation: not signed by the old and the new key")
	}
	return rotation{old, next, body.Note}, nil
}

// follow replaces trusted keys by those they were rotated to, in the order of the log.
func follow(trusted []logKey, turns []rotation) []logKey {
	keys := slices.Clone(trusted)
	for _, r := range turns {
		if !slices.ContainsFunc(keys, func(k logKey) bool { return k.vkey == r.old.vkey }) {
			continue
		}
		keys = slices.DeleteFunc(keys, func(k logKey) bool { return k.vkey == r.old.vkey || k.vkey == r.next.vkey })
		keys = append(keys, r.next)
	}
	return keys
}

func verifiers(keys []logKey) []note.Verifier {
	var vs []note.Verifier
	for _, k := range keys {
		vs = append(vs, k)
	}
	return vs
}
