package slice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/burstctl/burstctl/residency"
)

// copyAtOnce is how many chunks a copy fetches at a time.
const copyAtOnce = 4

// partPrefix begins the name of a file that is not whole yet.
const partPrefix = ".burst-part-"

// Materialize writes a verified copy of the slice below dir, which must exist.
// A file gets its name only once it is whole, verified and durable, and is
// read-only then. What an earlier try left, whole or in part, is verified and
// kept, so an interrupted copy goes on where it was. progress, if not nil, is
// called after each chunk, one call at a time.
func Materialize(
	ctx context.Context, r *Road, digest, dir string, progress func(done, total int64),
) error {
	m, err := r.Manifest(ctx, digest)
	if err != nil {
		return fmt.Errorf("copy slice: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("copy slice: %w", err)
	}
	defer root.Close()
	c := &copying{road: r, digest: digest, manifest: m, root: root, progress: progress}
	for i, f := range m.Files {
		if strings.HasPrefix(f.Name, partPrefix) {
			return fmt.Errorf("copy slice: the name %s is ours", f.Name)
		}
		if err := c.file(ctx, i); err != nil {
			return fmt.Errorf("copy %s: %w", f.Name, err)
		}
	}
	return nil
}

// copying is one run of Materialize.
type copying struct {
	road     *Road
	digest   string
	manifest residency.Manifest
	root     *os.Root

	mu       sync.Mutex // guards what follows
	done     int64
	progress func(done, total int64)
}

// step counts n bytes that are there.
func (c *copying) step(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += n
	if c.progress != nil {
		c.progress(c.done, c.manifest.Bytes)
	}
}

// file brings one file here.
func (c *copying) file(ctx context.Context, i int) error {
	f := c.manifest.Files[i]
	if whole, err := c.whole(i); err != nil || whole {
		c.step(f.Size)
		return err
	}
	if dir := path.Dir(f.Name); dir != "." {
		if err := c.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	part := fmt.Sprintf("%s%.16s-%d", partPrefix, strings.TrimPrefix(c.digest, "sha256:"), i)
	w, err := c.root.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := c.fill(ctx, w, i); err != nil {
		return err
	}
	for _, finish := range []func() error{
		func() error { return w.Truncate(f.Size) },
		func() error { return w.Chmod(fs.FileMode(f.Mode)) },
		w.Sync,
		func() error { return c.root.Rename(part, f.Name) },
		func() error { return c.sync(path.Dir(f.Name)) },
	} {
		if err := finish(); err != nil {
			return err
		}
	}
	return nil
}

// fill writes every chunk that is not there already.
func (c *copying) fill(ctx context.Context, w *os.File, i int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copyAtOnce)
	for k := range c.manifest.Files[i].Chunks {
		g.Go(func() error {
			off, n, err := extent(c.manifest, i, k)
			if err != nil {
				return err
			}
			if !c.has(w, i, k) {
				b, err := c.road.Chunk(ctx, c.digest, i, k)
				if err != nil {
					return err
				}
				if _, err := w.WriteAt(b, off); err != nil {
					return err
				}
			}
			c.step(n)
			return nil
		})
	}
	return g.Wait()
}

// has reports whether r holds chunk k of file i.
func (c *copying) has(r io.ReaderAt, i, k int) bool {
	off, n, err := extent(c.manifest, i, k)
	if err != nil {
		return false
	}
	b := make([]byte, n)
	got, _ := r.ReadAt(b, off) // short at the end of a part: then it has not
	return int64(got) == n && hexOf(b) == c.manifest.Files[i].Chunks[k]
}

// whole reports whether the file is here, as the manifest says. One that is
// here and is not is an error: it is not ours to replace.
func (c *copying) whole(i int) (bool, error) {
	f := c.manifest.Files[i]
	info, err := c.root.Lstat(f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Size() != f.Size {
		return false, errors.New("something else lies there")
	}
	r, err := c.root.Open(f.Name)
	if err != nil {
		return false, err
	}
	defer r.Close()
	for k := range f.Chunks {
		if !c.has(r, i, k) {
			return false, errors.New("something else lies there")
		}
	}
	return true, nil
}

// sync makes a rename in dir durable.
func (c *copying) sync(dir string) error {
	d, err := c.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
