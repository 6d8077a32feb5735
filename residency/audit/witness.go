package audit

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Witness remembers the largest tree of one log it has seen, and cosigns only what extends it. OpenWitness makes it.
//
// Its memory is one file: the checkpoint it cosigned last. A witness whose file is lost would believe anything again:
// then its key must be retired. Beside it, with ".keys" added to the name, lie the changes of keys it has taken up.
type Witness struct {
	file   string
	signer note.Signer
	own    note.Verifier
	former []note.Verifier
	given  note.Verifier // the key of the log it was opened with
	disk   *disk

	mu      sync.Mutex
	log     note.Verifier // the key the log signs with now
	changes []Leaf        // taken up, in order
	last    signed
	dead    error
}

// ConflictError says that the caller does not know what the witness remembers: prove consistency from that size.
type ConflictError struct {
	// Remembered is the size of the tree the witness saw last.
	Remembered int64
}

// Error names the size.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("the witness remembers a tree of %d entries", e.Remembered)
}

// OpenWitness takes up the memory in file, or starts one there. signer makes cosignature/v1 signatures and knows its
// verifier, as WitnessSigner and the formats library's do; log is a key of the log, whose name is the log's origin:
// the first, or one it was rotated to. former are the witness's own superseded keys, which may have signed the memory.
func OpenWitness(file string, signer note.Signer, log note.Verifier, former ...note.Verifier) (*Witness, error) {
	w := &Witness{file: filepath.Clean(file), signer: signer, given: log, log: log, former: former, disk: osDisk()}
	switch s := signer.(type) {
	case interface{ Verifier() *fnote.Verifier }:
		w.own = s.Verifier()
	case interface{ Verifier() note.Verifier }:
		w.own = s.Verifier()
	}
	if file == "" || log == nil || w.own == nil {
		return nil, errors.New("open witness: no file, no log key, or a signer without its verifier")
	}
	lock, err := lockFile(w.file+".lock", syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	defer lock.Close()
	if err := w.readKeys(); err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	if w.last, err = w.read(); err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	return w, nil
}

// read takes the memory from the file. It must bear the witness's own signature.
func (w *Witness) read() (signed, error) {
	raw, err := os.ReadFile(w.file)
	if errors.Is(err, fs.ErrNotExist) {
		return signed{}, nil
	}
	if err != nil {
		return signed{}, err
	}
	s, err := parseSigned(raw)
	if err != nil {
		return signed{}, fmt.Errorf("%s: %w", w.file, err)
	}
	sigs, _, err := s.by(append([]note.Verifier{w.own}, w.former...)...)
	if err != nil || len(sigs) == 0 || s.origin != w.log.Name() {
		return signed{}, fmt.Errorf("%s: no checkpoint of %s that this witness cosigned", w.file, w.log.Name())
	}
	return s, nil
}

// Size is the size of the tree cosigned last; 0 before the first.
func (w *Witness) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.size
}

// Remembers is the checkpoint cosigned last, with the log's and the witness's signature; nil before the first.
func (w *Witness) Remembers() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.text == "" {
		return nil
	}
	return w.last.bytes()
}

// Cosign checks that the checkpoint is signed by the log and that its tree extends the one remembered, whose size
// oldSize must be; proof is what Log.Consistency gives. It remembers the checkpoint durably and only then returns
// it with its cosignature at time now. Another oldSize is a *ConflictError; a smaller or another tree is a
// *ForkError. Two processes may share the file: it is locked and read again each time.
func (w *Witness) Cosign(
	now time.Time, checkpoint []byte, oldSize int64, proof []tlog.Hash,
) (cosigned []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	done, err := w.refresh()
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	defer done()
	next, err := w.examine(checkpoint, oldSize, proof, w.log)
	if err == nil {
		next, err = w.remember(next, now)
	}
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	return next.bytes(), nil
}

// refresh locks the files and reads them again. It is called under mu; done unlocks them.
func (w *Witness) refresh() (done func(), err error) {
	if w.dead != nil {
		return nil, w.dead
	}
	lock, err := lockFile(w.file+".lock", syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	last, err := w.read()
	if err == nil && last.size < w.last.size {
		err = fmt.Errorf("%s: forgot the tree of %d entries", w.file, w.last.size)
	}
	if err = errors.Join(err, w.readKeys()); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	w.last = last
	return func() { lock.Close() }, nil
}

// remember cosigns a checkpoint that was examined and makes it the memory.
func (w *Witness) remember(next signed, now time.Time) (signed, error) {
	next, err := w.sign(next, now)
	if err != nil {
		return signed{}, err
	}
	if err := w.disk.replace(w.file+".tmp", w.file, next.bytes()); err != nil {
		if !isFull(err) {
			w.dead = err
		}
		return signed{}, err
	}
	w.last = next
	return next, nil
}

// ErrOtherKey says that a checkpoint is not signed by the key of the log that the witness knows. It may have been
// rotated: ask for the changes of keys and let Witness.Follow see them.
var ErrOtherKey = errors.New("not signed by the log's key")

// examine checks a checkpoint, signed by one of the keys, against the memory. It returns it with that signature alone.
func (w *Witness) examine(raw []byte, oldSize int64, proof []tlog.Hash, keys ...note.Verifier) (signed, error) {
	next, err := parseSigned(raw)
	if err != nil {
		return signed{}, err
	}
	sigs, _, err := next.by(keys...)
	if err != nil {
		return signed{}, err
	}
	if len(sigs) != 1 || next.origin != w.log.Name() {
		return signed{}, fmt.Errorf("checkpoint of %q: %w", next.origin, ErrOtherKey)
	}
	next.sigs = sigs
	fork := func(why string) error { return &ForkError{w.last.bytes(), raw, why} }
	switch last := w.last; {
	case next.size < last.size:
		return signed{}, fork(fmt.Sprintf("%d entries, but %d were cosigned", next.size, last.size))
	case next.size == last.size && last.text != "" && next.root != last.root:
		return signed{}, fork(fmt.Sprintf("another tree of %d entries was cosigned", last.size))
	case oldSize != last.size:
		return signed{}, &ConflictError{last.size}
	case last.size == 0 || next.size == last.size:
		if len(proof) > 0 {
			return signed{}, errors.New("a proof where there is nothing to prove")
		}
	default:
		if err := tlog.CheckTree(proof, next.size, next.root, last.size, last.root); err != nil {
			return signed{}, fork(fmt.Sprintf("not shown to extend the %d entries cosigned: %v", last.size, err))
		}
	}
	return next, nil
}

func (w *Witness) sign(c signed, now time.Time) (signed, error) {
	var sig []byte
	var err error
	if s, ok := w.signer.(interface {
		SignAt(msg []byte, now time.Time) ([]byte, error)
	}); ok {
		sig, err = s.SignAt([]byte(c.text), now)
	} else {
		sig, err = w.signer.Sign([]byte(c.text))
	}
	if err != nil {
		return signed{}, err
	}
	raw := append(binary.BigEndian.AppendUint32(nil, w.signer.KeyHash()), sig...)
	c = c.add(note.Signature{
		Name: w.signer.Name(), Hash: w.signer.KeyHash(), Base64: base64.StdEncoding.EncodeToString(raw),
	})
	if _, _, err := c.by(w.own); err != nil {
		return signed{}, err
	}
	return c, nil
}
