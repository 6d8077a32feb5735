package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/tunnel/control"
)

// desk answers people. Who asks was identified and allowed by the endpoint.
type desk struct{ *daemon }

// Submit hands in a job. A slice nobody knows, or a site without an edge, is
// said now and not after hours of waiting.
func (d desk) Submit(actor, site string, job policy.Job) (control.JobInfo, error) {
	if err := d.fits(site, job); err != nil {
		return control.JobInfo{}, err
	}
	s, err := d.engine.Submit(actor, site, job)
	return control.JobInfo{ID: s.ID, Site: s.Site, Job: s.Job, By: s.By}, err
}

// Status tells every job and burst.
func (d desk) Status() control.Status {
	s := control.Status{Size: d.log.Size(), Cosigned: d.log.CosignedSize(), Attention: d.engine.Attention()}
	for _, j := range d.engine.Jobs() {
		s.Jobs = append(s.Jobs, control.JobInfo{ID: j.ID, Site: j.Site, Job: j.Job, By: j.By})
	}
	for _, b := range d.engine.Bursts() {
		s.Bursts = append(s.Bursts, info(b))
	}
	s.Exceptions = d.exceptions()
	return s
}

// info is one burst in a line.
func info(b burst.State) control.BurstInfo {
	r := b.Request
	i := control.BurstInfo{Claim: b.Claim, Job: r.JobID, Site: r.Site, Team: r.Job.Team, Slice: r.Job.Slice,
		SliceDigest: r.SliceDigest, Phase: string(b.Phase), Outcome: b.Outcome, Asked: r.At,
		Served: b.Served, Decision: b.Decision}
	if p := b.Decision.Plan; p != nil {
		i.Offer, i.Reserved = p.Offer.Key(), p.Reserve
	}
	if b.Place != nil {
		i.Place, i.Level = b.Place.Address.String()+" ("+b.Place.Country+")", b.Level.String()
	}
	if b.Node != nil {
		i.Node, i.Expires = b.Node.ID, b.Node.Expires
	}
	i.Spent = b.Spent()
	for _, a := range b.Artefacts {
		out := control.ArtefactInfo{Name: a.Name, Digest: a.Digest, Bytes: a.Bytes, Class: a.Class,
			Flagged: b.FlaggedFor(a.Name, a.Digest)}
		if r := b.Release(a.Name, a.Digest); r != nil {
			out.Released, out.Out, out.Withheld = true, r.Out, r.Withheld
		}
		i.Artefacts = append(i.Artefacts, out)
	}
	return i
}

// Do carries out an action a person may ask for.
func (d desk) Do(_ context.Context, actor, action, claim, reason string) error {
	switch action {
	case control.ActionRevoke:
		return d.engine.Stop(claim, actor, burst.WhyRevoked, reason)
	case control.ActionRelease:
		claim, name, _ := strings.Cut(claim, " ")
		return d.engine.Release(actor, claim, name, reason)
	case control.ActionClear:
		claim, name, _ := strings.Cut(claim, " ")
		return d.engine.Unflag(actor, claim, name, reason)
	case control.ActionRecall:
		data, digest, _ := strings.Cut(claim, " ")
		return d.engine.Recall(actor, perform.Recall{Data: data, Digest: digest, Reason: reason})
	case control.ActionGlassRequest, control.ActionGlassApprove, control.ActionGlassEnd, control.ActionGlassReview:
		return d.breakGlass(actor, action, claim, reason)
	case control.ActionReload:
		law, err := readLaw(d.conf)
		if err != nil {
			return err
		}
		return d.engine.SetLaw(actor, law)
	}
	return fmt.Errorf("do %q: no such action", action)
}
