// Package columnar makes slices out of tables: fewer columns, fewer rows, codes
// for names, and never a group smaller than was asked for.
//
// # What it does, and where
//
// It runs on site. A [Store] takes a slice of the catalogue, finds its files
// below the data directory, and either lists them as they are or makes new
// files of them: columns dropped, columns replaced by a keyed code ([Key]),
// rows chosen by a typed predicate in CEL ([Compile]), persons in groups counted.
// What it makes lies under the digest of its manifest, written beside and then
// renamed; the same files, catalogue and key make the same bytes.
//
// # What it refuses
//
// A file is opened by steps inside one directory ([open]): a link anywhere, a
// second name of the file (a hard link), another filesystem, a device, a pipe,
// and a file that is swapped or written to while it is read are errors, each
// with its reason. So are a column that the catalogue does not name, one that
// is missing, a value not of its type, and files that are not what they were
// when their version was first seen.
//
// # What does not leave
//
// Parquet is written anew from the values kept: no page, dictionary, statistic
// or metadata of the source is copied. A file of which no row is kept is not
// there. The manifest holds commitments to the source and the predicate that
// only the key opens. Errors name rows by number, and repeat no value.
//
// # Non-goals
//
// Values are not coarsened: give the table a coarse column, and drop the fine
// one. Columns inside columns (lists, maps) are refused.
package columnar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/burstctl/burstctl/residency"
)

// What a caller acts on.
var (
	// ErrRefused is in every error that is about the data or what is asked of
	// it, and not about a disk. Its text is the reason.
	ErrRefused = errors.New("refused")
	// ErrChanged, also ErrRefused: a file is not what it was when its version
	// was first seen, or when the slice was made.
	ErrChanged = errors.New("changed")
	// ErrNotNow, also ErrRefused: the dataset is under embargo still, or past
	// its retention, or somebody withdrew and the slice is files as they lie.
	ErrNotNow = errors.New("not now")
)

// refuse makes an error that is [ErrRefused], with its reason.
func refuse(format string, a ...any) error { return &refusal{fmt.Errorf(format, a...), ErrRefused} }

// changed makes an error that is [ErrChanged] too.
func changed(format string, a ...any) error { return &refusal{refuse(format, a...), ErrChanged} }

// refusal is a reason that needs no "refused" in front of it.
type refusal struct{ why, kind error }

func (r *refusal) Error() string { return r.why.Error() }

// Unwrap returns the reason and its kind.
func (r *refusal) Unwrap() []error { return []error{r.why, r.kind} }

// cell is one value of a row.
type cell struct {
	null  bool
	value any           // string, int64, float64, bool or time.Time; nil for "other"
	text  string        // as it stands in a CSV file
	raw   parquet.Value // as it stands in a Parquet file
}

// canonical is the value as text, the same for every format.
func (c cell) canonical() string {
	switch v := c.value.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return c.text
}

// shown is what a reader of the slice can tell rows apart by.
func (c cell) shown() string {
	switch {
	case c.null:
		return "-"
	case c.text != "":
		return "+" + c.text
	}
	return "+" + c.canonical()
}

// parse reads a text as a column's type. Its error does not repeat the text.
func parse(c residency.Column, text string) (cell, error) {
	if text == "" {
		if !c.Nullable {
			return cell{}, refuse("column %q: it is empty, and the catalogue does not say nullable", c.Name)
		}
		return cell{null: true}, nil
	}
	out := cell{text: text}
	var err error
	switch c.Type {
	case "text":
		out.value = text
	case "integer":
		out.value, err = strconv.ParseInt(text, 10, 64)
	case "number":
		if strings.Trim(text, "0123456789+-.eE") != "" {
			err = errors.New("not a number")
		} else {
			out.value, err = strconv.ParseFloat(text, 64)
		}
	case "boolean":
		out.value, err = text == "true", error(nil)
		if text != "true" && text != "false" {
			err = errors.New("not a boolean")
		}
	case "date":
		out.value, err = time.Parse(time.DateOnly, text)
	case "time":
		out.value, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		return cell{}, refuse("column %q: its value is no %s", c.Name, c.Type)
	}
	return out, nil
}

// reader reads the rows of one file: a cell for each column that is in it.
type reader interface {
	next() ([]cell, error) // io.EOF after the last
}

// writer writes the rows of one file.
type writer interface {
	write(row []cell) error
	close() error
}

// source is a file to read, private to us.
type source interface {
	io.ReaderAt
	io.Reader
}

// inFile are the columns that a file holds, and inPath those of its path.
func inFile(l residency.Layout) (file, inPath []residency.Column) {
	for _, c := range l.Columns {
		if c.Partition {
			inPath = append(inPath, c)
		} else {
			file = append(file, c)
		}
	}
	return file, inPath
}

// partitions reads the values in a file's path: exactly the columns the
// catalogue names, in its order, and no other directory.
func partitions(name string, columns []residency.Column) ([]cell, error) {
	dirs := strings.Split(path.Dir(name), "/")
	if path.Dir(name) == "." {
		dirs = nil
	}
	if len(dirs) != len(columns) {
		return nil, refuse("%s lies %d directories deep, and %d columns are in the path", name, len(dirs), len(columns))
	}
	var row []cell
	for i, c := range columns {
		value, ok := strings.CutPrefix(dirs[i], c.Name+"=")
		if !ok {
			return nil, refuse("%s: directory %q is not %s=…", name, dirs[i], c.Name)
		}
		if strings.Contains(value, "%") || value == "__HIVE_DEFAULT_PARTITION__" {
			return nil, refuse("%s: directory %d is escaped or stands for no value: a predicate would not see what it means",
				name, i+1)
		}
		v, err := parse(c, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		row = append(row, v)
	}
	return row, nil
}

// chosen reports whether a file lies below one of the partitions, or whether
// none was named.
func chosen(name string, of []string) bool {
	return len(of) == 0 || slices.ContainsFunc(of, func(p string) bool { return strings.HasPrefix(name, p+"/") })
}

// isThere reports whether err says that something does not exist.
func isThere(err error) bool { return err == nil || !errors.Is(err, fs.ErrNotExist) }
