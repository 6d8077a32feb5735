package review

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Change is one slice and purpose for which the answer changes at some places.
type Change struct {
	Line
	At    []residency.Address `json:"at"`    // where it changes
	Why   string              `json:"why"`   // the answer under the new rules, at the first of them
	Rules []string            `json:"rules"` // @id of those that decide there, under the rules that allow
}

// Edited is a rule that was added, removed or changed.
type Edited struct {
	ID   string `json:"id"`
	What string `json:"what"` // "added", "removed" or "changed"
}

// Diff is what one set of rules answers otherwise than another.
type Diff struct {
	Old     Digests  `json:"old"`
	New     Digests  `json:"new"`
	Edited  []Edited `json:"edited"`
	Asked   int      `json:"asked"`
	Allowed []Change `json:"newly_allowed"`
	Denied  []Change `json:"newly_denied"`
}

// Digests name rules, the table they were asked over and the catalogue.
type Digests struct {
	Rules     string `json:"rules"`
	Places    string `json:"places"`
	Catalogue string `json:"catalogue,omitempty"`
}

// Law is rules over a table, and the slices they are asked about.
type Law struct {
	Rules     *residency.Rules
	Places    *residency.Table
	Catalogue *residency.Catalogue

	// Except opens the exception of this id if it is in force at this time, for
	// [Replay]; nil knows none.
	Except func(id string, at time.Time) (residency.Exception, bool)
}

// Compare asks both laws everything: each slice of either catalogue for each
// purpose, team, site and trust that a catalogue or a rule of either names, with
// one that none names, at each place of either table and each level. A slice is
// asked about as each law's own catalogue has it; one that it has not is refused.
func Compare(before, after Law) (Diff, error) {
	d := Diff{Old: before.digests(), New: after.digests(), Edited: edited(before.Rules, after.Rules),
		Allowed: []Change{}, Denied: []Change{}}
	space, err := SpaceOf(after.Places, after.Catalogue, before.Rules, after.Rules)
	if err != nil {
		return d, err
	}
	old, err := SpaceOf(before.Places, before.Catalogue, before.Rules, after.Rules)
	if err != nil {
		return d, err
	}
	space.Purposes = slices.Compact(slices.Sorted(slices.Values(append(old.Purposes, space.Purposes...))))
	for _, p := range before.Places.Places() {
		if !slices.ContainsFunc(space.Places, func(o residency.Place) bool { return o.Address == p.Address }) {
			space.Places = append(space.Places, p)
		}
	}
	then := space
	then.Slices, space.Slices = alike(old.Slices, space.Slices)
	was, is := Reach(before.Rules, before.Places, then), Reach(after.Rules, after.Places, space)
	d.Asked = is.Asked
	d.Allowed = changes(was, is, after)
	d.Denied = changes(is, was, before)
	for i, change := range d.Denied {
		q := change.row.Supposed
		q.Ask.Slice = space.Slices[slices.IndexFunc(space.Slices, named(q.Ask.Slice.Name))]
		q.At = change.At[0]
		d.Denied[i].Why = after.Rules.Suppose(after.Places, q).Why
	}
	return d, nil
}

// named finds a slice.
func named(name string) func(residency.Slice) bool {
	return func(s residency.Slice) bool { return s.Name == name }
}

// alike puts the slices of two catalogues in one order. One that a catalogue has
// not is a name without facts there, which denies.
func alike(a, b []residency.Slice) (as, bs []residency.Slice) {
	names := map[string]bool{}
	for _, s := range slices.Concat(a, b) {
		names[s.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		of := func(list []residency.Slice) residency.Slice {
			if i := slices.IndexFunc(list, named(name)); i >= 0 {
				return list[i]
			}
			return residency.Slice{Name: name}
		}
		as, bs = append(as, of(a)), append(bs, of(b))
	}
	return as, bs
}

func (l Law) digests() Digests {
	return Digests{l.Rules.Digest(), l.Places.Digest(), l.Catalogue.Digest()}
}

// changes lists what is allowed in more and not in less; law is that of more.
func changes(less, more Matrix, law Law) []Change {
	gained := more
	gained.Rows = make([]Row, len(more.Rows))
	for i, row := range more.Rows {
		gained.Rows[i] = Row{row.Supposed, make([]uint64, len(row.at))}
		for w := range row.at {
			gained.Rows[i].at[w] = row.at[w] &^ less.Rows[i].at[w]
		}
	}
	found := []Change{}
	for _, line := range Merge(gained.Lines()) {
		if line.Places == 0 {
			continue
		}
		c := Change{Line: line, Rules: []string{}}
		for n, p := range gained.Space.Places {
			if line.row.Allows(n) {
				c.At = append(c.At, p.Address)
			}
		}
		q := line.row.Supposed
		q.At = c.At[0]
		v := law.Rules.Suppose(law.Places, q)
		for _, rule := range v.Rules {
			c.Rules = append(c.Rules, rule.ID)
		}
		c.Why = v.Why
		found = append(found, c)
	}
	return found
}

// edited lists the rules whose text or annotations differ.
func edited(before, after *residency.Rules) []Edited {
	was, is := map[string]string{}, map[string]string{}
	for _, r := range before.List() {
		was[r.ID] = before.Text(r.ID)
	}
	for _, r := range after.List() {
		is[r.ID] = after.Text(r.ID)
	}
	all := maps.Clone(was)
	maps.Copy(all, is)
	found := []Edited{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		switch {
		case was[id] == "":
			found = append(found, Edited{id, "added"})
		case is[id] == "":
			found = append(found, Edited{id, "removed"})
		case was[id] != is[id]:
			found = append(found, Edited{id, "changed"})
		}
	}
	return found
}

// Err says that something is newly allowed; nil if nothing is.
func (d Diff) Err() error {
	n := 0
	for _, c := range d.Allowed {
		n += len(c.At) * int(c.To-c.Level+1)
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d answers are newly allowed", n, d.Asked)
}
