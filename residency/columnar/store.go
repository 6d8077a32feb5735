package columnar

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Store is where a site keeps its slices. Made by [OpenStore]; close it.
//
// Below its directory, which is TRUSTED as the data itself:
//
//	versions/claims@2025-q3.json      the files of a version, as first seen
//	built/<digest>/manifest.json      a slice, by the digest of its manifest
//	built/<digest>/data/…             its files, if they were made and not found
//	built/<digest>/rows               which rows it has and whose, if they were made
//	current/claims@adults.json        which of them a name means now
//	withdrawn/claims.json             who withdrew, by keyed hash
//	held/claims/<digest>/…            what a legal hold kept from a withdrawal; never served
type Store struct {
	data, slices *os.Root
	key          Key
	today        string
	lock         *os.File
	buckets      Buckets
}

// Built is a slice as it can be served. Made by [Store.Build] and [Store.Held].
type Built struct {
	Manifest residency.Manifest
	Root     fs.FS // its files, which nothing leads out of
	LeftOut  int64 // rows left out for small groups; only after Build

	beside map[string]string // what it was compared with, if it was just made
}

// current is what a slice's name means.
type current struct {
	Slice    string `json:"slice"`
	Spec     string `json:"spec"` // digest of what was asked for
	Manifest string `json:"manifest"`
	// Nth counts the builds of a dataset; 0 is from before slices were compared.
	Nth    uint64            `json:"nth,omitempty"`
	Beside map[string]string `json:"beside,omitempty"` // manifests it was compared with, by slice
}

// seen is a version as it was first seen.
type seen struct {
	Dataset string  `json:"dataset"`
	Version string  `json:"version"`
	Dir     string  `json:"dir"`
	Digest  string  `json:"digest"`
	Files   []input `json:"files"`
}

// ErrNotBuilt: the slice was never built, or not as the catalogue has it now.
var ErrNotBuilt = errors.New("not built")

// OpenStore opens the directory of slices, made if it is not there, over the
// directory of data, which is only read. One process has it at a time. The zero
// Key does for slices that are files as they are. Embargo and retention are
// held to the day of now.
func OpenStore(data, dir string, key Key, now time.Time) (*Store, error) {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, fmt.Errorf("open slices %s: %w", dir, err)
	}
	s, err := OpenHeld(data, dir, key, now)
	if err != nil {
		return nil, err
	}
	if s.lock, err = s.slices.OpenFile(".lock", os.O_CREATE|os.O_RDWR, 0o600); err == nil {
		if err = syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			err = fmt.Errorf("another process has it: %w", err)
		}
	}
	if err == nil {
		err = s.sweep()
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("open slices %s: %w", dir, err)
	}
	return s, nil
}

// OpenHeld opens it to look only, at [Store.Held] and [Store.Meant], while another
// process may build. What it asks for beside these is refused.
func OpenHeld(data, dir string, key Key, now time.Time) (*Store, error) {
	s := &Store{key: key, today: now.UTC().Format(time.DateOnly)}
	var err error
	if s.data, err = os.OpenRoot(data); err == nil {
		s.slices, err = os.OpenRoot(dir)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("open slices %s: %w", dir, err)
	}
	return s, nil
}

// sweep removes what an interrupted build left, and makes the directories.
func (s *Store) sweep() error {
	left, err := fs.Glob(s.slices.FS(), ".new-*")
	for _, name := range left {
		err = errors.Join(err, s.slices.RemoveAll(name))
	}
	for _, dir := range []string{"versions", "built", "current", "withdrawn"} {
		err = errors.Join(err, s.slices.MkdirAll(dir, 0o700))
	}
	return err
}

// Close lets another process have the directory. What was built stays open.
func (s *Store) Close() error {
	var err error
	if s.lock != nil {
		err = s.lock.Close()
	}
	for _, r := range []*os.Root{s.data, s.slices} {
		if r != nil {
			err = errors.Join(err, r.Close())
		}
	}
	return err
}

// now refuses a dataset outside its days.
func (s *Store) now(d residency.Dataset) error {
	switch {
	case d.Embargo != "" && s.today < d.Embargo:
		return &refusal{refuse("dataset %s is under embargo until %s", d.ID, d.Embargo), ErrNotNow}
	case d.Retention != "" && s.today > d.Retention:
		return &refusal{refuse("dataset %s was to be kept until %s", d.ID, d.Retention), ErrNotNow}
	}
	return nil
}

// asked is the digest of all that decides what a slice is.
func asked(d residency.Dataset, spec residency.SliceSpec, without []string) ([]byte, string) {
	b, err := json.Marshal(struct {
		Transform string
		Dataset   string
		Source    residency.Version
		Table     *residency.Layout
		Slice     residency.SliceSpec
		Without   []string
		Bucket    *residency.Bucket `json:",omitempty"`
	}{"burstctl slice 1", d.ID, d.Source(spec), d.Table, spec, without, d.Bucket})
	if err != nil {
		return nil, ""
	}
	return b, digest(b)
}

// Build makes a slice, or finds that it is made already. Files that are not
// those of the version, as the catalogue or the first build has them, are
// refused.
func (s *Store) Build(d residency.Dataset, spec residency.SliceSpec) (Built, error) {
	b, err := s.build(d, spec)
	if err != nil {
		return Built{}, fmt.Errorf("build slice %s: %w", spec.Name, err)
	}
	return b, nil
}

func (s *Store) build(d residency.Dataset, spec residency.SliceSpec) (Built, error) {
	if s.lock == nil {
		return Built{}, errors.New("the store was opened to look only")
	}
	if _, err := residency.NewCatalogue([]residency.Dataset{d}); err != nil {
		return Built{}, refuse("%w", err)
	}
	without, err := s.allowed(d, spec)
	if err != nil {
		return Built{}, err
	}
	from, first, inputs, err := s.sources(d, spec)
	if err != nil {
		return Built{}, err
	}
	_, spoken := asked(d, spec, without)
	var b Built
	whole := residency.Made{Dataset: d.ID, Version: first.Version, Source: first.Digest, Spec: spoken} // nobody withdrew
	if dir, ok := from.(directory); spec.Derived() {
		b, err = s.derive(from, order{d, spec, first, inputs, without})
	} else if ok {
		b, err = s.found(spec, dir.Root, inputs, whole)
	} else {
		b, err = s.fetch(spec, from, inputs, whole)
	}
	if err != nil {
		return Built{}, err
	}
	nth, err := s.builds(d)
	if err != nil {
		return Built{}, err
	}
	record, err := json.Marshal(current{spec.Name, spoken, b.Manifest.Digest(), nth + 1, b.beside})
	if err != nil {
		return Built{}, err
	}
	return b, writeWhole(s.slices, "current/"+fileName(spec.Name), record)
}

// sources opens where a slice's version lies and picks its files.
func (s *Store) sources(d residency.Dataset, spec residency.SliceSpec) (origin, seen, []input, error) {
	v := d.Source(spec)
	from, err := s.origin(d, v)
	if err != nil {
		return nil, seen{}, nil, err
	}
	first, err := s.version(d, v, from)
	if err != nil {
		err = fmt.Errorf("version %s of %s: %w", v.Name, d.ID, err)
	}
	var inputs []input
	if err == nil {
		inputs, err = choose(first.Files, spec)
	}
	if err != nil {
		from.Close()
		return nil, seen{}, nil, err
	}
	return from, first, inputs, nil
}

// openDir opens a directory below data by steps without links.
func (s *Store) openDir(dir string) (*os.Root, error) {
	top, err := s.data.Lstat(".")
	if err != nil {
		return nil, err
	}
	var last fs.FileInfo
	for at := dir; at != "."; at = path.Dir(at) {
		info, err := s.data.Lstat(at)
		if err != nil {
			return nil, err
		}
		if err := plain(top, info, fs.ModeDir); err != nil {
			return nil, refuse("%s %w", at, err)
		}
		if last == nil {
			last = info
		}
	}
	root, err := s.data.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if info, err := root.Stat("."); err != nil || last != nil && !os.SameFile(info, last) {
		root.Close()
		return nil, errors.Join(err, refuse("%s was swapped while it was opened", dir))
	}
	return root, nil
}

// version reads the files of a version and holds them to what the catalogue
// says of them and to what they were when they were first seen.
func (s *Store) version(d residency.Dataset, v residency.Version, from origin) (seen, error) {
	files, err := inputs(from)
	if err != nil {
		return seen{}, err
	}
	is := seen{Dataset: d.ID, Version: v.Name, Dir: at(d, v), Files: files}
	b, err := json.Marshal(is.Files)
	if err != nil {
		return seen{}, err
	}
	is.Digest = digest(b)
	name := "versions/" + fileName(d.ID+"/"+v.Name)
	was, err := load[seen](s.slices, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return seen{}, err
	case was.Dir != is.Dir:
		return seen{}, changed("it was in %s when it was first seen, and is in %s now: a version never changes", was.Dir,
			is.Dir)
	default:
		if err := equal(was.Files, is.Files); err != nil {
			return seen{}, changed("%w since it was first seen: a version never changes, name a new one", err)
		}
	}
	if v.Digest != "" && v.Digest != is.Digest {
		return seen{}, changed("its files are %s, and the catalogue says %s", is.Digest, v.Digest)
	}
	if err == nil {
		return is, nil
	}
	if b, err = json.Marshal(is); err != nil {
		return seen{}, err
	}
	return is, writeWhole(s.slices, name, b)
}

// choose picks the files of a slice from those of its version.
func choose(files []input, spec residency.SliceSpec) (out []input, err error) {
	used := map[string]bool{}
	for _, f := range files {
		if len(spec.Files) > 0 && !slices.Contains(spec.Files, f.Name) || !chosen(f.Name, spec.Partitions) {
			continue
		}
		out, used[f.Name] = append(out, f), true
		for _, p := range spec.Partitions {
			used[p] = used[p] || chosen(f.Name, []string{p})
		}
	}
	for _, name := range slices.Concat(spec.Files, spec.Partitions) {
		if !used[name] {
			return nil, refuse("%s is not there", name)
		}
	}
	if len(out) == 0 {
		return nil, refuse("no file is there")
	}
	return out, nil
}

// fileName is a slice's or version's name as a file's.
func fileName(name string) string { return strings.Replace(name, "/", "@", 1) + ".json" }

// work makes a directory nobody else knows.
func (s *Store) work() (string, *os.Root, error) {
	name := ".new-" + rand.Text()
	if err := s.slices.Mkdir(name, 0o700); err != nil {
		return "", nil, err
	}
	root, err := s.slices.OpenRoot(name)
	return name, root, err
}

// digest names bytes as residency does.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// load reads one of our own records.
func load[T any](root *os.Root, name string) (v T, err error) {
	b, err := root.ReadFile(name)
	if err == nil {
		if err = json.Unmarshal(b, &v); err != nil {
			err = fmt.Errorf("read %s: %w", name, err)
		}
	}
	return v, err
}

// VersionDigest is the digest of the files of a slice's version, as they were
// first seen: what versions in the catalogue may be pinned to.
func (s *Store) VersionDigest(d residency.Dataset, spec residency.SliceSpec) (string, error) {
	was, err := load[seen](s.slices, "versions/"+fileName(d.ID+"/"+d.Source(spec).Name))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotBuilt
	}
	return was.Digest, err
}
