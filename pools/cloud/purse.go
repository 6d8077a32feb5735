package cloud

import (
	"cmp"
	"iter"
	"math/big"
	"slices"

	"github.com/burstctl/burstctl/policy"
)

// purse is what one account holds: micros by currency. It neither overflows
// nor mixes; what cannot be said in one currency is unknown.
type purse map[string]*big.Int

// add counts m once, or takes it out again with a sign of -1.
func (p purse) add(m policy.Money, sign int64) {
	had, ok := p[m.Currency]
	if !ok {
		had = new(big.Int)
		p[m.Currency] = had
	}
	had.Add(had, new(big.Int).Mul(big.NewInt(m.Micros), big.NewInt(sign)))
}

// sum is all of it, unknown unless it is of one currency.
func (p purse) sum() policy.Money {
	if len(p) != 1 {
		return policy.Money{}
	}
	for currency, micros := range p {
		if currency != "" && micros.IsInt64() {
			return policy.Money{Micros: micros.Int64(), Currency: currency}
		}
	}
	return policy.Money{}
}

// under is what is left below a limit. An empty purse leaves all of it.
func (p purse) under(limit policy.Money) policy.Money {
	if len(p) == 0 {
		return limit
	}
	left, err := limit.Minus(p.sum())
	if err != nil {
		return policy.Money{}
	}
	return left
}

// concerned is every budget that c counts against, by its account, and last the
// job's own, which lasts for the burst.
func (l *Ledger) concerned(c policy.Charge) iter.Seq2[string, policy.Budget] {
	return func(yield func(string, policy.Budget) bool) {
		for _, b := range l.budgets {
			if b.Concerns(c) && !yield(b.Account(c), b) {
				return
			}
		}
		yield("job of "+c.Claim, policy.Budget{Period: policy.PerBurst, Limit: c.Within})
	}
}

// Levels is how full each account is that money of a day counts for, fullest
// first. A burst's own accounts are not among them: a burst reserves what it
// may cost, so they are full from the start.
func (l *Ledger) Levels(day string) []policy.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	var levels []policy.Level
	for _, b := range l.budgets {
		account := b.Account(policy.Charge{Day: day})
		held := l.purses[account].sum()
		if b.Period == policy.PerBurst || !held.Known() || held.Currency != b.Limit.Currency || b.Limit.Micros <= 0 {
			continue
		}
		percent := new(big.Int).Mul(big.NewInt(held.Micros), big.NewInt(100))
		percent.Div(percent, big.NewInt(b.Limit.Micros))
		levels = append(levels, policy.Level{Account: account, Limit: b.Limit, Held: held, Percent: percent.Int64()})
	}
	slices.SortFunc(levels, func(a, b policy.Level) int {
		return cmp.Or(cmp.Compare(b.Percent, a.Percent), cmp.Compare(a.Account, b.Account))
	})
	return levels
}
