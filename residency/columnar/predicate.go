package columnar

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/burstctl/burstctl/residency"
)

// Predicate says of a row whether it is in the slice. Made by [Compile]; the
// zero Predicate keeps no row.
type Predicate struct {
	program cel.Program
	at      map[string]int // column name → index in the layout
}

// PredicateError is a mistake in a predicate. Line and Col count from 1, within
// its text.
type PredicateError struct {
	Line, Col int
	Why       string
}

func (e *PredicateError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Why) }

// maxCost bounds the work for one row, and maxText the length of a predicate.
const maxCost, maxText = 100_000, 16 << 10

// celTypes are the types of columns in a predicate. A date is midnight UTC.
var celTypes = map[string]*cel.Type{"text": cel.StringType, "integer": cel.IntType, "number": cel.DoubleType,
	"boolean": cel.BoolType, "date": cel.TimestampType, "time": cel.TimestampType}

// Compile reads a predicate over the columns of a layout: a CEL expression
// (cel.dev) that is true or false. A column it does not have, and an operation
// that its type does not have, are mistakes, found here and not at a row. A
// column whose name is no identifier in CEL, and one of type "other", cannot be
// used. Its error is *[PredicateError].
func Compile(l residency.Layout, text string) (*Predicate, error) {
	if len(text) > maxText {
		return nil, &PredicateError{1, 1, fmt.Sprintf("longer than %d bytes", maxText)}
	}
	opts := []cel.EnvOption{cel.StdLib(), cel.DefaultUTCTimeZone(true), cel.ExpressionNodeLimit(2000)}
	p := &Predicate{at: map[string]int{}}
	for i, c := range l.Columns {
		t, ok := celTypes[c.Type]
		if !ok || !isIdentifier(c.Name) {
			continue
		}
		if c.Nullable && c.Type != "date" && c.Type != "time" {
			t = types.NewNullableType(t)
		}
		opts = append(opts, cel.Variable(c.Name, t))
		p.at[c.Name] = i
	}
	env, err := cel.NewCustomEnv(opts...)
	if err != nil {
		return nil, &PredicateError{1, 1, err.Error()}
	}
	ast, issues := env.Compile(text)
	if found := issues.Errors(); len(found) > 0 {
		first := found[0]
		for _, e := range found[1:] {
			if e.Location.Line() < first.Location.Line() {
				first = e
			}
		}
		why, _, _ := strings.Cut(first.Message, "\n")
		return nil, &PredicateError{max(first.Location.Line(), 1), max(first.Location.Column(), 0) + 1, why}
	}
	if ast.OutputType() != cel.BoolType {
		return nil, &PredicateError{1, 1, fmt.Sprintf("it is a %s, not true or false", cel.FormatCELType(ast.OutputType()))}
	}
	p.program, err = env.Program(ast, cel.CostLimit(maxCost))
	if err != nil {
		return nil, &PredicateError{1, 1, err.Error()}
	}
	return p, nil
}

// reserved words of CEL name no column.
var reserved = []string{"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
	"if", "import", "let", "loop", "namespace", "package", "return", "var", "void", "while", "int", "uint", "double",
	"bool", "string", "bytes", "list", "map", "type", "null_type", "timestamp", "duration", "dyn"}

// isIdentifier reports whether a column can be named in CEL.
func isIdentifier(s string) bool {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" ||
		s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return !slices.Contains(reserved, s)
}

// facts is a row as CEL looks at it.
type facts struct {
	at  map[string]int
	row []cell
}

// ResolveName returns the value of a column; an empty one is null.
func (f facts) ResolveName(name string) (any, bool) {
	i, ok := f.at[name]
	if !ok {
		return nil, false
	}
	if f.row[i].null {
		return types.NullValue, true
	}
	return f.row[i].value, true
}

// Parent returns nil: there is nothing beside the row.
func (f facts) Parent() cel.Activation { return nil }

// keep asks the predicate about a row. One that has no answer, such as a
// comparison with an empty value, is an error and never a no.
func (p *Predicate) keep(row []cell) (bool, error) {
	out, _, err := p.program.Eval(facts{p.at, row})
	if err != nil {
		return false, refuse("the predicate has no answer: does it compare an empty value, or divide by zero?")
	}
	b, ok := out.Value().(bool)
	if !ok {
		return false, refuse("the predicate has no answer")
	}
	return b, nil
}
