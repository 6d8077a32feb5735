package columnar

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// rowSet is which rows of which files are in a slice, and whose they are. It
// stays on site, beside the slice, and is in no manifest.
type rowSet struct {
	Bits  map[string][]byte `json:"bits"`            // a bit a row, by the file's SHA-256 and name
	Whose map[string][]byte `json:"whose,omitempty"` // a person for each of these rows, in order; nil: it is not said
}

// newRowSet is of no row yet.
func newRowSet(persons bool) rowSet {
	r := rowSet{Bits: map[string][]byte{}}
	if persons {
		r.Whose = map[string][]byte{}
	}
	return r
}

// add puts a row in, counted from 0, behind those that are in.
func (r rowSet) add(in input, row int, whose string) {
	file := in.SHA256 + " " + in.Name
	b := r.Bits[file]
	for len(b) <= row/8 {
		b = append(b, 0)
	}
	b[row/8] |= 1 << (row % 8)
	if r.Bits[file] = b; r.Whose != nil {
		p := personOf(whose)
		r.Whose[file] = append(r.Whose[file], p[:]...)
	}
}

// check makes sure that each row is somebody's, if rows are.
func (r rowSet) check() error {
	if len(r.Bits) == 0 {
		return errors.New("no rows are noted")
	}
	for file, b := range r.Bits {
		if n := len(ones(b)) * len(person{}); r.Whose != nil && len(r.Whose[file]) != n {
			return errors.New("not all rows are somebody's")
		}
	}
	return nil
}

// ones are the rows whose bits are set.
func ones(b []byte) (rows []int) {
	for i, x := range b {
		for bit := range 8 {
			if x>>bit&1 == 1 {
				rows = append(rows, i*8+bit)
			}
		}
	}
	return rows
}

// without counts the rows that are not in other.
func (r rowSet) without(other rowSet) (t tally) {
	for file, b := range r.Bits {
		o, whose := other.Bits[file], r.Whose[file]
		for n, row := range ones(b) {
			if row/8 < len(o) && o[row/8]>>(row%8)&1 == 1 {
				continue
			}
			if t.rows++; r.Whose != nil {
				t.count(person(whose[n*len(person{}):]))
			}
		}
	}
	return t
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
		return rowSet{}, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return rowSet{}, fmt.Errorf("read %s: %w", name, err)
	}
	b, err := io.ReadAll(z)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return rowSet{}, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}
