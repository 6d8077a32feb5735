package columnar

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
	"time"
)

// input is one source file by content.
type input struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// settle is longer than the step of any filesystem's clock: a file that was not
// changed for so long gets another change time when it is changed again.
const settle = 20 * time.Millisecond

// open opens a regular file inside root, step by step without following links,
// and makes sure that what it opened is what it looked at, and has no other name.
func open(root *os.Root, name string) (*os.File, error) {
	seen, err := look(root, name)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, refuse("%s is a link", name)
	}
	if err != nil {
		return nil, err
	}
	if err := sole(root, name, f, seen); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// look looks at a file and the directories it lies in, without following links.
func look(root *os.Root, name string) (fs.FileInfo, error) {
	top, err := root.Lstat(".")
	if err != nil {
		return nil, err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		info, err := root.Lstat(dir)
		if err != nil {
			return nil, err
		}
		if err := plain(top, info, fs.ModeDir); err != nil {
			return nil, refuse("%s: directory %s %w", name, dir, err)
		}
	}
	seen, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := plain(top, seen, 0); err != nil {
		return nil, refuse("%s %w", name, err)
	}
	return seen, nil
}

// sole makes sure that f is what the name is of, and that this is its only
// name. The number of names, read after one of them was taken away, says too
// little; so it must not change between two looks at f, and between them the
// name must lead to f. That it did not change is told by the change time, once
// that is older than the clock's step.
func sole(root *os.Root, name string, f *os.File, seen fs.FileInfo) error {
	first, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(seen, first) {
		return changed("%s was swapped while it was opened", name)
	}
	if s, ok := first.Sys().(*syscall.Stat_t); ok {
		if age := time.Since(time.Unix(s.Ctim.Unix())); age < settle {
			time.Sleep(min(settle-age, 2*settle))
		}
	}
	if first, err = f.Stat(); err != nil {
		return err
	}
	if s, ok := first.Sys().(*syscall.Stat_t); !ok || time.Since(time.Unix(s.Ctim.Unix())) < settle {
		return changed("%s is being changed, or its change time lies ahead of the clock", name)
	}
	again, err := look(root, name)
	if err != nil {
		return err
	}
	if !os.SameFile(again, first) {
		return changed("%s was swapped while it was opened", name)
	}
	return still(f, first)
}

// plain reports why something is not what it should be: a directory or a
// regular file of one name, on the filesystem of top.
func plain(top, info fs.FileInfo, want fs.FileMode) error {
	t, okTop := top.Sys().(*syscall.Stat_t)
	s, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !okTop:
		return errors.New("is not on a filesystem that can be checked")
	case info.Mode().Type()&fs.ModeSymlink != 0:
		return errors.New("is a link")
	case info.Mode().Type() != want && want == fs.ModeDir:
		return errors.New("is not a directory")
	case info.Mode().Type()&fs.ModeDevice != 0:
		return errors.New("is a device")
	case info.Mode().Type() != want:
		return errors.New("is not a regular file")
	case s.Dev != t.Dev:
		return errors.New("lies on another filesystem")
	case want == 0 && s.Nlink != 1:
		return fmt.Errorf("has %d names (hard links)", s.Nlink)
	}
	return nil
}

// still reports whether a file was written to since it was opened.
func still(f *os.File, before fs.FileInfo) error {
	after, err := f.Stat()
	if err != nil {
		return err
	}
	a, okA := before.Sys().(*syscall.Stat_t)
	b, okB := after.Sys().(*syscall.Stat_t)
	if !okA || !okB || b.Nlink != 1 || a.Size != b.Size || a.Mtim != b.Mtim || a.Ctim != b.Ctim {
		return changed("%s was changed while it was read", path.Base(f.Name()))
	}
	return nil
}

// list names every regular file below root, sorted. Anything else but
// directories is an error.
func list(root *os.Root) ([]string, error) {
	var names []string
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case d.Type()&fs.ModeSymlink != 0:
			return refuse("%s is a link", name)
		case !d.Type().IsRegular():
			return refuse("%s is not a regular file", name)
		}
		names = append(names, name)
		return nil
	})
	slices.Sort(names)
	return names, err
}

// hashFile reads a file by content, copying it to w on the way.
func hashFile(root *os.Root, name string, w io.Writer) (input, error) {
	f, err := open(root, name)
	if err != nil {
		return input{}, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return input{}, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, w), f)
	if err != nil {
		return input{}, fmt.Errorf("read %s: %w", name, err)
	}
	return input{name, n, hex.EncodeToString(h.Sum(nil))}, still(f, before)
}

// equal reports the first file that differs between what was first seen of a
// version and what is there.
func equal(was, is []input) error {
	for i := range max(len(was), len(is)) {
		switch {
		case i >= len(was) || i < len(is) && is[i].Name < was[i].Name:
			return changed("%s is new", is[i].Name)
		case i >= len(is) || was[i].Name < is[i].Name:
			return changed("%s is gone", was[i].Name)
		case was[i] != is[i]:
			return changed("%s has changed", is[i].Name)
		}
	}
	return nil
}

// same reports whether a file still has the bytes it is known by.
func same(from origin, want input, w io.Writer) error {
	got, err := from.hash(want.Name, w)
	if err == nil && got != want {
		err = changed("%s has changed", want.Name)
	}
	return err
}

// writeWhole writes a file beside its name and renames it, so that it is there
// whole or not at all.
func writeWhole(root *os.Root, name string, b []byte) error {
	f, err := root.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(b))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return root.Rename(name+".new", name)
}
