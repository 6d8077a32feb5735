package review

import (
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
)

// life is what the entries of one claim say, as far as an answer needs it.
type life struct {
	claim     string
	asked     Mark
	request   policy.Request
	decisions []Decision
	nodes     []*node
	placed    *placed
	grants    []*grant
	windows   []*window
	near      map[string]*Near // by grant
	number    int              // the highest of a window so far
	serials   []*serial
	artefacts []artefact
	stop      Mark
	why       string // it was stopped
	unmounted Mark
	confirmed bool // by the node
	ended     Mark
	outcome   string
	findings  []Finding // about bytes
	excepted  string    // the exception the next decision rests on, in words
}

// node is one machine that our create call made.
type node struct {
	made    Mark
	id      string
	at      residency.Address
	expires time.Time
	gone    Mark
}

// placed is the last proof of place.
type placed struct {
	Mark
	place    residency.Place
	level    residency.Level
	trust    string
	key      string
	evidence string
}

// grant is a permission to read, with what its seal says if it can be read.
type grant struct {
	Mark
	id      string
	expires time.Time
	verdict residency.Verdict
	placed  placed
	facts   seal
	known   bool // the seal was read
	broken  string
}

// window is an amount the edge said it would serve, and what it then said it had.
type window struct {
	opened, closed Mark
	grant          string
	n              int
	manifest       string
	allowed        int64 // bytes
	served         int64 // bytes; 0 until closed
	findings       []string
}

// serial is one credential.
type serial struct {
	number          string
	issued, revoked Mark
	refused         Mark // a probe was refused
	by              string
	good            Mark // a probe after the revocation was not refused
}

// artefact is something the job sent back to the site.
type artefact struct {
	Mark
	burst.Artefact
	released Mark   // it was let out of quarantine
	by, why  string // who decided so
	flagged  Mark   // data it was made from was called back, and nobody cleared it
	flag     string // why
	out      Mark   // the site moved it
}

// add folds one entry of the burst.
func (l *life) add(m Mark, actor string, body burst.Body) {
	switch b := body.(type) {
	case *burst.Requested:
		l.asked, l.request = m, b.Request
	case *burst.Decided, *burst.Denied, *burst.Unproven, *burst.Turned:
		l.decide(m, body)
	case *burst.Launched:
		l.nodes = append(l.nodes, &node{made: m, id: b.Node.ID, at: b.Node.At, expires: b.Node.Expires})
	case *burst.PlacedAt:
		l.placed = &placed{m, b.Place, b.Level, b.Trust, b.NodeKey, b.Evidence}
	case *burst.Excepted:
		l.under(b)
	case *burst.Cleared:
		l.clear(m, b)
	case *burst.RoundTrip:
		l.measure(m, actor, b)
	case *burst.Window:
		l.open(m, actor, b)
	case *burst.Served:
		l.close(m, b)
	case *burst.Artefact:
		l.artefacts = append(l.artefacts, artefact{Mark: m, Artefact: *b})
	case *burst.Release, *burst.Flag, *burst.Unflag, *burst.HandedOut:
		l.become(m, actor, body)
	case *burst.Over:
		l.ended, l.outcome = m, b.Outcome
	default:
		l.leave(m, body)
	}
}

// leave folds the way back.
func (l *life) leave(m Mark, body burst.Body) {
	switch b := body.(type) {
	case *burst.Issued:
		l.serials = append(l.serials, &serial{number: b.Serial, issued: m})
	case *burst.Stop:
		if !l.stop.is() {
			l.stop, l.why = m, b.Why
		}
		if b.Why == burst.WhyRules {
			l.decide(m, body)
		}
	case *burst.Unmounted:
		l.unmounted, l.confirmed = m, b.Confirmed
	case *burst.Revoked:
		if s := l.serial(b.Serial); s != nil {
			s.revoked = m
		}
	case *burst.Probed:
		l.probe(m, b)
	case *burst.Gone:
		for _, n := range l.nodes {
			if n.id == b.Node {
				n.gone = m
			}
		}
	}
}

// probe notes how an old credential fared. Only a refusal after its revocation counts, and the edge alone is not
// believed about itself.
func (l *life) probe(m Mark, b *burst.Probed) {
	s := l.serial(b.Serial)
	switch {
	case s == nil:
	case !b.Refused:
		s.good = m
	case s.revoked.is() && b.By != "edge":
		s.refused, s.by = m, b.By
	}
}

func (l *life) serial(number string) *serial {
	i := slices.IndexFunc(l.serials, func(s *serial) bool { return s.number == number })
	if i < 0 {
		return nil
	}
	return l.serials[i]
}

// grant finds a grant of the burst that was entered before; nil if there is none.
func (l *life) grant(id string) *grant {
	i := slices.IndexFunc(l.grants, func(g *grant) bool { return g.id == id })
	if i < 0 {
		return nil
	}
	return l.grants[i]
}

// clear folds a grant and holds its seal against what was entered before it.
func (l *life) clear(m Mark, b *burst.Cleared) {
	g := &grant{Mark: m, id: b.Grant, expires: b.Expires, verdict: b.Verdict}
	if l.placed != nil {
		g.placed = *l.placed
	}
	l.grants = append(l.grants, g)
	l.decide(m, b)
	facts, err := unseal(b.Sealed)
	if err != nil {
		g.broken = err.Error()
		return
	}
	g.facts, g.known = facts, true
	for _, c := range []struct {
		what string
		same bool
	}{
		{"claim", facts.Terms.Claim == l.claim},
		{"name", facts.Terms.ID == b.Grant},
		{"place", l.placed != nil && facts.Place.Address == l.placed.place.Address},
		{"machine", l.nodes == nil || facts.Instance == l.nodes[len(l.nodes)-1].id},
		{"node key", l.placed != nil && facts.NodeKey == l.placed.key && b.NodeKey == l.placed.key},
		{"evidence", l.placed != nil && facts.Evidence == l.placed.evidence},
		{"slice", facts.Terms.SliceDigest == l.request.SliceDigest},
		{"end", facts.Terms.Expires.Equal(b.Expires)},
	} {
		if !c.same {
			l.find(m, "grant %s: its sealed %s is not the one entered before it", b.Grant, c.what)
		}
	}
	if !b.Verdict.Allowed {
		l.find(m, "grant %s was given although its verdict is no: %s", b.Grant, b.Verdict.Why)
	}
}

func (l *life) find(m Mark, format string, args ...any) {
	l.findings = append(l.findings, Finding{m, l.claim, fmt.Sprintf(format, args...)})
}

// nodeOf is the machine that a grant's bytes went to: the last one made before it.
func (l *life) nodeOf(g *grant) *node {
	var last *node
	for _, n := range l.nodes {
		if n.made.Index < g.Index {
			last = n
		}
	}
	return last
}
