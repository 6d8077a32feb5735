package residency

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
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
	set    *cedar.PolicySet
}

// maxRuleFile bounds a file, and with it the depth of any expression in it.
const maxRuleFile = 64 << 10

// ParseRules reads rule files, name to content. Every policy needs @id, @title
// and @basis, and an @id of its own in the whole set. Whatever is wrong, a
// policy that asks for a fact no question holds included, is an error that
// names file:line:col.
func ParseRules(files map[string][]byte) (*Rules, error) {
	typed, err := questionType()
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	r := &Rules{set: cedar.NewPolicySet()}
	names := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := r.parse(typed, file, files[file]); err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		names[file] = digest(files[file])
	}
	if len(r.list) == 0 {
		return nil, errors.New("read rules: there are none")
	}
	b, err := json.Marshal(names) // sorts its keys
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	r.digest = digest(b)
	return r, nil
}

// parse adds one file.
func (r *Rules) parse(typed *validate.Validator, file string, text []byte) error {
	if base, ok := strings.CutSuffix(file, ".cedar"); !ok || !isName(base) {
		return fmt.Errorf("%q: want a plain lower-case name that ends in .cedar", file)
	}
	if len(text) > maxRuleFile {
		return fmt.Errorf("%s:1:1: more than %d bytes", file, maxRuleFile)
	}
	policies, err := cedar.NewPolicyListFromBytes(file, text)
	if err != nil {
		return fmt.Errorf("%s: %w", errorAt(file, err), err)
	}
	for _, p := range policies {
		rule, err := r.rule(typed, p)
		if err != nil {
			at := p.Position()
			return fmt.Errorf("%s:%d:%d: %w", file, at.Line, at.Column, err)
		}
		rule.File = file
		r.list = append(r.list, rule)
		r.set.Add(cedar.PolicyID(rule.ID), p)
	}
	return nil
}

// rule checks one policy: what it must say of itself, and that it asks only
// for facts a question holds.
func (r *Rules) rule(typed *validate.Validator, p *cedar.Policy) (Rule, error) {
	notes := p.Annotations()
	rule := Rule{ID: string(notes["id"]), Title: string(notes["title"]), Basis: string(notes["basis"]),
		Effect: "forbid", Line: p.Position().Line}
	if p.Effect() == cedar.Permit {
		rule.Effect = "permit"
	}
	switch {
	case rule.ID == "":
		return rule, errors.New("@id is missing")
	case !isName(rule.ID):
		return rule, fmt.Errorf("@id %q is not a plain lower-case name", rule.ID)
	case strings.TrimSpace(rule.Title) == "":
		return rule, fmt.Errorf("rule %s: @title is missing", rule.ID)
	case strings.TrimSpace(rule.Basis) == "":
		return rule, fmt.Errorf("rule %s: @basis is missing", rule.ID)
	}
	if i := slices.IndexFunc(r.list, func(o Rule) bool { return o.ID == rule.ID }); i >= 0 {
		return rule, fmt.Errorf("rule %s: @id is already that of %s:%d", rule.ID, r.list[i].File, r.list[i].Line)
	}
	if err := typed.Policy(rule.ID, (*xast.Policy)(p.AST())); err != nil {
		return rule, fmt.Errorf("rule %s: %w", rule.ID, err)
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

// position finds where Cedar's parser stopped; it says so only in words.
var position = regexp.MustCompile(`:(\d+):(\d+)`)

// errorAt is "file:line:col" of a parse error.
func errorAt(file string, err error) string {
	return file + cmp.Or(position.FindString(err.Error()), ":1:1")
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
