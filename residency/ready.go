package residency

import (
	"fmt"

	cedar "github.com/cedar-policy/cedar-go"
)

// Ready is rules over a table, made ready for many questions: what depends on
// the place alone is worked out once. Made by [Rules.Ready]; it answers as
// [Rules.Suppose] does, without saying why. The zero Ready denies.
type Ready struct {
	r      *Rules
	t      *Table
	places map[Address]readyPlace
}

// readyPlace is a place of the table as every question about it needs it.
type readyPlace struct {
	place   Place
	country string // of its region
	record  cedar.Record
}

// Ready makes the rules ready over every place of the table.
func (r *Rules) Ready(t *Table) *Ready {
	y := &Ready{r: r, t: t, places: map[Address]readyPlace{}}
	if r == nil || len(r.set) == 0 {
		return y
	}
	for _, p := range t.Places() {
		q := question{place: p}
		if q.fill(t); q.place.check() == nil && isCountry(q.country) {
			y.places[p.Address] = readyPlace{q.place, q.country, placeRecord(q.place, q.country)}
		}
	}
	return y
}

// Allows answers s with yes or no.
func (y *Ready) Allows(s Supposed) bool {
	at, ok := y.places[s.At]
	if !ok {
		return false
	}
	q := s.question(at.place)
	q.country, q.day = at.country, y.t.day
	if !q.asks() {
		return false
	}
	if _, closed := q.closed(); closed {
		return false
	}
	policies := y.r.index.about(&q)
	if !policies.permits() {
		return false
	}
	allowed, _ := policies.evaluate(&q, at.record)
	return allowed
}

// plural is "1 thing" or "2 things".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
