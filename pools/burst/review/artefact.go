package review

import (
	"fmt"

	"github.com/burstctl/burstctl/pools/burst"
)

// become folds what becomes of an artefact after it came back. What never came back cannot be let go, what is flagged
// may not be until a person has cleared it, and what nobody let go may not have left.
func (l *life) become(m Mark, actor string, body burst.Body) {
	switch b := body.(type) {
	case *burst.Release:
		a := l.artefact(b.Name, b.Digest, func(a *artefact) bool { return !a.released.is() })
		if a == nil {
			l.find(m, "%s released %s, %s, which no earlier entry shows in quarantine", actor, b.Name, b.Digest)
			return
		}
		if a.flagged.is() {
			l.find(m, "%s released %s, which entry %d flags (%s) and nobody cleared", actor, b.Name, a.flagged.Index, a.flag)
		}
		a.released, a.by, a.why = m, actor, b.Reason
	case *burst.Flag:
		if a := l.artefact(b.Name, b.Digest, nil); a != nil {
			a.flagged, a.flag = m, b.Reason
		}
	case *burst.Unflag:
		if a := l.artefact(b.Name, b.Digest, nil); a != nil {
			a.flagged, a.flag = Mark{}, ""
		}
	case *burst.HandedOut:
		a := l.artefact(b.Name, b.Digest, func(a *artefact) bool { return a.released.is() })
		if a == nil {
			l.find(m, "%s moved %s, %s, out of quarantine, which no earlier entry released", actor, b.Name, b.Digest)
			return
		}
		a.out = m
	}
}

// artefact finds the newest of that name and digest for which is holds; nil if there is none.
func (l *life) artefact(name, digest string, is func(*artefact) bool) *artefact {
	for i := len(l.artefacts) - 1; i >= 0; i-- {
		if a := &l.artefacts[i]; a.Name == name && a.Digest == digest && (is == nil || is(a)) {
			return a
		}
	}
	return nil
}

// note says what became of an artefact at the site.
func (a artefact) note() string {
	what := ", class " + a.Class + ", " + a.Digest
	if a.flagged.is() {
		what += fmt.Sprintf(", flagged in entry %d (%s)", a.flagged.Index, a.flag)
	}
	switch {
	case !a.released.is():
		return "in quarantine" + what
	case a.out.is():
		what += fmt.Sprintf(", moved out in entry %d", a.out.Index)
	}
	return fmt.Sprintf("released by %s in entry %d (%s)%s", a.by, a.released.Index, a.why, what)
}
