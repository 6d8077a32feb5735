package residency

import (
	"fmt"
	"slices"
	"time"

	cedar "github.com/cedar-policy/cedar-go"
)

// liftable is what @lift says in a rule that an exception may set aside. A rule
// without it is never set aside.
const liftable = "break-glass"

// Excepted says which exception an answer rests on, and what it set aside. Made
// by [Rules.Screen], [Rules.Clear] and [Rules.Still]; the zero value is none.
type Excepted struct {
	ID      string    `json:"id"`
	Digest  string    `json:"digest"` // of its text
	Reason  string    `json:"reason"` // its code
	Expires time.Time `json:"expires"`
	Aside   []Rule    `json:"set_aside,omitempty"` // forbids; none: it stood for a missing permit
}

// With returns rules that know these exceptions, for questions asked at this
// time; those that do not hold then are left out. The rules themselves, and
// their digest, stay what they are.
func (r *Rules) With(at time.Time, exceptions ...Exception) *Rules {
	if r == nil {
		return nil
	}
	known := *r
	known.except = nil
	for _, x := range exceptions {
		if x.Valid(at) {
			known.except = append(known.except, x)
		}
	}
	return &known
}

// only returns rules that know at most the one exception of this digest.
func (r *Rules) only(digest string) *Rules {
	if r == nil || len(r.except) == 0 {
		return r
	}
	known := *r
	known.except = slices.DeleteFunc(slices.Clone(r.except), func(x Exception) bool {
		return digest == "" || x.digest != digest
	})
	return &known
}

// excepted answers q, which v refuses, with the first exception that is exactly
// for it and sets aside every rule that forbids it. It is asked only where
// every fact is known and no rule erred. What is site-only, and what is read
// without proof of place, no exception reaches, whatever a rule file says.
func (r *Rules) excepted(q *question, policies about, place cedar.Record, v Verdict) Verdict {
	class := q.ask.Slice.Class
	if !class.Known() || class >= SiteOnly || q.stage == stageRead && (!q.proven || q.level < L1 || q.trust == TestTrust) {
		return v
	}
	for _, x := range r.except {
		if !x.covers(q) || !x.lifts(v.Rules) {
			continue
		}
		allowed, diagnostic := policies.without(v.Rules).evaluate(q, place)
		if len(diagnostic.Errors) > 0 || !allowed && len(diagnostic.Reasons) > 0 {
			continue
		}
		v.Exception = &Excepted{ID: x.terms.ID, Digest: x.digest, Reason: x.terms.Reason, Expires: x.terms.Expires,
			Aside: v.Rules}
		v.Rules = r.cited(reasons(diagnostic)) // permits that hold besides, if any
		v.Allowed = true
		v.Why = fmt.Sprintf("%s is allowed by exception %s (%s), %s", q.what(), x.terms.ID, x.terms.Reason,
			v.Exception.does())
		return v
	}
	return v
}

// does says what an exception did.
func (e Excepted) does() string {
	if len(e.Aside) == 0 {
		return "which stands for a permit"
	}
	s := "which sets aside " + e.Aside[0].ID
	for _, rule := range e.Aside[1:] {
		s += ", " + rule.ID
	}
	return s
}

// lifts reports whether the exception names every one of these rules, and each
// lets itself be set aside.
func (x Exception) lifts(rules []Rule) bool {
	for _, rule := range rules {
		if rule.Lift != liftable || rule.Effect != "forbid" || !slices.Contains(x.terms.Lifts, rule.ID) {
			return false
		}
	}
	return true
}

// without leaves out the policies of these rules.
func (a about) without(rules []Rule) about {
	a.list = slices.DeleteFunc(slices.Clone(a.list), func(i int) bool {
		return slices.ContainsFunc(rules, func(rule Rule) bool { return a.ix.set[i].id == cedar.PolicyID(rule.ID) })
	})
	return a
}

// reasons are the policies that decided.
func reasons(d cedar.Diagnostic) []cedar.PolicyID {
	ids := make([]cedar.PolicyID, 0, len(d.Reasons))
	for _, reason := range d.Reasons {
		ids = append(ids, reason.PolicyID)
	}
	return ids
}
