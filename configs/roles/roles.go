// Package roles says who may ask the controller for what.
//
// The rules are Cedar: principals are User::"name" with parents Role::"name"
// for the groups of an OIDC token, actions are Action::"job.submit" and the
// like. Nothing is allowed that no rule permits, and a rule that errs denies.
package roles

import (
	"errors"
	"fmt"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
)

// Roles is a set of rules. Made by [Parse]; the zero Roles allow nothing.
type Roles struct{ set *cedar.PolicySet }

// Parse reads rule files, name to content.
func Parse(files map[string][]byte) (*Roles, error) {
	set := cedar.NewPolicySet()
	for name, text := range files {
		ps, err := cedar.NewPolicyListFromBytes(name, text)
		if err != nil {
			return nil, fmt.Errorf("read roles %s: %w", name, err)
		}
		for i, p := range ps {
			set.Add(cedar.PolicyID(fmt.Sprintf("%s#%d", name, i)), p)
		}
	}
	return &Roles{set}, nil
}

// Allow reports nil if a rule permits the actor the action. Groups are the
// roles a token names; without a token there are none.
func (r *Roles) Allow(actor string, groups []string, action string) error {
	name, ok := strings.CutPrefix(actor, "user:")
	if r == nil || r.set == nil || !ok || name == "" {
		return fmt.Errorf("allow %s: no rule permits it to %s", action, actor)
	}
	user := cedar.NewEntityUID("User", cedar.String(name))
	var parents []cedar.EntityUID
	for _, g := range groups {
		parents = append(parents, cedar.NewEntityUID("Role", cedar.String(g)))
	}
	entities := cedar.EntityMap{user: cedar.Entity{UID: user, Parents: cedar.NewEntityUIDSet(parents...)}}
	decision, diagnostic := cedar.Authorize(r.set, entities, cedar.Request{
		Principal: user, Action: cedar.NewEntityUID("Action", cedar.String(action)),
		Resource: cedar.NewEntityUID("House", "house"), Context: cedar.NewRecord(nil),
	})
	if len(diagnostic.Errors) > 0 {
		return fmt.Errorf("allow %s to %s: %w", action, actor, errors.New("a rule could not be evaluated"))
	}
	if decision != cedar.Allow {
		return fmt.Errorf("allow %s: no rule permits it to %s", action, actor)
	}
	return nil
}
