package columnar

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/burstctl/burstctl/residency"
)

// Files are the files of a version that does not lie in a directory, such as
// residency/bucket reads them.
type Files interface {
	// List names all of them, sorted, as they can lie in a directory. The first
	// call pins them: if a later one finds anything else, that is an error.
	List() ([]string, error)
	// Copy writes one of them to w, whole, or returns an error.
	Copy(name string, w io.Writer) error
}

// Buckets opens the files of a version in a bucket, by its dir.
type Buckets func(b residency.Bucket, dir string) (Files, error)

// Reach says how buckets are read. Without it a dataset in one is refused.
func (s *Store) Reach(b Buckets) { s.buckets = b }

// origin is where the files of a version lie, and nothing else.
type origin interface {
	list() ([]string, error)                      // sorted
	hash(name string, w io.Writer) (input, error) // by content, which is copied to w
	Close() error
}

// directory is an origin on this machine's filesystem.
type directory struct{ *os.Root }

func (d directory) list() ([]string, error) { return list(d.Root) }

func (d directory) hash(name string, w io.Writer) (input, error) { return hashFile(d.Root, name, w) }

// remote is an origin in a bucket.
type remote struct{ files Files }

func (r remote) list() ([]string, error) { return r.files.List() }

func (r remote) hash(name string, w io.Writer) (input, error) {
	h, n := sha256.New(), counter(0)
	if err := r.files.Copy(name, io.MultiWriter(h, &n, w)); err != nil {
		return input{}, err
	}
	return input{name, int64(n), hex.EncodeToString(h.Sum(nil))}, nil
}

func (r remote) Close() error { return nil }

// counter counts bytes.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// origin opens where a version lies.
func (s *Store) origin(d residency.Dataset, v residency.Version) (origin, error) {
	if d.Bucket == nil {
		root, err := s.openDir(v.Dir)
		return directory{root}, err
	}
	if s.buckets == nil {
		return nil, refuse("it lies in a bucket, and this edge has no access keys for one")
	}
	files, err := s.buckets(*d.Bucket, v.Dir)
	return remote{files}, err
}

// at names where a version lies.
func at(d residency.Dataset, v residency.Version) string {
	if d.Bucket == nil {
		return v.Dir
	}
	return d.Bucket.At(v.Dir)
}

// copied reports whether a slice's files are kept among the slices, and not
// served from where they lie.
func copied(d residency.Dataset, spec residency.SliceSpec) bool {
	return spec.Derived() || d.Bucket != nil
}

// inputs reads every file of a version by content, and makes sure that none
// came, went or changed meanwhile.
func inputs(from origin) ([]input, error) {
	names, err := from.list()
	if err != nil {
		return nil, err
	}
	all := []input{}
	for _, n := range names {
		in, err := from.hash(n, io.Discard)
		if err != nil {
			return nil, err
		}
		all = append(all, in)
	}
	again, err := from.list()
	if err == nil && !slices.Equal(names, again) {
		err = changed("files came or went while they were read")
	}
	return all, err
}

// fetch copies files as they lie to where slices are kept, byte for byte.
func (s *Store) fetch(spec residency.SliceSpec, from origin, inputs []input, made residency.Made) (b Built, err error) {
	name, work, err := s.work()
	if err != nil {
		return Built{}, err
	}
	defer work.Close()
	defer s.slices.RemoveAll(name) // gone already if it was kept
	for _, in := range inputs {
		if err := fetchFile(work, from, in); err != nil {
			return Built{}, err
		}
	}
	data, err := work.OpenRoot("data")
	if err != nil {
		return Built{}, err
	}
	defer data.Close()
	m, err := residency.BuildManifest(spec.Name, data.FS())
	if err == nil {
		m, err = m.With(made)
	}
	if err == nil {
		err = s.keep(name, work, m)
	}
	if err != nil {
		return Built{}, err
	}
	return s.open(m.Digest())
}

// fetchFile copies one.
func fetchFile(work *os.Root, from origin, in input) error {
	to := path.Join("data", in.Name)
	if err := work.MkdirAll(path.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := work.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = same(from, in, f)
	if err == nil {
		err = f.Sync()
	}
	if shut := f.Close(); err == nil && shut != nil {
		err = fmt.Errorf("write %s: %w", in.Name, shut)
	}
	return err
}
