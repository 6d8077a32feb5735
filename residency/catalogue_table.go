package residency

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Layout is what the tables of a dataset look like. A file that looks
// otherwise is refused when a slice is made of it. Made by configs from the
// catalogue; the zero Layout fits no file.
type Layout struct {
	Format  string   `json:"format"`            // "csv" or "parquet"
	Columns []Column `json:"columns"`           // in the order of the files; those of the path last
	Subject string   `json:"subject,omitempty"` // column that says whose row it is; empty: it is not said
}

// Column is one column of a table.
type Column struct {
	Name       string `json:"name"`
	Type       string `json:"type"`                 // one of ColumnTypes
	Nullable   bool   `json:"nullable,omitempty"`   // may be empty
	Identifies bool   `json:"identifies,omitempty"` // names a person by itself
	Partition  bool   `json:"partition,omitempty"`  // is in the path, as name=value, and not in the file
}

// ColumnTypes are the types a column may have. A date is a day, a time has an
// offset (RFC 3339); what is "other" can be kept or dropped and nothing else.
var ColumnTypes = []string{"text", "integer", "number", "boolean", "date", "time", "other"}

// Columns is what becomes of columns that are not kept as they are.
type Columns struct {
	Drop         []string `json:"drop,omitempty"`
	Pseudonymise []string `json:"pseudonymise,omitempty"` // replaced by a keyed code
}

// KAnonymity wants every combination of values of some columns to occur in rows
// of K persons at least, or in K rows if the table names no subject.
type KAnonymity struct {
	Columns     []string `json:"columns"`
	K           int      `json:"k"`
	SmallGroups string   `json:"small_groups,omitempty"` // "refuse" (so if empty) or "drop"
}

// Version is an immutable state of a dataset. Made by configs; the zero Version
// is none.
type Version struct {
	Name   string `json:"name"`
	Dir    string `json:"dir"`              // where its files lie, and nothing else
	Digest string `json:"digest,omitempty"` // of its files, as "slices build" tells it; empty: as first seen
}

// Derived reports whether the slice is made from its files, and not the files
// themselves.
func (s SliceSpec) Derived() bool { return s.Columns != nil || s.Rows != "" || s.KAnonymity != nil }

// Source is the version a slice is of: the one it names, or its own directory
// under its own name.
func (d Dataset) Source(s SliceSpec) Version {
	for _, v := range d.Versions {
		if v.Name == s.Version {
			return v
		}
	}
	_, own, _ := strings.Cut(s.Name, "/")
	return Version{Name: own, Dir: s.Dir}
}

// has reports whether the version a slice names is one of the dataset's.
func (d Dataset) has(s SliceSpec) bool {
	return s.Version == "" || slices.ContainsFunc(d.Versions, func(v Version) bool { return v.Name == s.Version })
}

// Kept are the columns of a slice that are in its files, in order.
func (d Dataset) Kept(s SliceSpec) (kept []Column) {
	if d.Table == nil {
		return nil
	}
	for _, c := range d.Table.Columns {
		if s.Columns == nil || !slices.Contains(s.Columns.Drop, c.Name) {
			kept = append(kept, c)
		}
	}
	return kept
}

// SpecError is a mistake in a dataset with the path of keys that leads to it,
// such as slices, 0, rows. Made by [NewCatalogue].
type SpecError struct {
	Path []string
	Err  error
}

func (e *SpecError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *SpecError) Unwrap() error { return e.Err }

// wrong makes a SpecError.
func wrong(path []string, format string, a ...any) error {
	return &SpecError{path, fmt.Errorf(format, a...)}
}

// under leads the path of a SpecError through one more list; any other error is
// about the whole entry of the list.
func under(err error, list string, i int) error {
	path := []string{list, fmt.Sprint(i)}
	if e, ok := errors.AsType[*SpecError](err); ok {
		path = append(path, e.Path...)
	}
	return &SpecError{path, err}
}

// checkLayout reports the first thing wrong with versions, location and table.
func (d Dataset) checkLayout() error {
	for i, v := range d.Versions {
		at := []string{"versions", fmt.Sprint(i)}
		switch {
		case !isName(v.Name):
			return wrong(append(at, "name"), "version %q is not a plain lower-case name", v.Name)
		case slices.ContainsFunc(d.Versions[:i], func(w Version) bool { return w.Name == v.Name }):
			return wrong(append(at, "name"), "version %q is there twice", v.Name)
		case checkName(v.Dir) != nil:
			return wrong(append(at, "dir"), "version %q: dir is not a clean relative path", v.Name)
		case v.Digest != "" && !isDigest(v.Digest):
			return wrong(append(at, "digest"), "version %q: digest is none", v.Name)
		case !d.inside(v.Dir):
			return wrong(append(at, "dir"), "version %q: dir is not inside %s", v.Name, d.Location)
		}
	}
	for _, day := range [][2]string{{"retention", d.Retention}, {"embargo", d.Embargo}} {
		if _, err := time.Parse(time.DateOnly, day[1]); day[1] != "" && err != nil {
			return wrong(day[:1], "%s %q is no day", day[0], day[1])
		}
	}
	if d.Retention != "" && d.Embargo > d.Retention {
		return wrong([]string{"embargo"}, "embargo %s ends after the retention, %s: it could never be used", d.Embargo,
			d.Retention)
	}
	if err := d.Hold.check(); err != nil || d.Table == nil {
		return err
	}
	return d.Table.check()
}

// inside reports whether a directory is within the dataset's location.
func (d Dataset) inside(dir string) bool {
	return d.Location == "" || dir == d.Location || strings.HasPrefix(dir, d.Location+"/")
}

// check reports the first thing wrong with a layout.
func (l Layout) check() error {
	if l.Format != "csv" && l.Format != "parquet" {
		return wrong([]string{"table", "format"}, "format %q is neither csv nor parquet", l.Format)
	}
	paths, seen := false, map[string]bool{}
	for i, c := range l.Columns {
		at := []string{"table", "columns", fmt.Sprint(i)}
		switch {
		case c.Name == "" || len(c.Name) > 256 || !utf8.ValidString(c.Name):
			return wrong(append(at, "name"), "column %d has no name that can be", i)
		case seen[fold(c.Name)]:
			return wrong(append(at, "name"), "column %q is there twice, but for case", c.Name)
		case !slices.Contains(ColumnTypes, c.Type):
			return wrong(append(at, "type"), "column %q: type %q is none", c.Name, c.Type)
		case c.Partition && (c.Type == "other" || c.Nullable || !isName(c.Name)):
			return wrong(at, "column %q of the path must have a plain name and a value of a type", c.Name)
		case paths && !c.Partition:
			return wrong(at, "column %q stands behind one of the path", c.Name)
		}
		seen[fold(c.Name)], paths = true, c.Partition
	}
	if c, ok := l.column(l.Subject); l.Subject != "" && (!ok || c.Partition || c.Type == "other") {
		return wrong([]string{"table", "subject"}, "subject %q is no column with a type in the files", l.Subject)
	}
	if len(l.Columns) == 0 || l.Columns[0].Partition {
		return wrong([]string{"table", "columns"}, "the table has no columns")
	}
	return nil
}

// column finds one by name.
func (l Layout) column(name string) (Column, bool) {
	i := slices.IndexFunc(l.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return l.Columns[i], true
}

// checkTable reports the first thing that columns, rows and groups of a slice
// ask of a table that it does not have. That the predicate is one is checked
// where it can be compiled (residency/columnar).
func (d Dataset) checkTable(s SliceSpec) error {
	if s.Derived() && d.Table == nil {
		return wrong(nil, "the dataset has no table, so there are no columns and rows to choose from")
	}
	for i, p := range s.Partitions {
		if checkName(p) != nil || slices.Contains(s.Partitions[:i], p) {
			return wrong([]string{"partitions", fmt.Sprint(i)}, "partition %q is no clean path, or there twice", p)
		}
	}
	if s.Columns != nil {
		if err := d.checkColumns(s); err != nil {
			return err
		}
	}
	for _, c := range d.Kept(s) {
		named := s.Columns != nil && slices.Contains(s.Columns.Pseudonymise, c.Name)
		if s.Derived() && s.Pseudonymised && c.Identifies && !named {
			return wrong([]string{"columns"}, "column %q names a person: drop or pseudonymise it", c.Name)
		}
	}
	if s.KAnonymity != nil {
		return d.checkGroups(s)
	}
	return nil
}

// checkColumns holds what is dropped and pseudonymised to the table.
func (d Dataset) checkColumns(s SliceSpec) error {
	seen := map[string]bool{}
	for _, key := range []string{"drop", "pseudonymise"} {
		names := s.Columns.Drop
		if key == "pseudonymise" {
			names = s.Columns.Pseudonymise
		}
		for i, name := range names {
			at := []string{"columns", key, fmt.Sprint(i)}
			c, ok := d.Table.column(name)
			switch {
			case !ok:
				return wrong(at, "column %q is not in the table", name)
			case seen[name]:
				return wrong(at, "column %q is named twice", name)
			case c.Partition:
				return wrong(at, "column %q is in the path of each file and would stay there", name)
			case c.Type == "other" && key == "pseudonymise":
				return wrong(at, "column %q has no type that can be pseudonymised; drop it", name)
			}
			seen[name] = true
		}
	}
	if !slices.ContainsFunc(d.Kept(s), func(c Column) bool { return !c.Partition }) {
		return wrong([]string{"columns", "drop"}, "no column is left")
	}
	return nil
}

// checkGroups holds the quasi-identifiers to what the slice shows.
func (d Dataset) checkGroups(s SliceSpec) error {
	a := *s.KAnonymity
	switch {
	case a.K < 2:
		return wrong([]string{"k_anonymity", "k"}, "k is %d: a group of one is a person", a.K)
	case len(a.Columns) == 0:
		return wrong([]string{"k_anonymity", "columns"}, "no columns are named")
	case !slices.Contains([]string{"", "refuse", "drop"}, a.SmallGroups):
		return wrong([]string{"k_anonymity", "small_groups"}, "%q is neither refuse nor drop", a.SmallGroups)
	}
	for i, name := range a.Columns {
		at := []string{"k_anonymity", "columns", fmt.Sprint(i)}
		c, ok := d.Table.column(name)
		switch {
		case !ok:
			return wrong(at, "column %q is not in the table", name)
		case slices.Contains(a.Columns[:i], name):
			return wrong(at, "column %q is named twice", name)
		case c.Type == "other":
			return wrong(at, "column %q has no type that can be grouped", name)
		case s.Columns != nil && (slices.Contains(s.Columns.Drop, name) || slices.Contains(s.Columns.Pseudonymise, name)):
			return wrong(at, "column %q is not in the slice as it is", name)
		}
	}
	return nil
}
