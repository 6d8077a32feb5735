package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/mod/sumdb/tlog"
)

const defaultReserve = 1 << 20

// Create makes a new log: an empty tree under a signed checkpoint. It refuses a directory that holds anything, and one
// whose private directory remembers a log.
func Create(o Options) error {
	l, err := prepare(o, os.MkdirAll)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer l.lock.Close()
	there, err := os.ReadDir(o.Dir)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	if _, err := os.Lstat(l.store.state("signed")); len(there) > 0 || !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create log: %s: %w", o.Dir, fs.ErrExist)
	}
	root, err := tlog.TreeHash(0, nil)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	head, err := newSigned(o.Origin, 0, root, o.Signer)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	if err := l.hold(); err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	for _, dir := range []string{filepath.Dir(o.Dir), l.store.private} {
		if err := l.store.sync(dir); err != nil {
			return fmt.Errorf("create log: %w", err)
		}
	}
	if err := l.persist(nil, head); err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	return nil
}

// prepare checks the options, makes the directories with mkdir and takes the lock.
func prepare(o Options, mkdir func(string, fs.FileMode) error) (*Log, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Dir = filepath.Clean(o.Dir)
	if o.disk == nil {
		o.disk = osDisk()
	}
	s := &store{disk: o.disk, public: o.Dir, private: o.Dir + ".state", known: map[string]bool{}}
	if err := errors.Join(mkdir(s.private, 0o700), mkdir(s.public, 0o755)); err != nil {
		return nil, err
	}
	lock, err := lockFile(s.state("lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, err
	}
	return &Log{
		o: o, fsys: os.DirFS(o.Dir), lock: lock, store: s, signer: o.Signer,
		forest: &forest{}, changed: make(chan struct{}),
	}, nil
}

// Open takes the log for writing. It reads every entry, recomputes the tree and requires its own signature over it.
// It removes what an unfinished, never acknowledged batch left behind; anything else that is not as it should be it
// refuses, among it a tree smaller than what this directory has acknowledged. Without a log the error is
// fs.ErrNotExist.
func Open(ctx context.Context, o Options) (*Log, error) {
	l, err := prepare(o, func(name string, mode fs.FileMode) error {
		if name == filepath.Clean(o.Dir)+".state" {
			return os.MkdirAll(name, mode) // a restored tree comes without
		}
		_, err := os.Stat(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := l.recover(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), l.lock.Close())
	}
	return l, nil
}

func (l *Log) recover(ctx context.Context) error {
	raw, err := fs.ReadFile(l.fsys, "checkpoint")
	if err != nil {
		return err
	}
	head, err := parseSigned(raw)
	if err != nil {
		return err
	}
	own, _, err := head.by(append(slices.Clone(l.o.Witnesses), selfVerifier{l.signer})...)
	if err != nil {
		return err
	}
	if head.origin != l.o.Origin || indexSig(own, sigOf(l.signer)) < 0 {
		return fmt.Errorf("checkpoint of %q: not signed by this log's key", head.origin)
	}
	guard, err := l.readState("signed")
	if err != nil {
		return err
	}
	if guard.size > head.size {
		return fmt.Errorf("%w: the tree has %d entries, but %d were acknowledged here: it was rolled back or restored",
			ErrBehind, head.size, guard.size)
	}
	v := &verification{ctx: ctx, fsys: l.fsys, head: head, first: -1, tail: guard.text != ""}
	if err := v.tree(); err != nil {
		return err
	}
	if len(v.problems) > 0 {
		return fmt.Errorf("%w: %s", ErrUnverified, v.problems[0])
	}
	if err := l.adopt(v, head, guard); err != nil {
		return err
	}
	return l.hold()
}

// adopt takes over a tree that was found right, and clears away what lies beyond it.
func (l *Log) adopt(v *verification, head, guard signed) error {
	for _, name := range v.beyond {
		if err := l.store.remove(filepath.Join(l.o.Dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	if err := l.store.clear(); err != nil {
		return err
	}
	cosigned, err := l.readState("cosigned")
	if err != nil {
		return err
	}
	l.changes = v.changes
	l.o.Witnesses = standingFrom(RoleWitness, l.o.Witnesses, v.turns())
	if count(head.sigs, l.o.Witnesses) >= l.o.Quorum {
		cosigned = head
	} else if cosigned.text != "" {
		sigs, _, err := cosigned.by(l.o.Witnesses...)
		if err != nil {
			return err
		}
		if count(sigs, l.o.Witnesses) < l.o.Quorum {
			cosigned = signed{} // the quorum was raised
		}
	}
	for _, c := range []signed{guard, cosigned} {
		if root, err := tlog.TreeHash(c.size, v.forest); c.text != "" && (err != nil || root != c.root) {
			return fmt.Errorf("%w: not an extension of the tree of %d entries acknowledged here", ErrUnverified, c.size)
		}
	}
	v.forest.trim()
	l.forest, l.bundle = v.forest, v.bundle
	l.head, l.cosigned = head, cosigned
	return nil
}

// readState reads a checkpoint of the private directory; none is the zero value.
func (l *Log) readState(name string) (signed, error) {
	raw, err := os.ReadFile(l.store.state(name))
	if errors.Is(err, fs.ErrNotExist) {
		return signed{}, nil
	}
	if err != nil {
		return signed{}, err
	}
	s, err := parseSigned(raw)
	if err != nil {
		return signed{}, fmt.Errorf("%s: %w", l.store.state(name), err)
	}
	return s, nil
}

// hold makes sure of the emergency reserve. Without room for it the log opens full: it can be read, and EnterReserved
// may still find a place.
func (l *Log) hold() error {
	size := l.o.Reserve
	if size <= 0 {
		size = defaultReserve
	}
	name := l.store.state("reserve")
	if st, err := os.Stat(name); err == nil && st.Size() == size {
		return nil
	}
	noise := make([]byte, size) // zeros might take no room
	if _, err := rand.Read(noise); err != nil {
		return err
	}
	err := l.store.replace(l.store.state("tmp-reserve"), name, noise)
	if isFull(err) {
		l.full, l.told = fmt.Errorf("%w: no room for the reserve: %w", ErrFull, err), true
		return l.store.clear()
	}
	return err
}

// release frees the reserve and the room that superseded partial tiles take.
func (l *Log) release() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := l.store.remove(l.store.state("reserve")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release the reserve: %w", err)
	}
	if err := l.store.clear(); err != nil {
		return fmt.Errorf("release the reserve: %w", err)
	}
	l.store.thin(l.forest.size)
	return nil
}
