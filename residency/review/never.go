package review

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/burstctl/burstctl/residency"
)

// Never is what must not be reachable. Made by [ParseNever]; the zero Never is
// refused by [Matrix.Counter].
type Never struct {
	text   string
	when   []condition
	leaves bool // whether the place must be in target, or must not
	target string
}

// condition is fact, one of = != >= <=, value.
type condition struct{ fact, op, value string }

// neverFacts read a fact of a question as the conditions name it.
var neverFacts = map[string]func(q residency.Supposed) string{
	"class":         func(q residency.Supposed) string { return q.Ask.Slice.Class.String() },
	"dataset":       func(q residency.Supposed) string { return q.Ask.Slice.Dataset },
	"slice":         func(q residency.Supposed) string { return q.Ask.Slice.Name },
	"origin":        func(q residency.Supposed) string { return q.Ask.Slice.Origin },
	"basis":         func(q residency.Supposed) string { return q.Ask.Slice.Basis },
	"pseudonymised": func(q residency.Supposed) string { return strconv.FormatBool(q.Ask.Slice.Pseudonymised) },
	"purpose":       func(q residency.Supposed) string { return q.Ask.Purpose },
	"declared": func(q residency.Supposed) string {
		return strconv.FormatBool(slices.Contains(q.Ask.Slice.Purposes, q.Ask.Purpose))
	},
	"team":  func(q residency.Supposed) string { return q.Ask.Team },
	"site":  func(q residency.Supposed) string { return q.Ask.Site },
	"trust": func(q residency.Supposed) string { return q.Trust },
	"level": func(q residency.Supposed) string { return q.Level.String() },
	"stage": func(q residency.Supposed) string {
		if q.Level == residency.L0 {
			return "claimed"
		}
		return "proven"
	},
}

// ParseNever reads "class>=personal & stage=proven leaves EEA" or "class=special
// reaches US": conditions joined by "&" or ",", then the word leaves or
// reaches, then a group of the table, a country, or fact=value of the place
// (country, parent, operator, keys, provider, region, kind, partition).
func ParseNever(text string) (Never, error) {
	n := Never{text: text}
	words := strings.Fields(strings.NewReplacer("&", " ", ",", " ").Replace(text))
	if len(words) < 3 || words[len(words)-2] != "leaves" && words[len(words)-2] != "reaches" {
		return n, fmt.Errorf("read %q: want conditions, then \"leaves\" or \"reaches\", then a group or country", text)
	}
	n.leaves, n.target = words[len(words)-2] == "leaves", words[len(words)-1]
	for _, w := range words[:len(words)-2] {
		c, err := parseCondition(w)
		if err != nil {
			return n, fmt.Errorf("read %q: %w", text, err)
		}
		n.when = append(n.when, c)
	}
	return n, nil
}

// parseCondition reads "class>=personal".
func parseCondition(w string) (condition, error) {
	for _, op := range []string{"!=", ">=", "<=", "="} {
		fact, value, ok := strings.Cut(w, op)
		if !ok {
			continue
		}
		c := condition{fact, op, value}
		if neverFacts[fact] == nil {
			return c, fmt.Errorf("%q is no fact of a question", fact)
		}
		if _, err := c.order(value); err != nil {
			return c, err
		}
		return c, nil
	}
	return condition{}, fmt.Errorf("%q is no condition such as class=special", w)
}

// order is a class or level as a number, which alone can be greater or less.
func (c condition) order(value string) (int, error) {
	var class residency.Class
	var level residency.Level
	switch {
	case c.fact == "class":
		err := class.UnmarshalText([]byte(value))
		return int(class), err
	case c.fact == "level":
		err := level.UnmarshalText([]byte(value))
		return int(level), err
	case c.op == ">=" || c.op == "<=":
		return 0, fmt.Errorf("%q has no order", c.fact)
	}
	return 0, nil
}

// holds reports whether the condition holds for q.
func (c condition) holds(q residency.Supposed) bool {
	value := neverFacts[c.fact](q)
	a, errA := c.order(value)
	b, errB := c.order(c.value)
	switch c.op {
	case ">=":
		return errA == nil && errB == nil && a >= b
	case "<=":
		return errA == nil && errB == nil && a <= b
	case "!=":
		return value != c.value
	}
	return value == c.value
}

// placeFacts read what a target names.
var placeFacts = map[string]func(p residency.Place) string{
	"country":   func(p residency.Place) string { return p.Country },
	"parent":    func(p residency.Place) string { return p.Parent },
	"operator":  func(p residency.Place) string { return p.Operator },
	"keys":      func(p residency.Place) string { return p.Keys },
	"provider":  func(p residency.Place) string { return p.Provider },
	"region":    func(p residency.Place) string { return p.Region },
	"kind":      func(p residency.Place) string { return string(p.Kind) },
	"partition": func(p residency.Place) string { return p.Partition },
}

// within reports whether p is in the target.
func (n Never) within(p residency.Place) bool {
	if fact, value, ok := strings.Cut(n.target, "="); ok {
		return placeFacts[fact] != nil && placeFacts[fact](p) == value
	}
	return slices.Contains(p.Groups, n.target) || p.Country == n.target
}

// Counter looks for a question of the matrix that is allowed and must not be,
// and returns how many there are and the first. What could hold for nothing, as
// no row meets the conditions or no place is in the target, proves nothing and
// is an error.
func (m Matrix) Counter(n Never) (first residency.Supposed, count int, err error) {
	if len(n.when) == 0 || !slices.ContainsFunc(m.Space.Places, n.within) {
		return first, 0, fmt.Errorf("prove %q: no place of the table is in %q", n.text, n.target)
	}
	met := 0
	for _, row := range m.Rows {
		if slices.ContainsFunc(n.when, func(c condition) bool { return !c.holds(row.Supposed) }) {
			continue
		}
		met++
		for i, p := range m.Space.Places {
			if !row.Allows(i) || n.within(p) == n.leaves {
				continue
			}
			if count++; count == 1 {
				first = row.Supposed
				first.At = p.Address
			}
		}
	}
	if met == 0 {
		return first, 0, fmt.Errorf("prove %q: no question of the catalogue meets the conditions", n.text)
	}
	return first, count, nil
}
