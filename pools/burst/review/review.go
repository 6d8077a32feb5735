// Package review folds the entries of a verified log into what an officer asks: what left the site, who was refused
// and why, which bytes no entry accounts for, where a dataset has been, and whether everything was torn down.
//
// # What it takes for granted
//
// That the entries are those of a log that verified: audit.VerifyEntries hands them over as it checks them, and no
// answer may be shown before it has said yes. Nothing else is believed. The fold does not rely on the controller
// having refused what does not follow: it looks for the grant before the bytes, the end after the start, and the
// rules that were in force, in the entries themselves.
//
// # Findings
//
// Every answer comes with its [Finding]s: promises the log shows to be broken. An entry that cannot be read is a
// finding of every answer, because nobody knows what it says. An answer without findings is clean.
//
// # Non-goals
//
// No I/O, no clock, no keys. "Now" is the time of the last entry, so one log has one answer for ever.
package review

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// Mark names an entry by its place in the log and by when its actor says it happened. The zero Mark is no entry.
type Mark struct {
	Index int64     `json:"entry"`
	At    time.Time `json:"at"`
}

// is reports whether m is an entry.
func (m Mark) is() bool { return !m.At.IsZero() }

// Finding is a promise that the log shows to be broken, by the entry that shows it.
type Finding struct {
	Mark
	Claim string `json:"claim,omitempty"`
	Text  string `json:"text"`
}

// Review is a log, folded. The zero Review is of an empty log and ready to use; it is not safe for use by several
// goroutines.
type Review struct {
	first, last Mark
	size        int64
	lives       map[string]*life
	order       []*life
	laws        []law
	gaps        []Weakness // found on the way: silence, clocks, counters
	beat        beat
	unreadable  []Finding
	silence     time.Duration
	glass       glass.Book
	holds       []Hold
	unheld      []Finding // what is odd about them
}

// Silence is how long a log may say nothing before [Review.Weak] calls it a gap: a heartbeat is due every minute.
const Silence = 90 * time.Second

// law is an entry about what is in force, by digest.
type law struct {
	Mark
	Rules  string `json:"rules"`
	Places string `json:"places"`
}

// beat counts the heartbeats of one opening.
type beat struct {
	N int64 `json:"n"`
}

// New makes a review that calls it a gap when the log says nothing for longer than silence. Zero is [Silence].
func New(silence time.Duration) *Review { return &Review{silence: silence} }

// Add folds the next entry. Entries come in the order of the log, all of them, from index 0.
func (r *Review) Add(leaf audit.Leaf) {
	e := leaf.Entry
	m := Mark{leaf.Index, e.At}
	r.pace(m, e)
	if r.last, r.size = m, r.size+1; r.size == 1 {
		r.first = m
	}
	kind, ok := burst.Kinds[e.Kind]
	if glass.New(e.Kind) != nil || e.Kind == (burst.Excepted{}).Kind() {
		r.exception(m, leaf)
	}
	if !ok {
		r.house(m, e)
		return
	}
	body := kind.New()
	err := audit.DecodeStrict(e.Body, body)
	if err == nil && kind.Code != e.Code {
		err = fmt.Errorf("its code is %s, not %s", e.Code, kind.Code)
	}
	if err == nil && e.Burst == "" {
		err = fmt.Errorf("it names no claim")
	}
	if err != nil {
		r.unreadable = append(r.unreadable, Finding{m, e.Burst, fmt.Sprintf("entry %q cannot be read: %v", e.Kind, err)})
		return
	}
	r.life(e.Burst).add(m, e.Actor, body)
}

// house folds an entry about the house itself. Kinds it does not know say nothing about a burst.
func (r *Review) house(m Mark, e audit.Entry) {
	switch e.Kind {
	case "law":
		in := law{Mark: m}
		if err := json.Unmarshal(e.Body, &in); err != nil || in.Rules == "" || in.Places == "" {
			r.unreadable = append(r.unreadable, Finding{m, "", "entry \"law\" cannot be read"})
			return
		}
		in.Mark = m
		r.laws = append(r.laws, in)
	case residency.HoldSet, residency.HoldLifted:
		r.hold(m, e)
	case "opened":
		r.beat.N = 0
	case "heartbeat":
		r.count(m, e)
	}
}

// life finds the burst of a claim, or begins it.
func (r *Review) life(claim string) *life {
	if l := r.lives[claim]; l != nil {
		return l
	}
	if r.lives == nil {
		r.lives = map[string]*life{}
	}
	l := &life{claim: claim}
	r.lives[claim], r.order = l, append(r.order, l)
	return l
}

// Range is the first entry and the last; both are zero for an empty log.
func (r *Review) Range() (first, last Mark) { return r.first, r.last }

// Claims lists the bursts in the order in which the log first names them.
func (r *Review) Claims() []string {
	claims := []string{}
	for _, l := range r.order {
		claims = append(claims, l.claim)
	}
	return claims
}

// since is when the digest came into force last before m, and when another took its place before m. Neither is an
// entry if it never was in force.
func (r *Review) since(m Mark, digest func(law) string, want string) (from, until Mark) {
	for _, in := range r.laws {
		switch {
		case in.Index > m.Index:
			return from, until
		case digest(in) == want && (!from.is() || until.is()):
			from, until = in.Mark, Mark{}
		case digest(in) != want && from.is() && !until.is():
			until = in.Mark
		}
	}
	return from, until
}
