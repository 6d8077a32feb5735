package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxPending bounds how many checkpoints wait for more cosignatures.
const maxPending = 64

// ForkError says that two checkpoints of one log do not fit together. It is evidence: keep both.
type ForkError struct {
	// Remembered is the checkpoint held so far, Offered the one refused; each a signed note.
	Remembered, Offered []byte
	// Why says in what they differ.
	Why string
}

// Error names the reason; the checkpoints are in the fields.
func (e *ForkError) Error() string { return "the log shows another history: " + e.Why }

func sigOf(s note.Signer) note.Signature { return note.Signature{Name: s.Name(), Hash: s.KeyHash()} }

// AddCosignature takes a checkpoint of this log that witnesses have cosigned, checks both signatures and that the
// tree still is the one they saw, keeps it durably and wakes who waits. A checkpoint this log signed but does not
// extend is a *ForkError.
func (l *Log) AddCosignature(checkpointAndCosig []byte) error {
	l.turn.Lock()
	err := l.addCosignature(checkpointAndCosig)
	l.turn.Unlock()
	l.tell()
	return err
}

func (l *Log) addCosignature(raw []byte) error {
	head := l.tree()
	c, err := parseSigned(raw)
	if err != nil {
		return fmt.Errorf("add cosignature: %w", err)
	}
	sigs, _, err := c.by(append(slices.Clone(l.o.Witnesses), selfVerifier{l.signer})...)
	if err != nil {
		return fmt.Errorf("add cosignature: %w", err)
	}
	own := indexSig(sigs, sigOf(l.signer))
	if own < 0 || c.origin != l.o.Origin || len(sigs) < 2 {
		return errors.New("add cosignature: not a checkpoint of this log with the cosignature of a known witness")
	}
	c.sigs = append([]note.Signature{sigs[own]}, slices.Delete(slices.Clone(sigs), own, own+1)...)
	if why := l.forked(head, c); why != "" {
		return fmt.Errorf("add cosignature: %w", &ForkError{head.bytes(), raw, why})
	}
	l.mu.Lock()
	dead, cosigned := l.dead, l.cosigned
	c = l.merge(c)
	l.mu.Unlock()
	if dead != nil {
		return fmt.Errorf("add cosignature: %w", dead)
	}
	quorum := count(c.sigs, l.o.Witnesses) >= l.o.Quorum && c.size >= cosigned.size
	if err := l.keep(c, quorum, c.size == head.size); err != nil {
		return fmt.Errorf("add cosignature: %w", l.fail(err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.size == head.size {
		l.head = c
	}
	if quorum {
		l.cosigned = c
	}
	l.wake()
	return nil
}

// forked says why c is no part of the tree under head, or nothing.
func (l *Log) forked(head, c signed) string {
	if c.size > head.size {
		return fmt.Sprintf("a witness saw %d entries, here are %d", c.size, head.size)
	}
	root, err := head.root, error(nil)
	if c.size < head.size {
		root, err = tlog.TreeHash(c.size, l.hashes(head))
	}
	if err != nil || root != c.root {
		return fmt.Sprintf("a witness saw other entries among the first %d", c.size)
	}
	return ""
}

// merge joins c with the cosignatures its checkpoint already has. It is called under mu.
func (l *Log) merge(c signed) signed {
	for _, have := range []signed{l.head, l.cosigned} {
		if have.text == c.text {
			c = have.add(c.sigs...)
		}
	}
	l.pending = slices.DeleteFunc(l.pending, func(p signed) bool {
		if p.text == c.text {
			c = p.add(c.sigs...)
			return true
		}
		return p.size <= l.cosigned.size
	})
	if count(c.sigs, l.o.Witnesses) < l.o.Quorum {
		l.pending = append(l.pending, c)
		l.pending = l.pending[max(0, len(l.pending)-maxPending):]
	}
	return c
}

// keep writes a cosigned checkpoint to the private directory when it met the quorum, to the public one when it is
// newest.
func (l *Log) keep(c signed, quorum, newest bool) error {
	s := l.store
	if quorum {
		if err := s.replace(s.state("tmp-cosigned"), s.state("cosigned"), c.bytes()); err != nil {
			return err
		}
	}
	if newest {
		return s.replace(s.state("tmp-checkpoint"), filepath.Join(s.public, "checkpoint"), c.bytes())
	}
	return nil
}

// CosignedAt is the time of the newest cosignature that one of the witnesses made under a checkpoint. None is an error.
func CosignedAt(checkpoint []byte, witnesses ...note.Verifier) (time.Time, error) {
	c, err := parseSigned(checkpoint)
	if err != nil {
		return time.Time{}, fmt.Errorf("read cosignature: %w", err)
	}
	known, _, err := c.by(witnesses...)
	if err != nil {
		return time.Time{}, fmt.Errorf("read cosignature: %w", err)
	}
	var newest time.Time
	for _, s := range known {
		at, err := fnote.CoSigV1Timestamp(s)
		if err != nil {
			return time.Time{}, fmt.Errorf("read cosignature: %w", err)
		}
		if at.After(newest) {
			newest = at
		}
	}
	if len(known) == 0 {
		return time.Time{}, errors.New("read cosignature: no witness has cosigned")
	}
	return newest.UTC(), nil
}
