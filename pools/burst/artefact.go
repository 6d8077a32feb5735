package burst

import (
	"slices"
	"time"
)

// Flag marks one output: data that its burst read was called back, and the
// output holds what was learned from it. It may come long after the burst has
// ended, and says nothing of where the output is by then.
type Flag struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Reason string `json:"reason"`
	Recall int64  `json:"recall"` // the entry that called the data back
}

// Unflag lets a flagged output be released after all: the decision of a named
// person, who is the entry's actor.
type Unflag struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Reason string `json:"reason"`
}

// HandedOut says that the site has moved a released output out of quarantine.
type HandedOut struct {
	Name    string `json:"name"`
	Digest  string `json:"digest"`
	Release int64  `json:"release"` // the entry that the site saw in the log
}

// Withheld says that the site does not move a released output, once for each
// reason: it is not what was released, or not there.
type Withheld struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Why    string `json:"why"`
}

// Flagged is one flag as the log has it.
type Flagged struct {
	Name, Digest, Reason string
	Recall               int64
	Cleared              bool // a person let it be released after all
}

// Let is one release as the log has it.
type Let struct {
	Name, Digest string
	By, Reason   string
	At           time.Time
	Index        int64  // its leaf in the log
	Out          bool   // the site has moved it
	Withheld     string // why the site did not, when it last said so
}

// FlaggedFor is why an output is flagged, or "" if it is not, or not any more.
func (s State) FlaggedFor(name, digest string) string {
	for _, f := range s.Flags {
		if f.Name == name && f.Digest == digest && !f.Cleared {
			return f.Reason
		}
	}
	return ""
}

// Release is the release of an output; nil if there is none.
func (s State) Release(name, digest string) *Let {
	for _, r := range s.Released {
		if r.Name == name && r.Digest == digest {
			return &r
		}
	}
	return nil
}

// FlaggedBy reports whether an output has a flag of this recall, cleared or not.
func (s State) FlaggedBy(recall int64, name, digest string) bool {
	return slices.ContainsFunc(s.Flags, func(f Flagged) bool {
		return f.Recall == recall && f.Name == name && f.Digest == digest
	})
}

// holds reports whether the site has said that it holds this output.
func (s State) holds(name, digest string) bool {
	return slices.ContainsFunc(s.Artefacts, func(a Artefact) bool { return a.Name == name && a.Digest == digest })
}

// stepArtefact folds what becomes of outputs after the site holds them, at any
// later time.
func stepArtefact(s State, e Event) (State, bool) {
	switch b := e.Body.(type) {
	case *Release:
		if !s.holds(b.Name, b.Digest) || b.Reason == "" || s.Release(b.Name, b.Digest) != nil ||
			s.FlaggedFor(b.Name, b.Digest) != "" {
			return s, false
		}
		s.Released = append(slices.Clone(s.Released), Let{Name: b.Name, Digest: b.Digest, By: e.Actor, Reason: b.Reason,
			At: e.At, Index: e.Index})
	case *Flag:
		if !s.holds(b.Name, b.Digest) || b.Reason == "" || s.FlaggedBy(b.Recall, b.Name, b.Digest) {
			return s, false
		}
		s.Flags = append(slices.Clone(s.Flags), Flagged{b.Name, b.Digest, b.Reason, b.Recall, false})
	case *Unflag:
		if b.Reason == "" || s.FlaggedFor(b.Name, b.Digest) == "" {
			return s, false
		}
		s.Flags = slices.Clone(s.Flags)
		for i, f := range s.Flags {
			s.Flags[i].Cleared = f.Cleared || f.Name == b.Name && f.Digest == b.Digest
		}
	case *HandedOut:
		r := s.Release(b.Name, b.Digest)
		if r == nil || r.Out || r.Index != b.Release {
			return s, false
		}
		r.Out, r.Withheld = true, ""
		s.Released = with(s.Released, *r)
	case *Withheld:
		r := s.Release(b.Name, b.Digest)
		if r == nil || r.Out || b.Why == "" || r.Withheld == b.Why {
			return s, false
		}
		r.Withheld = b.Why
		s.Released = with(s.Released, *r)
	default:
		return s, false
	}
	return s, true
}

// with puts one release in the place of what it was.
func with(all []Let, r Let) []Let {
	all = slices.Clone(all)
	for i, was := range all {
		if was.Index == r.Index {
			all[i] = r
		}
	}
	return all
}
