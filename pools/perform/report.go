package perform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// Report enters what a node says of its job. A node can say nothing that
// widens what it may do.
func (e *Engine) Report(grant, serial string, r tunnel.Report) error {
	l, s, err := e.bearer(grant, serial)
	if err != nil {
		return err
	}
	switch r.Kind {
	case "job-started", "job-progress":
		body, err := decode(r.Kind, r.Body)
		if err != nil {
			return err
		}
		if p, ok := body.(*burst.Progress); ok {
			if s.Reports >= maxReports {
				return nil // said often enough: the log is not a job's to fill
			}
			if err := sensible(*p); err != nil {
				return err
			}
		}
		return ignoreRepeat(e.enter(l, node(s), body))
	case "job-finished":
		var f tunnel.Finished
		if err := audit.DecodeStrict(r.Body, &f); err != nil {
			return fmt.Errorf("read report: %w", err)
		}
		stop := &burst.Stop{Why: burst.WhyFinished, Detail: "the job ended well", By: e.stopBy()}
		if f.Exit != 0 {
			stop.Why, stop.Detail = burst.WhyFailed, fmt.Sprintf("the job ended with exit code %d: %.200s", f.Exit, f.Why)
		}
		return ignoreRepeat(e.enter(l, node(s), stop))
	case "unmounted":
		return ignoreRepeat(e.enter(l, node(s), &burst.Unmounted{Confirmed: true}))
	}
	return fmt.Errorf("read report: kind %q is none of a node's", r.Kind)
}

// maxReports bounds how often a job may report within one burst.
const maxReports = 20_000

// sensible refuses progress that no job makes.
func sensible(p burst.Progress) error {
	if p.Epoch < 0 || p.Epochs < 0 || p.Samples < 0 || p.Milliwatts < 0 || p.Milliwatts > tunnel.MostMilliwatts ||
		len(p.Metric) > tunnel.LongestMetric {
		return fmt.Errorf("read report: epoch %d, %d samples at %d mW are none", p.Epoch, p.Samples, p.Milliwatts)
	}
	return nil
}

// ignoreRepeat forgives a report that the state has already moved past.
func ignoreRepeat(err error) error {
	if errors.Is(err, errOrder) {
		return nil
	}
	return err
}

// decode reads the body of a kind, strictly.
func decode(kind string, raw json.RawMessage) (burst.Body, error) {
	body := burst.Kinds[kind].New()
	if err := audit.DecodeStrict(raw, body); err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	return body, nil
}

// Work returns what a site has to do, as soon as its number is past since or
// ctx ends.
func (e *Engine) Work(ctx context.Context, site string, since int64) tunnel.Work {
	w := tunnel.Work{N: e.pulse.wait(ctx, since)}
	byJob := map[string]burst.State{}
	for _, s := range e.Bursts() {
		if s.Request.Site != site {
			continue
		}
		byJob[s.Request.JobID] = s
		w.Releases = append(w.Releases, releasing(s)...)
		if s.Grant != nil && s.Phase != burst.Ended && len(s.Serials) > 0 {
			w.Grants = append(w.Grants, serving(s))
		}
	}
	for _, j := range e.Jobs() {
		if j.Site != site {
			continue
		}
		s := byJob[j.ID]
		w.Jobs = append(w.Jobs, tunnel.Waiting{ID: j.ID, Job: j.Job, Since: j.At, Claim: s.Claim,
			Phase: string(s.Phase), Outcome: s.Outcome, Alternative: s.Decision.Alternative})
	}
	return w
}

func serving(s burst.State) tunnel.Serving {
	g := tunnel.Serving{Grant: s.Grant.ID, Claim: s.Claim, Reach: s.Node.Reach, Order: order(s),
		Outputs: s.Request.Job.Outputs, Window: s.WindowN}
	for _, c := range s.Serials {
		if c.Asked {
			g.Revoked = append(g.Revoked, c.Number)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.Windows)) {
		g.Open = append(g.Open, tunnel.Open{N: n, Bytes: s.Windows[n]})
	}
	return g
}

// edgeKinds are the entries a site may ask for.
var edgeKinds = map[string]bool{"serve-intent": true, "serve-outcome": true, "artefact": true, "probed": true,
	"turned-away": true, "handed-out": true, "withheld": true, "round-trip": true}

// EnterFor makes one entry on behalf of a site and proves that the log holds
// it, under a checkpoint that extends what the site's witness remembers.
func (e *Engine) EnterFor(ctx context.Context, site string, in tunnel.Entering) (tunnel.Entered, error) {
	l, err := e.find(in.Claim)
	if err != nil {
		return tunnel.Entered{}, err
	}
	if s := l.now(); s.Request.Site != site {
		return tunnel.Entered{}, fmt.Errorf("enter %s for site %s: %w", in.Kind, site, ErrUnknownClaim)
	}
	if in.Kind == tunnel.AskRelease {
		return e.releaseProof(ctx, in)
	}
	if !edgeKinds[in.Kind] {
		return tunnel.Entered{}, fmt.Errorf("enter %q for site %s: not an edge's to enter", in.Kind, site)
	}
	body, err := decode(in.Kind, in.Body)
	if err != nil {
		return tunnel.Entered{}, err
	}
	if p, ok := body.(*burst.Probed); ok {
		p.By = "edge"
	}
	leaf, err := e.enterOne(l, "edge:"+site, body)
	if err != nil {
		return tunnel.Entered{}, err
	}
	if _, ok := body.(*burst.Artefact); ok {
		if err := e.flag(l); err != nil { // the next start does it
			e.Logger.ErrorContext(ctx, "result not flagged", "claim", in.Claim, "error", err)
		}
	}
	return e.entered(ctx, leaf, in.Old)
}

// entered proves a leaf to a witness that remembers a tree of size old.
func (e *Engine) entered(ctx context.Context, leaf audit.Leaf, old int64) (tunnel.Entered, error) {
	raw, err := leaf.Entry.Encode()
	if err != nil {
		return tunnel.Entered{}, err
	}
	x, err := e.Log.Extend(ctx, old, leaf.Index)
	if err != nil {
		return tunnel.Entered{}, err
	}
	return tunnel.Entered{Index: leaf.Index, Leaf: raw, Checkpoint: x.Checkpoint,
		Consistency: hashes(x.Consistency), Inclusion: hashes(x.Inclusion)}, nil
}

// Extension waits for a checkpoint larger than old, or ctx's end, and proves
// that it extends a tree of that size.
func (e *Engine) Extension(ctx context.Context, old int64) (tunnel.Extension, error) {
	if err := e.Log.Wait(ctx, old); err != nil && ctx.Err() == nil {
		return tunnel.Extension{}, err
	}
	x, err := e.Log.Extend(context.WithoutCancel(ctx), old, -1)
	return tunnel.Extension{Checkpoint: x.Checkpoint, Consistency: hashes(x.Consistency)}, err
}

// Cosign takes a checkpoint that a site's witness has cosigned.
func (e *Engine) Cosign(cosigned []byte) error { return e.Log.AddCosignature(cosigned) }

func hashes(hs []tlog.Hash) [][32]byte {
	out := make([][32]byte, len(hs))
	for i, h := range hs {
		out[i] = h
	}
	return out
}
