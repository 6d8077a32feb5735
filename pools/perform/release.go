package perform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/burstctl/burstctl/pools/burst"
)

// Held is why a result is not let out of quarantine. Made by [Engine.Release];
// the zero Held names none.
type Held struct{ Claim, Name, Why string }

func (h *Held) Error() string { return fmt.Sprintf("release %s of %s: %s", h.Name, h.Claim, h.Why) }

// Release enters that a person lets a burst's newest output of that name out of
// quarantine. Whoever handed the job in may not; neither may it be done twice.
func (e *Engine) Release(actor, claim, name, reason string) error {
	l, err := e.find(claim)
	if err != nil {
		return err
	}
	s := l.now()
	var found *burst.Artefact
	for _, a := range s.Artefacts {
		if a.Name == name {
			found = &a
		}
	}
	switch {
	case found == nil:
		return &Held{claim, name, "the site holds no such result"}
	case reason == "":
		return &Held{claim, name, "a reason is missing"}
	case e.submitter(s.Request.JobID) == actor:
		return &Held{claim, name, actor + " handed the job in; another person must decide"}
	case slices.Contains(s.Released, found.Digest):
		return &Held{claim, name, "it is released already"}
	}
	err = e.enter(l, actor, &burst.Release{Name: name, Digest: found.Digest, Reason: reason})
	if errors.Is(err, errOrder) {
		return &Held{claim, name, "it changed meanwhile"}
	}
	return err
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
