package main

import (
	"io/fs"
	"os"

	"github.com/burstctl/burstctl/configs/frame"
)

// logTree is a log to be read: a directory, or a bundle. Close it.
type logTree struct {
	tree  fs.FS
	close func() error
}

// Close gives back what was opened.
func (l logTree) Close() error { return l.close() }

// isFile tells a bundle from a directory.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// openTree opens a log directory, from which nothing can lead out, or the log in a bundle. It verifies neither.
func openTree(path string) (logTree, error) {
	if isFile(path) {
		b, err := openBundle(path)
		if err != nil {
			return logTree{}, frame.Wrap(frame.LogUnverified, err, "ask for the bundle again")
		}
		tree, err := b.log()
		return logTree{tree, b.Close}, err
	}
	root, err := openLog(path)
	if err != nil {
		return logTree{}, err
	}
	return logTree{root.FS(), root.Close}, nil
}
