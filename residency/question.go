package residency

import (
	"unicode/utf8"

	cedar "github.com/cedar-policy/cedar-go"
)

// The two stages of a burst, and what a claimed place rests on.
const (
	stageCreate  = "create"
	stageRead    = "read"
	claimedTrust = "claimed"
)

// question is the closed set of facts a rule may look at. Both stages fill
// every field; one that is empty or not known denies.
type question struct {
	stage   string
	ask     Ask
	place   Place
	country string // of the place's region; differs for a zone abroad
	proven  bool
	level   Level
	trust   string
	day     string // of the question, "2006-01-02"; "" is not said
}

// missing names the facts that are not known, as the rules name them.
func (q *question) missing() []string {
	var names []string
	q.facts(func(name string, known bool) bool {
		if !known {
			names = append(names, name)
		}
		return true
	})
	place := q.place.check() == nil
	if !place {
		names = append(names, "place")
	}
	if place && !isCountry(q.country) {
		names = append(names, "place.region_country")
	}
	return names
}

// asks reports whether every fact but the place is known.
func (q *question) asks() bool {
	all := true
	q.facts(func(_ string, known bool) bool { all = known; return known })
	return all
}

// facts yields every fact but the place with whether it is known, until yield
// returns false.
func (q *question) facts(yield func(name string, known bool) bool) {
	s := &q.ask.Slice
	_ = yield("action", q.stage == stageCreate || q.stage == stageRead) &&
		yield("principal", isName(q.ask.Team)) &&
		yield("resource", isSliceName(s.Name)) &&
		yield("site", isName(q.ask.Site)) &&
		yield("purpose", isName(q.ask.Purpose)) &&
		yield("purposes", areNames(s.Purposes)) &&
		yield("dataset", isPart(s.Dataset)) &&
		yield("class", s.Class.Known()) &&
		yield("origin", isCountry(s.Origin)) &&
		yield("basis", s.Basis != "" && utf8.ValidString(s.Basis)) &&
		yield("proven", q.proven == (q.stage == stageRead)) &&
		yield("level", q.level >= L0 && q.level <= L4 && (q.level > L0) == (q.proven && q.trust != TestTrust)) &&
		yield("trust", isName(q.trust) && (q.trust != claimedTrust) == q.proven) &&
		q.days(yield)
}

// request writes the question in Cedar's words, with the place as placeRecord
// writes it; schemaText says their types.
func (q *question) request(place cedar.Record) cedar.Request {
	s := &q.ask.Slice
	return cedar.Request{
		Principal: cedar.NewEntityUID("Team", cedar.String(q.ask.Team)),
		Action:    cedar.NewEntityUID("Action", cedar.String(q.stage)),
		Resource:  cedar.NewEntityUID("Slice", cedar.String(s.Name)),
		Context: cedar.NewRecord(cedar.RecordMap{
			"site":          cedar.String(q.ask.Site),
			"purpose":       cedar.String(q.ask.Purpose),
			"purposes":      stringSet(s.Purposes),
			"dataset":       cedar.String(s.Dataset),
			"class":         cedar.Long(s.Class),
			"pseudonymised": cedar.Boolean(s.Pseudonymised),
			"origin":        cedar.String(s.Origin),
			"basis":         cedar.String(s.Basis),
			"proven":        cedar.Boolean(q.proven),
			"level":         cedar.Long(q.level),
			"trust":         cedar.String(q.trust),
			"place":         place,
		}),
	}
}

// placeRecord writes a place in Cedar's words; country is its region's.
func placeRecord(p Place, country string) cedar.Record {
	return cedar.NewRecord(cedar.RecordMap{
		"provider":       cedar.String(p.Provider),
		"partition":      cedar.String(p.Partition),
		"region":         cedar.String(p.Region),
		"zone":           cedar.String(p.Zone),
		"kind":           cedar.String(p.Kind),
		"country":        cedar.String(p.Country),
		"region_country": cedar.String(country),
		"groups":         stringSet(p.Groups),
		"operator":       cedar.String(p.Operator),
		"parent":         cedar.String(p.Parent),
		"keys":           cedar.String(p.Keys),
	})
}

// stringSet is a Cedar set of strings.
func stringSet(names []string) cedar.Set {
	values := make([]cedar.Value, 0, len(names))
	for _, n := range names {
		values = append(values, cedar.String(n))
	}
	return cedar.NewSet(values...)
}

// schemaText is the type of the question. A rule that names anything else is
// refused when it is read.
const schemaText = `
entity Team;
entity Slice;
action create, read appliesTo {
  principal: Team,
  resource: Slice,
  context: {
    site: String,
    purpose: String,
    purposes: Set<String>,
    dataset: String,
    class: Long,
    pseudonymised: Bool,
    origin: String,
    basis: String,
    proven: Bool,
    level: Long,
    trust: String,
    place: {
      provider: String,
      partition: String,
      region: String,
      zone: String,
      kind: String,
      country: String,
      region_country: String,
      groups: Set<String>,
      operator: String,
      parent: String,
      keys: String,
    },
  },
};
`
