package residency

import (
	"errors"
	"fmt"
	"strings"
)

// Zone is what a provider answers of one of its zones, in its own words. It is
// a claim until [Table.Learn] has checked it. The zero Zone is refused.
type Zone struct {
	Provider string
	Region   string
	Kind     Kind   // AZ, LocalZone or Wavelength
	ID       string // the same for every account: "euc1-az1"
	Name     string // may differ from account to account: "eu-central-1a"
	Border   string // network border group: a local zone's name without its letter
	Country  string // as the provider calls it: "Germany"; "" if it does not say
}

// Learn checks what a provider says of a zone and returns the place it is, and
// whether the table has it already. What it returns of a zone that is not there
// yet is a row to review and to sign; this table does not know it. Only an
// availability zone is learned so, in the country its provider names, if that
// is its region's: every other zone needs a row that a person wrote. That the
// provider says otherwise than the table is an error, and worth an alarm.
func (t *Table) Learn(z Zone) (p Place, known bool, err error) {
	home, err := t.Lookup(Address{Provider: z.Provider, Region: z.Region})
	if err != nil {
		return Place{}, false, fmt.Errorf("learn zone %q: %w", z.ID, err)
	}
	if err := t.checkZone(z); err != nil {
		return Place{}, false, fmt.Errorf("learn zone %q of %v: %w", z.ID, home.Address, err)
	}
	country, said := t.called[z.Country]
	if z.Country != "" && !said {
		return Place{}, false, fmt.Errorf("learn zone %q of %v: no country of the table is called %q",
			z.ID, home.Address, z.Country)
	}
	at := Address{Provider: z.Provider, Region: z.Region, Zone: z.ID}
	if z.Kind != AZ {
		at.Zone = z.Border
	}
	p, err = t.Lookup(at)
	switch {
	case err == nil && p.Kind != z.Kind:
		return Place{}, false, fmt.Errorf("learn zone %v: the provider says %s, the table %s", at, z.Kind, p.Kind)
	case err == nil && said && p.Country != country:
		return Place{}, false, fmt.Errorf("learn zone %v: the provider says %s, the table %s", at, country, p.Country)
	case err == nil:
		return p, true, nil
	case z.Kind != AZ:
		return Place{}, false, fmt.Errorf("learn zone %v: the table has no row for it, and it may lie anywhere", at)
	case !said:
		return Place{}, false, fmt.Errorf("learn zone %v: the provider does not say its country", at)
	case country != home.Country:
		return Place{}, false, fmt.Errorf("learn zone %v: the provider says %s, its region lies in %s",
			at, country, home.Country)
	}
	p = home
	p.Address, p.Kind, p.Name, p.Source = at, AZ, z.Country, "learned from the provider's answer"
	if err := p.check(); err != nil {
		return Place{}, false, fmt.Errorf("learn zone %v: %w", at, err)
	}
	return p, false, nil
}

// checkZone checks that the names of z fit each other and the region.
func (t *Table) checkZone(z Zone) error {
	prefix, rest, cut := strings.Cut(z.ID, "-")
	region, ok := t.prefixes[alias{z.Provider, prefix}]
	switch {
	case !cut || !isPart(z.ID):
		return errors.New("not the ID of a zone")
	case !ok:
		return fmt.Errorf("IDs of no region in the table begin with %q", prefix)
	case region != z.Region:
		return fmt.Errorf("IDs that begin with %q are of %s", prefix, region)
	}
	letter := func(base string) bool {
		l, ok := strings.CutPrefix(z.Name, base)
		return ok && len(l) == 1 && l[0] >= 'a' && l[0] <= 'z'
	}
	words := strings.Split(rest, "-")
	switch z.Kind {
	case AZ:
		if len(words) != 1 || !isNumbered(words[0], "az") || !letter(z.Region) || z.Border != z.Region {
			return fmt.Errorf("named %q in border group %q, it is no availability zone of the region", z.Name, z.Border)
		}
	case LocalZone:
		place := strings.TrimPrefix(z.Border, z.Region+"-")
		if len(words) != 2 || !isNumbered(words[1], "az") || words[0] != strings.ReplaceAll(place, "-", "") ||
			!letter(z.Border) {
			return fmt.Errorf("named %q in border group %q, it is no local zone of the region", z.Name, z.Border)
		}
	case Wavelength:
		if len(words) != 3 || !isNumbered(words[0], "wl") || !isNumbered(words[2], "wlz") || z.Name != z.Border ||
			!strings.HasPrefix(z.Border, z.Region+"-"+words[0]+"-"+words[1]+"-") {
			return fmt.Errorf("named %q in border group %q, it is no Wavelength zone of the region", z.Name, z.Border)
		}
	default:
		return fmt.Errorf("kind %q cannot be learned", z.Kind)
	}
	return nil
}

// isNumbered reports whether s is the word followed by a number.
func isNumbered(s, word string) bool {
	n, ok := strings.CutPrefix(s, word)
	return ok && n != "" && n[0] != '0' && strings.Trim(n, "0123456789") == ""
}
