package residency

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
)

// Mistake is one thing wrong in a rule file, where it stands. Line and Col
// count from 1; Line 0 is the file as a whole. Made by [ParseRules].
type Mistake struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
	Rule string `json:"rule,omitempty"` // its @id, if it has one
	Why  string `json:"why"`
}

// String is "file:line:col: rule id: why".
func (m Mistake) String() string {
	s := m.File + ": "
	if m.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d: ", m.File, m.Line, m.Col)
	}
	if m.Rule != "" {
		s += "rule " + m.Rule + ": "
	}
	return s + m.Why
}

// Mistakes is everything wrong in a set of rule files, by file and line. As an
// error it is never empty and one line.
type Mistakes []Mistake

// Error is the first mistake, and how many more there are.
func (m Mistakes) Error() string {
	switch len(m) {
	case 0:
		return "no mistake"
	case 1:
		return m[0].String()
	}
	return fmt.Sprintf("%v (and %d more)", m[0], len(m)-1)
}

// Details returns the mistakes, for output as JSON.
func (m Mistakes) Details() any { return []Mistake(m) }

// position finds where Cedar's parser stopped; it says so only in words.
var position = regexp.MustCompile(`:(\d+):(\d+)`)

// parserWords is what Cedar's parser says before it says what is wrong, and
// validatorWords what its validator repeats for every action.
var (
	parserWords    = regexp.MustCompile(`^parser error: parse error at <input>:\d+:\d+ `)
	validatorWords = regexp.MustCompile("^for policy `[^`]*`, | for Action::\"[^\"]*\"")
)

// untyped words what the validator says, each thing once.
func untyped(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, l := range lines {
		lines[i] = validatorWords.ReplaceAllString(l, "")
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "; ")
}

// syntax is the mistake behind an error of Cedar's parser.
func syntax(file string, err error) Mistake {
	m := Mistake{File: file, Line: 1, Col: 1, Why: parserWords.ReplaceAllString(err.Error(), "")}
	if at := position.FindStringSubmatch(err.Error()); at != nil {
		m.Line, _ = strconv.Atoi(at[1])
		m.Col, _ = strconv.Atoi(at[2])
	}
	m.Line, m.Col = cmp.Or(m.Line, 1), cmp.Or(m.Col, 1)
	return m
}

// parsePolicies reads the policies of a file. If the whole does not parse, each
// statement is tried alone at its place, so that one mistake hides no other.
func parsePolicies(file string, text []byte) ([]*cedar.Policy, Mistakes) {
	whole, err := cedar.NewPolicyListFromBytes(file, text)
	if err == nil {
		return whole, nil
	}
	var policies []*cedar.Policy
	var wrong Mistakes
	for _, alone := range statements(text) {
		list, err := cedar.NewPolicyListFromBytes(file, alone)
		if err != nil {
			wrong = append(wrong, syntax(file, err))
		}
		policies = append(policies, list...)
	}
	if len(wrong) == 0 {
		wrong = Mistakes{syntax(file, err)}
	}
	return policies, wrong
}

// maxStatements bounds the work on a file that does not parse.
const maxStatements = 200

// statements cuts a file after each ";" that is in no string and no comment.
// What stands before a statement is blanked, so that its positions stay true.
func statements(text []byte) [][]byte {
	var found [][]byte
	start, quoted, comment := 0, false, false
	cut := func(end int) {
		if len(found) == maxStatements || strings.TrimSpace(string(text[start:end])) == "" {
			return
		}
		alone := make([]byte, end)
		for i, c := range text[:start] {
			alone[i] = ' '
			if c == '\n' {
				alone[i] = c
			}
		}
		copy(alone[start:], text[start:end])
		found, start = append(found, alone), end
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case comment:
			comment = c != '\n'
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '/' && i+1 < len(text) && text[i+1] == '/':
			comment = true
		case c == ';':
			cut(i + 1)
		}
	}
	cut(len(text))
	return found
}
