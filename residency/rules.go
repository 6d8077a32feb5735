package residency

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// Rules is a set of Cedar policies that has been checked against the type of
// the question. Made by [ParseRules]; the zero Rules allow nothing.
type Rules struct {
	digest string
	list   []Rule
	set    []policy
	order  map[cedar.PolicyID]int // of the rule in list, and of its policy in set
	index  index
	except []Exception // those that hold; see With
}

// maxRuleFile bounds a file, and with it the depth of any expression in it.
const maxRuleFile = 64 << 10

// ParseRules reads rule files, name to content. Every policy needs @id, @title
// and @basis, and an @id of its own in the whole set. Whatever is wrong, a
// policy that asks for a fact no question holds included, is a [Mistake] at
// its file:line:col; all of them are reported at once, as [Mistakes].
func ParseRules(files map[string][]byte) (*Rules, error) {
	typed, err := questionType()
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	r := &Rules{order: map[cedar.PolicyID]int{}}
	names := map[string]string{}
	var wrong Mistakes
	for _, file := range slices.Sorted(maps.Keys(files)) {
		wrong = append(wrong, r.parse(typed, file, files[file])...)
		names[file] = digest(files[file])
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("read rules: %w", wrong)
	}
	if len(r.list) == 0 {
		return nil, errors.New("read rules: there are none")
	}
	b, err := json.Marshal(names) // sorts its keys
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	r.digest = digest(b)
	r.index = newIndex(r.set)
	return r, nil
}

// parse adds one file, or says everything that is wrong with it.
func (r *Rules) parse(typed *validate.Validator, file string, text []byte) Mistakes {
	if base, ok := strings.CutSuffix(file, ".cedar"); !ok || !isName(base) {
		return Mistakes{{File: strconv.Quote(file), Why: "want a plain lower-case name that ends in .cedar"}}
	}
	if len(text) > maxRuleFile {
		return Mistakes{{File: file, Line: 1, Col: 1, Why: fmt.Sprintf("more than %d bytes", maxRuleFile)}}
	}
	policies, wrong := parsePolicies(file, text)
	for _, p := range policies {
		rule, err := r.rule(typed, p)
		rule.File = file
		if err != nil {
			wrong = append(wrong, Mistake{File: file, Line: p.Position().Line, Col: p.Position().Column, Rule: rule.ID,
				Why: err.Error()})
			continue
		}
		id := cedar.PolicyID(rule.ID)
		r.order[id] = len(r.list)
		r.list = append(r.list, rule)
		r.set = append(r.set, policy{id, p})
	}
	slices.SortStableFunc(wrong, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return wrong
}

// policy is a rule as Cedar evaluates it.
type policy struct {
	id cedar.PolicyID
	p  *cedar.Policy
}

// rule checks one policy: what it must say of itself, and that it asks only
// for facts a question holds. The Rule is as far as it could be read.
func (r *Rules) rule(typed *validate.Validator, p *cedar.Policy) (Rule, error) {
	notes := p.Annotations()
	rule := Rule{ID: string(notes["id"]), Title: string(notes["title"]), Basis: string(notes["basis"]),
		Effect: "forbid", Line: p.Position().Line, Col: p.Position().Column, Lift: string(notes["lift"])}
	if p.Effect() == cedar.Permit {
		rule.Effect = "permit"
	}
	switch {
	case rule.ID == "":
		return rule, errors.New("@id is missing")
	case !isName(rule.ID):
		err := fmt.Errorf("@id %q is not a plain lower-case name", rule.ID)
		rule.ID = ""
		return rule, err
	case strings.TrimSpace(rule.Title) == "":
		return rule, errors.New("@title is missing")
	case strings.TrimSpace(rule.Basis) == "":
		return rule, errors.New("@basis is missing")
	}
	if _, ok := notes["lift"]; ok && (rule.Lift != liftable || rule.Effect != "forbid") {
		return rule, fmt.Errorf("@lift says %q; only a forbid has one, and it says %q", rule.Lift, liftable)
	}
	if i, ok := r.order[cedar.PolicyID(rule.ID)]; ok {
		return rule, fmt.Errorf("@id is already that of %s:%d", r.list[i].File, r.list[i].Line)
	}
	if err := typed.Policy(rule.ID, (*xast.Policy)(p.AST())); err != nil {
		return rule, errors.New(untyped(err))
	}
	return rule, nil
}

// questionType is the validator of the question's schema.
func questionType() (*validate.Validator, error) {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(schemaText)); err != nil {
		return nil, err
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, err
	}
	return validate.New(resolved), nil
}

// Digest names the rule files' bytes: "sha256:…". The zero Rules have none.
func (r *Rules) Digest() string {
	if r == nil {
		return ""
	}
	return r.digest
}

// List returns every rule, by file and line.
func (r *Rules) List() []Rule {
	if r == nil {
		return nil
	}
	return slices.Clone(r.list)
}

// Text is the rule of this @id as Cedar prints it, without comments, or "".
func (r *Rules) Text(id string) string {
	if r == nil {
		return ""
	}
	i, ok := r.order[cedar.PolicyID(id)]
	if !ok {
		return ""
	}
	return string(r.set[i].p.MarshalCedar())
}
