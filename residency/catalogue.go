package residency

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Dataset is what a site says of one body of data. Made by configs from the
// site's catalogue file.
type Dataset struct {
	ID       string      `json:"id"`
	Title    string      `json:"title"`
	Owner    string      `json:"owner"`
	Class    Class       `json:"class"`
	Origin   string      `json:"origin"` // ISO country the data came from
	Basis    string      `json:"basis"`  // legal basis of holding it
	Purposes []string    `json:"purposes"`
	Slices   []SliceSpec `json:"slices"`

	Location  string    `json:"location,omitempty"`  // directory that all of it lies in
	Bucket    *Bucket   `json:"bucket,omitempty"`    // nil: dirs are directories; else they begin keys of it
	Retention string    `json:"retention,omitempty"` // last day it may be kept, "2006-01-02"
	Embargo   string    `json:"embargo,omitempty"`   // first day it may be used
	Versions  []Version `json:"versions,omitempty"`
	Table     *Layout   `json:"table,omitempty"` // nil: its files are not tables
	Hold      *Hold     `json:"hold,omitempty"`  // nil: nothing forbids to destroy it
}

// SliceSpec is one part of a dataset that may be asked for by name.
type SliceSpec struct {
	Name          string   `json:"name"`  // "claims/2025-q3": the dataset's ID, then its own
	Class         Class    `json:"class"` // zero: the dataset's
	Pseudonymised bool     `json:"pseudonymised"`
	Dir           string   `json:"dir"`   // where the site keeps it; empty: where its version lies
	Files         []string `json:"files"` // within Dir; none: every regular file

	Version    string      `json:"version,omitempty"`    // of the dataset; empty: its own
	Partitions []string    `json:"partitions,omitempty"` // "dt=2025-07": only files below one of these
	Columns    *Columns    `json:"columns,omitempty"`    // nil: all, as they are
	Rows       string      `json:"rows,omitempty"`       // a CEL predicate over the table's columns
	KAnonymity *KAnonymity `json:"k_anonymity,omitempty"`
}

// Slice is what the rules may know of a slice. Made by a [Catalogue]; the zero
// Slice is denied.
type Slice struct {
	Name          string   `json:"name"`
	Dataset       string   `json:"dataset"`
	Class         Class    `json:"class"`
	Pseudonymised bool     `json:"pseudonymised"`
	Origin        string   `json:"origin"`
	Purposes      []string `json:"purposes"`
	Basis         string   `json:"basis"`
	Embargo       string   `json:"embargo,omitempty"`   // first day it may be used, "2006-01-02"; "" is none
	Retention     string   `json:"retention,omitempty"` // last day it may be kept; "" is none
}

// Catalogue is every dataset of a site. Made by [NewCatalogue]; the zero
// Catalogue has none.
type Catalogue struct {
	digest string
	slices map[string]Slice
	holds  Holds
}

// NewCatalogue checks the datasets. A slice may be of a lower class than its
// dataset only if it is pseudonymised, and then never below personal.
func NewCatalogue(ds []Dataset) (*Catalogue, error) {
	c := &Catalogue{slices: map[string]Slice{}, holds: Holds{}}
	seen := map[string]bool{}
	for i, d := range ds {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("read catalogue: dataset %q: %w", d.ID, under(err, "datasets", i))
		}
		if seen[d.ID] {
			return nil, fmt.Errorf("read catalogue: dataset %q is there twice", d.ID)
		}
		if seen[d.ID] = true; d.Hold != nil {
			c.holds[d.ID] = *d.Hold
		}
		for j, spec := range d.Slices {
			s, err := d.slice(spec)
			if err != nil {
				return nil, fmt.Errorf("read catalogue: slice %q: %w", spec.Name, under(under(err, "slices", j), "datasets", i))
			}
			if _, twice := c.slices[s.Name]; twice {
				return nil, fmt.Errorf("read catalogue: slice %q is there twice", s.Name)
			}
			c.slices[s.Name] = s
		}
	}
	sorted := slices.SortedFunc(slices.Values(ds), func(a, b Dataset) int { return cmp.Compare(a.ID, b.ID) })
	b, err := json.Marshal(sorted)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	c.digest = digest(b)
	return c, nil
}

// check reports the first thing a dataset lacks.
func (d Dataset) check() error {
	switch {
	case !isPart(d.ID):
		return fmt.Errorf("id is not a plain lower-case name")
	case d.Title == "" || d.Owner == "" || d.Basis == "":
		return fmt.Errorf("title, owner or basis is missing")
	case !d.Class.Known():
		return fmt.Errorf("class is missing")
	case !isCountry(d.Origin):
		return fmt.Errorf("origin %q is no ISO 3166-1 country", d.Origin)
	case !areNames(d.Purposes):
		return fmt.Errorf("purposes %q are not plain lower-case names", d.Purposes)
	}
	if d.Bucket != nil {
		if err := d.Bucket.check(); err != nil {
			return err
		}
	}
	return d.checkLayout()
}

// slice joins what the dataset and the spec say.
func (d Dataset) slice(spec SliceSpec) (Slice, error) {
	class := cmp.Or(spec.Class, d.Class)
	switch {
	case !isSliceName(spec.Name) || !strings.HasPrefix(spec.Name, d.ID+"/"):
		return Slice{}, fmt.Errorf("name is not %s/ and a plain lower-case name", d.ID)
	case !class.Known():
		return Slice{}, fmt.Errorf("class is unknown")
	case class < d.Class && !spec.Pseudonymised:
		return Slice{}, fmt.Errorf("class %v is lower than the dataset's %v, and it is not pseudonymised", class, d.Class)
	case class < min(d.Class, Personal):
		return Slice{}, fmt.Errorf("class %v: pseudonymised data stays personal", class)
	case !d.has(spec):
		return Slice{}, wrong([]string{"version"}, "version %q is none of the dataset's", spec.Version)
	case d.Source(spec).Dir == "":
		return Slice{}, fmt.Errorf("dir is missing")
	case spec.Version != "" && spec.Dir != "":
		return Slice{}, wrong([]string{"dir"}, "a slice of a version lies where the version does")
	case !d.inside(d.Source(spec).Dir):
		return Slice{}, wrong([]string{"dir"}, "dir is not inside %s", d.Location)
	}
	if err := d.checkTable(spec); err != nil {
		return Slice{}, err
	}
	return Slice{Name: spec.Name, Dataset: d.ID, Class: class, Pseudonymised: spec.Pseudonymised, Origin: d.Origin,
		Purposes: slices.Sorted(slices.Values(d.Purposes)), Basis: d.Basis,
		Embargo: d.Embargo, Retention: d.Retention}, nil
}

// Slice returns the facts of the slice of that name, or an error.
func (c *Catalogue) Slice(name string) (Slice, error) {
	if c != nil {
		if s, ok := c.slices[name]; ok {
			s.Purposes = slices.Clone(s.Purposes)
			return s, nil
		}
	}
	return Slice{}, fmt.Errorf("look up slice %q: not in the catalogue", name)
}

// Names returns the names of all slices, sorted.
func (c *Catalogue) Names() []string {
	if c == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(c.slices))
}

// Digest names the catalogue's content: "sha256:…". The zero Catalogue has none.
func (c *Catalogue) Digest() string {
	if c == nil {
		return ""
	}
	return c.digest
}

// isSliceName reports whether s is "dataset/slice", both plain names.
func isSliceName(s string) bool {
	d, n, ok := strings.Cut(s, "/")
	return ok && isPart(d) && isName(n)
}

// areNames reports whether there are names, all plain and no two the same.
func areNames(names []string) bool {
	for i, n := range names {
		if !isName(n) || slices.Contains(names[:i], n) {
			return false
		}
	}
	return len(names) > 0
}
