package columnar

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"

	"github.com/burstctl/burstctl/residency"
)

// rowSet is which rows of which files are in a slice: a bit a row, by the file's
// SHA-256. It stays on site, beside the slice, and is in no manifest.
type rowSet map[string][]byte

// add puts a row in, counted from 0.
func (r rowSet) add(file string, row int) {
	b := r[file]
	for len(b) <= row/8 {
		b = append(b, 0)
	}
	b[row/8] |= 1 << (row % 8)
	r[file] = b
}

// without counts the rows that are not in other.
func (r rowSet) without(other rowSet) (n int) {
	for file, b := range r {
		o := other[file]
		for i, x := range b {
			if i < len(o) {
				x &^= o[i]
			}
			n += bits.OnesCount8(x)
		}
	}
	return n
}

// save writes it, compressed.
func (r rowSet) save(root *os.Root) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(r), z.Close()); err != nil {
		return err
	}
	return writeWhole(root, "rows", b.Bytes())
}

// rowsOf reads what save wrote.
func rowsOf(root *os.Root, name string) (r rowSet, err error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	b, err := io.ReadAll(z)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

// apart refuses a slice that differs from another of the same version, which is
// built as the catalogue has it now, in fewer rows than the stricter of them wants
// in a group: who has both could tell these rows. Slices of files as they lie have
// every row, and are not asked about.
func (s *Store) apart(d residency.Dataset, spec residency.SliceSpec, rows rowSet, k int) error {
	for _, o := range d.Slices {
		if o.Name == spec.Name || !o.Derived() || d.Source(o) != d.Source(spec) {
			continue
		}
		c, err := s.meant(d, o)
		if errors.Is(err, ErrNotBuilt) || errors.Is(err, ErrNotNow) {
			continue // it is not held; when it is built, it is compared with this one
		}
		var m residency.Manifest
		if err == nil {
			m, err = s.manifest(c.Manifest)
		}
		if errors.Is(err, ErrNotBuilt) {
			continue
		}
		if err != nil {
			return fmt.Errorf("compare with %s: %w", o.Name, err)
		}
		least := max(k, m.Made.K)
		if least == 0 {
			continue
		}
		theirs, err := rowsOf(s.slices, place(c.Manifest)+"/rows")
		if errors.Is(err, fs.ErrNotExist) {
			return refuse("it is not noted which rows %s has: take that out of the directory of slices, build it again", o.Name)
		}
		if err != nil {
			return fmt.Errorf("compare with %s: %w", o.Name, err)
		}
		for _, n := range []int{rows.without(theirs), theirs.without(rows)} {
			if 0 < n && n < least {
				return refuse("%s and %s differ in %d rows, fewer than %d: who has both could tell them; choose their rows so "+
					"that none or %d differ, or keep one slice only", spec.Name, o.Name, n, least, least)
			}
		}
	}
	return nil
}
