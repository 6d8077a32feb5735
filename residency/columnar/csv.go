package columnar

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/burstctl/burstctl/residency"
)

// csvReader reads one CSV file (RFC 4180) with a header that is exactly the
// layout's columns.
type csvReader struct {
	rows    *csv.Reader
	columns []residency.Column
	row     []cell
}

func newCSVReader(src source, columns []residency.Column) (reader, error) {
	r := csv.NewReader(bufio.NewReaderSize(src, 1<<16))
	r.ReuseRecord = true
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, refuse("it has no header")
	}
	if err != nil {
		return nil, csvError(err)
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	if err := drift(head, names); err != nil {
		return nil, err
	}
	if !slices.Equal(head, names) {
		return nil, refuse("its columns are not in the order of the catalogue")
	}
	return &csvReader{r, columns, make([]cell, len(columns))}, nil
}

// drift reports the first difference between the columns a file has and those
// the catalogue names.
func drift(has, want []string) error {
	for i, name := range has {
		switch {
		case !slices.Contains(want, name):
			return refuse("column %q is not in the catalogue", name)
		case slices.Contains(has[:i], name):
			return refuse("column %q is there twice", name)
		}
	}
	for _, name := range want {
		if !slices.Contains(has, name) {
			return refuse("column %q is missing", name)
		}
	}
	return nil
}

// csvError keeps the place and the kind of a syntax error.
func csvError(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return refuse("line %d: %w", e.Line, e.Err)
	}
	return err
}

func (r *csvReader) next() ([]cell, error) {
	fields, err := r.rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, csvError(err)
	}
	for i, text := range fields {
		if !utf8.ValidString(text) {
			return nil, refuse("column %q: it is not UTF-8", r.columns[i].Name)
		}
		if r.row[i], err = parse(r.columns[i], text); err != nil {
			return nil, err
		}
	}
	return r.row, nil
}

// csvWriter writes one CSV file: a header, and quotes only where they must be.
type csvWriter struct {
	out *csv.Writer
	to  io.Writer // what out writes to
	row []string
}

func newCSVWriter(w io.Writer, columns []residency.Column) (writer, error) {
	c := &csvWriter{out: csv.NewWriter(w), to: w}
	for _, col := range columns {
		c.row = append(c.row, col.Name)
	}
	if err := c.out.Write(c.row); err != nil {
		return nil, fmt.Errorf("write header: %w", err)
	}
	return c, nil
}

func (w *csvWriter) write(row []cell) error {
	for i, c := range row {
		w.row[i] = c.text
	}
	if len(w.row) == 1 && w.row[0] == "" { // an empty line would be no row to who reads it
		w.out.Flush()
		_, err := io.WriteString(w.to, "\"\"\n")
		return errors.Join(w.out.Error(), err)
	}
	return w.out.Write(w.row)
}

func (w *csvWriter) close() error {
	w.out.Flush()
	return w.out.Error()
}
