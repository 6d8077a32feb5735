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
// then its key must be retired.
type Witness struct {
	file   string
	signer note.Signer
	own    note.Verifier
	log    note.Verifier
	disk   *disk

	mu   sync.Mutex
	last signed
	dead error
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
// verifier, as WitnessSigner and the formats library's do; log is the key of the log, whose name is the log's origin.
func OpenWitness(file string, signer note.Signer, log note.Verifier) (*Witness, error) {
	w := &Witness{file: filepath.Clean(file), signer: signer, log: log, disk: osDisk()}
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
	if sigs, _, err := s.by(w.own); err != nil || len(sigs) != 1 || s.origin != w.log.Name() {
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
	if w.dead != nil {
		return nil, fmt.Errorf("cosign: %w", w.dead)
	}
	lock, err := lockFile(w.file+".lock", syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	defer lock.Close()
	last, err := w.read()
	if err == nil && last.size < w.last.size {
		err = fmt.Errorf("%s: forgot the tree of %d entries", w.file, w.last.size)
	}
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	w.last = last
	next, err := w.examine(checkpoint, oldSize, proof)
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	if next, err = w.sign(next, now); err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	if err := w.disk.replace(w.file+".tmp", w.file, next.bytes()); err != nil {
		if !isFull(err) {
			w.dead = err
		}
		return nil, fmt.Errorf("cosign: %w", err)
	}
	w.last = next
	return next.bytes(), nil
}

// examine checks a checkpoint against the memory. It returns it with the log's signature alone.
func (w *Witness) examine(raw []byte, oldSize int64, proof []tlog.Hash) (signed, error) {
	next, err := parseSigned(raw)
	if err != nil {
		return signed{}, err
	}
	sigs, _, err := next.by(w.log)
	if err != nil {
		return signed{}, err
	}
	if len(sigs) != 1 || next.origin != w.log.Name() {
		return signed{}, fmt.Errorf("checkpoint of %q: not signed by the log's key", next.origin)
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
