package columnar

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/burstctl/burstctl/residency"
)

// Kept is what a slice was and a legal hold kept from a withdrawal. Made by
// [Store.Kept]; nothing is served from it.
type Kept struct {
	Dataset string `json:"dataset"`
	Digest  string `json:"digest"`          // of its manifest
	Slice   string `json:"slice,omitempty"` // empty: its manifest cannot be read
	Bytes   int64  `json:"bytes"`           // of all files there
}

// Kept lists what is kept of every dataset, whether the catalogue still has it
// or not, in the order of names and digests.
func (s *Store) Kept() ([]Kept, error) {
	var all []Kept
	found, err := fs.Glob(s.slices.FS(), "held/*/*")
	for _, dir := range found {
		k := Kept{Dataset: path.Base(path.Dir(dir)), Digest: "sha256:" + path.Base(dir)}
		if b, err := s.slices.ReadFile(dir + "/manifest.json"); err == nil {
			if m, err := residency.DecodeManifest(b); err == nil && m.Digest() == k.Digest {
				k.Slice = m.Slice
			}
		}
		err = errors.Join(err, fs.WalkDir(s.slices.FS(), dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err == nil {
				k.Bytes += info.Size()
			}
			return err
		}))
		if err != nil {
			return all, fmt.Errorf("list what is kept: %w", err)
		}
		all = append(all, k)
	}
	if err != nil {
		return all, fmt.Errorf("list what is kept: %w", err)
	}
	return all, nil
}

// Discard removes all that is kept of a dataset, and returns what it removed. It
// is refused while the dataset is under a legal hold.
func (s *Store) Discard(d residency.Dataset) ([]Kept, error) {
	fail := func(err error) ([]Kept, error) { return nil, fmt.Errorf("discard what is kept of %s: %w", d.ID, err) }
	if _, err := residency.NewCatalogue([]residency.Dataset{d}); err != nil {
		return fail(refuse("%w", err))
	}
	switch {
	case s.lock == nil:
		return fail(errors.New("the store was opened to look only"))
	case d.Hold != nil:
		return fail(refuse("it is under a legal hold %v", d.Hold))
	}
	all, err := s.Kept()
	if err != nil {
		return fail(err)
	}
	var gone []Kept
	for _, k := range all {
		if k.Dataset != d.ID {
			continue
		}
		if err := s.slices.RemoveAll(path.Join("held", d.ID, strings.TrimPrefix(k.Digest, "sha256:"))); err != nil {
			return gone, fmt.Errorf("discard %s of %s: %w", k.Digest, d.ID, err)
		}
		gone = append(gone, k)
	}
	return gone, nil
}
