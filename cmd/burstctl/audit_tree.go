package main

import (
	"io/fs"
)

// logTree is a log to be read. Close it.
type logTree struct {
	tree  fs.FS
	close func() error
}

// Close gives back what was opened.
func (l logTree) Close() error { return l.close() }

// openTree opens a log directory, from which nothing can lead out.
func openTree(path string) (logTree, error) {
	root, err := openLog(path)
	if err != nil {
		return logTree{}, err
	}
	return logTree{root.FS(), root.Close}, nil
}
