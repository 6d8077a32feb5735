package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Step is an entry about keys as the log proves it to a witness: in the tree of a checkpoint that extends what the
// witness remembers. The log's side makes it from Log.Extend; nobody trusts it unproven.
type Step struct {
	Index                  int64
	Leaf                   []byte // the encoded entry
	Checkpoint             []byte
	Consistency, Inclusion []tlog.Hash
}

// AskChanges is the kind by which a site asks the controller for the first change of keys after one it knows; nothing
// is entered for it. AfterBody is the question. An answer with a negative index says that there is none.
const AskChanges = "key-changes"

// AfterBody names the index after which changes of keys are asked for; -1 is from the first.
type AfterBody struct {
	After int64 `json:"after"`
}

// Follow takes up changes of keys, in the log's order, and cosigns head, or where that is nil the last step's
// checkpoint. Steps beyond head's tree are left for later. Each step must be proven under a checkpoint that extends the
// memory, whose size oldSize must be, and so must head by its proof. Each must be signed by the key known so far or by
// one it was rotated to in these very steps; head by the newest. Changes are kept durably, so that a superseded key
// means nothing to this witness again.
func (w *Witness) Follow(
	now time.Time, oldSize int64, steps []Step, head []byte, proof []tlog.Hash,
) (cosigned []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	done, err := w.refresh()
	if err != nil {
		return nil, fmt.Errorf("follow keys: %w", err)
	}
	defer done()
	if head == nil && len(steps) > 0 {
		head, proof = steps[len(steps)-1].Checkpoint, steps[len(steps)-1].Consistency
	}
	tree, err := parseSigned(head)
	if err != nil {
		return nil, fmt.Errorf("follow keys: %w", err)
	}
	steps = slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Index >= tree.size })
	leaves, err := w.prove(oldSize, steps)
	if err != nil {
		return nil, fmt.Errorf("follow keys: %w", err)
	}
	log := w.log
	for _, leaf := range leaves {
		if next, err := turned(log, leaf.Entry); err == nil && next != nil { // prove saw the error
			log = next
		}
	}
	last, err := w.examine(head, oldSize, proof, log)
	if err == nil && len(leaves) > 0 {
		err = w.keepKeys(leaves)
	}
	if err == nil {
		last, err = w.remember(last, now)
	}
	if err != nil {
		return nil, fmt.Errorf("follow keys: %w", err)
	}
	return last.bytes(), nil
}

// prove checks that each step is in a tree that extends the memory, under a key the log has signed with since.
func (w *Witness) prove(oldSize int64, steps []Step) ([]Leaf, error) {
	leaves, keys, err := w.line(steps)
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		tree, err := w.examine(s.Checkpoint, oldSize, s.Consistency, keys...)
		if err == nil && s.Index >= tree.size {
			err = errors.New("not in the tree")
		}
		if err == nil {
			err = tlog.CheckRecord(s.Inclusion, tree.size, tree.root, s.Index, tlog.RecordHash(s.Leaf))
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", s.Index, err)
		}
	}
	return leaves, nil
}

// line reads the steps and says which keys the log signed with from now to their end, the newest last.
func (w *Witness) line(steps []Step) (leaves []Leaf, keys []note.Verifier, err error) {
	keys = []note.Verifier{w.log}
	seen := w.seen()
	for _, s := range steps {
		e, err := DecodeEntry(s.Leaf)
		if err != nil {
			return nil, nil, err
		}
		if s.Index <= seen {
			return nil, nil, fmt.Errorf("entry %d does not follow entry %d", s.Index, seen)
		}
		seen = s.Index
		leaves = append(leaves, Leaf{s.Index, e})
		next, err := turned(keys[len(keys)-1], e)
		if err != nil {
			return nil, nil, err
		}
		if next != nil {
			keys = append(keys, next)
		}
	}
	return leaves, keys, nil
}

// turned is the key that the entry hands the log over to, from the one given; nil where it concerns another.
func turned(log note.Verifier, e Entry) (note.Verifier, error) {
	c, err := OpenChange(e)
	switch {
	case err != nil:
		return nil, err
	case c.Role != RoleLog || !c.isOf(log):
		return nil, nil
	case c.Revokes():
		return nil, errors.New("the log's key is revoked and no other takes its place")
	}
	return c.next, nil
}

// Seen is the index of the newest change of keys taken up; -1 before the first.
func (w *Witness) Seen() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen()
}

func (w *Witness) seen() int64 {
	if len(w.changes) == 0 {
		return -1
	}
	return w.changes[len(w.changes)-1].Index
}

// Trust is t after the changes of keys the witness has taken up.
func (w *Witness) Trust(t Trust) Trust { return t.after(w.taken(), standing) }

// Standing are the keys of a role that count, from those configured: not the revoked, but those they were rotated to.
func (w *Witness) Standing(role string, keys ...note.Verifier) []note.Verifier {
	return standingFrom(role, keys, w.taken())
}

func (w *Witness) taken() []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changes []Change
	for _, leaf := range w.changes {
		if c, err := OpenChange(leaf.Entry); err == nil { // it was opened when it was taken up
			changes = append(changes, c)
		}
	}
	return changes
}

// readKeys takes the changes from their file, a line for each: its index and the entry. They speak for themselves: a
// rotation bears both signatures.
func (w *Witness) readKeys() error {
	raw, err := os.ReadFile(w.file + ".keys")
	if errors.Is(err, fs.ErrNotExist) && len(w.changes) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	log, leaves := w.given, []Leaf(nil)
	for line := range bytes.Lines(raw) {
		index, entry, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		i, err1 := strconv.ParseInt(string(index), 10, 64)
		e, err2 := DecodeEntry(entry)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("%s.keys: %w", w.file, err)
		}
		next, err := turned(log, e)
		if err != nil {
			return fmt.Errorf("%s.keys: %w", w.file, err)
		}
		if next != nil {
			log = next
		}
		leaves = append(leaves, Leaf{i, e})
	}
	if len(leaves) < len(w.changes) {
		return fmt.Errorf("%s.keys: forgot changes of keys", w.file)
	}
	w.log, w.changes = log, leaves
	return nil
}

// keepKeys adds changes to the file.
func (w *Witness) keepKeys(more []Leaf) error {
	var b bytes.Buffer
	for _, leaf := range slices.Concat(w.changes, more) {
		raw, err := leaf.Entry.Encode()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%d %s\n", leaf.Index, raw)
	}
	if err := w.disk.replace(w.file+".keys.tmp", w.file+".keys", b.Bytes()); err != nil {
		if !isFull(err) {
			w.dead = err
		}
		return err
	}
	return w.readKeys()
}
