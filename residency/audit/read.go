package audit

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
)

// Read yields the entries of a log directory in order, each proven to be in the tree of its checkpoint. Whether that
// checkpoint is to be believed it does not say: Verify does, with keys from elsewhere.
func Read(ctx context.Context, fsys fs.FS) iter.Seq2[Leaf, error] {
	return func(yield func(Leaf, error) bool) {
		raw, err := fs.ReadFile(fsys, "checkpoint")
		if err != nil {
			yield(Leaf{}, fmt.Errorf("read log: %w", err))
			return
		}
		c, err := parseSigned(raw)
		if err != nil {
			yield(Leaf{}, fmt.Errorf("read log: %w", err))
			return
		}
		reader := &Log{fsys: fsys, head: c} // no writer: only what Entries reads
		for leaf, err := range reader.Entries(ctx, 0) {
			if !yield(leaf, err) {
				return
			}
		}
	}
}
