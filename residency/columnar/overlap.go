package columnar

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/burstctl/burstctl/residency"
)

// apart refuses a slice that differs from another one of the same files, which is
// held, in rows of fewer persons than the stricter of them wants in a group: who
// has both could tell these rows. Where the table does not say whose rows are,
// rows are counted. Slices of files as they lie have every row, and are not asked
// about. It returns the digests of those it was compared with.
func (s *Store) apart(d residency.Dataset, spec residency.SliceSpec, rows rowSet, k int) (map[string]string, error) {
	held, err := s.compared(d, 0)
	if err != nil {
		return nil, err
	}
	beside := map[string]string{}
	for _, c := range held {
		if c.Slice == spec.Name || !sameFiles(d, c.Slice, spec) {
			continue
		}
		m, err := s.manifest(c.Manifest)
		if errors.Is(err, ErrNotBuilt) {
			continue // it is gone, so it is not held; when it is built, it is compared with this one
		}
		if err != nil {
			return nil, fmt.Errorf("compare with %s: %w", c.Slice, err)
		}
		if least := max(k, m.Made.K); least > 0 {
			theirs, err := rowsOf(s.slices, place(c.Manifest)+"/rows")
			if errors.Is(err, fs.ErrNotExist) {
				return nil, refuse("it is not noted which rows %s has: take that out of the directory of slices, build it again",
					c.Slice)
			}
			if err != nil {
				return nil, fmt.Errorf("compare with %s: %w", c.Slice, err)
			}
			if err := differ(spec.Name, c.Slice, rows, theirs, least); err != nil {
				return nil, err
			}
		}
		beside[c.Slice] = c.Manifest
	}
	return beside, nil
}

// differ refuses a difference that is not none and less than least.
func differ(one, other string, a, b rowSet, least int) error {
	persons := a.Whose != nil
	if persons != (b.Whose != nil) {
		return refuse("it is noted of one of %s and %s only whose rows it has", one, other)
	}
	for _, t := range []tally{a.without(b), b.without(a)} {
		n := t.size(persons)
		if t.rows == 0 || n >= int64(least) {
			continue
		}
		in := fmt.Sprintf("%d rows", n)
		if persons {
			in = fmt.Sprintf("rows of %d persons", n)
		}
		return refuse("%s and %s differ in %s, fewer than %d: who has both could tell them; choose their rows so that "+
			"none or %d differ, or keep one slice only", one, other, in, least, least)
	}
	return nil
}

// compared are the slices of a dataset that are held among those built after the
// nth build, the newest first. A slice is held if each that was built later was
// compared with it: one that was not in the catalogue meanwhile was not.
func (s *Store) compared(d residency.Dataset, nth uint64) (held []current, err error) {
	var all []current
	for _, spec := range d.Slices {
		if !spec.Derived() {
			continue
		}
		c, err := s.recorded(d, spec)
		switch {
		case errors.Is(err, ErrNotBuilt) || errors.Is(err, ErrNotNow):
		case err != nil:
			return nil, fmt.Errorf("look at %s: %w", spec.Name, err)
		case c.Nth > nth:
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b current) int { return cmp.Compare(b.Nth, a.Nth) })
	for _, c := range all {
		i := slices.IndexFunc(d.Slices, func(o residency.SliceSpec) bool { return o.Name == c.Slice })
		if stranger(d, held, d.Slices[i], c) == "" {
			held = append(held, c)
		}
	}
	return held, nil
}

// stranger names one of newer that has rows of the same files and was not
// compared with c, which is what spec means; "" if there is none.
func stranger(d residency.Dataset, newer []current, spec residency.SliceSpec, c current) string {
	for _, o := range newer {
		if o.Slice != spec.Name && o.Beside[spec.Name] != c.Manifest && sameFiles(d, o.Slice, spec) {
			return o.Slice
		}
	}
	return ""
}

// sameFiles reports whether the slice of that name is of the directory that spec
// is of, under whatever version. Those in a directory within have other files: all
// files of a table lie as deep as it has columns in the path.
func sameFiles(d residency.Dataset, name string, spec residency.SliceSpec) bool {
	return slices.ContainsFunc(d.Slices, func(o residency.SliceSpec) bool {
		return o.Name == name && d.Source(o).Dir == d.Source(spec).Dir
	})
}

// builds is the number of the last build of a dataset.
func (s *Store) builds(d residency.Dataset) (last uint64, err error) {
	names, err := fs.ReadDir(s.slices.FS(), "current")
	for _, n := range names {
		if !strings.HasPrefix(n.Name(), d.ID+"@") {
			continue
		}
		c, err := load[current](s.slices, "current/"+n.Name())
		if err != nil {
			return 0, err
		}
		last = max(last, c.Nth)
	}
	return last, err
}
