// Package review is what an officer does with rules before and after they are
// in force: cases with the answers they must have, the matrix of everything
// that is reachable, what changes from one version to the next, and what past
// decisions would be today.
//
// It asks package residency and decides nothing itself. It does no I/O and
// reads no clock.
package review

import (
	"fmt"
	"slices"

	"github.com/burstctl/burstctl/residency"
)

// Case is one question, and in a file of cases the answer it must have. Made by
// decoding YAML; the zero Case is a question without an answer.
type Case struct {
	Name    string   `yaml:"name" json:"name"`
	Slice   string   `yaml:"slice" json:"slice"`     // of the file's own slices, else of the catalogue
	Purpose string   `yaml:"purpose" json:"purpose"` // as are team and site, a plain name
	Team    string   `yaml:"team" json:"team"`
	Site    string   `yaml:"site" json:"site"`
	At      string   `yaml:"at" json:"at"`           // "aws/eu-central-1"; any other text is a place nobody knows
	Level   string   `yaml:"level" json:"level"`     // "L0", the default: may it be created; else: may it read
	Trust   string   `yaml:"trust" json:"trust"`     // what the level rests on
	Want    string   `yaml:"want" json:"want"`       // "allow" or "deny"
	By      []string `yaml:"by" json:"by"`           // the rules that decide, if given: these and no others
	Missing []string `yaml:"missing" json:"missing"` // the facts not known, if given: these and no others
}

// File is cases that belong together. Defaults fill what a case leaves empty.
type File struct {
	Name     string            `yaml:"-" json:"name"`
	Defaults Case              `yaml:"defaults" json:"defaults"`
	Slices   []residency.Slice `yaml:"slices" json:"slices"` // facts the cases need that no catalogue has
	Cases    []Case            `yaml:"cases" json:"cases"`
}

// Supposed is the question the case asks. A slice that neither the file nor the
// catalogue has and a level that is none are errors of the case.
func (f File) Supposed(c Case, catalogue *residency.Catalogue) (residency.Supposed, error) {
	c = c.or(f.Defaults)
	s := residency.Supposed{Ask: residency.Ask{Purpose: c.Purpose, Team: c.Team, Site: c.Site}, Trust: c.Trust}
	if i := slices.IndexFunc(f.Slices, func(s residency.Slice) bool { return s.Name == c.Slice }); i >= 0 {
		s.Ask.Slice = f.Slices[i]
	} else {
		var err error
		if s.Ask.Slice, err = catalogue.Slice(c.Slice); err != nil {
			return s, err
		}
	}
	if c.Level != "" {
		if err := s.Level.UnmarshalText([]byte(c.Level)); err != nil {
			return s, err
		}
	}
	var err error
	if s.At, err = residency.ParseAddress(c.At); err != nil {
		s.At = residency.Address{Provider: c.At} // asked as it is written: an alias is a place nobody knows
	}
	return s, nil
}

// or fills what c leaves empty from d.
func (c Case) or(d Case) Case {
	for _, f := range []struct{ to, from *string }{{&c.Slice, &d.Slice}, {&c.Purpose, &d.Purpose}, {&c.Team, &d.Team},
		{&c.Site, &d.Site}, {&c.At, &d.At}, {&c.Level, &d.Level}, {&c.Trust, &d.Trust}, {&c.Want, &d.Want}} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	return c
}

// Result is what became of one case.
type Result struct {
	File    string   `json:"file"`
	Name    string   `json:"name"`
	Passed  bool     `json:"passed"`
	Failure string   `json:"failure,omitempty"` // why it did not pass
	Answer  string   `json:"answer"`            // "allow" or "deny"
	By      []string `json:"by"`                // the rules that decided
	Why     string   `json:"why"`
}

// Coverage is how many cases one rule decided, and in how many it held at all:
// a permit that a forbid overruled held and did not decide.
type Coverage struct {
	Rule    residency.Rule `json:"rule"`
	Decided int            `json:"decided"`
	Held    int            `json:"held"`
}

// Report is every case of every file, and what they cover.
type Report struct {
	Rules    string     `json:"rules"`  // digest
	Places   string     `json:"places"` // digest
	Results  []Result   `json:"results"`
	Failed   int        `json:"failed"`
	Coverage []Coverage `json:"coverage"`
	Covered  int        `json:"covered"` // rules that decided at least one case
}

// Test asks every case. A rule that decides no case is not covered.
func Test(r *residency.Rules, t *residency.Table, c *residency.Catalogue, files []File) Report {
	rep := Report{Rules: r.Digest(), Places: t.Digest(), Results: []Result{}, Coverage: []Coverage{}}
	decided, held := map[string]int{}, map[string]int{}
	for _, f := range files {
		for _, one := range f.Cases {
			one = one.or(f.Defaults)
			res := Result{File: f.Name, Name: one.Name, By: []string{}}
			s, err := f.Supposed(one, c)
			if err == nil {
				err = ask(r, t, s, one, &res)
				for _, id := range res.By {
					decided[id]++
				}
				for _, id := range r.Holding(t, s) {
					held[id]++
				}
			}
			if res.Passed = err == nil; err != nil {
				res.Failure = err.Error()
				rep.Failed++
			}
			rep.Results = append(rep.Results, res)
		}
	}
	for _, rule := range r.List() {
		rep.Coverage = append(rep.Coverage, Coverage{rule, decided[rule.ID], held[rule.ID]})
		if decided[rule.ID] > 0 {
			rep.Covered++
		}
	}
	return rep
}

// ask answers one case and says what differs from what it wants.
func ask(r *residency.Rules, t *residency.Table, s residency.Supposed, c Case, res *Result) error {
	v := r.Suppose(t, s)
	res.Answer, res.Why = "deny", v.Why
	if v.Allowed {
		res.Answer = "allow"
	}
	for _, rule := range v.Rules {
		res.By = append(res.By, rule.ID)
	}
	switch {
	case c.Want != "allow" && c.Want != "deny":
		return fmt.Errorf("want %q is neither allow nor deny", c.Want)
	case c.Want != res.Answer:
		return fmt.Errorf("the answer is %s, want %s: %s", res.Answer, c.Want, v.Why)
	case c.By != nil && !same(c.By, res.By):
		return fmt.Errorf("decided by %q, want %q", res.By, c.By)
	case c.Missing != nil && !same(c.Missing, v.Missing):
		return fmt.Errorf("missing are %q, want %q", v.Missing, c.Missing)
	}
	return nil
}

// same reports whether a and b have the same members.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
