package residency

import "strconv"

// factNames are the facts of a question as the rules name them; schemaText says
// their types.
var factNames = []string{"action", "principal", "resource", "site", "purpose", "purposes", "dataset", "class",
	"pseudonymised", "origin", "basis", "proven", "level", "trust", "place.provider", "place.partition",
	"place.region", "place.zone", "place.kind", "place.country", "place.region_country", "place.groups",
	"place.operator", "place.parent", "place.keys"}

// fact is the value of the fact with this number in factNames: one text, or
// the members of a set, which is never nil.
func (q *question) fact(number int) (one string, many []string) {
	s, p := &q.ask.Slice, &q.place
	switch number {
	case 0:
		return q.stage, nil
	case 1:
		return q.ask.Team, nil
	case 2:
		return s.Name, nil
	case 3:
		return q.ask.Site, nil
	case 4:
		return q.ask.Purpose, nil
	case 5:
		return "", set(s.Purposes)
	case 6:
		return s.Dataset, nil
	case 7:
		return strconv.Itoa(int(s.Class)), nil
	case 8:
		return strconv.FormatBool(s.Pseudonymised), nil
	case 9:
		return s.Origin, nil
	case 10:
		return s.Basis, nil
	case 11:
		return strconv.FormatBool(q.proven), nil
	case 12:
		return strconv.Itoa(int(q.level)), nil
	case 13:
		return q.trust, nil
	}
	return p.fact(number, q.country)
}

// fact is the value of a fact of the place; country is its region's.
func (p *Place) fact(number int, country string) (one string, many []string) {
	switch number {
	case 14:
		return p.Provider, nil
	case 15:
		return p.Partition, nil
	case 16:
		return p.Region, nil
	case 17:
		return p.Zone, nil
	case 18:
		return string(p.Kind), nil
	case 19:
		return p.Country, nil
	case 20:
		return country, nil
	case 21:
		return "", set(p.Groups)
	case 22:
		return p.Operator, nil
	case 23:
		return p.Parent, nil
	}
	return p.Keys, nil
}

// set is never nil.
func set(members []string) []string {
	if members == nil {
		return []string{}
	}
	return members
}
