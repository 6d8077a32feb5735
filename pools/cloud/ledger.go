package cloud

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/burstctl/burstctl/policy"
)

// ErrBudget refuses a reservation: the team has no budget, too little of it is
// left, or the amount is unknown. Nothing was reserved.
var ErrBudget = errors.New("not within budget")

// Ledger keeps, for every team, reserved + spent within its budget. What a
// reservation is named by, its claim, is used once for ever; a caller that
// launches one claim several times names each attempt. Make one with
// [NewLedger]; the zero Ledger denies everything. Safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	budgets map[string]policy.Money
	lines   map[string]line
}

// line is one reservation and, later, what became of it.
type line struct {
	team     string
	reserved policy.Money
	spent    policy.Money
	settled  bool
}

// Overrun is a reservation that cost more than was reserved for it.
type Overrun struct {
	Claim string       `json:"claim"`
	Team  string       `json:"team"`
	By    policy.Money `json:"by"`
}

// NewLedger makes a ledger in which nothing is reserved or spent. A team that
// is missing, or whose budget is unknown, may reserve nothing.
func NewLedger(budgets map[string]policy.Money) *Ledger {
	return &Ledger{budgets: maps.Clone(budgets), lines: map[string]line{}}
}

// Reserve sets m aside for claim, all or nothing. Reserving the same again is
// no change, whether settled meanwhile or not; the same claim with another
// amount or team is an error. [ErrBudget] when m does not fit.
func (l *Ledger) Reserve(claim, team string, m policy.Money) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done, err := l.again(claim, team, m); done || err != nil {
		return err
	}
	left, err := l.left(team).Minus(m)
	if err != nil {
		return fmt.Errorf("reserve %v for %s: %w: %w", m, claim, ErrBudget, err)
	}
	if left.Micros < 0 {
		return fmt.Errorf("reserve %v for %s: team %s has %v left: %w", m, claim, team, l.left(team), ErrBudget)
	}
	l.lines[claim] = line{team: team, reserved: m}
	return nil
}

// Replay enters a reservation which the log already holds. It is a fact by
// now, so it counts even when today's budgets would no longer allow it.
func (l *Ledger) Replay(claim, team string, m policy.Money) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done, err := l.again(claim, team, m); done || err != nil {
		return err
	}
	l.lines[claim] = line{team: team, reserved: m}
	return nil
}

// again reports whether this very reservation exists, and refuses what can
// never be one.
func (l *Ledger) again(claim, team string, m policy.Money) (bool, error) {
	if claim == "" || !m.Known() || m.Micros <= 0 || l.lines == nil {
		return false, fmt.Errorf("reserve %v for claim %q: no claim or no amount: %w", m, claim, ErrBudget)
	}
	had, ok := l.lines[claim]
	if ok && (had.team != team || had.reserved != m) {
		return false, fmt.Errorf("reserve %v for %s of team %s: already reserved %v for team %s",
			m, claim, team, had.reserved, had.team)
	}
	return ok, nil
}

// Settle replaces what claim reserved by what it cost. It counts once: the
// same again is no change, another amount is an error. A cost above the
// reservation is recorded in full and shows in [Ledger.Overruns].
func (l *Ledger) Settle(claim string, spent policy.Money) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	had, ok := l.lines[claim]
	switch {
	case !ok:
		return fmt.Errorf("settle %s: nothing is reserved for it", claim)
	case spent.Micros < 0 || spent.Currency != had.reserved.Currency:
		return fmt.Errorf("settle %s at %v: not an amount in %s", claim, spent, had.reserved.Currency)
	case had.settled && had.spent != spent:
		return fmt.Errorf("settle %s at %v: already settled at %v", claim, spent, had.spent)
	}
	had.spent, had.settled = spent, true
	l.lines[claim] = had
	return nil
}

// Left is what the team has neither reserved nor spent. It is negative after
// an overrun and unknown for a team without a budget; both deny.
func (l *Ledger) Left(team string) policy.Money {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left(team)
}

// left is Left with the lock held.
func (l *Ledger) left(team string) policy.Money {
	left := l.budgets[team]
	for _, e := range l.lines {
		if e.team != team {
			continue
		}
		var err error
		if left, err = left.Minus(e.holds()); err != nil {
			return policy.Money{}
		}
	}
	return left
}

// holds is what the line takes from its team's budget.
func (e line) holds() policy.Money {
	if e.settled {
		return e.spent
	}
	return e.reserved
}

// Totals is everything reserved and not settled, and everything spent, over
// all teams. An amount whose parts have several currencies, or none, is unknown.
func (l *Ledger) Totals() (reserved, spent policy.Money) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var open, paid []policy.Money
	for _, e := range l.lines {
		zero := policy.Money{Currency: e.reserved.Currency}
		if e.settled {
			open, paid = append(open, zero), append(paid, e.spent)
		} else {
			open, paid = append(open, e.reserved), append(paid, zero)
		}
	}
	for _, b := range l.budgets {
		zero := policy.Money{Currency: b.Currency}
		open, paid = append(open, zero), append(paid, zero)
	}
	return sum(open), sum(paid)
}

// sum adds amounts; any doubt makes the sum unknown.
func sum(amounts []policy.Money) policy.Money {
	if len(amounts) == 0 {
		return policy.Money{}
	}
	total := amounts[0]
	for _, m := range amounts[1:] {
		var err error
		if total, err = total.Plus(m); err != nil {
			return policy.Money{}
		}
	}
	return total
}

// Overruns is every claim that cost more than was reserved for it, by claim.
func (l *Ledger) Overruns() []Overrun {
	l.mu.Lock()
	defer l.mu.Unlock()
	var over []Overrun
	for _, claim := range slices.Sorted(maps.Keys(l.lines)) {
		e := l.lines[claim]
		if by, err := e.spent.Minus(e.reserved); e.settled && err == nil && by.Micros > 0 {
			over = append(over, Overrun{Claim: claim, Team: e.team, By: by})
		}
	}
	return over
}
