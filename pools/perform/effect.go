package perform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
)

// do carries out one effect: intent, deed, outcome.
func (e *Engine) do(ctx context.Context, l *life, f burst.Effect) error {
	s := l.now()
	switch f.Do {
	case burst.DoDecide:
		return e.decide(l, s)
	case burst.DoLaunch:
		return e.launch(ctx, l, s, f)
	case burst.DoRevoke:
		return e.revoke(ctx, l, f)
	case burst.DoProbe:
		return e.probe(ctx, l, f)
	case burst.DoDelete:
		return e.delete(ctx, l, s, f)
	case burst.DoSettle:
		return e.settle(l, s)
	case burst.DoEnd:
		return e.enter(l, controller, &burst.Over{Outcome: outcome(s)})
	}
	return fmt.Errorf("do %q: no such effect", f.Do)
}

// decide makes the first decision and reserves its worst case before it is entered.
func (e *Engine) decide(l *life, s burst.State) error {
	e.lawMu.RLock()
	defer e.lawMu.RUnlock()
	now := time.Now()
	charge := s.Request.Charge(s.Attempt+1, policy.Day(now), policy.Money{})
	d, used, rests := e.weigh(s.Request, s.Tried, charge, now)
	if rests && now.Sub(s.Request.At) < e.Timing.Patience {
		return fmt.Errorf("decide %s: %s: %w", l.claim, d.Refusal, errResting)
	}
	if d.Plan != nil {
		if err := e.admit(l.claim, s.Attempt+1, d.Plan.Offer, now); err != nil {
			return err
		}
	}
	if d.Plan != nil {
		charge.Amount = d.Plan.Reserve
		if err := e.Ledger.Reserve(charge); err != nil {
			e.dismiss(l.claim, s.Attempt+1)
			return fmt.Errorf("decide %s: %w", l.claim, err) // another burst was faster: decide again
		}
	}
	err := e.enter(l, controller, append(used, &burst.Decided{Decision: d, Day: charge.Day})...)
	if err == nil && d.Plan != nil {
		e.alert(charge.Day)
	}
	if d.Plan != nil && errors.Is(err, errOrder) { // stopped meanwhile: this attempt will never be
		e.dismiss(l.claim, s.Attempt+1)
		return errors.Join(err, e.Ledger.Settle(l.claim, s.Attempt+1, nothing(d.Plan.Reserve)))
	}
	return err
}

// ask is the question the rules are asked about a request.
func (law InForce) ask(r policy.Request) (residency.Ask, error) {
	slice, err := law.Catalogue.Slice(r.Job.Slice)
	return residency.Ask{Slice: slice, Purpose: r.Job.Purpose, Team: r.Job.Team, Site: r.Site}, err
}

// launch enters the intent, then calls the driver until its answer is certain.
func (e *Engine) launch(ctx context.Context, l *life, s burst.State, f burst.Effect) error {
	if f.NeedsIntent {
		now := time.Now().UTC().Truncate(time.Millisecond)
		data := e.UserData
		data.Claim, data.Attempt = l.claim, s.Attempt
		plan := s.Decision.Plan
		launch := pools.Launch{Claim: l.claim, Attempt: s.Attempt, Offer: plan.Offer,
			Expires: now.Add(plan.Lease), UserData: data}
		intent := &burst.LaunchIntent{Launch: launch, Token: launch.Token(),
			BootBy: now.Add(min(e.Timing.Boot, e.working(plan.Lease)))}
		if err := e.enter(l, controller, intent); err != nil {
			return err
		}
		s = l.now()
	}
	node, err := e.call(ctx, *s.Launch)
	failed := &burst.LaunchFailed{Attempt: s.Attempt, Offer: s.Launch.Offer.Key()}
	switch {
	case err == nil:
		return e.enter(l, controller, &burst.Launched{Node: node})
	case errors.Is(err, pools.ErrCapacity):
		failed.Why, failed.Lack = err.Error(), policy.KindCapacity
	case errors.Is(err, pools.ErrQuota):
		failed.Why, failed.Lack = err.Error(), policy.KindQuota
		e.Logger.ErrorContext(ctx, "quota reached", "claim", l.claim, "offer", s.Launch.Offer.Key(),
			"family", s.Launch.Offer.Scopes()[1], "error", err)
	case errors.Is(err, pools.ErrRefused):
		failed.Why, failed.Final = err.Error(), true
	case errors.Is(err, pools.ErrEnded): // nobody saw how long it ran: at most from its intent on, and for its lease
		plan := s.Decision.Plan
		failed.Why = err.Error()
		failed.Spent = plan.Offer.PerHour.For(min(time.Since(s.Intended)+time.Second, plan.Lease))
	default: // unknown: it stays reserved and is asked again with the same token
		return fmt.Errorf("launch %s: %w", s.Launch.Offer.Key(), err)
	}
	return e.enter(l, controller, failed)
}

// call asks for a launch, for so long as a region may take to answer: one that
// hangs is left alone by every other burst, and asked again by this one, whose
// outcome only it can tell.
func (e *Engine) call(ctx context.Context, l pools.Launch) (pools.Node, error) {
	within, cancel := context.WithTimeout(ctx, e.Timing.Region)
	defer cancel()
	node, err := e.Fleet.Launch(within, l)
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		e.hung(l.Offer)
		e.Logger.WarnContext(ctx, "region does not answer in time", "offer", l.Offer.Key(), "within", e.Timing.Region)
	}
	return node, err
}

// working is how much of a lease a job may use: the rest is kept for teardown,
// so that a lease which runs out costs no more than was reserved for it.
func (e *Engine) working(lease time.Duration) time.Duration {
	return lease - min(e.Timing.Stop+e.Timing.Probe+2*e.Timing.Retry, lease/2)
}

// revoke withdraws one credential.
func (e *Engine) revoke(ctx context.Context, l *life, f burst.Effect) error {
	if f.NeedsIntent {
		if err := e.enter(l, controller, &burst.RevokeIntent{Serial: f.Serial}); err != nil {
			return err
		}
	}
	if err := e.Issuer.Revoke(ctx, f.Serial); err != nil {
		return fmt.Errorf("revoke %s: %w", f.Serial, err)
	}
	by := time.Now().UTC().Truncate(time.Millisecond).Add(e.Timing.Probe)
	return e.enter(l, controller, &burst.Revoked{Serial: f.Serial, ProbeBy: by})
}

// ErrStillGood: a credential that was revoked still opens what it opened. It is
// an incident; the burst does not end before its probe is refused.
var ErrStillGood = errors.New("the issuer says that it is still good")

// probe asks the issuer, since the node did not try its old credential in time.
func (e *Engine) probe(ctx context.Context, l *life, f burst.Effect) error {
	revoked, err := e.Issuer.Revoked(ctx, f.Serial)
	if err != nil {
		return fmt.Errorf("probe %s: %w", f.Serial, err)
	}
	p := &burst.Probed{Serial: f.Serial, Refused: revoked, By: "issuer", Detail: "the node did not try it in time"}
	if err := e.enter(l, controller, p); err != nil {
		return err
	}
	if !revoked {
		return fmt.Errorf("probe %s: %w", f.Serial, ErrStillGood)
	}
	return nil
}

// delete asks for the node's end until its absence is proven.
func (e *Engine) delete(ctx context.Context, l *life, s burst.State, f burst.Effect) error {
	if f.NeedsIntent {
		if err := e.enter(l, controller, &burst.DeleteIntent{Node: s.Node.ID}); err != nil {
			return err
		}
	}
	err := e.Fleet.Delete(ctx, s.Node.ID)
	if errors.Is(err, pools.ErrGone) {
		return e.enter(l, controller, &burst.Gone{Node: s.Node.ID})
	}
	if err == nil {
		err = errors.New("still there")
	}
	return fmt.Errorf("delete node %s: %w", s.Node.ID, err)
}

// settle closes the attempt's account at what it ran for.
func (e *Engine) settle(l *life, s burst.State) error {
	ran := max(s.GoneAt.Sub(s.Node.Launched), 0)
	plan := s.Decision.Plan
	err := e.enter(l, controller, &burst.Settled{Attempt: s.Attempt, Reserved: plan.Reserve,
		Spent: plan.Offer.PerHour.For(ran), Ran: ran})
	if err == nil { // it may have run for longer than was reserved
		e.alert(policy.Day(s.Intended), policy.Day(time.Now()))
	}
	return err
}

// outcome says in a word how a burst ended.
func outcome(s burst.State) string {
	if s.Stopped != nil {
		return s.Stopped.Why
	}
	return s.Outcome
}
