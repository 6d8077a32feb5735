package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Options say where a log lies and who signs it. The zero value is refused.
type Options struct {
	// Dir is the public tree. The private directory is Dir + ".state".
	Dir string
	// Origin names the log. It must be the name of the signer's key, as C2SP tlog-checkpoint recommends.
	Origin string
	// Signer signs checkpoints. It must be deterministic, as Ed25519 is: that is how the log knows its own signatures.
	Signer note.Signer
	// Witnesses are the cosignature/v1 verifiers whose cosignatures count; CosignatureVerifier makes them.
	Witnesses []note.Verifier
	// Quorum is how many of the witnesses must have cosigned a checkpoint for a receipt. Zero is allowed only
	// without witnesses: then the log's own signature is all there is.
	Quorum int
	// OnFatal is told, once, of the first write or sync that failed, after the callers of Enter have their answer: the
	// process is to end. Nil panics.
	OnFatal func(error)
	// FlushEvery is how long the first entry of a batch waits for company. Zero: only as long as the batch before it.
	FlushEvery time.Duration
	// Reserve is the size of the emergency reserve in bytes. Zero is 1 MiB.
	Reserve int64

	disk *disk // for tests; nil is the operating system's
}

func (o Options) check() error {
	switch {
	case o.Dir == "":
		return errors.New("no directory")
	case o.Signer == nil:
		return errors.New("no signer")
	case o.Origin == "" || o.Origin != o.Signer.Name():
		return fmt.Errorf("origin %q is not the name of the log's key", o.Origin)
	case o.Quorum < 0 || o.Quorum > len(o.Witnesses):
		return fmt.Errorf("quorum of %d among %d witnesses", o.Quorum, len(o.Witnesses))
	case o.Quorum == 0 && len(o.Witnesses) > 0:
		return errors.New("witnesses without a quorum")
	}
	return nil
}

// Log is an open log: the only writer of its directory. Open makes it; its methods may be called concurrently.
type Log struct {
	o    Options
	fsys fs.FS // the public tree, for reading
	lock *os.File

	turn   sync.Mutex // held by whoever writes files; guards the next four
	store  *store
	signer note.Signer
	forest *forest
	bundle []byte // the entries of the last, partial bundle

	mu       sync.Mutex // guards the rest; never held during I/O
	open     *batch     // gathers entries; nil when the next entry starts a batch
	head     signed     // the newest checkpoint
	cosigned signed     // the newest checkpoint that met the quorum
	pending  []signed   // checkpoints with some cosignatures, not a quorum, by size
	changed  chan struct{}
	changes  []Leaf // entries about keys
	full     error  // why only EnterReserved is served
	dead     error  // why nothing is served
	told     bool   // OnFatal was called
}

// Size is how many entries are durable under a signed checkpoint.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head.size
}

// Checkpoint is the newest signed checkpoint, with the cosignatures it has so far.
func (l *Log) Checkpoint() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head.bytes()
}

// CosignedSize is the size of the largest checkpoint that met the quorum.
func (l *Log) CosignedSize() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cosigned.size
}

// Full is why only EnterReserved is served since the log was opened or the disk filled up: an [ErrFull], or nil.
func (l *Log) Full() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full
}

// Wait returns when the log holds more than size entries.
func (l *Log) Wait(ctx context.Context, size int64) error {
	return l.await(ctx, func() bool { return l.head.size > size })
}

// WaitCosigned returns when a checkpoint that covers the entry at index has met the quorum.
func (l *Log) WaitCosigned(ctx context.Context, index int64) error {
	return l.await(ctx, func() bool { return l.cosigned.size > index })
}

// Seal returns when the newest checkpoint has met the quorum: from then on, until the next entry, the directory
// verifies.
func (l *Log) Seal(ctx context.Context) error {
	return l.await(ctx, func() bool { return l.cosigned.size == l.head.size })
}

// await waits until done, called under mu, is true. A dead or closed log ends the wait.
func (l *Log) await(ctx context.Context, done func() bool) error {
	for {
		l.mu.Lock()
		ok, dead, changed := done(), l.dead, l.changed
		l.mu.Unlock()
		if ok {
			return nil
		}
		if dead != nil {
			return fmt.Errorf("wait for the log: %w", dead)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the log: %w", context.Cause(ctx))
		}
	}
}

// wake tells all who wait that something changed. It is called under mu.
func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Consistency proves that the tree of old entries is a prefix of the tree of size entries. From nothing, nothing is
// proven.
func (l *Log) Consistency(ctx context.Context, old, size int64) ([]tlog.Hash, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	tree := l.tree()
	if old < 0 || old > size || size > tree.size {
		return nil, fmt.Errorf("prove consistency: no trees of %d and %d entries in one of %d", old, size, tree.size)
	}
	if old == 0 || old == size {
		return nil, nil
	}
	proof, err := tlog.ProveTree(size, old, l.hashes(tree))
	if err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	return proof, nil
}

// Leaf is an entry and its place in the log.
type Leaf struct {
	Index int64
	Entry Entry
}

// Entries yields the entries from index from on, as many as there are when it is called. Each is proven to be in the
// tree before it is yielded. After an error it ends.
func (l *Log) Entries(ctx context.Context, from int64) iter.Seq2[Leaf, error] {
	tree := l.tree()
	return func(yield func(Leaf, error) bool) {
		for i := max(from, 0); i < tree.size; {
			leaves, err := l.proven(tree, i)
			if err = cmp.Or(ctx.Err(), err); err != nil {
				yield(Leaf{Index: i}, fmt.Errorf("read entry %d: %w", i, err))
				return
			}
			for _, b := range leaves {
				e, err := DecodeEntry(b)
				if !yield(Leaf{i, e}, err) || err != nil {
					return
				}
				i++
			}
		}
	}
}

// proven reads the entries from index i to the end of its bundle and checks them against the tree.
func (l *Log) proven(tree signed, i int64) ([][]byte, error) {
	n := i / tileWidth
	leaves, err := readBundle(l.fsys, n, int(min(tileWidth, tree.size-n*tileWidth)))
	if err != nil {
		return nil, err
	}
	leaves = leaves[i%tileWidth:]
	var at []int64
	for j := range leaves {
		at = append(at, tlog.StoredHashIndex(0, i+int64(j)))
	}
	hashes, err := l.hashes(tree).ReadHashes(at)
	if err != nil {
		return nil, err
	}
	for j, leaf := range leaves {
		if tlog.RecordHash(leaf) != hashes[j] {
			return nil, fmt.Errorf("%w: entry %d is not in the tree", ErrUnverified, i+int64(j))
		}
	}
	return slices.Clip(leaves), nil
}

func (l *Log) tree() signed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// hashes reads, and proves, hashes of a tree from its tiles.
func (l *Log) hashes(tree signed) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: tree.size, Hash: tree.root}, tileReader{l.fsys})
}

// Close gives the directory back. It waits for the batch in progress, not for cosignatures: that is Seal.
func (l *Log) Close() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.dead, ErrClosed) {
		return nil
	}
	l.dead = ErrClosed
	l.wake()
	return l.lock.Close()
}
