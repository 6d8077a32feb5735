package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/mod/sumdb/tlog"
)

// file is what disk.create gives: written once, synced, closed.
type file interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

// disk is every way in which this package changes a file system. Tests put failures in its place.
type disk struct {
	create  func(name string) (file, error)
	rename  func(from, to string) error
	mkdir   func(name string) error
	syncDir func(name string) error
	remove  func(name string) error
	// together takes steps that need no order among themselves, so that one journal commit of the file system serves
	// several syncs. Nil takes them one after the other, to the first error.
	together func(steps []func() error) error
}

// each takes steps that need no order among themselves.
func (d *disk) each(steps []func() error) error {
	if d.together != nil {
		return d.together(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// atOnce takes all steps at the same time. What fails together has one cause: the first error says it, and one that is
// final before all others.
func atOnce(steps []func() error) error {
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	for i, step := range steps {
		all.Go(func() { errs[i] = step() })
	}
	all.Wait()
	for _, err := range errs {
		if errors.Is(err, errFinal) {
			return err
		}
	}
	return cmp.Or(errs...)
}

func osDisk() *disk {
	return &disk{
		create: func(name string) (file, error) {
			return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		},
		rename: os.Rename,
		mkdir:  func(name string) error { return os.Mkdir(name, 0o755) },
		syncDir: func(name string) error {
			d, err := os.Open(name)
			if err != nil {
				return err
			}
			return errors.Join(d.Sync(), d.Close())
		},
		remove:   os.Remove,
		together: atOnce,
	}
}

// isFull tells a disk without room, which loses nothing, from every other failure. A sync that fails is never that.
func isFull(err error) bool {
	return !errors.Is(err, errFinal) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT))
}

// write makes a new file with data and syncs it.
func (d *disk) write(name string, data []byte) error {
	f, err := d.create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	return nil
}

// sync makes the names in a directory durable.
func (d *disk) sync(dir string) error {
	if err := d.syncDir(dir); err != nil {
		return fmt.Errorf("%w: sync %s: %w", errFinal, dir, err)
	}
	return nil
}

// replace makes name hold data, whole or not at all, by way of the temporary name tmp on the same file system.
func (d *disk) replace(tmp, name string, data []byte) error {
	if err := d.write(tmp, data); err != nil {
		return err
	}
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	return d.sync(filepath.Dir(name))
}

// store is the public and the private directory of a log.
type store struct {
	*disk
	public, private string
	known           map[string]bool // directories made durable by this process
}

func (s *store) state(name string) string { return filepath.Join(s.private, name) }

// mkdirs makes the directories above a public file, each durable in its parent.
func (s *store) mkdirs(name string) error {
	dir := filepath.Dir(name)
	if dir == "." || s.known[dir] {
		return nil
	}
	if err := s.mkdirs(dir); err != nil {
		return err
	}
	full := filepath.Join(s.public, dir)
	if err := s.mkdir(full); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.sync(filepath.Dir(full)); err != nil {
		return err
	}
	s.known[dir] = true
	return nil
}

// maxStaged bounds how many files are written at a time.
const maxStaged = 64

// stage writes temporary files in the private directory and syncs them. After an error none of them counts.
func (s *store) stage(files []publicFile) error {
	for some := range slices.Chunk(files, maxStaged) {
		var steps []func() error
		for _, f := range some {
			steps = append(steps, func() error { return s.write(s.state(f.name), f.data) })
		}
		if err := s.each(steps); err != nil {
			for _, f := range files {
				_ = s.remove(s.state(f.name)) // it takes room; Open clears it in the end
			}
			return err
		}
	}
	return nil
}

// tempTile is where the public file number i of a commit is written first.
func tempTile(i int) string {
	if i == 0 {
		return "tmp-tile"
	}
	return fmt.Sprintf("tmp-tile-%d", i)
}

// tempTiles are the files as they are staged.
func tempTiles(files []publicFile) []publicFile {
	var temps []publicFile
	for i, f := range files {
		temps = append(temps, publicFile{tempTile(i), f.data})
	}
	return temps
}

// publish writes public files and makes them and their names durable.
func (s *store) publish(files []publicFile) error {
	if err := s.stage(tempTiles(files)); err != nil {
		return err
	}
	_, err := s.place(files)
	return err
}

// place puts staged files at their public names and makes the names durable. It returns the names that are there, also
// when it fails, so that they can be taken back.
func (s *store) place(files []publicFile) (done []string, err error) {
	var dirs []string
	for i, f := range files {
		if err := s.mkdirs(f.name); err != nil {
			return done, err
		}
		full := filepath.Join(s.public, filepath.FromSlash(f.name))
		if err := s.rename(s.state(tempTile(i)), full); err != nil {
			return done, err
		}
		done = append(done, full)
		if dir := filepath.Dir(full); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	var steps []func() error
	for _, dir := range dirs {
		steps = append(steps, func() error { return s.sync(dir) })
	}
	return done, s.each(steps)
}

type publicFile struct {
	name string
	data []byte
}

// prune removes the partial tiles beside the given full ones.
func (s *store) prune(full []string) {
	for _, name := range full {
		s.sweep(name+".p", "")
		_ = s.remove(filepath.Join(s.public, filepath.FromSlash(name)+".p"))
		delete(s.known, name+".p")
	}
}

// thin removes the partial tiles that wider partial ones have superseded in a tree of n entries. Readers of older
// checkpoints may miss them; it is done when there is no room.
func (s *store) thin(n int64) {
	for _, l := range []int{entryLevel, 0} {
		t := widest(tlog.Tile{H: tileHeight, L: l, N: n / tileWidth}, n)
		if t.W > 0 {
			s.sweep(path.Split(tilePath(t)))
		}
	}
}

// sweep removes the files of a public directory but the one named. One that stays does no harm: Verify checks it.
func (s *store) sweep(dir, keep string) {
	dir = filepath.Join(s.public, filepath.FromSlash(dir))
	there, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range there {
		if f.Name() != keep {
			_ = s.remove(filepath.Join(dir, f.Name()))
		}
	}
}

// clear removes the temporary files a dead process left in the private directory.
func (s *store) clear() error {
	left, err := os.ReadDir(s.private)
	if err != nil {
		return err
	}
	for _, f := range left {
		if strings.HasPrefix(f.Name(), "tmp-") {
			if err := s.remove(s.state(f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// lockFile takes the advisory lock of a file, made if need be; closing the file gives it back.
func lockFile(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: held by another process: %w", name, err), f.Close())
	}
	return f, nil
}
