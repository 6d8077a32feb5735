package perform

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// Held is why a result is not let out of quarantine. Made by [Engine.Release]
// and [Engine.Unflag]; the zero Held names none.
type Held struct{ Claim, Name, Why string }

func (h *Held) Error() string { return fmt.Sprintf("release %s of %s: %s", h.Name, h.Claim, h.Why) }

// Release enters that a person lets a burst's newest output of that name out of
// quarantine. Whoever handed the job in may not; neither may it be done twice.
func (e *Engine) Release(actor, claim, name, reason string) error {
	l, err := e.find(claim)
	if err != nil {
		return err
	}
	found, err := e.mayDecide(l, actor, name, reason)
	if err != nil {
		return err
	}
	s := l.now()
	switch flag := s.FlaggedFor(name, found.Digest); {
	case s.Release(name, found.Digest) != nil:
		return &Held{claim, name, "it is released already"}
	case flag != "":
		return &Held{claim, name, "it is flagged: " + flag + "; a person must clear that first"}
	}
	err = e.enter(l, actor, &burst.Release{Name: name, Digest: found.Digest, Reason: reason})
	if errors.Is(err, errOrder) {
		return &Held{claim, name, "it changed meanwhile"}
	}
	return err
}

// Unflag enters that a person lets a burst's newest output of that name be
// released although data it was made from was called back. Whoever handed the
// job in may not.
func (e *Engine) Unflag(actor, claim, name, reason string) error {
	l, err := e.find(claim)
	if err != nil {
		return err
	}
	found, err := e.mayDecide(l, actor, name, reason)
	if err != nil {
		return err
	}
	if l.now().FlaggedFor(name, found.Digest) == "" {
		return &Held{claim, name, "it is not flagged"}
	}
	err = e.enter(l, actor, &burst.Unflag{Name: name, Digest: found.Digest, Reason: reason})
	if errors.Is(err, errOrder) {
		return &Held{claim, name, "it changed meanwhile"}
	}
	return err
}

// mayDecide finds the newest output of that name, if this person may decide
// about it and says why.
func (e *Engine) mayDecide(l *life, actor, name, reason string) (found burst.Artefact, err error) {
	s := l.now()
	for _, a := range s.Artefacts {
		if a.Name == name {
			found = a
		}
	}
	switch {
	case found.Name == "":
		err = &Held{l.claim, name, "the site holds no such result"}
	case strings.TrimSpace(reason) == "":
		err = &Held{l.claim, name, "a reason is missing"}
	case len(reason) > maxReason:
		err = &Held{l.claim, name, fmt.Sprintf("its reason is longer than %d bytes", maxReason)}
	case e.submitter(s.Request.JobID) == actor:
		err = &Held{l.claim, name, actor + " handed the job in; another person must decide"}
	}
	return found, err
}

// submitter is who handed a job in; "" for a job of the site's own queue.
func (e *Engine) submitter(job string) string {
	for _, j := range e.Jobs() {
		if j.ID == job {
			return j.By
		}
	}
	return ""
}

// releasing are the outputs of a burst that were released and not moved out yet.
func releasing(s burst.State) (all []tunnel.Releasing) {
	for _, r := range s.Released {
		if !r.Out {
			all = append(all, tunnel.Releasing{Claim: s.Claim, Name: r.Name, Digest: r.Digest, Entry: r.Index,
				Flagged: s.FlaggedFor(r.Name, r.Digest), Withheld: r.Withheld})
		}
	}
	return all
}

// releaseProof proves the entry of a release of the claim to its site.
func (e *Engine) releaseProof(ctx context.Context, in tunnel.Entering) (tunnel.Entered, error) {
	var ask tunnel.ReleaseBody
	if err := audit.DecodeStrict(in.Body, &ask); err != nil {
		return tunnel.Entered{}, fmt.Errorf("read %s: %w", in.Kind, err)
	}
	for leaf, err := range e.Log.Entries(ctx, max(ask.Entry, 0)) {
		if err != nil {
			return tunnel.Entered{}, err
		}
		if leaf.Index == ask.Entry && leaf.Entry.Burst == in.Claim && leaf.Entry.Kind == (burst.Release{}).Kind() {
			return e.entered(ctx, leaf, in.Old)
		}
		break
	}
	return tunnel.Entered{}, fmt.Errorf("prove entry %d to a site: it is no release of %s", ask.Entry, in.Claim)
}
