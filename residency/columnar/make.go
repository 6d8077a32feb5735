package columnar

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/burstctl/burstctl/residency"
)

// maker makes the files of one slice.
type maker struct {
	dataset residency.Dataset
	spec    residency.SliceSpec
	key     Key
	keep    *Predicate // nil keeps every row
	from    origin     // of the version's files
	work    *os.Root   // where new files come

	file, path []residency.Column // of the layout
	kept       []int              // indexes of those of file that are in the slice
	codes      []bool             // which of kept are replaced
	groupBy    []int              // indexes in the layout
	groups     map[string]*tally
	rows       int64
	files      int             // of the slice, so far
	at         int             // the row that each is at, from 0
	taken      rowSet          // which rows are in the slice, and whose
	subject    int             // index in file; -1 if the table names none
	whose      string          // the row that each is at, by keyed hash; "" is nobody's
	without    map[string]bool // who did, by keyed hash
	left       int64           // rows left out because their group was small
}

// newMaker checks what is asked for.
func newMaker(d residency.Dataset, spec residency.SliceSpec, key Key) (*maker, error) {
	if !key.known() {
		return nil, refuse("it is made of columns and rows, and there is no pseudonym key")
	}
	m := &maker{dataset: d, spec: spec, key: key, groups: map[string]*tally{}, subject: -1}
	m.file, m.path = inFile(*d.Table)
	if name := d.Table.Subject; name != "" {
		m.subject = slices.IndexFunc(m.file, func(c residency.Column) bool { return c.Name == name })
	}
	m.taken = newRowSet(m.subject >= 0)
	columns := residency.Columns{}
	if spec.Columns != nil {
		columns = *spec.Columns
	}
	for i, c := range m.file {
		if !slices.Contains(columns.Drop, c.Name) {
			m.kept = append(m.kept, i)
			m.codes = append(m.codes, slices.Contains(columns.Pseudonymise, c.Name))
		}
	}
	if spec.KAnonymity != nil {
		for _, name := range spec.KAnonymity.Columns {
			i := slices.IndexFunc(d.Table.Columns, func(c residency.Column) bool { return c.Name == name })
			m.groupBy = append(m.groupBy, i)
		}
	}
	if spec.Rows == "" {
		return m, nil
	}
	p, err := Compile(*d.Table, spec.Rows)
	if err != nil {
		return nil, refuse("rows: %w", err)
	}
	m.keep = p
	return m, nil
}

// make writes the files of the slice below "data" and says what they are.
func (m *maker) make(inputs []input) (residency.Made, error) {
	made := residency.Made{Dataset: m.dataset.ID, Version: m.dataset.Source(m.spec).Name, Derived: true,
		Format: m.dataset.Table.Format, Key: m.key.ID()}
	for i, c := range m.kept {
		made.Columns = append(made.Columns, m.file[c].Name)
		if m.codes[i] {
			made.Pseudonymised = append(made.Pseudonymised, m.file[c].Name)
		}
	}
	for _, c := range m.path {
		made.Columns = append(made.Columns, c.Name)
	}
	if a := m.spec.KAnonymity; a != nil {
		if err := m.count(inputs); err != nil {
			return residency.Made{}, err
		}
		if made.K, made.Groups = a.K, a.Columns; m.subject >= 0 {
			made.Counted = "persons"
		}
		var err error
		if made.SmallestGroup, err = m.smallest(); err != nil {
			return residency.Made{}, err
		}
	}
	for _, in := range inputs {
		if err := m.rewrite(in); err != nil {
			return residency.Made{}, err
		}
	}
	if made.Rows = m.rows; m.rows == 0 {
		return residency.Made{}, refuse("no row is left")
	}
	return made, nil
}

// count goes over all rows once to learn how large each group is.
func (m *maker) count(inputs []input) error {
	for _, in := range inputs {
		err := m.each(in, func(row []cell, _ reader) error {
			name := m.group(row)
			if m.groups[name] == nil {
				m.groups[name] = &tally{}
			}
			m.groups[name].add(m.whose)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// group joins the quasi-identifiers of a row.
func (m *maker) group(row []cell) string {
	var b bytes.Buffer
	for _, i := range m.groupBy {
		s := row[i].shown()
		fmt.Fprintf(&b, "%d:%s", len(s), s)
	}
	return b.String()
}

// smallest is the size of the smallest group there will be. One that is too
// small is refused, or its rows are left out.
func (m *maker) smallest() (int64, error) {
	k, least := int64(m.spec.KAnonymity.K), int64(0)
	small := 0
	for _, g := range m.groups {
		n := g.size(m.subject >= 0)
		if n < k {
			small++
			m.left += g.rows
			continue
		}
		if least == 0 || n < least {
			least = n
		}
	}
	if small > 0 && m.spec.KAnonymity.SmallGroups != "drop" {
		return 0, refuse("k-anonymity: %d of %d groups of %q have fewer than %d %s "+
			"(small_groups: drop would leave out %d rows)",
			small, len(m.groups), m.spec.KAnonymity.Columns, k, unit(m.subject >= 0), m.left)
	}
	return least, nil
}

// rewrite makes one file of the slice, unless none of its rows is in it.
func (m *maker) rewrite(in input) error {
	var out *os.File
	var w writer
	shown := make([]cell, len(m.kept))
	err := m.each(in, func(row []cell, r reader) (err error) {
		if a := m.spec.KAnonymity; a != nil && m.groups[m.group(row)].size(m.subject >= 0) < int64(a.K) {
			return nil
		}
		if w == nil {
			if out, w, err = m.create(in.Name, r); err != nil {
				return err
			}
		}
		for i, c := range m.kept {
			shown[i] = row[c]
			if m.codes[i] && !row[c].null {
				code := m.key.Pseudonym(m.dataset.ID, m.file[c].Name, row[c].canonical())
				shown[i] = cell{value: code, text: code, raw: parquet.ByteArrayValue([]byte(code))}
			}
		}
		m.rows++
		m.taken.add(in, m.at, m.whose)
		return w.write(shown)
	})
	if w != nil {
		err = cmp.Or(err, w.close(), out.Sync())
		err = errors.Join(err, out.Close())
	}
	return err
}

// create opens a file of the slice for writing. It is named by its number among
// those of the slice: the source's name may be a person's. Partitions stay.
func (m *maker) create(source string, r reader) (*os.File, writer, error) {
	name := path.Join("data", path.Dir(source), fmt.Sprintf("part-%05d.%s", m.files, m.dataset.Table.Format))
	m.files++
	if err := m.work.MkdirAll(path.Dir(name), 0o700); err != nil {
		return nil, nil, err
	}
	out, err := m.work.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	var columns []residency.Column
	var types []parquet.Type
	for i, c := range m.kept {
		columns, types = append(columns, m.file[c]), append(types, nil)
		if p, ok := r.(*parquetReader); ok && !m.codes[i] {
			types[i] = p.types[c]
		}
	}
	var w writer
	if m.dataset.Table.Format == "parquet" {
		w, err = newParquetWriter(out, columns, types)
	} else {
		w, err = newCSVWriter(out, columns)
	}
	if err != nil {
		out.Close()
		return nil, nil, err
	}
	return out, w, nil
}

// each calls do for every row of a file that the predicate keeps. It reads a
// copy of the file that nobody else can change, and that has the bytes the file
// is known by.
func (m *maker) each(in input, do func(row []cell, r reader) error) error {
	stage, err := m.stage(in)
	if err != nil {
		return err
	}
	defer stage.Close()
	var r reader
	if m.dataset.Table.Format == "parquet" {
		r, err = newParquetReader(stage, in.Size, m.file)
	} else {
		r, err = newCSVReader(stage, m.file)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	inPath, err := partitions(in.Name, m.path)
	if err != nil {
		return err
	}
	all := make([]cell, len(m.file)+len(m.path))
	copy(all[len(m.file):], inPath)
	for n := 1; ; n++ {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			copy(all, row)
			if m.at = n - 1; m.subject >= 0 {
				m.whose = m.key.subject(m.dataset.ID, all[m.subject])
			}
			yes := m.subject < 0 || !m.without[m.whose]
			if yes && m.keep != nil {
				yes, err = m.keep.keep(all)
			}
			if yes && err == nil {
				err = do(all, r)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: row %d: %w", in.Name, n, err)
		}
	}
}

// stage copies a file to where only we can reach it: it has no name any more.
func (m *maker) stage(in input) (*os.File, error) {
	f, err := m.work.OpenFile("source", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = m.work.Remove("source")
	if err == nil {
		err = same(m.from, in, f)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
