// Package roles says who may ask the controller for what.
//
// # The file
//
// Roles are Cedar policies, in one file or several (configs/roles.cedar is the
// commented example). The principal is User::"alice"; the groups of a token are
// its parents, Role::"operator" and so on; a client certificate brings no
// groups, so rules name its holder. The action is one of [Actions]; the
// resource is always House::"house". Each policy needs an @id.
//
// # Denied by default
//
// Nothing is allowed that no policy permits, a forbid wins, an action that is
// not listed is denied whatever a policy says, and a policy that errs denies.
// [Parse] checks every policy against the types above, so that a misspelt
// action is an error when the file is read and not a refusal months later. The
// zero [Roles] deny everything.
//
// *Non-goals*: what may be where (residency), and who a caller is: certificates
// are checked by tunnel/control, tokens here by [Tokens].
package roles

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	cedar "github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// ErrDenied is why an action is not allowed. Nothing was done; asking again
// changes nothing until the roles do.
var ErrDenied = errors.New("denied")

// Actions returns everything a person can ask for. An action that is not here
// is denied to everyone.
func Actions() []string {
	return []string{
		"job.submit",       // hand in a job
		"burst.list",       // see jobs, bursts and decisions
		"burst.approve",    // let a burst go that waits for a person
		"burst.revoke",     // end a burst now
		"artefact.release", // let a result out of quarantine
		"artefact.clear",   // clear the flag of a result
		"data.recall",      // call data back
		"rules.reload",     // read rules, places and catalogue again
		"keys.rotate",      // change keys of the house
		"audit.read",       // read the log and its receipts

		"breakglass.request", // ask for an exception to the rules
		"breakglass.approve", // sign one that another person asked for
		"breakglass.end",     // end one before its time
		"breakglass.review",  // say afterwards whether it was justified
	}
}

// Roles is a set of policies. Made by [Parse]; the zero Roles deny everything.
type Roles struct{ set *cedar.PolicySet }

// Parse reads policy files, name to content. Its errors begin with file:line:col.
func Parse(files map[string][]byte) (*Roles, error) {
	typed, err := types()
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	r := &Roles{cedar.NewPolicySet()}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		policies, err := cedar.NewPolicyListFromBytes(file, files[file])
		if err != nil {
			return nil, fmt.Errorf("read roles: %s%s: %w", file, cmp.Or(position.FindString(err.Error()), ":1:1"), err)
		}
		for _, p := range policies {
			if err := r.add(typed, p); err != nil {
				at := p.Position()
				return nil, fmt.Errorf("read roles: %s:%d:%d: %w", file, at.Line, at.Column, err)
			}
		}
	}
	if len(maps.Collect(r.set.All())) == 0 {
		return nil, errors.New("read roles: there is no policy, so nobody may do anything")
	}
	return r, nil
}

// position finds where Cedar's parser stopped; it says so only in words.
var position = regexp.MustCompile(`:\d+:\d+`)

// add checks and keeps one policy.
func (r *Roles) add(typed *validate.Validator, p *cedar.Policy) error {
	id := cedar.PolicyID(p.Annotations()["id"])
	switch {
	case id == "":
		return errors.New("@id is missing")
	case r.set.Get(id) != nil:
		return fmt.Errorf("policy %s: another one has this @id", id)
	}
	if err := typed.Policy(string(id), (*xast.Policy)(p.AST())); err != nil {
		return fmt.Errorf("policy %s: %w", id, err)
	}
	r.set.Add(id, p)
	return nil
}

// Allow returns nil if a policy permits the actor, "user:alice", the action,
// and an error that wraps [ErrDenied] otherwise. Groups are those of a token
// that [Tokens] has checked.
func (r *Roles) Allow(actor string, groups []string, action string) error {
	deny := func(why string) error { return fmt.Errorf("allow %s to %q: %w: %s", action, actor, ErrDenied, why) }
	name, ok := strings.CutPrefix(actor, "user:")
	switch {
	case r == nil || r.set == nil:
		return deny("no roles are loaded")
	case !ok || name == "":
		return deny("only a user may ask")
	case !slices.Contains(Actions(), action):
		return fmt.Errorf("allow to %q: %w: there is no action %q", actor, ErrDenied, action)
	}
	user := cedar.NewEntityUID("User", cedar.String(name))
	var parents []cedar.EntityUID
	for _, g := range groups {
		parents = append(parents, cedar.NewEntityUID("Role", cedar.String(g)))
	}
	decision, why := cedar.Authorize(r.set,
		cedar.EntityMap{user: {UID: user, Parents: cedar.NewEntityUIDSet(parents...)}},
		cedar.Request{Principal: user, Action: cedar.NewEntityUID("Action", cedar.String(action)),
			Resource: cedar.NewEntityUID("House", "house"), Context: cedar.NewRecord(nil)})
	switch {
	case len(why.Errors) > 0:
		return deny(fmt.Sprintf("policy %s could not be evaluated", why.Errors[0].PolicyID))
	case decision != cedar.Allow && len(why.Reasons) > 0:
		return deny(fmt.Sprintf("policy %s forbids it", why.Reasons[0].PolicyID))
	case decision != cedar.Allow:
		return deny("no policy permits it")
	}
	return nil
}

// types is the validator of what a policy may speak of.
var types = sync.OnceValues(func() (*validate.Validator, error) {
	text := "entity Role; entity House; entity User in [Role];\n"
	for _, a := range Actions() {
		text += fmt.Sprintf("action %q appliesTo { principal: [User], resource: [House], context: {} };\n", a)
	}
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(text)); err != nil {
		return nil, err
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, err
	}
	return validate.New(resolved), nil
})
