package perform

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
)

// chooser is what decisions on offers share: the book of each site, what the
// rules say of its places, and what launches have taught of capacity.
type chooser struct {
	mu       sync.Mutex
	memory   *policy.Memory
	books    map[string]*policy.Book
	under    terms
	screened map[question]*policy.Screened
}

// terms are what the rules' word on places holds under.
type terms struct {
	rules     *residency.Rules
	places    *residency.Table
	catalogue *residency.Catalogue
	day       string
}

// question is what the rules are asked about every place, once.
type question struct{ site, slice, purpose, team string }

// book is the offers as they look from a site.
func (e *Engine) book(site string) *policy.Book {
	c := &e.choice
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.books[site] == nil {
		if c.books == nil {
			c.books = map[string]*policy.Book{}
		}
		var facts func(policy.Offer) policy.Facts
		if e.Facts != nil {
			facts = e.Facts(site)
		}
		c.books[site] = policy.NewBook(e.Offers, facts, e.Weights)
	}
	return c.books[site]
}

// screen asks the rules in force about every place of a book, once for each
// question and day. While an exception stands nothing is remembered: it ends by
// the minute.
func (e *Engine) screen(b *policy.Book, law InForce, rules *residency.Rules, excepted bool, ask residency.Ask,
	r policy.Request, now time.Time) *policy.Screened {
	places := law.Places.At(now)
	fresh := func() *policy.Screened {
		return b.Screen(func(a residency.Address) residency.Verdict { return rules.Screen(places, ask, a) })
	}
	if excepted {
		return fresh()
	}
	c := &e.choice
	under := terms{law.Rules, law.Places, law.Catalogue, now.UTC().Format(time.DateOnly)}
	q := question{r.Site, r.Job.Slice, r.Job.Purpose, r.Job.Team}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under != under {
		c.under, c.screened = under, map[question]*policy.Screened{}
	}
	if c.screened[q] == nil {
		c.screened[q] = fresh()
	}
	return c.screened[q]
}

// weigh decides on a request as things are now. The law is held by the caller.
func (e *Engine) weigh(r policy.Request, tried map[string]string, charge policy.Charge, now time.Time) (
	d policy.Decision, used []burst.Body, waits bool) {
	law := e.law
	d = policy.Decision{Refusal: "the slice is not in the catalogue"}
	if why := e.withdrawn(r); why != "" {
		d.Refusal = why
		return d, nil, false
	}
	ask, err := law.ask(r)
	if err != nil {
		return d, nil, false
	}
	rules, excepted := e.excepting(law.Rules, now)
	book := e.book(r.Site)
	left, of := e.Ledger.Left(charge)
	w := policy.World{
		Screened:    e.screen(book, law, rules, len(excepted) > 0, ask, r, now),
		Left:        left,
		LeftOf:      of,
		MaxPrice:    policy.MaxPrice(e.MaxPrice, r.Job.Team),
		Unavailable: tried,
		Closed:      e.closed(now),
		MaxLease:    e.Timing.MaxLease,
	}
	d = book.Decide(r, w)
	places := law.Places.At(now)
	if d.Plan != nil {
		at := d.Plan.Offer.At
		return d, using(rules.Screen(places, ask, at), burst.OnCreate, at), false
	}
	d.Alternative = law.Rules.Nearest(places, law.Catalogue, ask, book.Places())
	return d, nil, resting(book, r, w)
}

// resting reports whether an offer would be planned but for a rest it takes.
func resting(b *policy.Book, r policy.Request, w policy.World) bool {
	shut := w.Closed
	w.Closed = nil
	for scope, c := range shut {
		if c.Kind == policy.KindQuota { // that takes a person, not patience
			if w.Closed == nil {
				w.Closed = map[string]policy.Closed{}
			}
			w.Closed[scope] = c
		}
	}
	return len(shut) > len(w.Closed) && b.Decide(r, w).Plan != nil
}

// errResting: everything that would do takes a rest after a lack of capacity.
var errResting = errors.New("what would do had no capacity and is not asked for yet")

// closed is what nobody asks for now.
func (e *Engine) closed(now time.Time) map[string]policy.Closed {
	e.choice.mu.Lock()
	defer e.choice.mu.Unlock()
	return e.choice.memory.Closed(now)
}

// Attention lists what a person must see to so that machines can be had again.
func (e *Engine) Attention() []string {
	e.choice.mu.Lock()
	defer e.choice.mu.Unlock()
	return e.choice.memory.Quotas(time.Now())
}

// admit takes one of the launches that may be under way for an offer.
func (e *Engine) admit(claim string, attempt int, o policy.Offer, now time.Time) error {
	e.choice.mu.Lock()
	defer e.choice.mu.Unlock()
	if !e.choice.memory.Admit(account(claim, attempt), o, now) {
		return fmt.Errorf("decide %s: %s: %w", claim, o.Key(), errResting) // another burst was faster: decide again
	}
	return nil
}

// dismiss gives it back where no launch followed.
func (e *Engine) dismiss(claim string, attempt int) {
	e.choice.mu.Lock()
	defer e.choice.mu.Unlock()
	e.choice.memory.End(account(claim, attempt))
}

// remember folds what an entry teaches of capacity, live and in recovery alike.
func (e *Engine) remember(s burst.State, ev burst.Event) {
	if s.Decision.Plan == nil {
		return
	}
	e.choice.mu.Lock()
	defer e.choice.mu.Unlock()
	m, attempt := e.choice.memory, account(s.Claim, s.Attempt)
	switch b := ev.Body.(type) {
	case *burst.Decided:
		m.Begin(attempt, s.Decision.Plan.Offer)
	case *burst.Launched:
		m.Made(account(s.Claim, b.Node.Attempt))
	case *burst.LaunchFailed:
		if b.Lack == "" {
			m.End(account(s.Claim, b.Attempt))
		}
		m.Missed(account(s.Claim, b.Attempt), b.Lack, b.Why, ev.At)
	case *burst.Over:
		m.End(attempt)
	}
}

// hung notes that a launch was not answered in time. It is not in the log: the
// next start finds out by itself.
func (e *Engine) hung(o policy.Offer) {
	e.choice.mu.Lock()
	defer e.choice.mu.Unlock()
	e.choice.memory.Hung(o, time.Now())
}
