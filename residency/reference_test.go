package residency_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// This file is a second, naive opinion on rules, written from the language's
// description and sharing no line with the package: its own reader of a fixed
// subset of Cedar, and an evaluator over plain maps. It knows scopes with ==,
// when and unless, && || ! and parentheses, == != < <= > >=, .contains, sets,
// texts, numbers, truth values and the facts of a question.

// refPolicy is one policy.
type refPolicy struct {
	id     string
	forbid bool
	needs  []func(facts map[string]any) any // all must be true
}

// refReader reads policies from words.
type refReader struct {
	words []string
}

var refWord = regexp.MustCompile(`//[^\n]*|"[^"]*"|[A-Za-z_]\w*|\d+|&&|\|\||[=!<>]=|[-<>!@(){}\[\],;.:]`)

// refParse reads every policy of a text.
func refParse(text string) []refPolicy {
	r := &refReader{}
	for _, w := range refWord.FindAllString(text, -1) {
		if !strings.HasPrefix(w, "//") {
			r.words = append(r.words, w)
		}
	}
	var all []refPolicy
	for len(r.words) > 0 {
		all = append(all, r.policy())
	}
	return all
}

// next takes the next word, which must be one of want if any are given.
func (r *refReader) next(want ...string) string {
	if len(r.words) == 0 || len(want) > 0 && !slices.Contains(want, r.words[0]) {
		panic(fmt.Sprintf("want %q before %q", want, r.words[:min(5, len(r.words))]))
	}
	w := r.words[0]
	r.words = r.words[1:]
	return w
}

// is reports whether the next word is w, and takes it if so.
func (r *refReader) is(w string) bool {
	if len(r.words) == 0 || r.words[0] != w {
		return false
	}
	r.next()
	return true
}

func (r *refReader) policy() refPolicy {
	var p refPolicy
	for r.is("@") {
		key := r.next()
		r.next("(")
		if value := r.next(); key == "id" {
			p.id = strings.Trim(value, `"`)
		}
		r.next(")")
	}
	p.forbid = r.next("permit", "forbid") == "forbid"
	r.next("(")
	for i, name := range []string{"principal", "action", "resource"} {
		r.next(name)
		if r.is("=") || r.is("==") {
			r.next("Team", "Action", "Slice")
			r.next(":")
			r.next(":")
			want := strings.Trim(r.next(), `"`)
			p.needs = append(p.needs, func(f map[string]any) any { return f[name] == want })
		}
		r.next([]string{",", ",", ")"}[i])
	}
	for !r.is(";") {
		unless := r.next("when", "unless") == "unless"
		r.next("{")
		body := r.or()
		r.next("}")
		p.needs = append(p.needs, func(f map[string]any) any { return body(f) != unless })
	}
	return p
}

type refNode = func(facts map[string]any) any

func (r *refReader) or() refNode {
	a := r.and()
	for r.is("||") {
		left, right := a, r.and()
		a = func(f map[string]any) any { return left(f) == true || right(f) == true }
	}
	return a
}

func (r *refReader) and() refNode {
	a := r.compared()
	for r.is("&&") {
		left, right := a, r.compared()
		a = func(f map[string]any) any { return left(f) == true && right(f) == true }
	}
	return a
}

func (r *refReader) compared() refNode {
	a := r.unary()
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if !r.is(op) {
			continue
		}
		b := r.unary()
		return func(f map[string]any) any {
			x, y := a(f), b(f)
			switch op {
			case "==":
				return x == y
			case "!=":
				return x != y
			case "<=":
				return x.(int) <= y.(int)
			case ">=":
				return x.(int) >= y.(int)
			case "<":
				return x.(int) < y.(int)
			}
			return x.(int) > y.(int)
		}
	}
	return a
}

func (r *refReader) unary() refNode {
	if r.is("!") {
		a := r.unary()
		return func(f map[string]any) any { return a(f) != true }
	}
	a := r.plain()
	for r.is(".") {
		r.next("contains")
		r.next("(")
		set, one := a, r.or()
		r.next(")")
		a = func(f map[string]any) any { return slices.Contains(set(f).([]any), one(f)) }
	}
	return a
}

func (r *refReader) plain() refNode {
	w := r.next()
	switch {
	case w == "(":
		a := r.or()
		r.next(")")
		return a
	case w == "[":
		var all []refNode
		for !r.is("]") {
			all = append(all, r.or())
			r.is(",")
		}
		return func(f map[string]any) any {
			set := []any{}
			for _, a := range all {
				set = append(set, a(f))
			}
			return set
		}
	case w[0] == '"':
		return func(map[string]any) any { return strings.Trim(w, `"`) }
	case w[0] >= '0' && w[0] <= '9':
		n, _ := strconv.Atoi(w)
		return func(map[string]any) any { return n }
	case w == "true" || w == "false":
		return func(map[string]any) any { return w == "true" }
	case w != "context":
		panic("no word of an expression: " + w)
	}
	r.next(".")
	name := r.next()
	if name == "place" {
		r.next(".")
		name += "." + r.next()
	}
	return func(f map[string]any) any { return f[name] }
}

// refDecide answers: a permit must hold and no forbid may. It names those that
// decided.
func refDecide(policies []refPolicy, facts map[string]any) (bool, []string) {
	var permits, forbids []string
	for _, p := range policies {
		holds := true
		for _, n := range p.needs {
			holds = holds && n(facts) == true
		}
		switch {
		case holds && p.forbid:
			forbids = append(forbids, p.id)
		case holds:
			permits = append(permits, p.id)
		}
	}
	if len(forbids) > 0 {
		return false, forbids
	}
	return len(permits) > 0, permits
}
