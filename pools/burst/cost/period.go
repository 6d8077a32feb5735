package cost

import (
	"fmt"
	"math/big"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Period is a span of time, its end outside. The zero Period is all of time.
type Period struct{ From, To time.Time }

// ParsePeriod reads "2026", "2026-10" or "2026-10-03": a year, a month or a day
// of the calendar, in UTC. "" is all of time.
func ParsePeriod(s string) (Period, error) {
	if s == "" {
		return Period{}, nil
	}
	for _, p := range []struct {
		layout       string
		years, month int
		days         int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {time.DateOnly, 0, 0, 1}} {
		if from, err := time.Parse(p.layout, s); err == nil {
			return Period{from, from.AddDate(p.years, p.month, p.days)}, nil
		}
	}
	return Period{}, fmt.Errorf("read period %q: write it as 2026, 2026-10 or 2026-10-03", s)
}

// clip is the part of a span that lies in p; ok is false if none does.
func (p Period) clip(from, to time.Time) (a, b time.Time, ok bool) {
	if !p.From.IsZero() && from.Before(p.From) {
		from = p.From
	}
	if !p.To.IsZero() && to.After(p.To) {
		to = p.To
	}
	return from, to, from.Before(to)
}

// Line is what one machine cost on one day, UTC. What was never answered has a
// line too, that spans no time and costs nothing yet.
type Line struct {
	Machine
	From, To time.Time // the machine's, within the day
	Cost     policy.Money
}

// Hours is how long it ran that day.
func (l Line) Hours() float64 { return l.To.Sub(l.From).Hours() }

// Lines is the cost of every machine in p, by days. Over all of time a
// machine's lines add up to what it spent, exactly.
func (b *Book) Lines(p Period) []Line {
	var all []Line
	for _, m := range b.Machines() {
		if !m.From.Before(m.To) {
			if _, _, in := p.clip(m.From, m.From.Add(1)); in {
				all = append(all, Line{Machine: m, From: m.From, To: m.From, Cost: m.Spent})
			}
			continue
		}
		for from := m.From; from.Before(m.To); {
			to := from.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
			if to.After(m.To) {
				to = m.To
			}
			if a, z, in := p.clip(from, to); in {
				cost, err := m.until(z).Minus(m.until(a))
				if err != nil {
					cost = policy.Money{}
				}
				all = append(all, Line{Machine: m, From: a, To: z, Cost: cost})
			}
			from = to
		}
	}
	return all
}

// until is the share of what a machine spent that falls before t, rounded down.
func (m Machine) until(t time.Time) policy.Money {
	part, whole := big.NewInt(int64(t.Sub(m.From))), big.NewInt(int64(m.To.Sub(m.From)))
	part.Mul(part, big.NewInt(m.Spent.Micros)).Div(part, whole)
	return policy.Money{Micros: part.Int64(), Currency: m.Spent.Currency}
}
