package residency

// Ask is what someone wants: this slice, for this purpose, for this team, from
// this site. The zero Ask is denied.
type Ask struct {
	Slice   Slice  `json:"slice"`
	Purpose string `json:"purpose"`
	Team    string `json:"team"`
	Site    string `json:"site"`
}

// Rule is one policy of a rule file, as an officer cites it.
type Rule struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Basis  string `json:"basis"`  // the law or policy it rests on
	Effect string `json:"effect"` // "permit" or "forbid"
	File   string `json:"file"`
	Line   int    `json:"line"`
}

// Verdict is an answer with its reasons. Made by [Rules.Screen] and
// [Rules.Clear]; the zero Verdict denies.
type Verdict struct {
	Allowed      bool     `json:"allowed"`
	Rules        []Rule   `json:"rules,omitempty"`   // those that decided: forbids if denied, permits if allowed
	Missing      []string `json:"missing,omitempty"` // facts that are not known, by name
	Why          string   `json:"why"`               // one sentence
	Level        Level    `json:"level"`
	RulesDigest  string   `json:"rules_digest"`
	PlacesDigest string   `json:"places_digest"`
	Alternative  string   `json:"alternative,omitempty"` // set by callers that asked [Rules.Nearest]
}
