package residency

import "fmt"

// The names of what closes a dataset outside its days. They stand in a
// [Verdict] as rules do; their File is the catalogue, which no rule file is.
const (
	embargoRule   = "embargo"
	retentionRule = "retention"
	catalogueFile = "catalogue"
)

// dayNames are the facts of a question that no rule may look at: outside its
// days a dataset is closed, whatever a rule permits.
var dayNames = []string{"day", embargoRule, retentionRule}

// closed is what keeps the dataset closed on the day of the question: its
// embargo until its first day, its retention after the last. Days are of UTC
// and come from the table; one that must be known is, as missing has been asked.
func (q *question) closed() (Rule, bool) {
	s := &q.ask.Slice
	rule := Rule{Basis: s.Basis, Effect: "forbid", File: catalogueFile}
	switch {
	case s.Embargo != "" && q.day < s.Embargo:
		rule.ID = embargoRule
		rule.Title = fmt.Sprintf("dataset %s is under embargo until %s, and it is %s", s.Dataset, s.Embargo, q.day)
	case s.Retention != "" && q.day > s.Retention:
		rule.ID = retentionRule
		rule.Title = fmt.Sprintf("dataset %s was to be kept until %s, and it is %s", s.Dataset, s.Retention, q.day)
	default:
		return Rule{}, false
	}
	return rule, true
}

// days yields whether the days are known, as facts does. The day of the
// question needs to be only where the dataset has days.
func (q *question) days(yield func(name string, known bool) bool) bool {
	s := &q.ask.Slice
	return yield(embargoRule, s.Embargo == "" || isDay(s.Embargo)) &&
		yield(retentionRule, s.Retention == "" || isDay(s.Retention)) &&
		yield("day", s.Embargo == "" && s.Retention == "" || isDay(q.day))
}

// dayFacts are the days of a question.
func (q *question) dayFacts() []Fact {
	s := &q.ask.Slice
	var facts []Fact
	for i, day := range []string{q.day, s.Embargo, s.Retention} {
		facts = append(facts, Fact{Name: dayNames[i], Value: day})
	}
	return facts
}
