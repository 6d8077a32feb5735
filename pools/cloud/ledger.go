package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// ErrBudget refuses a reservation: nobody gave the team a budget, too little of
// one is left, or the amount is unknown. Nothing was reserved.
var ErrBudget = errors.New("not within budget")

// Ledger keeps reserved + spent within every budget. A reservation counts
// against each budget it concerns, or against none: all are compared and
// changed under one lock. An attempt of a claim is reserved once for ever. Make
// one with [NewLedger]; the zero Ledger denies everything. Safe for concurrent
// use.
type Ledger struct {
	mu      sync.Mutex
	budgets []policy.Budget
	lines   map[attempt]line
	purses  map[string]purse // by account
}

// attempt is what a reservation is made for.
type attempt struct {
	claim string
	n     int
}

// line is one reservation and, later, what became of it.
type line struct {
	charge  policy.Charge
	spent   policy.Money
	settled bool
	entered bool // the log holds it
}

// Overrun is a reservation that cost more than was reserved for it.
type Overrun struct {
	Claim   string       `json:"claim"`
	Attempt int          `json:"attempt"`
	Team    string       `json:"team"`
	By      policy.Money `json:"by"`
}

// NewLedger makes a ledger in which nothing is reserved or spent. A team
// without a budget of its own that lasts longer than a burst may reserve
// nothing, and neither may anybody against a budget without a limit.
// Of two budgets for the same, neither is meant: they have no limit.
func NewLedger(budgets []policy.Budget) *Ledger {
	l := &Ledger{lines: map[attempt]line{}, purses: map[string]purse{}}
	for _, b := range budgets {
		same := func(had policy.Budget) bool {
			return had.Team == b.Team && had.Queue == b.Queue && had.Period == b.Period
		}
		if i := slices.IndexFunc(l.budgets, same); i >= 0 {
			l.budgets[i].Limit = policy.Money{}
			continue
		}
		l.budgets = append(l.budgets, b)
	}
	return l
}

// Reserve sets c's amount aside, all or nothing. Reserving the same again is no
// change, whether settled meanwhile or not. What was reserved for this attempt
// but never entered in the log gives way; once it is entered, another amount or
// payer is an error. [ErrBudget] when c does not fit.
func (l *Ledger) Reserve(c policy.Charge) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done, err := l.again(c); done || err != nil {
		return err
	}
	least, account := l.left(c)
	after, err := least.Minus(c.Amount)
	if err != nil {
		return fmt.Errorf("reserve %v for %s: %s: %w: %w", c.Amount, c.Claim, account, ErrBudget, err)
	}
	if after.Micros < 0 {
		return fmt.Errorf("reserve %v for %s: %s has %v left: %w", c.Amount, c.Claim, account, least, ErrBudget)
	}
	l.book(c)
	return nil
}

// Replay enters a reservation which the log already holds. It is a fact by
// now, so it counts even when today's budgets would no longer allow it.
func (l *Ledger) Replay(c policy.Charge) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	done, err := l.again(c)
	if err != nil {
		return err
	}
	if !done {
		l.book(c)
	}
	at := attempt{c.Claim, c.Attempt}
	e := l.lines[at]
	e.entered = true
	l.lines[at] = e
	return nil
}

// again reports whether this very reservation exists, refuses what can never be
// one, and takes back one of the same attempt that was never entered.
func (l *Ledger) again(c policy.Charge) (bool, error) {
	if _, err := time.Parse(time.DateOnly, c.Day); err != nil || c.Claim == "" || c.Attempt < 1 || c.Team == "" ||
		!c.Amount.Known() || c.Amount.Micros <= 0 || l.lines == nil {
		return false, fmt.Errorf("reserve %v for claim %q: no claim, payer, day or amount: %w", c.Amount, c.Claim, ErrBudget)
	}
	had, ok := l.lines[attempt{c.Claim, c.Attempt}]
	switch {
	case !ok || had.charge == c:
		return ok, nil
	case had.entered || had.settled:
		return false, fmt.Errorf("reserve %v for %s of team %s: already reserved %v for team %s on %s",
			c.Amount, c.Claim, c.Team, had.charge.Amount, had.charge.Team, had.charge.Day)
	}
	for account := range l.concerned(had.charge) {
		l.purses[account].add(had.charge.Amount, -1)
	}
	delete(l.lines, attempt{c.Claim, c.Attempt})
	return false, nil
}

// Settle replaces what an attempt reserved by what it cost, where it was
// reserved. It counts once: the same again is no change, another amount is an
// error. A cost above the reservation is recorded in full and shows in
// [Ledger.Overruns]; whatever it leaves below nothing denies what follows.
func (l *Ledger) Settle(claim string, n int, spent policy.Money) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	had, ok := l.lines[attempt{claim, n}]
	switch {
	case !ok:
		return fmt.Errorf("settle %s, attempt %d: nothing is reserved for it", claim, n)
	case spent.Micros < 0 || spent.Currency != had.charge.Amount.Currency:
		return fmt.Errorf("settle %s at %v: not an amount in %s", claim, spent, had.charge.Amount.Currency)
	case had.settled && had.spent != spent:
		return fmt.Errorf("settle %s at %v: already settled at %v", claim, spent, had.spent)
	case had.settled:
		return nil
	}
	for account := range l.concerned(had.charge) {
		l.purses[account].add(spent, 1)
		l.purses[account].add(had.charge.Amount, -1)
	}
	had.spent, had.settled = spent, true
	l.lines[attempt{claim, n}] = had
	return nil
}

// Left is the least that any budget which c concerns has neither reserved nor
// spent, and which account that is. It is negative after an overrun and unknown
// where a budget is missing; both deny. c's amount does not matter.
func (l *Ledger) Left(c policy.Charge) (policy.Money, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left(c)
}

// left is Left with the lock held.
func (l *Ledger) left(c policy.Charge) (policy.Money, string) {
	var least policy.Money
	var which string
	own := false
	for account, b := range l.concerned(c) {
		left := l.purses[account].under(b.Limit)
		over, err := left.Minus(least)
		switch {
		case !left.Known() || which != "" && err != nil:
			return policy.Money{}, account
		case which == "" || over.Micros < 0:
			least, which = left, account
		}
		own = own || b.Team == c.Team && b.Period != policy.PerBurst
	}
	if !own {
		return policy.Money{}, "team " + c.Team + " has no budget"
	}
	return least, which
}

// book counts c against every budget it concerns.
func (l *Ledger) book(c policy.Charge) {
	l.lines[attempt{c.Claim, c.Attempt}] = line{charge: c}
	for account := range l.concerned(c) {
		if l.purses[account] == nil {
			l.purses[account] = purse{}
		}
		l.purses[account].add(c.Amount, 1)
	}
}

// Totals is everything reserved and not settled, and everything spent, over
// all teams. An amount whose parts have several currencies, or none, is unknown.
func (l *Ledger) Totals() (reserved, spent policy.Money) {
	l.mu.Lock()
	defer l.mu.Unlock()
	open, paid := purse{}, purse{}
	for _, b := range l.budgets {
		open.add(policy.Money{Currency: b.Limit.Currency}, 1)
		paid.add(policy.Money{Currency: b.Limit.Currency}, 1)
	}
	for _, e := range l.lines {
		zero := policy.Money{Currency: e.charge.Amount.Currency}
		if e.settled {
			open.add(zero, 1)
			paid.add(e.spent, 1)
		} else {
			open.add(e.charge.Amount, 1)
			paid.add(zero, 1)
		}
	}
	return open.sum(), paid.sum()
}

// Overruns is every attempt that cost more than was reserved for it, in order.
func (l *Ledger) Overruns() []Overrun {
	l.mu.Lock()
	defer l.mu.Unlock()
	var over []Overrun
	byName := func(a, b attempt) int { return cmp.Or(cmp.Compare(a.claim, b.claim), cmp.Compare(a.n, b.n)) }
	for _, at := range slices.SortedFunc(maps.Keys(l.lines), byName) {
		e := l.lines[at]
		if by, err := e.spent.Minus(e.charge.Amount); e.settled && err == nil && by.Micros > 0 {
			over = append(over, Overrun{Claim: at.claim, Attempt: at.n, Team: e.charge.Team, By: by})
		}
	}
	return over
}
