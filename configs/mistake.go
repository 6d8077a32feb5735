package configs

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Mistake is one thing wrong in a file. Line and Col count from 1, Col in
// characters. Source is the line itself, cut before a value that may be secret.
type Mistake struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Col    int    `json:"col"`
	What   string `json:"what"`
	Why    string `json:"why"`
	Fix    string `json:"fix"`
	Source string `json:"source"`
}

// Errors is every mistake of one file, in order. Made by the readers; never
// empty.
type Errors struct {
	Kind     string    // "controller", "job", …
	File     string    // as it was named
	Mistakes []Mistake // in the order of the file
}

// Error shows each mistake with its place, its line and what to do.
func (e *Errors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "read %s %s: %d mistake", e.Kind, e.File, len(e.Mistakes))
	if len(e.Mistakes) != 1 {
		b.WriteByte('s')
	}
	for _, m := range e.Mistakes {
		fmt.Fprintf(&b, "\n%s:%d:%d: %s: %s", m.File, m.Line, m.Col, m.What, m.Why)
		fmt.Fprintf(&b, "\n  %4d | %s\n       | %s^", m.Line, m.Source, strings.Repeat(" ", max(0, m.Col-1)))
		fmt.Fprintf(&b, "\n       = %s", m.Fix)
	}
	return b.String()
}

// Details returns the mistakes, for output as JSON.
func (e *Errors) Details() any { return e.Mistakes }

// report collects the mistakes of one file.
type report struct {
	file, kind string
	text       []byte
	root       *node // once it conforms
	found      []Mistake
}

// at adds a mistake at a position. A hidden value is cut from the line shown.
func (r *report) at(p position, hide bool, what, why, fix string) {
	m := Mistake{File: r.file, Line: p.line, Col: p.col, What: what, Why: why, Fix: fix}
	m.Source = mask(strings.ReplaceAll(r.line(p.line), "\t", " "))
	if hide {
		runes := []rune(m.Source)
		start := min(max(p.col-1, 0), len(runes))
		if end := slices.Index(runes[start:], ':'); end >= 0 && start+end+1 < len(runes) {
			m.Source = string(runes[:start+end+1]) + " …"
		}
	}
	r.found = append(r.found, m)
}

// secretive finds values that look like secrets put where none belongs: after
// a key that says so, or before the host of a URL.
var secretive = regexp.MustCompile(
	`(?i)(?:(?:secret|passw|token|private|apikey)[\w-]*["']?:\s*|://)([^\s,}@][^,}@]*)([,}@]|$)`)

// mask blanks such values and keeps the columns.
func mask(line string) string {
	for _, m := range secretive.FindAllStringSubmatchIndex(line, -1) {
		start, end := m[2], m[3]
		url, path := strings.HasSuffix(line[:start], "://"), strings.Contains(line[m[0]:start], "_file")
		if url && line[m[4]:m[5]] != "@" || path {
			continue
		}
		line = line[:start] + strings.Repeat("*", end-start) + line[end:]
	}
	return line
}

// line returns a line of the file.
func (r *report) line(n int) string {
	lines := bytes.Split(r.text, []byte("\n"))
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimRight(string(lines[n-1]), "\r")
}

// err returns what was found, in the order of the file, or nil.
func (r *report) err() error {
	if len(r.found) == 0 {
		return nil
	}
	slices.SortStableFunc(r.found, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.What, b.What))
	})
	return &Errors{Kind: r.kind, File: r.file, Mistakes: slices.Compact(r.found)}
}

// letters is a word without case and joints, so that edgeKey is close to edge_key.
func letters(word string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(word), "_", ""), "-", "")
}

// near returns the candidate closest to word, or "" if none is close.
func near(word string, candidates []string) string {
	best, least := "", max(2, len(word)/3)+1
	w := letters(word)
	if len(w) > 64 {
		return ""
	}
	for _, c := range candidates {
		if d := distance(w, letters(c)); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of single-letter edits between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// suggest words a remedy from the nearest candidate, or from all of them.
func suggest(word string, candidates []string) string {
	if n := near(word, candidates); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	sorted := slices.Sorted(slices.Values(candidates))
	return "known here: " + strings.Join(sorted, ", ")
}
