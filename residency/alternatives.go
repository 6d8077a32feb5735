package residency

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Alternative is something near a refused question that would be permitted. It
// is only supposed: what it names still has to be proven.
type Alternative struct {
	Change string    `json:"change"`         // what differs: "place", "slice", "purpose" or "proof"
	To     string    `json:"to"`             // the slice, purpose or level instead; "" if only the place differs
	At     []Address `json:"at"`             // where, nearest first; the place asked for, if that is permitted
	With   string    `json:"with,omitempty"` // of a slice, what it leaves out; set by who knows, as SliceSpec.Cuts says it
}

// String says it in words, with three places at most.
func (a Alternative) String() string {
	var at []string
	for _, p := range a.At[:min(3, len(a.At))] {
		at = append(at, p.String())
	}
	where := strings.Join(at, ", ")
	if more := len(a.At) - len(at); more > 0 {
		where += " and " + plural(more, "more place")
	}
	if a.Change == "place" {
		return "another place: " + where
	}
	to := a.To
	if a.With != "" {
		to += " (" + a.With + ")"
	}
	return "another " + a.Change + ": " + to + ", at " + where
}

// Cuts says in words what the slice leaves out of its version: columns, rows,
// partitions, small groups. It is "" if that is nothing.
func (s SliceSpec) Cuts() string {
	var cuts []string
	add := func(head string, what []string) {
		if len(what) > 0 {
			cuts = append(cuts, head+strings.Join(what, ", "))
		}
	}
	if s.Columns != nil {
		add("without ", s.Columns.Drop)
		add("pseudonyms for ", s.Columns.Pseudonymise)
	}
	add("only ", s.Partitions)
	if s.Rows != "" {
		cuts = append(cuts, "rows with "+s.Rows)
	}
	if k := s.KAnonymity; k != nil {
		cuts = append(cuts, fmt.Sprintf("%d or more alike in %s", k.K, strings.Join(k.Columns, ", ")))
	}
	return strings.Join(cuts, "; ")
}

// Alternatives lists what would be permitted instead of s, with one thing
// changed: another place; another slice of its dataset, no more sensitive;
// another purpose; a stronger proof. Only where that leads nowhere does it
// change the place as well.
func (r *Rules) Alternatives(t *Table, c *Catalogue, s Supposed) []Alternative {
	ready := r.Ready(t)
	found := []Alternative{}
	try := func(change, to string, other Supposed) {
		if at := ready.near(other, s.At); len(at) > 0 {
			found = append(found, Alternative{Change: change, To: to, At: at})
		}
	}
	try("place", "", s)
	for _, name := range c.Names() {
		other := s
		var err error
		if other.Ask.Slice, err = c.Slice(name); err == nil && name != s.Ask.Slice.Name &&
			other.Ask.Slice.Dataset == s.Ask.Slice.Dataset && other.Ask.Slice.Class <= s.Ask.Slice.Class {
			try("slice", name, other)
		}
	}
	for _, purpose := range s.Ask.Slice.Purposes {
		other := s
		if other.Ask.Purpose = purpose; purpose != s.Ask.Purpose {
			try("purpose", purpose, other)
		}
	}
	for l := s.Level + 1; l <= L4 && s.Level > L0; l++ {
		other := s
		if other.Level = l; ready.Allows(other) {
			found = append(found, Alternative{Change: "proof", To: l.String(), At: []Address{s.At}})
			break
		}
	}
	once := slices.DeleteFunc(slices.Clone(found), func(a Alternative) bool {
		return a.Change != "place" && (len(a.At) != 1 || a.At[0] != s.At)
	})
	if len(once) > 0 {
		return once
	}
	return found
}

// near lists where s would be allowed: at home alone if it is allowed there,
// else in home's country first, then with its provider.
func (y *Ready) near(s Supposed, home Address) []Address {
	if s.At = home; y.Allows(s) {
		return []Address{home}
	}
	country := known(y.t, home).Country
	far := func(p Place) int {
		switch {
		case p.Country == country && p.Provider == home.Provider:
			return 0
		case p.Country == country:
			return 1
		case p.Provider == home.Provider:
			return 2
		}
		return 3
	}
	var found []Place
	for _, p := range y.t.Places() {
		if s.At = p.Address; y.Allows(s) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b Place) int { return cmp.Compare(far(a), far(b)) })
	var at []Address
	for _, p := range found {
		at = append(at, p.Address)
	}
	return at
}
