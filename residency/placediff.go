package residency

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two tables, and what it means for the places
// on the day the newer one is asked for. Made by [DiffTables].
type Change struct {
	How   string `json:"how"`   // "added", "removed" or "changed"
	What  string `json:"what"`  // "place", "group", "alias", "prefix" or "name of country"
	Name  string `json:"name"`  // an address, a group and its country, or a name
	Was   string `json:"was"`   // "" if added
	Is    string `json:"is"`    // "" if removed
	Means string `json:"means"` // for people; never ""
}

// DiffTables lists what is in one table and not in the other, row by row, by
// kind and name. What it means for groups is as both tables stand on their
// days: ask them [Table.At] the same one.
func DiffTables(older, newer *Table) []Change {
	changes := diffPlaces(older, newer)
	changes = append(changes, diffGroups(older, newer)...)
	changes = append(changes, diffNames("alias", "is read as", older.aliasRows(), newer.aliasRows())...)
	changes = append(changes, diffNames("prefix", "begins zone IDs of", older.prefixRows(), newer.prefixRows())...)
	return append(changes, diffNames("name of country", "is", older.calledRows(), newer.calledRows())...)
}

// diffPlaces lists places that came, went or changed.
func diffPlaces(older, newer *Table) []Change {
	was, is := map[Address]Place{}, map[Address]Place{}
	for _, p := range older.Places() {
		was[p.Address] = p
	}
	for _, p := range newer.Places() {
		is[p.Address] = p
	}
	both := maps.Clone(was)
	maps.Copy(both, is)
	var changes []Change
	for _, a := range slices.SortedFunc(maps.Keys(both), Address.compare) {
		p, had := was[a]
		q, has := is[a]
		c := Change{What: "place", Name: a.String()}
		switch {
		case had && has:
			if c.Was, c.Is, c.Means = p.changes(q); c.Was == c.Is {
				continue // groups alone: the group's row says so
			}
			c.How = "changed"
		case has:
			c.How, c.Is = "added", q.summary()
			c.Means = "known from now on: in " + q.Country + ", " + inGroups(q.Groups)
		default:
			c.How, c.Was, c.Means = "removed", p.summary(), "unknown from now on: every decision there is a denial"
		}
		changes = append(changes, c)
	}
	return changes
}

// facts are the fields of p with their names, groups aside.
func (p Place) facts() [][2]string {
	return [][2]string{{"partition", p.Partition}, {"kind", string(p.Kind)}, {"country", p.Country},
		{"operator", p.Operator}, {"parent", p.Parent}, {"keys", p.Keys}, {"legal", p.Legal}, {"name", p.Name},
		{"source", p.Source}}
}

// summary is p in one line.
func (p Place) summary() string {
	return fmt.Sprintf("%s in %s (%s), operator %s, parent %s, keys %s", p.Kind, p.Country, p.Name, p.Operator,
		p.Parent, p.Keys)
}

// changes are the fields of p that differ in q, and what follows.
func (p Place) changes(q Place) (was, is, means string) {
	var a, b, said []string
	for i, f := range p.facts() {
		g := q.facts()[i]
		if f[1] == g[1] {
			continue
		}
		a, b = append(a, f[0]+" "+f[1]), append(b, g[0]+" "+g[1])
		switch f[0] {
		case "country":
			said = append(said, "moves from "+f[1]+" to "+g[1])
		case "operator", "parent", "keys":
			said = append(said, f[0]+" is under the law of "+g[1]+", no longer of "+f[1])
		case "kind", "partition":
			said = append(said, f[0]+" is "+g[1]+", no longer "+f[1])
		}
	}
	if more := moved(p.Groups, q.Groups); more != "" {
		said = append(said, more)
	}
	if said == nil {
		said = []string{"nothing a rule looks at"}
	}
	return strings.Join(a, ", "), strings.Join(b, ", "), strings.Join(said, "; ")
}

// moved says which groups are left and joined.
func moved(was, is []string) string {
	only := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(g string) bool { return g == noGroup || slices.Contains(b, g) })
	}
	var said []string
	if left := only(was, is); len(left) > 0 {
		said = append(said, "leaves "+strings.Join(left, " "))
	}
	if joined := only(is, was); len(joined) > 0 {
		said = append(said, "joins "+strings.Join(joined, " "))
	}
	return strings.Join(said, ", ")
}

// inGroups says groups in words.
func inGroups(g []string) string {
	if len(g) == 1 && g[0] == noGroup {
		return "in no group"
	}
	return "in " + strings.Join(g, " ")
}

// diffGroups lists memberships that came or went, and the places concerned.
func diffGroups(older, newer *Table) []Change {
	was, is := older.Memberships(), newer.Memberships()
	var changes []Change
	for _, m := range was {
		if !slices.Contains(is, m) {
			changes = append(changes, Change{How: "removed", What: "group", Name: m.Group + " " + m.Country,
				Was: m.span(), Means: concerned(m, older, newer)})
		}
	}
	for _, m := range is {
		if slices.Contains(was, m) {
			continue
		}
		c := Change{How: "added", What: "group", Name: m.Group + " " + m.Country, Is: m.span(),
			Means: concerned(m, older, newer)}
		same := func(o Change) bool { return o.How == "removed" && o.Name == c.Name }
		if i := slices.IndexFunc(changes, same); i >= 0 { // one row, other days
			changes[i].How, changes[i].Is = "changed", c.Is
			continue
		}
		changes = append(changes, c)
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return changes
}

// span is when m holds, and its source.
func (m Membership) span() string {
	s := "from " + m.From
	if m.Until != "" {
		s += " until " + m.Until
	}
	return s + " (" + m.Source + ")"
}

// concerned says what a row of m's group and country changes on the day.
func concerned(m Membership, older, newer *Table) string {
	in := func(t *Table) bool {
		return t != nil && slices.Contains(t.groups(Place{Country: m.Country}), m.Group)
	}
	n := 0
	for _, p := range newer.Places() {
		if p.Country == m.Country {
			n++
		}
	}
	places := fmt.Sprintf("%d places in %s", n, m.Country)
	if n == 1 {
		places = "1 place in " + m.Country
	}
	switch before, after := in(older), in(newer); {
	case before && !after:
		return m.Group + " loses " + places
	case !before && after:
		return m.Group + " gains " + places
	case after:
		return m.Group + " keeps " + places + " on the day, and differs on other days"
	}
	return m.Group + " has none of " + places + " on the day, and differs on other days"
}

// diffNames lists names that came, went or lead elsewhere.
func diffNames(what, verb string, was, is map[string]string) []Change {
	both := maps.Clone(was)
	maps.Copy(both, is)
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(both)) {
		p, had := was[name]
		q, has := is[name]
		c := Change{How: "changed", What: what, Name: name, Was: p, Is: q, Means: verb + " " + q + ", no longer " + p}
		switch {
		case had && has && p == q:
			continue
		case !had:
			c.How, c.Means = "added", verb+" "+q+" from now on"
		case !has:
			c.How, c.Means = "removed", "unknown from now on, which denies"
		}
		changes = append(changes, c)
	}
	return changes
}

// aliasRows are the aliases by provider and name.
func (t *Table) aliasRows() map[string]string {
	rows := map[string]string{}
	if t != nil {
		for a, to := range t.aliases {
			rows[a.provider+" "+a.name] = to.String()
		}
	}
	return rows
}

// prefixRows are the prefixes by provider and name.
func (t *Table) prefixRows() map[string]string {
	rows := map[string]string{}
	if t != nil {
		for a, region := range t.prefixes {
			rows[a.provider+" "+a.name] = a.provider + "/" + region
		}
	}
	return rows
}

// calledRows are the names of countries.
func (t *Table) calledRows() map[string]string {
	if t == nil || t.called == nil {
		return map[string]string{}
	}
	return t.called
}
