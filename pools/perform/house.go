package perform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// Submitted is a job handed in for a site; it waits there until the site asks
// for a burst. Entered as kind "job-submitted", code 0107.
type Submitted struct {
	ID   string     `json:"id"`
	Site string     `json:"site"`
	Job  policy.Job `json:"job"`
	At   time.Time  `json:"-"` // the entry's
	By   string     `json:"-"` // the entry's actor
}

// opened and law are entries about the house: 0901 and 0501.
type (
	opened struct {
		Size int64 `json:"size"` // of the log found
		Live int   `json:"live"` // bursts under way
	}
	law struct {
		Rules     string `json:"rules"`
		Places    string `json:"places"`
		Catalogue string `json:"catalogue"`
		Edition   int    `json:"places_version,omitempty"` // of the table; 0 is not said
	}
	beat struct {
		N int64 `json:"n"` // counts from 1 since the controller opened
	}
)

// Knows reports whether the catalogue in force has the slice.
func (e *Engine) Knows(slice string) error {
	e.lawMu.RLock()
	defer e.lawMu.RUnlock()
	_, err := e.law.Catalogue.Slice(slice)
	return err
}

// Submit enters a job for a site.
func (e *Engine) Submit(actor, site string, job policy.Job) (Submitted, error) {
	if err := job.Check(); err != nil {
		return Submitted{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Submitted{ID: fmt.Sprintf("job-%d", len(e.jobs)+1), Site: site, Job: job, By: actor, At: time.Now().UTC()}
	if err := e.house("0107", "job-submitted", actor, s); err != nil {
		return Submitted{}, err
	}
	e.jobs = append(e.jobs, s)
	return s, nil
}

// Jobs returns every job handed in, oldest first.
func (e *Engine) Jobs() []Submitted {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Submitted(nil), e.jobs...)
}

// foldHouse folds an entry about the house itself.
func (e *Engine) foldHouse(leaf audit.Leaf) error {
	if isGlass(leaf.Entry.Kind) {
		return e.foldGlass(leaf)
	}
	switch leaf.Entry.Kind {
	case "law":
		return e.foldLaw(leaf)
	case residency.HoldSet, residency.HoldLifted:
		return e.foldHold(leaf)
	case "budget-alert":
		return e.foldAlert(leaf)
	case "recalled":
		return e.foldRecall(leaf)
	case "job-submitted":
	default:
		return nil
	}
	var s Submitted
	if err := audit.DecodeStrict(leaf.Entry.Body, &s); err != nil {
		return fmt.Errorf("fold entry %d: %w", leaf.Index, err)
	}
	s.At, s.By = leaf.Entry.At, leaf.Entry.Actor
	e.jobs = append(e.jobs, s)
	return nil
}

// Ask takes a site's signed request. The claim is entered once; asking again,
// however late or often, changes nothing. It returns only when the request is
// durable, so that the bus may forget it.
func (e *Engine) Ask(r policy.Request, digest string) error {
	if err := r.Check(); err != nil {
		return err
	}
	e.asks.Lock()
	defer e.asks.Unlock()
	if _, err := e.find(r.ID); err == nil {
		return nil
	}
	l := &life{claim: r.ID, pulse: newPulse()}
	if err := e.enter(l, "edge:"+r.Site, &burst.Requested{Request: r, Digest: digest}); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bursts[r.ID] = l
	e.order = append(e.order, r.ID)
	e.start(l)
	return nil
}

// open enters that the controller runs, and under which law.
func (e *Engine) open() error {
	live := 0
	for _, s := range e.Bursts() {
		if s.Live() {
			live++
		}
	}
	err := e.house("0901", "opened", controller, opened{Size: e.Log.Size(), Live: live})
	if err == nil {
		e.lawMu.Lock()
		err = e.enterLaw(controller, e.law)
		e.lawMu.Unlock()
	}
	if errors.Is(err, audit.ErrFull) { // nothing new will be entered, and what runs is torn down
		e.Logger.Error("log is full", "error", err)
		return nil
	}
	return err
}

// SetLaw puts other rules, places and catalogue in force. Grants they no
// longer permit end now. An older edition of the place table is refused with
// [ErrEdition].
func (e *Engine) SetLaw(actor string, in InForce) error {
	e.lawMu.Lock()
	err := e.newEnough(in)
	if err == nil {
		err = e.enterLaw(actor, in)
	}
	if err == nil {
		e.law, e.edition = in, in.Places.Version()
	}
	e.lawMu.Unlock()
	return errors.Join(err, e.endUnlawful(actor, in))
}

// endUnlawful stops every burst whose grant in no longer permits.
func (e *Engine) endUnlawful(actor string, in InForce) error {
	var errs []error
	for _, s := range e.Bursts() {
		if v := e.still(in, s); !v.Allowed {
			errs = append(errs, e.Stop(s.Claim, actor, burst.WhyRules, v.Why))
		}
	}
	return errors.Join(errs...)
}

// still asks whether in permits what s already has. A burst without a grant
// has nothing to lose: it will be asked about when it wants one.
func (e *Engine) still(in InForce, s burst.State) residency.Verdict {
	if s.Grant == nil || !s.Live() || s.Stopped != nil {
		return residency.Verdict{Allowed: true}
	}
	g, err := e.grant(s)
	if err != nil {
		return residency.Verdict{Why: err.Error()}
	}
	ask, err := in.ask(s.Request)
	if err != nil {
		return residency.Verdict{Why: err.Error()}
	}
	now := time.Now()
	rules, _ := e.excepting(in.Rules, now)
	return rules.Still(in.Places.At(now), ask, g)
}

// heartbeats prove that the log was not merely silent, until ctx ends. On a new
// day they end what the law does not permit any more: a group of countries that
// ended takes its places with it.
func (e *Engine) heartbeats(ctx context.Context) {
	tick := time.NewTicker(e.Timing.Heartbeat)
	defer tick.Stop()
	day := today()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if now := today(); now != day {
				day = now
				if err := e.endUnlawful(controller, e.inForce()); err != nil {
					e.Logger.Error("law of the day not kept", "error", err)
				}
			}
			err := e.house("0900", "heartbeat", controller, beat{n})
			if err != nil && !errors.Is(err, audit.ErrFull) { // a full disk still lets teardown go on
				return
			}
		}
	}
}

// today is the day in UTC, by which groups of countries begin and end.
func today() string { return time.Now().UTC().Format(time.DateOnly) }

// inForce is the law as it is now.
func (e *Engine) inForce() InForce {
	e.lawMu.RLock()
	defer e.lawMu.RUnlock()
	return e.law
}
