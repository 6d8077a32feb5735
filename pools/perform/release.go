package perform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/burstctl/burstctl/pools/burst"
)

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
		return fmt.Errorf("release %s of %s: the site holds no such result", name, claim)
	case reason == "":
		return fmt.Errorf("release %s of %s: a reason is missing", name, claim)
	case e.submitter(s.Request.JobID) == actor:
		return fmt.Errorf("release %s of %s: %s handed the job in; another person must decide", name, claim, actor)
	case slices.Contains(s.Released, found.Digest):
		return fmt.Errorf("release %s of %s: it is released already", name, claim)
	}
	err = e.enter(l, actor, &burst.Release{Name: name, Digest: found.Digest, Reason: reason})
	if errors.Is(err, errOrder) {
		return fmt.Errorf("release %s of %s: it changed meanwhile", name, claim)
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
