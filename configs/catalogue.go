package configs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// catalogue is the file of datasets.
type catalogue struct{ Datasets []residency.Dataset }

// ReadCatalogue reads a catalogue of datasets. The directories in it are left
// as they are: they start at the data directory of the site that holds them.
// Its error is *[Errors] unless the file could not be read at all. What makes a
// catalogue consistent is checked by residency.NewCatalogue, what makes a
// predicate one by columnar.Compile.
func ReadCatalogue(path string) ([]residency.Dataset, error) {
	c, err := read("catalogue", path, func(c *catalogue, r *report) {
		c.checkTwice(r)
		if len(r.found) > 0 {
			return
		}
		c.checkRows(r)
		if _, err := residency.NewCatalogue(c.Datasets); err != nil {
			where := r.root.find("datasets")
			if e, ok := errors.AsType[*residency.SpecError](err); ok {
				where = r.root.find(e.Path...)
			}
			r.at(where.position, false, "the catalogue", err.Error(), "correct the dataset or slice that is named")
		}
	})
	return c.Datasets, err
}

// checkTwice refuses two datasets or slices of one name.
func (c *catalogue) checkTwice(r *report) {
	seen := map[string]bool{}
	twice := func(name string, where ...string) {
		if seen[name] {
			r.at(r.root.find(where...).position, false, name, "it is listed twice", "keep one of them")
		}
		seen[name] = true
	}
	for i, d := range c.Datasets {
		twice("dataset "+d.ID, "datasets", fmt.Sprint(i), "id")
		for j, s := range d.Slices {
			twice("slice "+s.Name, "datasets", fmt.Sprint(i), "slices", fmt.Sprint(j), "name")
		}
	}
}

// checkRows types every predicate against the columns of its table.
func (c *catalogue) checkRows(r *report) {
	for i, d := range c.Datasets {
		for j, s := range d.Slices {
			if s.Rows == "" || d.Table == nil {
				continue
			}
			_, err := columnar.Compile(*d.Table, s.Rows)
			if e, ok := errors.AsType[*columnar.PredicateError](err); ok {
				n := r.root.find("datasets", fmt.Sprint(i), "slices", fmt.Sprint(j), "rows")
				r.at(r.within(n, e.Line, e.Col), false, "rows of "+s.Name, e.Why, "write CEL over the columns of the table: "+
					strings.Join(columnNames(*d.Table), ", "))
			}
		}
	}
}

// within is the place of a line and column of a text, in the file that the
// text is written in. Text that is folded over lines has its first line's.
func (r *report) within(n *node, line, col int) position {
	first := r.line(n.line)
	runes := []rune(first)
	switch {
	case n.col < 1 || n.col > len(runes):
		return n.position
	case runes[n.col-1] == '|' || runes[n.col-1] == '>':
		text := r.line(n.line + line)
		return position{n.line + line, len(text) - len(strings.TrimLeft(text, " ")) + col}
	case line > 1:
		return n.position
	case runes[n.col-1] == '"' || runes[n.col-1] == '\'':
		return position{n.line, n.col + col}
	}
	return position{n.line, n.col + col - 1}
}

// columnNames lists the columns of a table.
func columnNames(l residency.Layout) (names []string) {
	for _, c := range l.Columns {
		names = append(names, c.Name)
	}
	return names
}
