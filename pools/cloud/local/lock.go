package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// The locks are open file description locks: they belong to the open file, are
// inherited with it, and end with the last process that has it.

// lock tries to take the lock on f and reports whether it did.
func lock(f *os.File) (bool, error) {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// release gives the lock on f back and closes it. The lock goes even where a
// child that is just being started still has the file.
func release(f *os.File) {
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
	f.Close()
}

// held reports whether anybody holds the lock on a file. It takes nothing. A
// file that does not exist is held by nobody; any other doubt is an error.
func held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, fmt.Errorf("ask who holds %s: %w", path, err)
	}
	return l.Type != unix.F_UNLCK, nil
}
