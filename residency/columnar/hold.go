package columnar

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/burstctl/burstctl/residency"
)

// found lists files that are served from where they lie.
func (s *Store) found(spec residency.SliceSpec, root *os.Root, inputs []input, made residency.Made) (Built, error) {
	g := guarded{root, map[string]input{}}
	var names []string
	for _, in := range inputs {
		names, g.want[in.Name] = append(names, in.Name), in
	}
	m, err := residency.BuildManifest(spec.Name, g, names...)
	if err == nil {
		m, err = m.With(made)
	}
	if err != nil {
		return Built{}, err
	}
	name, work, err := s.work()
	if err == nil {
		defer work.Close()
		err = s.keep(name, work, m)
	}
	return Built{Manifest: m, Root: root.FS()}, err
}

// order is what a derived slice is made by.
type order struct {
	set     residency.Dataset
	spec    residency.SliceSpec
	first   seen
	inputs  []input
	without []string // who withdrew
}

// derive makes new files and keeps them under the digest of their manifest.
func (s *Store) derive(from origin, o order) (b Built, err error) {
	var m residency.Manifest
	done, err := s.made(from, o, func(name string, work *os.Root, made residency.Manifest) error {
		m = made
		return s.keep(name, work, made)
	})
	if err != nil {
		return Built{}, err
	}
	b, err = s.open(m.Digest())
	b.LeftOut, b.beside = done.LeftOut, done.beside
	return b, err
}

// made makes the files of a slice in a directory of their own, which is gone
// when then returns, unless then gave it another name. It returns how many rows
// were left out, and what the slice was compared with.
func (s *Store) made(from origin, o order, then func(string, *os.Root, residency.Manifest) error) (b Built, err error) {
	defer from.Close()
	maker, err := newMaker(o.set, o.spec, s.key)
	if err != nil {
		return Built{}, err
	}
	maker.leaveOut(o.without)
	name, work, err := s.work()
	if err != nil {
		return Built{}, err
	}
	defer work.Close()
	defer s.slices.RemoveAll(name) // gone already if it was kept
	maker.from, maker.work = from, work
	made, err := maker.make(o.inputs)
	if err != nil {
		return Built{}, err
	}
	text, _ := asked(o.set, o.spec, nil) // not who withdrew: who was not in it changes nothing
	if err = maker.taken.save(work); err == nil {
		b.beside, err = s.apart(o.set, o.spec, maker.taken, made.K)
	}
	if err != nil {
		return Built{}, err
	}
	made.Source, made.Spec = s.key.commit("source", []byte(o.first.Digest)), s.key.commit("spec", text)
	data, err := work.OpenRoot("data")
	if err != nil {
		return Built{}, err
	}
	defer data.Close()
	m, err := residency.BuildManifest(o.spec.Name, data.FS())
	if err == nil {
		m, err = m.With(made)
	}
	if err == nil {
		err = then(name, work, m)
	}
	b.LeftOut = maker.left
	return b, err
}

// Verify makes sure of all there is to a slice that was built: that every byte
// is what its manifest says, that the files of its version are what they were
// when it was first seen, and that made again it is the same to the last bit.
func (s *Store) Verify(d residency.Dataset, spec residency.SliceSpec) (Built, error) {
	b, err := s.verify(d, spec)
	if err != nil {
		return Built{}, fmt.Errorf("verify slice %s: %w", spec.Name, err)
	}
	return b, nil
}

func (s *Store) verify(d residency.Dataset, spec residency.SliceSpec) (Built, error) {
	b, err := s.held(d, spec)
	if err != nil {
		return Built{}, err
	}
	from, first, inputs, err := s.sources(d, spec)
	if err != nil {
		return Built{}, err
	}
	if !spec.Derived() {
		if b.Manifest.Made.Source != first.Digest {
			err = changed("its files are of another version")
		}
		return b, errors.Join(err, from.Close())
	}
	without, err := s.allowed(d, spec)
	if err != nil {
		return Built{}, err
	}
	_, err = s.made(from, order{d, spec, first, inputs, without}, func(_ string, _ *os.Root, m residency.Manifest) error {
		if m.Digest() != b.Manifest.Digest() {
			return changed("made again it is %s, and it was %s", m.Digest(), b.Manifest.Digest())
		}
		return nil
	})
	return b, err
}

// keep gives a directory its last name. One that is there already is the same:
// its name is the digest of what is in it.
func (s *Store) keep(name string, work *os.Root, m residency.Manifest) error {
	b, err := m.Encode()
	if err == nil {
		err = writeWhole(work, "manifest.json", b)
	}
	if err != nil {
		return err
	}
	to := place(m.Digest())
	if _, err := s.slices.Lstat(to); isThere(err) {
		if _, err := s.open(m.Digest()); err == nil {
			err := s.slices.Rename(name+"/rows", to+"/rows") // the same, or not noted yet
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return errors.Join(err, s.slices.RemoveAll(name))
		}
		if err := s.slices.RemoveAll(to); err != nil { // spoilt: what is made anew takes its place
			return err
		}
	}
	return s.slices.Rename(name, to)
}

// place is the directory of a manifest's digest.
func place(digest string) string { return "built/" + strings.TrimPrefix(digest, "sha256:") }

// Held opens a slice that was built as the catalogue has it now, and makes sure
// that every byte is what its manifest says. Its error is [ErrNotBuilt] if there
// is none.
func (s *Store) Held(d residency.Dataset, spec residency.SliceSpec) (Built, error) {
	b, err := s.held(d, spec)
	if err != nil {
		return Built{}, fmt.Errorf("open slice %s: %w", spec.Name, err)
	}
	return b, nil
}

func (s *Store) held(d residency.Dataset, spec residency.SliceSpec) (Built, error) {
	c, err := s.meant(d, spec)
	if err != nil {
		return Built{}, err
	}
	if copied(d, spec) {
		return s.open(c.Manifest)
	}
	m, err := s.manifest(c.Manifest)
	if err != nil {
		return Built{}, err
	}
	root, err := s.openDir(d.Source(spec).Dir)
	if err != nil {
		return Built{}, err
	}
	return Built{Manifest: m, Root: root.FS()}, check(m, root)
}

// Meant is the digest of the slice that Held would open, without a look at its
// bytes. Its errors are those of Held.
func (s *Store) Meant(d residency.Dataset, spec residency.SliceSpec) (string, error) {
	c, err := s.meant(d, spec)
	if err != nil {
		return "", fmt.Errorf("open slice %s: %w", spec.Name, err)
	}
	return c.Manifest, nil
}

func (s *Store) meant(d residency.Dataset, spec residency.SliceSpec) (current, error) {
	c, err := s.recorded(d, spec)
	if err != nil || !spec.Derived() {
		return c, err
	}
	newer, err := s.compared(d, c.Nth)
	if err != nil {
		return current{}, err
	}
	if o := stranger(d, newer, spec, c); o != "" {
		return current{}, fmt.Errorf("%w: %s was built since and not compared with it, so build it again", ErrNotBuilt, o)
	}
	return c, nil
}

// recorded is what was built as the catalogue has it now.
func (s *Store) recorded(d residency.Dataset, spec residency.SliceSpec) (current, error) {
	without, err := s.allowed(d, spec)
	if err != nil {
		return current{}, err
	}
	c, err := load[current](s.slices, "current/"+fileName(spec.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return current{}, ErrNotBuilt
	}
	if err != nil {
		return current{}, err
	}
	if _, spoken := asked(d, spec, without); c.Slice != spec.Name || c.Spec != spoken {
		return current{}, fmt.Errorf("%w: the catalogue asks for something else now", ErrNotBuilt)
	}
	if spec.Derived() && c.Nth == 0 {
		return current{}, fmt.Errorf("%w: it was before slices were compared when they are opened", ErrNotBuilt)
	}
	return c, nil
}

// manifest reads one by its digest.
func (s *Store) manifest(digest string) (residency.Manifest, error) {
	b, err := s.slices.ReadFile(path.Join(place(digest), "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return residency.Manifest{}, ErrNotBuilt
	}
	if err != nil {
		return residency.Manifest{}, err
	}
	m, err := residency.DecodeManifest(b)
	if err == nil && m.Digest() != digest {
		err = refuse("the manifest under %s is another one", digest)
	}
	return m, err
}

// open opens what was made, and checks every byte of it.
func (s *Store) open(digest string) (Built, error) {
	m, err := s.manifest(digest)
	if err != nil {
		return Built{}, err
	}
	root, err := s.slices.OpenRoot(path.Join(place(digest), "data"))
	if err != nil {
		return Built{}, err
	}
	return Built{Manifest: m, Root: root.FS()}, check(m, root)
}

// check reads every file of a manifest again.
func check(m residency.Manifest, root *os.Root) error {
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	is, err := residency.BuildManifest(m.Slice, guarded{root, nil}, names...)
	if err != nil {
		return refuse("%w", err)
	}
	for i, f := range m.Files {
		if f.Size != is.Files[i].Size || strings.Join(f.Chunks, "") != strings.Join(is.Files[i].Chunks, "") {
			return changed("%s is not what the manifest says", f.Name)
		}
	}
	return nil
}

// guarded is a directory in which only known files are opened, by [open], and
// read only as far as they have the bytes they are known by. Without a list
// every file is known, by any bytes.
type guarded struct {
	root *os.Root
	want map[string]input
}

// Open opens a file that is known.
func (g guarded) Open(name string) (fs.File, error) {
	f, err := open(g.root, name)
	if err != nil {
		return nil, err
	}
	if g.want == nil {
		return f, nil
	}
	return &guardedFile{File: f, want: g.want[name].SHA256, hash: sha256.New()}, nil
}

// Lstat looks without following links.
func (g guarded) Lstat(name string) (fs.FileInfo, error) { return g.root.Lstat(name) }

// ReadLink is refused: there are no links here.
func (g guarded) ReadLink(name string) (string, error) { return "", refuse("%s is a link", name) }

// guardedFile hashes what is read.
type guardedFile struct {
	*os.File
	want string
	hash hash.Hash
}

func (f *guardedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.hash.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(f.hash.Sum(nil)) != f.want {
		return n, changed("%s has changed", path.Base(f.Name()))
	}
	return n, err
}
