package configs

import (
	"fmt"
	"maps"
	"slices"

	"github.com/burstctl/burstctl/policy"
)

// Budget is what somebody may spend, by period; an unknown amount is no bound.
// Written as one amount it is the total. The zero Budget bounds nothing and
// allows nothing.
type Budget struct {
	Total    policy.Money
	Month    policy.Money // of the calendar, UTC
	Day      policy.Money // of the calendar, UTC
	Burst    policy.Money // all attempts of one claim
	MaxPrice policy.Money // of a machine, per hour
}

// Spending bounds what teams spend together. The zero Spending bounds nothing
// and alerts nobody.
type Spending struct {
	All    Budget
	Queues map[string]Budget
	Alerts []int // percent of a budget, each said once a period
}

// Limits is every budget of the file, in the same order each time.
func (c Controller) Limits() []policy.Budget {
	var bs []policy.Budget
	for _, team := range slices.Sorted(maps.Keys(c.Budgets)) {
		bs = append(bs, c.Budgets[team].limits(team, "")...)
	}
	for _, queue := range slices.Sorted(maps.Keys(c.Spending.Queues)) {
		bs = append(bs, c.Spending.Queues[queue].limits("", queue)...)
	}
	return append(bs, c.Spending.All.limits("", "")...)
}

// limits is one budget for each amount that is given.
func (b Budget) limits(team, queue string) []policy.Budget {
	var bs []policy.Budget
	for _, p := range []struct {
		period policy.Period
		limit  policy.Money
	}{{policy.Always, b.Total}, {policy.Monthly, b.Month}, {policy.Daily, b.Day}, {policy.PerBurst, b.Burst}} {
		if p.limit.Known() {
			bs = append(bs, policy.Budget{Team: team, Queue: queue, Period: p.period, Limit: p.limit})
		}
	}
	return bs
}

// MaxPrices is the most that a machine may cost per hour, by team; "" is for
// every team.
func (c Controller) MaxPrices() map[string]policy.Money {
	prices := map[string]policy.Money{"": c.Spending.All.MaxPrice}
	for team, b := range c.Budgets {
		prices[team] = b.MaxPrice
	}
	return prices
}

// checkBudgets refuses a second currency, a team that may spend without end and
// a bound that nothing keeps.
func (c *Controller) checkBudgets(r *report) {
	first := ""
	amounts := func(b Budget, path ...string) {
		for _, m := range []struct {
			key    string
			amount policy.Money
		}{{"total", b.Total}, {"month", b.Month}, {"day", b.Day}, {"burst", b.Burst}, {"max_price", b.MaxPrice}} {
			if first == "" {
				first = m.amount.Currency
			}
			if m.amount.Known() && m.amount.Currency != first {
				at := r.root.find(append(path, m.key)...).position
				r.at(at, false, "budget of "+path[len(path)-1], "it is in "+m.amount.Currency+" and the first in "+first,
					"keep one currency; amounts are never converted")
			}
		}
	}
	for _, team := range r.root.fields["budgets"].order {
		b := c.Budgets[team]
		amounts(b, "budgets", team)
		if !b.Total.Known() && !b.Month.Known() && !b.Day.Known() {
			r.at(r.root.find("budgets", team).position, false, "budget of "+team, "it bounds no period",
				"add total, month or day; without one the team may reserve nothing")
		}
	}
	if s := r.root.fields["spending"].fields["all"]; s != nil {
		amounts(c.Spending.All, "spending", "all")
	}
	for _, queue := range slices.Sorted(maps.Keys(c.Spending.Queues)) {
		b := c.Spending.Queues[queue]
		amounts(b, "spending", "queues", queue)
		if b.MaxPrice.Known() {
			r.at(r.root.find("spending", "queues", queue).position, false, fmt.Sprintf("budget of queue %s", queue),
				"a queue has no max_price", "give it to a team, to all, or to the job")
		}
	}
}
