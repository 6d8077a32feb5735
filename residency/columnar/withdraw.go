package columnar

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/burstctl/burstctl/residency"
)

// withdrawn is who withdrew from a dataset. It names nobody without the key.
type withdrawn struct {
	Dataset  string   `json:"dataset"`
	Key      string   `json:"key"`
	Subjects []string `json:"subjects"` // sorted
}

// Recalled is what a withdrawal did to one slice. Made by [Store.Withdraw].
type Recalled struct {
	Slice         string
	Before, After string // digests of manifests; the same if nobody of them was in it, empty if there is none
	Err           error  // why there is none now
	Kept          bool   // what it was is kept, under a legal hold, where nothing is served from
}

// subject is the keyed hash of whose row it is; that of nobody, or of an empty
// name, is none.
func (k Key) subject(dataset string, c cell) string {
	if c.null || c.canonical() == "" {
		return ""
	}
	return hex.EncodeToString(k.mac("subject", dataset, c.canonical()))
}

// allowed refuses a dataset outside its days, and files as they lie once
// somebody withdrew. It returns who did.
func (s *Store) allowed(d residency.Dataset, spec residency.SliceSpec) ([]string, error) {
	if err := s.now(d); err != nil {
		return nil, err
	}
	w, err := load[withdrawn](s.slices, "withdrawn/"+d.ID+".json")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !spec.Derived():
		why := refuse("somebody withdrew from dataset %s, and files as they lie leave nobody out", d.ID)
		return nil, &refusal{why, ErrNotNow}
	case d.Table.Subject == "":
		return nil, refuse("somebody withdrew from dataset %s, and its table names no subject any more", d.ID)
	case s.key.known() && w.Key != s.key.ID():
		return nil, refuse("who withdrew from dataset %s is known by another pseudonym key", d.ID)
	}
	return w.Subjects, nil
}

// leaveOut leaves rows of these subjects out.
func (m *maker) leaveOut(subjects []string) {
	m.without = map[string]bool{}
	for _, s := range subjects {
		m.without[s] = true
	}
}

// Withdraw leaves subjects out of every slice of a dataset from now on. Slices
// that are built are built again, and what they were is removed: bursts that
// read one whose digest differs are to be called back. Values are as in the
// table's subject column. Whether anybody of that name is in the data is told
// by the digests alone.
func (s *Store) Withdraw(d residency.Dataset, subjects []string) ([]Recalled, error) {
	if err := s.withdraw(d, subjects); err != nil {
		return nil, fmt.Errorf("withdraw from %s: %w", d.ID, err)
	}
	var all []Recalled
	for _, spec := range d.Slices {
		c, err := load[current](s.slices, "current/"+fileName(spec.Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // never built, so never served
		}
		if err != nil {
			return all, err
		}
		r := Recalled{Slice: spec.Name, Before: c.Manifest}
		b, err := s.Build(d, spec)
		if r.Err = err; err == nil {
			r.After = b.Manifest.Digest()
		}
		if r.After != r.Before {
			err = s.leave(d, r.Before)
			r.Kept = d.Hold != nil && err == nil
		}
		if all = append(all, r); r.Err == nil && err != nil {
			return all, err
		}
	}
	return all, nil
}

// leave removes a slice that is none any more. Under a legal hold nothing is
// destroyed: it goes to a directory that nothing is served from.
func (s *Store) leave(d residency.Dataset, digest string) error {
	if d.Hold == nil {
		return s.slices.RemoveAll(place(digest))
	}
	to := "held/" + d.ID
	if err := s.slices.MkdirAll(to, 0o700); err != nil {
		return err
	}
	err := s.slices.Rename(place(digest), path.Join(to, path.Base(place(digest))))
	if errors.Is(err, fs.ErrExist) { // it was withdrawn before, and made again since
		return s.slices.RemoveAll(place(digest))
	}
	return err
}

// withdraw adds subjects to the list.
func (s *Store) withdraw(d residency.Dataset, subjects []string) error {
	switch {
	case d.Table == nil || d.Table.Subject == "":
		return refuse("the catalogue names no subject column for it")
	case !s.key.known():
		return refuse("there is no pseudonym key")
	case len(subjects) == 0:
		return refuse("nobody is named")
	}
	name := "withdrawn/" + d.ID + ".json"
	w, err := load[withdrawn](s.slices, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && w.Key != s.key.ID() {
		return refuse("who withdrew before is known by another pseudonym key")
	}
	w.Dataset, w.Key = d.ID, s.key.ID()
	i := slices.IndexFunc(d.Table.Columns, func(c residency.Column) bool { return c.Name == d.Table.Subject })
	for n, text := range subjects {
		c, err := parse(d.Table.Columns[i], text)
		if err != nil || c.null {
			return refuse("name %d is no value of column %q", n+1, d.Table.Subject)
		}
		w.Subjects = append(w.Subjects, s.key.subject(d.ID, c))
	}
	slices.Sort(w.Subjects)
	w.Subjects = slices.Compact(w.Subjects)
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return writeWhole(s.slices, name, b)
}
