package residency

import (
	"errors"
	"fmt"
	"strings"
)

// alias is a name in the words of one provider.
type alias struct{ provider, name string }

// alias takes another name of a place.
func (p *tableParser) alias(f []string) error {
	a := alias{f[0], f[1]}
	to, err := ParseAddress(f[0] + "/" + f[2])
	switch _, twice := p.table.aliases[a]; {
	case err != nil:
		return err
	case !isText(a.name) || a.name != strings.TrimSpace(a.name) || !isText(f[3]):
		return fmt.Errorf("alias %q: its name or source is blank", a.name)
	case strings.EqualFold(a.name, "global"):
		return errors.New("\"global\" is no place")
	case twice:
		return fmt.Errorf("alias %q is there twice", a.name)
	}
	p.table.aliases[a] = to
	return nil
}

// prefix takes what the IDs of a region's zones begin with.
func (p *tableParser) prefix(f []string) error {
	a := alias{f[0], f[1]}
	switch _, twice := p.table.prefixes[a]; {
	case !isPart(f[0]) || !isPart(f[1]) || strings.Contains(f[1], "-") || !isText(f[3]):
		return fmt.Errorf("prefix %q of %s is not a plain name with a source", f[1], f[0])
	case twice:
		return fmt.Errorf("prefix %q is there twice", f[1])
	}
	p.table.prefixes[a] = f[2]
	return nil
}

// checkNames checks that aliases and prefixes lead to places of the table, and
// that no two names which differ in case alone lead to different ones.
func (t *Table) checkNames() error {
	folded := map[alias]Address{}
	for at := range t.rows {
		folded[alias{at.Provider, at.name()}] = at
	}
	for a, to := range t.aliases {
		if _, ok := t.rows[to]; !ok {
			return fmt.Errorf("alias %q leads to %v, which is not in the table", a.name, to)
		}
		f := alias{a.provider, strings.ToLower(a.name)}
		if other, ok := folded[f]; ok && other != to {
			return fmt.Errorf("alias %q leads to %v, and another spelling of it to %v", a.name, to, other)
		}
		folded[f] = to
	}
	for a, region := range t.prefixes {
		if _, ok := t.rows[Address{Provider: a.provider, Region: region}]; !ok {
			return fmt.Errorf("prefix %q is of %s/%s, which is not in the table", a.name, a.provider, region)
		}
	}
	return nil
}

// name is the address without its provider.
func (a Address) name() string {
	if a.Zone == "" {
		return a.Region
	}
	return a.Region + "/" + a.Zone
}

// Canonical finds the address of a place by what its provider, a bill or a
// person calls it: "eastus", "eu-west-3/eu-west-3-bru-1", or an alias of the
// table, letter by letter. Nothing is folded, trimmed or guessed: a name that
// the table does not have is an error.
func (t *Table) Canonical(provider, name string) (Address, error) {
	if t != nil {
		if a, err := ParseAddress(provider + "/" + name); err == nil && a.Provider == provider {
			if _, ok := t.rows[a]; ok {
				return a, nil
			}
		}
		if a, ok := t.aliases[alias{provider, name}]; ok {
			return a, nil
		}
	}
	return Address{}, fmt.Errorf("find place %q of provider %q: no place and no alias in the table has this name",
		name, provider)
}
