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
// sign from then on. Entries about keys may go with it, such as the revocation of the old one. Verify and a Witness
// follow e. An error means that nothing was entered and the old key signs on, save after a failed sync.
func (l *Log) Rotate(ctx context.Context, e Entry, next note.Signer, with ...Entry) error {
	r, err := openRotation(e)
	leaves, changes, err2 := encodeChanges(append([]Entry{e}, with...))
	if err = errors.Join(err, err2, ctx.Err()); err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	if !r.of(r.next, next) {
		return errors.New("rotate key: the entry does not lead to the next key")
	}
	return l.turnKeys(leaves, changes, func() error {
		if !r.of(r.old, l.signer) {
			return errors.New("rotate key: the entry does not lead from the log's key")
		}
		l.signer = next
		return nil
	})
}

// EnterChange enters changes of keys other than the log's own, and revocations. From then on cosignatures of a
// witness's new key count as its old one's do, and those of a revoked key do not. The key the log signs with is not
// revoked so: it hands over in Rotate, which takes the revocation with it.
func (l *Log) EnterChange(ctx context.Context, es ...Entry) error {
	leaves, changes, err := encodeChanges(es)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return fmt.Errorf("change key: %w", err)
	}
	return l.turnKeys(leaves, changes, func() error {
		for _, c := range changes {
			if c.Role == RoleLog && (!c.Revokes() || c.old.Name() == l.signer.Name() && c.old.KeyHash() == l.signer.KeyHash()) {
				return errors.New("change key: the log's own key hands over in Rotate")
			}
		}
		return nil
	})
}

// Changes are the entries about keys so far, in order.
func (l *Log) Changes() []Leaf {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.changes)
}

func encodeChanges(es []Entry) (leaves [][]byte, changes []Change, err error) {
	for _, e := range es {
		c, err := OpenChange(e)
		if err != nil {
			return nil, nil, err
		}
		leaf, err := e.Encode()
		if err != nil {
			return nil, nil, err
		}
		leaves, changes = append(leaves, leaf), append(changes, c)
	}
	return leaves, changes, nil
}

// turnKeys commits entries about keys once prepare agrees, alone in their batch. On a full disk it uses the reserve.
func (l *Log) turnKeys(leaves [][]byte, changes []Change, prepare func() error) error {
	err := l.turnKeysOnce(leaves, changes, prepare)
	if errors.Is(err, ErrFull) {
		if err := l.release(); err != nil {
			return err
		}
		err = l.turnKeysOnce(leaves, changes, prepare)
	}
	l.tell()
	return err
}

func (l *Log) turnKeysOnce(leaves [][]byte, changes []Change, prepare func() error) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	err := l.refusal(true)
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("change key: %w", err)
	}
	old := l.signer
	if err := prepare(); err != nil {
		return err
	}
	first, err := l.commit(leaves)
	if err != nil {
		l.signer = old
		return fmt.Errorf("change key: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, leaf := range leaves {
		e, err := DecodeEntry(leaf)
		if err != nil {
			return fmt.Errorf("change key: %w", err) // it was encoded a moment ago
		}
		l.changes = append(l.changes, Leaf{first + int64(i), e})
	}
	l.o.Witnesses = standingFrom(RoleWitness, l.o.Witnesses, changes)
	return nil
}

// SignedWith reports whether a checkpoint bears a good signature of the key. It tells a start that finds two keys,
// because a rotation was cut short, which of them the log is signed with.
func SignedWith(checkpoint []byte, key note.Verifier) bool {
	c, err := parseSigned(checkpoint)
	if err != nil {
		return false
	}
	known, _, err := c.by(key)
	return err == nil && len(known) == 1
}

// rotation is an opened rotation entry.
type rotation struct {
	old, next pubKey
	note      string
}

// of reports whether the signer holds key, which signed the rotation.
func (r rotation) of(key pubKey, s note.Signer) bool {
	if s.Name() != key.Name() || s.KeyHash() != key.KeyHash() {
		return false
	}
	n, err := note.Open([]byte(r.note), note.VerifierList(selfVerifier{s}))
	return err == nil && len(n.Sigs) == 1
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
