package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/control"
)

// planPreamble begins what the controller signs as a plan, with the key it
// seals grants with; a grant begins otherwise, so neither passes for the other.
const planPreamble = "burst-plan/1\n"

// planLife is how long a plan may be applied.
const planLife = time.Hour

// planDesk says what would become of a job, and hands in what it said.
type planDesk struct{ desk }

// Plan decides as a burst would, without doing anything, and signs the answer.
func (d planDesk) Plan(_, site string, job policy.Job) (control.Planned, error) {
	if err := d.fits(site, job); err != nil {
		return control.Planned{}, err
	}
	f, err := d.engine.Forecast(site, job)
	if err != nil {
		return control.Planned{}, err
	}
	p := control.Planned{Site: f.Site, Job: f.Job, At: f.At, Expires: f.At.Add(planLife), Decision: f.Decision}
	body, err := audit.Canonical(p)
	if err != nil {
		return control.Planned{}, fmt.Errorf("plan %s: %w", job.Name, err)
	}
	signer, _ := d.grants.now()
	sealed, err := note.Sign(&note.Note{Text: planPreamble + string(body) + "\n"}, signer)
	p.Sealed = string(sealed)
	return p, err
}

// Apply hands in the job of a plan, if it would be planned so again.
func (d planDesk) Apply(actor, sealed string, percent int) (control.JobInfo, error) {
	p, err := d.opened(sealed)
	if err != nil {
		return control.JobInfo{}, err
	}
	no := func(code frame.Code, format string, args ...any) (control.JobInfo, error) {
		return control.JobInfo{}, &frame.Problem{Code: code, What: fmt.Sprintf("apply plan of %q", p.Job.Name),
			Err: fmt.Errorf(format, args...)}
	}
	if !time.Now().Before(p.Expires) {
		return no(frame.PlanOld, "it could be applied until %s", p.Expires.Format(time.RFC3339))
	}
	now, err := d.engine.Forecast(p.Site, p.Job)
	if err != nil {
		return control.JobInfo{}, err
	}
	was, is := p.Decision, now.Decision
	switch {
	case was.Rules != is.Rules:
		return no(frame.PlanMoved, "other rules are in force: %s, planned under %s", is.Rules, was.Rules)
	case was.Places != is.Places:
		return no(frame.PlanMoved, "another place table is in force: %s, planned under %s", is.Places, was.Places)
	case was.Plan == nil:
		return no(refusalCode(was), "it is a refusal: %s", was.Refusal)
	case is.Plan == nil:
		return no(refusalCode(is), "it would be refused now: %s", is.Refusal)
	case was.Plan.Offer.At != is.Plan.Offer.At:
		return no(frame.PlanMoved, "it would go to %v now, planned for %v", is.Plan.Offer.At, was.Plan.Offer.At)
	case movedBy(was.Plan.Reserve, is.Plan.Reserve, percent):
		return no(frame.PlanPrice, "it would reserve %v now, planned were %v: more than %d %% apart",
			is.Plan.Reserve, was.Plan.Reserve, percent)
	}
	return d.Submit(actor, p.Site, p.Job)
}

// opened checks a plan's signature. What is signed is read strictly.
func (d planDesk) opened(sealed string) (p control.Planned, err error) {
	_, verifier := d.grants.now()
	n, err := note.Open([]byte(sealed), note.VerifierList(verifier))
	forged := &frame.Problem{Code: frame.PlanForged, What: "apply plan"}
	if err != nil {
		forged.Err = err
		return p, forged
	}
	body, ok := strings.CutPrefix(n.Text, planPreamble)
	if !ok {
		forged.Err = errors.New("what this controller signed is not a plan")
		return p, forged
	}
	read := json.NewDecoder(strings.NewReader(body))
	read.DisallowUnknownFields()
	if err := read.Decode(&p); err != nil {
		forged.Err = err
		return p, forged
	}
	return p, nil
}

// movedBy reports whether two amounts are more than so many percent apart, or
// cannot be compared.
func movedBy(was, is policy.Money, percent int) bool {
	by, err := is.Minus(was)
	if err != nil || was.Micros <= 0 || percent < 0 {
		return true
	}
	return max(by.Micros, -by.Micros) > was.Micros/100*int64(min(percent, 1000))
}

// fits says at once what a site or a job lacks.
func (d desk) fits(site string, job policy.Job) error {
	what := fmt.Sprintf("hand in job %q", job.Name)
	var known []string
	for _, s := range d.conf.Sites {
		known = append(known, s.ID)
	}
	if !slices.Contains(known, site) {
		err := fmt.Errorf("site %q has no edge here; there is %s", site, strings.Join(known, ", "))
		return &frame.Problem{Code: frame.NoSuchSite, What: what, Err: err}
	}
	if err := d.engine.Knows(job.Slice); err != nil {
		return &frame.Problem{Code: frame.SliceMissing, What: what, Err: err}
	}
	return nil
}
