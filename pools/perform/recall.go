package perform

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
)

// Recall calls data back: consent that was withdrawn, an embargo, an error.
// Entered as kind "recalled", code 0701, before anything follows from it.
type Recall struct {
	Data   string `json:"data"`                   // a dataset, or one slice of it
	Digest string `json:"slice_digest,omitempty"` // only what read this manifest; it is never granted again
	Reason string `json:"reason"`
}

// maxReason bounds a reason that goes into the log, in bytes.
const maxReason = 500

// check reports the first thing a recall lacks.
func (r Recall) check() error {
	hash, isHash := strings.CutPrefix(r.Digest, "sha256:")
	switch {
	case r.Data == "" || len(r.Data) > 256 || strings.Trim(r.Data, "abcdefghijklmnopqrstuvwxyz0123456789-_./") != "":
		return fmt.Errorf("recall %q: not a dataset or a slice of one", r.Data)
	case r.Digest != "" && (!isHash || len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != ""):
		return fmt.Errorf("recall %s: %q is no digest of a slice", r.Data, r.Digest)
	case strings.TrimSpace(r.Reason) == "" || len(r.Reason) > maxReason:
		return fmt.Errorf("recall %s: want a reason of at most %d bytes", r.Data, maxReason)
	}
	return nil
}

// covers reports whether a request is for what is called back.
func (r Recall) covers(q policy.Request) bool {
	return (q.Job.Slice == r.Data || strings.HasPrefix(q.Job.Slice, r.Data+"/")) &&
		(r.Digest == "" || q.SliceDigest == r.Digest)
}

// recall is a recall as the log has it.
type recall struct {
	Recall
	by     string
	index  int64
	claims []string // those asked for before
}

// Recall enters that a person calls data back, stops every burst that was asked
// for before and reads or may yet read it, and flags every output of such a
// burst, however long it is over. What is not done when the controller dies is
// done when it opens again.
func (e *Engine) Recall(actor string, r Recall) error {
	if err := r.check(); err != nil {
		return err
	}
	e.asks.Lock()
	leaf, err := e.houseLeaf("0701", "recalled", actor, r)
	if err == nil {
		err = e.foldRecall(leaf)
	}
	e.asks.Unlock()
	if err != nil {
		return err
	}
	return e.carryOut()
}

// foldRecall remembers a recall, live and in recovery alike.
func (e *Engine) foldRecall(leaf audit.Leaf) error {
	r := recall{by: leaf.Entry.Actor, index: leaf.Index}
	if err := audit.DecodeStrict(leaf.Entry.Body, &r.Recall); err != nil {
		return fmt.Errorf("fold entry %d: %w", leaf.Index, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r.claims = slices.Clone(e.order)
	e.recalls = append(e.recalls, r)
	return nil
}

// recalled are the recalls so far.
func (e *Engine) recalled() []recall {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.recalls)
}

// carryOut does what is left to do of every recall.
func (e *Engine) carryOut() error {
	var errs []error
	for _, r := range e.recalled() {
		for _, claim := range r.claims {
			l, err := e.find(claim)
			if err != nil || !r.covers(l.now().Request) {
				continue
			}
			errs = append(errs, e.Stop(claim, r.by, burst.WhyRevoked, r.Reason), e.flag(l))
		}
	}
	return errors.Join(errs...)
}

// flag marks the outputs of a burst that read what is called back. It is called
// for each recall, and for each output that comes back after one.
func (e *Engine) flag(l *life) error {
	var errs []error
	for _, r := range e.recalled() {
		s := l.now()
		if !slices.Contains(r.claims, l.claim) || !r.covers(s.Request) {
			continue
		}
		for _, a := range s.Artefacts {
			if s.FlaggedBy(r.index, a.Name, a.Digest) {
				continue
			}
			f := &burst.Flag{Name: a.Name, Digest: a.Digest, Reason: r.Reason, Recall: r.index}
			errs = append(errs, ignoreRepeat(e.enter(l, r.by, f))) // another was faster
		}
	}
	return errors.Join(errs...)
}

// withdrawn is why a request's slice is not granted again, or "".
func (e *Engine) withdrawn(q policy.Request) string {
	for _, r := range e.recalled() {
		if r.Digest != "" && r.covers(q) {
			return fmt.Sprintf("%s of %s was called back in entry %d: %s", r.Digest, q.Job.Slice, r.index, r.Reason)
		}
	}
	return ""
}
