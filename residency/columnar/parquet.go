package columnar

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/burstctl/burstctl/residency"
)

// rowGroup is how many rows a row group has, and batch how many are read at once.
const rowGroup, batch = 1 << 17, 256

// parquetReader reads one Parquet file whose columns are exactly the layout's,
// none of them nested.
type parquetReader struct {
	columns []residency.Column
	types   []parquet.Type
	at      []int // index in the file → index in columns
	groups  []parquet.RowGroup
	rows    parquet.Rows
	buf     []parquet.Row
	n, i    int
	row     []cell
}

// rescue turns a panic of the library over a broken file into an error.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = refuse("it is no Parquet file that can be read")
	}
}

func newParquetReader(src source, size int64, columns []residency.Column) (r *parquetReader, err error) {
	defer rescue(&err)
	f, err := parquet.OpenFile(src, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return nil, refuse("it is no Parquet file: %w", err)
	}
	r = &parquetReader{columns: columns, groups: f.RowGroups(), types: make([]parquet.Type, len(columns)),
		row: make([]cell, len(columns)), buf: make([]parquet.Row, batch)}
	var has, want []string
	for _, c := range f.Schema().Fields() {
		has = append(has, c.Name())
	}
	for _, c := range columns {
		want = append(want, c.Name)
	}
	if err := drift(has, want); err != nil {
		return nil, err
	}
	for _, c := range f.Schema().Fields() {
		for i := range columns {
			if columns[i].Name == c.Name() {
				if err := suits(columns[i], c); err != nil {
					return nil, err
				}
				r.at, r.types[i] = append(r.at, i), c.Type()
			}
		}
	}
	return r, nil
}

// suits reports why a column of a file is not what the catalogue says.
func suits(c residency.Column, f parquet.Field) error {
	switch {
	case !f.Leaf() || f.Repeated():
		return refuse("column %q has columns or lists in it", c.Name)
	case f.Optional() && !c.Nullable:
		return refuse("column %q may be empty, and the catalogue does not say nullable", c.Name)
	}
	if has := typeOf(f.Type()); has != c.Type && c.Type != "other" {
		return refuse("column %q is of type %s, and the catalogue says %s", c.Name, has, c.Type)
	}
	return nil
}

// typeOf is the catalogue's word for a Parquet type.
func typeOf(t parquet.Type) string {
	name := t.String()
	switch kind := t.Kind(); {
	case name == "STRING" || name == "ENUM":
		return "text"
	case name == "DATE":
		return "date"
	case strings.HasPrefix(name, "TIMESTAMP("):
		return "time"
	case name == "INT32" || name == "INT64" || strings.HasPrefix(name, "INT(") && strings.HasSuffix(name, ",true)"):
		return "integer"
	case kind == parquet.Boolean:
		return "boolean"
	case kind == parquet.Float || kind == parquet.Double:
		return "number"
	}
	return "other"
}

func (r *parquetReader) next() (row []cell, err error) {
	defer rescue(&err)
	for r.i == r.n {
		if r.rows == nil {
			if len(r.groups) == 0 {
				return nil, io.EOF
			}
			r.rows, r.groups = r.groups[0].Rows(), r.groups[1:]
		}
		r.n, err = r.rows.ReadRows(r.buf)
		if r.i = 0; r.n > 0 {
			break
		}
		if errors.Is(err, io.EOF) {
			err, r.rows = r.rows.Close(), nil
		}
		if err != nil {
			return nil, refuse("its pages cannot be read: %w", err)
		}
	}
	values := r.buf[r.i]
	r.i++
	if len(values) != len(r.columns) {
		return nil, refuse("it has %d values for %d columns", len(values), len(r.columns))
	}
	for _, v := range values {
		i := r.at[v.Column()]
		r.row[i] = r.cell(i, v)
	}
	return r.row, nil
}

// cell reads one value as its column's type.
func (r *parquetReader) cell(i int, v parquet.Value) cell {
	c := cell{null: v.IsNull(), raw: v}
	if c.null {
		return c
	}
	switch r.columns[i].Type {
	case "text":
		c.value = string(v.ByteArray())
	case "integer":
		c.value = int64(v.Int32())
		if v.Kind() == parquet.Int64 {
			c.value = v.Int64()
		}
	case "number":
		c.value = float64(v.Float())
		if v.Kind() == parquet.Double {
			c.value = v.Double()
		}
	case "boolean":
		c.value = v.Boolean()
	case "date":
		c.value = time.Unix(int64(v.Int32())*86400, 0).UTC()
	case "time":
		c.value = stamp(r.types[i].String(), v.Int64())
	}
	return c
}

// stamp reads a timestamp in the unit its type names.
func stamp(of string, n int64) time.Time {
	switch {
	case strings.Contains(of, "MILLIS"):
		return time.UnixMilli(n).UTC()
	case strings.Contains(of, "MICROS"):
		return time.UnixMicro(n).UTC()
	}
	return time.Unix(0, n).UTC()
}

// parquetWriter writes one Parquet file anew: of the source it has the types
// of the columns kept and their values, and nothing else.
type parquetWriter struct {
	out     *parquet.GenericWriter[any]
	columns []residency.Column
	row     parquet.Row
}

// newParquetWriter takes the types of the columns kept; nil is a code, which is
// text.
func newParquetWriter(w io.Writer, columns []residency.Column, types []parquet.Type) (out *parquetWriter, err error) {
	defer rescue(&err)
	t := table{}
	for i, c := range columns {
		var n parquet.Node
		if n = parquet.String(); types[i] != nil {
			n = parquet.Leaf(types[i])
		}
		if c.Nullable {
			n = parquet.Optional(n)
		}
		t.fields = append(t.fields, column{n, c.Name})
	}
	g := parquet.NewGenericWriter[any](w, parquet.NewSchema("slice", t), parquet.CreatedBy("burstctl", "1", "slice"),
		parquet.MaxRowsPerRowGroup(rowGroup), parquet.Compression(&parquet.Snappy), parquet.DataPageStatistics(true))
	return &parquetWriter{g, columns, make(parquet.Row, len(columns))}, nil
}

func (w *parquetWriter) write(row []cell) (err error) {
	defer rescue(&err)
	for i, c := range row {
		level := 0
		if w.columns[i].Nullable && !c.null {
			level = 1
		}
		if c.null {
			c.raw = parquet.NullValue()
		}
		w.row[i] = c.raw.Level(0, level, i)
	}
	if _, err := w.out.WriteRows([]parquet.Row{w.row}); err != nil {
		return fmt.Errorf("write row: %w", err)
	}
	return nil
}

func (w *parquetWriter) close() (err error) {
	defer rescue(&err)
	return w.out.Close()
}

// table is a schema whose columns stand in the catalogue's order; the
// library's own groups sort them.
type table struct {
	parquet.Group
	fields []parquet.Field
}

// Fields returns the columns in order.
func (t table) Fields() []parquet.Field { return t.fields }

// column is a node with a name.
type column struct {
	parquet.Node
	name string
}

// Name returns the column's name.
func (c column) Name() string { return c.name }

// Value is not used: rows are written as values.
func (c column) Value(base reflect.Value) reflect.Value { return base }
