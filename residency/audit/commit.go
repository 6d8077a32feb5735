package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// maxBatch bounds how many bytes of entries one commit takes.
const maxBatch = 4 << 20

// batch is the entries of one commit. The caller that starts it commits it for all.
type batch struct {
	leaves   [][]byte
	bytes    int
	reserved bool // made when the disk was full
	first    int64
	err      error
	done     chan struct{}
}

// Enter appends entries, in order and side by side, and returns the index of the first when all are durable under a
// signed checkpoint on disk. Callers share commits. An error means that none of them was entered, save after a
// failed sync: then only the next Open can tell. ctx is heeded until the entries have joined a batch; then the
// answer is certain.
func (l *Log) Enter(ctx context.Context, es ...Entry) (first int64, err error) {
	return l.enter(ctx, false, es)
}

// EnterReserved is Enter for what must still be entered when the disk is full: denials, revocations, teardown. It
// releases the emergency reserve and goes on where Enter answers ErrFull. While there is room it is Enter.
func (l *Log) EnterReserved(ctx context.Context, es ...Entry) (first int64, err error) {
	if first, err = l.enter(ctx, true, es); !errors.Is(err, ErrFull) {
		return first, err
	}
	if err := l.release(); err != nil {
		return 0, err
	}
	return l.enter(ctx, true, es)
}

func (l *Log) enter(ctx context.Context, reserved bool, es []Entry) (int64, error) {
	leaves, size, err := encodeAll(es)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return 0, fmt.Errorf("enter: %w", err)
	}
	l.mu.Lock()
	if err := l.refusal(reserved); err != nil {
		l.mu.Unlock()
		return 0, fmt.Errorf("enter: %w", err)
	}
	b := l.open
	leader := b == nil || b.bytes+size > maxBatch
	if leader {
		b = &batch{reserved: l.full != nil, done: make(chan struct{})}
		l.open = b
	}
	at := int64(len(b.leaves))
	b.leaves, b.bytes = append(b.leaves, leaves...), b.bytes+size
	l.mu.Unlock()
	if leader {
		l.lead(b)
	}
	<-b.done
	if b.err != nil {
		return 0, fmt.Errorf("enter: %w", b.err)
	}
	return b.first + at, nil
}

func encodeAll(es []Entry) (leaves [][]byte, size int, err error) {
	if len(es) == 0 {
		return nil, 0, errors.New("no entries")
	}
	for i, e := range es {
		leaf, err := e.Encode()
		if err == nil && IsChange(e) {
			err = errors.New("keys change with Rotate and EnterChange")
		}
		if err != nil {
			return nil, 0, fmt.Errorf("entry %d: %w", i, err)
		}
		leaves, size = append(leaves, leaf), size+len(leaf)
	}
	return leaves, size, nil
}

// refusal says why entries are not taken now. It is called under mu.
func (l *Log) refusal(reserved bool) error {
	if l.dead != nil {
		return l.dead
	}
	if l.full != nil && !reserved {
		return l.full
	}
	return nil
}

func (l *Log) isFull() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full != nil
}

// lead waits for its turn, commits the batch with all that joined it meanwhile, and answers for it.
func (l *Log) lead(b *batch) {
	if l.o.FlushEvery > 0 {
		time.Sleep(l.o.FlushEvery)
	}
	l.turn.Lock()
	l.mu.Lock()
	if l.open == b {
		l.open = nil
	}
	b.err = l.refusal(b.reserved)
	l.mu.Unlock()
	if b.err == nil {
		b.first, b.err = l.commit(b.leaves)
	}
	l.turn.Unlock()
	close(b.done)
	l.tell()
}

// commit makes leaves durable under a new checkpoint. It is called with the turn.
func (l *Log) commit(leaves [][]byte) (first int64, err error) {
	next, bundle := l.forest.clone(), l.bundle[:len(l.bundle):len(l.bundle)]
	bundles := map[int64][]byte{}
	for _, leaf := range leaves {
		next.add(leaf)
		if bundle = appendLeaf(bundle, leaf); next.size%tileWidth == 0 {
			bundles[next.size/tileWidth-1], bundle = bundle, nil
		}
	}
	bundles[next.size/tileWidth] = bundle
	root, err := next.root()
	if err != nil {
		return 0, fmt.Errorf("compute root: %w", err)
	}
	head, err := newSigned(l.o.Origin, next.size, root, l.signer)
	if err != nil {
		return 0, err
	}
	var files, hashes []publicFile
	var full []string
	for _, t := range tlog.NewTiles(tileHeight, l.forest.size, next.size) {
		names := []string{tilePath(t)}
		hashes = append(hashes, publicFile{names[0], next.tile(t)})
		if t.L == 0 {
			t.L = entryLevel
			names = append(names, tilePath(t))
			files = append(files, publicFile{names[1], bundles[t.N]})
		}
		if t.W == tileWidth {
			full = append(full, names...)
		}
	}
	if err := l.persist(append(files, hashes...), head); err != nil {
		return 0, l.fail(err)
	}
	l.store.prune(full)
	if l.isFull() {
		l.store.thin(next.size)
	}
	next.trim()
	first, l.forest, l.bundle = l.forest.size, next, bundle
	l.advance(head)
	return first, nil
}

// persist writes the tiles and the checkpoint aside, all of them durable, then puts the tiles in place and then the
// checkpoint. What takes room comes first; a failure before the checkpoint appears takes the tiles back, so that the
// tree is as it was.
func (l *Log) persist(files []publicFile, head signed) error {
	s := l.store
	var done []string
	aside := []publicFile{{"tmp-signed", head.bytes()}, {"tmp-checkpoint", head.bytes()}}
	err := s.stage(append(tempTiles(files), aside...))
	if err == nil {
		done, err = s.place(files)
	}
	if err == nil {
		err = s.rename(s.state("tmp-checkpoint"), filepath.Join(s.public, "checkpoint"))
	}
	if err != nil {
		for _, name := range done {
			if rerr := s.remove(name); rerr != nil {
				return fmt.Errorf("%w: %w", errFinal, errors.Join(err, rerr))
			}
		}
		return err
	}
	if err := s.sync(s.public); err != nil {
		return err
	}
	if err := s.rename(s.state("tmp-signed"), s.state("signed")); err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	return nil
}

// advance makes head the newest checkpoint. Without witnesses it is its own quorum.
func (l *Log) advance(head signed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = head
	if l.o.Quorum == 0 {
		l.cosigned = head
	}
	l.wake()
}

// fail notes a failed write and says what the callers are told.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open = nil; isFull(err) {
		l.full = fmt.Errorf("%w: %w", ErrFull, err)
		err = l.full
	} else {
		err = fmt.Errorf("write the log: %w", err)
		l.dead = err
	}
	l.wake()
	return err
}

// tell calls OnFatal once, holding nothing, after those who waited have their answer.
func (l *Log) tell() {
	l.mu.Lock()
	err := l.dead
	if err == nil {
		err = l.full
	}
	if err == nil || l.told || errors.Is(err, ErrClosed) {
		l.mu.Unlock()
		return
	}
	l.told = true
	l.mu.Unlock()
	if l.o.OnFatal == nil {
		panic(err)
	}
	l.o.OnFatal(err)
}
