package residency

import (
	"fmt"
	"slices"
	"strings"
)

// Nearest names the nearest thing that would be allowed, in words, or returns
// "". It tries, in this order: the same slice at another of these places;
// another slice of its dataset, no more sensitive, at one of them; the same
// slice anywhere in the table; another of its purposes. It only asks Screen:
// what it names still has to be proven.
func (r *Rules) Nearest(t *Table, c *Catalogue, ask Ask, among []Address) string {
	if at := r.permitted(t, ask, among); at != "" {
		return ask.Slice.Name + " at " + at
	}
	for _, name := range c.Names() {
		other := ask
		var err error
		if other.Slice, err = c.Slice(name); err != nil || name == ask.Slice.Name ||
			other.Slice.Dataset != ask.Slice.Dataset || other.Slice.Class > ask.Slice.Class {
			continue
		}
		if at := r.permitted(t, other, among); at != "" {
			return name + " at " + at
		}
	}
	everywhere := make([]Address, 0, len(among))
	for _, p := range t.Places() {
		everywhere = append(everywhere, p.Address)
	}
	if at := r.permitted(t, ask, everywhere); at != "" {
		return ask.Slice.Name + " at " + at
	}
	for _, purpose := range ask.Slice.Purposes {
		other := ask
		other.Purpose = purpose
		if at := r.permitted(t, other, among); at != "" {
			return fmt.Sprintf("%s for purpose %s at %s", ask.Slice.Name, purpose, at)
		}
	}
	return ""
}

// permitted names the places, three at most, where ask passes the screen.
func (r *Rules) permitted(t *Table, ask Ask, among []Address) string {
	var names []string
	for _, a := range among {
		if s := a.String(); !slices.Contains(names, s) && r.Screen(t, ask, a).Allowed {
			names = append(names, s)
		}
	}
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more places", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}
