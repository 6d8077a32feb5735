package audit

import (
	"context"
	"io/fs"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// bundleRead is one bundle of entries, read, cut, hashed and decoded as far as it goes.
type bundleRead struct {
	tile   tlog.Tile
	data   []byte
	unread error // why there is no data
	end    int   // where the last entry ends in data
	uncut  error // why data holds fewer entries than it must
	leaves []leafRead
}

// leafRead is one entry of a bundle, with its hash whether it decodes or not.
type leafRead struct {
	hash  tlog.Hash
	entry Entry
	err   error
}

// readAhead reads one bundle. It asks nobody, so that many are read at a time.
func readAhead(fsys fs.FS, t tlog.Tile) bundleRead {
	b := bundleRead{tile: t}
	if b.data, b.unread = fs.ReadFile(fsys, tilePath(t)); b.unread != nil {
		return b
	}
	var leaves [][]byte
	leaves, b.end, b.uncut = splitBundle(b.data, t.W)
	b.leaves = make([]leafRead, len(leaves))
	for i, leaf := range leaves {
		l := &b.leaves[i]
		l.hash = tlog.RecordHash(leaf)
		l.entry, l.err = DecodeEntry(leaf)
	}
	return b
}

// ahead yields the bundles of a tree of n entries in order, and reads as many at a time as there are processors. It
// ends early when ctx does.
func ahead(ctx context.Context, fsys fs.FS, n int64) iter.Seq[bundleRead] {
	return func(yield func(bundleRead) bool) {
		ctx, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		at := runtime.GOMAXPROCS(0)
		coming, free := make(chan chan bundleRead, 2*at), make(chan struct{}, at)
		all.Go(func() {
			defer close(coming)
			for _, t := range tilesFor(0, n) {
				t.L = entryLevel
				one := make(chan bundleRead, 1)
				select {
				case free <- struct{}{}:
				case <-ctx.Done():
					return
				}
				all.Go(func() {
					one <- readAhead(fsys, t)
					<-free
				})
				select {
				case coming <- one:
				case <-ctx.Done():
					return
				}
			}
		})
		for one := range coming {
			if !yield(<-one) {
				return
			}
		}
	}
}
