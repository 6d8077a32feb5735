package slice

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"

	"github.com/burstctl/burstctl/residency"
)

// DirStore serves slices from directories. Made by [NewDirStore]; safe for
// concurrent use. It holds nothing until [DirStore.Add].
type DirStore struct {
	mu   sync.RWMutex
	held map[string]holding
}

// holding is a manifest and where its files lie.
type holding struct {
	manifest residency.Manifest
	root     fs.FS
}

// NewDirStore makes a store that holds nothing.
func NewDirStore() *DirStore { return &DirStore{held: map[string]holding{}} }

// Add holds a manifest, built from root by [residency.BuildManifest]. Give it
// the FS of an os.Root, which no link leads out of; a plain os.DirFS is held
// to the same checks but not to that.
func (d *DirStore) Add(m residency.Manifest, root fs.FS) error {
	digest := m.Digest()
	if digest == "" {
		return fmt.Errorf("hold %s: the manifest does not hold together", m.Slice)
	}
	if err := fits(m); err != nil {
		return fmt.Errorf("hold %s: %w", m.Slice, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[digest] = holding{m, root}
	return nil
}

// Drop holds a manifest no more: no file of it is opened from now on.
func (d *DirStore) Drop(digest string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.held, digest)
}

// Manifest returns what is held under the digest.
func (d *DirStore) Manifest(digest string) (residency.Manifest, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	h, ok := d.held[digest]
	if !ok {
		return residency.Manifest{}, fmt.Errorf("find %s: not held", digest)
	}
	return h.manifest, nil
}

// Open opens a file of a manifest. It refuses, as [ErrChanged], anything on
// the way that is a link, another filesystem, no regular file, or not of the
// manifest's size. Content is for the caller to hash.
func (d *DirStore) Open(digest string, file int) (Source, error) {
	d.mu.RLock()
	h, ok := d.held[digest]
	d.mu.RUnlock()
	if !ok || file < 0 || file >= len(h.manifest.Files) {
		return nil, fmt.Errorf("open file %d of %s: not held", file, digest)
	}
	src, err := openExact(h.root, h.manifest.Files[file])
	if err != nil {
		return nil, fmt.Errorf("open file %d of %s: %w", file, digest, err)
	}
	return src, nil
}

// openExact looks at every step of the name without following links, opens,
// and makes sure that what it opened is what it looked at.
func openExact(root fs.FS, f residency.File) (Source, error) {
	top, err := fs.Stat(root, ".")
	if err != nil {
		return nil, err
	}
	for dir := path.Dir(f.Name); dir != "."; dir = path.Dir(dir) {
		info, err := fs.Lstat(root, dir)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrChanged, err)
		}
		if !info.IsDir() || !sameDevice(top, info) {
			return nil, fmt.Errorf("%w: a directory of it is none", ErrChanged)
		}
	}
	seen, err := fs.Lstat(root, f.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if !seen.Mode().IsRegular() || !sameDevice(top, seen) || seen.Size() != f.Size {
		return nil, fmt.Errorf("%w: %s of %d bytes, not a file of %d", ErrChanged, seen.Mode(), seen.Size(), f.Size)
	}
	opened, err := root.Open(f.Name)
	if err != nil {
		return nil, err
	}
	src, ok := opened.(Source)
	info, err := opened.Stat()
	if err != nil || !ok || !sameFile(seen, info) || info.Size() != f.Size {
		opened.Close()
		return nil, fmt.Errorf("%w: another file was opened", ErrChanged)
	}
	return src, nil
}

// sameDevice reports whether both lie on one filesystem; files that are not
// the operating system's lie on none.
func sameDevice(a, b fs.FileInfo) bool {
	x, okX := a.Sys().(*syscall.Stat_t)
	y, okY := b.Sys().(*syscall.Stat_t)
	return okX == okY && (!okX || x.Dev == y.Dev)
}

// sameFile reports whether b is the file a described; a file system in memory
// cannot swap one for another.
func sameFile(a, b fs.FileInfo) bool {
	if a.Sys() == nil && b.Sys() == nil {
		return a.Mode() == b.Mode()
	}
	return os.SameFile(a, b)
}
