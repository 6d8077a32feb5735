package residency

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Membership says that a country is in a group for a while: a union, or the
// countries of one kind of adequacy decision. Days are of UTC. Made by
// [ParseTable]; the zero Membership holds never.
type Membership struct {
	Group   string `json:"group"`           // "EU", "EEA", "ADEQUATE", "US-DPF", …
	Country string `json:"country"`         // ISO 3166-1 alpha-2
	From    string `json:"from"`            // the first day, as 2006-01-02
	Until   string `json:"until,omitempty"` // the first day it does not hold any more; "" is open
	Source  string `json:"source"`
}

// noGroup is the one group of a place that is in none.
const noGroup = "none"

// holds reports whether m is in force on day. Where no day is said, m holds if
// it has begun when the table was written and has no end.
func (m Membership) holds(day, dated string) bool {
	if day == "" {
		return m.Group != "" && m.Until == "" && m.From <= dated
	}
	return m.Group != "" && m.From <= day && (m.Until == "" || day < m.Until)
}

// check reports the first thing about m that is not known.
func (m Membership) check() error {
	switch {
	case !isGroup(m.Group):
		return fmt.Errorf("%q is no name of a group", m.Group)
	case !isCountry(m.Country):
		return fmt.Errorf("%q is no ISO 3166-1 country", m.Country)
	case !isDay(m.From):
		return fmt.Errorf("%q is no day such as 2006-01-02", m.From)
	case m.Until != "" && (!isDay(m.Until) || m.Until <= m.From):
		return fmt.Errorf("%q is no day after %s", m.Until, m.From)
	case !isText(m.Source):
		return errors.New("source is missing")
	}
	return nil
}

// meets reports whether m and o are of the same group and country and share a
// day.
func (m Membership) meets(o Membership) bool {
	return m.Group == o.Group && m.Country == o.Country &&
		(m.Until == "" || o.From < m.Until) && (o.Until == "" || m.From < o.Until)
}

// isGroup reports whether s is an upper-case name.
func isGroup(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// isDay reports whether s is a day, spelled as 2006-01-02.
func isDay(s string) bool {
	d, err := time.Parse(time.DateOnly, s)
	return err == nil && d.Format(time.DateOnly) == s
}

// groups are those p is in on the table's day, sorted; "none" if there are none.
func (t *Table) groups(p Place) []string {
	if len(p.Groups) > 0 { // the short form says them in the row
		return slices.Clone(p.Groups)
	}
	var g []string
	for _, m := range t.members[p.Country] { // sorted by group
		if m.holds(t.day, t.dated) {
			g = append(g, m.Group)
		}
	}
	if g == nil {
		return []string{noGroup}
	}
	return g
}

// Memberships returns every membership, past and future ones too, sorted by
// group, country and first day.
func (t *Table) Memberships() []Membership {
	if t == nil {
		return nil
	}
	var all []Membership
	for _, ms := range t.members {
		all = append(all, ms...)
	}
	slices.SortFunc(all, func(a, b Membership) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Country, b.Country), cmp.Compare(a.From, b.From))
	})
	return all
}

// Without is the table as if memberships of group had ended: of one country, or
// of all if country is "". It answers what would fall if a decision were
// withdrawn. Its digest is its own, and no file has it. That nothing was to be
// withdrawn is an error.
func (t *Table) Without(group, country string) (*Table, error) {
	var found bool
	on := new(Table)
	if t != nil {
		*on = *t
		on.members = map[string][]Membership{}
		for c, ms := range t.members {
			on.members[c] = slices.DeleteFunc(slices.Clone(ms), func(m Membership) bool {
				gone := m.Group == group && (country == "" || country == c)
				found = found || gone
				return gone
			})
		}
	}
	if !found {
		return nil, fmt.Errorf("withdraw %s %s: no such membership in the table", group, country)
	}
	on.digest = digest([]byte(t.digest + "\nwithout " + group + " " + country + "\n"))
	return on, nil
}
