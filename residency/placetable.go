package residency

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Table says which places are known, as signed and dated data. Made by
// [ParseTable] or [OpenTable]; the zero Table knows nothing.
type Table struct {
	digest   string
	version  int
	dated    string // the day it was written
	day      string // the day it is asked for; "" is not said
	rows     map[Address]Place
	members  map[string][]Membership // by country
	aliases  map[alias]Address
	prefixes map[alias]string // of zone IDs, to their region
	called   map[string]string
}

// At is the table as it is on the day of t, in UTC: groups are those in force
// then. A decision asks it with its own time. The digest stays that of the
// whole table. A table that was never asked At counts only memberships without
// an end: one that ends may have ended.
func (t *Table) At(now time.Time) *Table {
	if t == nil {
		return nil
	}
	on := *t
	on.day = now.UTC().Format(time.DateOnly)
	return &on
}

// Lookup returns what is known of exactly this address. An address that is not
// in the table is an error; a zone never falls back to its region.
func (t *Table) Lookup(a Address) (Place, error) {
	if t != nil {
		if p, ok := t.rows[a]; ok {
			p.Groups = t.groups(p)
			return p, nil
		}
	}
	return Place{}, fmt.Errorf("look up place %v: not in the table", a)
}

// Digest names the table's bytes: "sha256:…". The zero Table has none.
func (t *Table) Digest() string {
	if t == nil {
		return ""
	}
	return t.digest
}

// Version counts the table's editions, from 1; 0 is a table that does not say.
func (t *Table) Version() int {
	if t == nil {
		return 0
	}
	return t.version
}

// Dated is the day the table was written, as 2006-01-02; "" is not said.
func (t *Table) Dated() string {
	if t == nil {
		return ""
	}
	return t.dated
}

// Places returns every place, sorted by provider, region and zone.
func (t *Table) Places() []Place {
	if t == nil {
		return nil
	}
	all := slices.SortedFunc(maps.Values(t.rows), func(a, b Place) int { return a.Address.compare(b.Address) })
	for i := range all {
		all[i].Groups = t.groups(all[i])
	}
	return all
}

// compare orders addresses by provider, region and zone.
func (a Address) compare(b Address) int {
	return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone))
}
