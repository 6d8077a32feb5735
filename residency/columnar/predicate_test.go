package columnar_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

func TestAPredicateIsTypedAgainstTheColumns(t *testing.T) {
	l := *layout("csv")
	l.Columns = append(l.Columns, residency.Column{Name: "scan", Type: "other"},
		residency.Column{Name: "odd-name", Type: "text"}, residency.Column{Name: "in", Type: "text"})
	for text, want := range map[string]string{
		`stay_days > 3`:                                 "",
		`region == null || region in ["north"]`:         "",
		`born >= timestamp("1950-01-01T00:00:00Z")`:     "",
		`amount * 2.0 < 10.0 && member.startsWith("M")`: "",
		`stay_day > 3`:                                  "1:1: undeclared reference",
		"stay_days > 3 &&\n  regio == \"x\"":            "2:3: undeclared reference",
		`stay_days > "3"`:                               "1:11: found no matching overload",
		`stay_days > 3.5 && stay_days + "x" == 1`:       "1:11: found no matching overload",
		`amount == 1`:                                   "1:8: found no matching overload",
		`stay_days`:                                     "1:1: it is a int, not true or false",
		`"true"`:                                        "1:1: it is a string",
		`scan == null`:                                  "1:1: undeclared reference",
		`stay_days >`:                                   "1:12: Syntax error",
		``:                                              "1:1: Syntax error",
		`now() > born`:                                  "1:4: undeclared reference",
		`file("x") == ""`:                               "1:5: undeclared reference",
		strings.Repeat("(", 20000):                      "1:1: longer than",
		`"` + strings.Repeat("x", 20000) + `" == ""`: "1:1: longer than",
	} {
		_, err := columnar.Compile(l, text)
		e, ok := errors.AsType[*columnar.PredicateError](err)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (!ok || !strings.Contains(e.Error(), want)):
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}

func FuzzCompileNeverPanics(f *testing.F) {
	for _, text := range []string{`stay_days > 3`, `region == null`, `[1, 2].all(x, x > stay_days)`, "\"", "a.b(c)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := columnar.Compile(*layout("csv"), text)
		if _, ok := errors.AsType[*columnar.PredicateError](err); (err == nil) != (p != nil) || err != nil && !ok {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	})
}
