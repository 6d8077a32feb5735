package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// faulty is a disk that fails. It counts what changes the disk, and at change number at it fails with err, once or from
// then on. A change that is a write is done by half. It also knows what a power cut would undo.
type faulty struct {
	real    *disk
	n, at   int
	err     error
	onward  bool
	only    string // names of operations that can fail; "" is all
	hit     string // what failed first
	pending []undo
	torn    map[string]bool // written, not synced
}

type undo struct {
	dir string
	do  func()
}

var errKilled = errors.New("killed")

// op counts a change. It says whether it fails.
func (f *faulty) op(kind, name string) error {
	i := f.n
	f.n++
	if i < f.at || i > f.at && !f.onward || f.only != "" && !strings.Contains(f.only, kind) {
		if i == f.at && f.hit == "" {
			f.at++ // not one that can fail: the next
		}
		return nil
	}
	if f.hit == "" {
		f.hit = kind + " " + filepath.Base(name)
	}
	return &fs.PathError{Op: kind, Path: name, Err: f.err}
}

func (f *faulty) disk() *disk {
	return &disk{create: f.create, rename: f.rename, mkdir: f.mkdir, syncDir: f.syncDir, remove: f.remove}
}

// before notes how to bring a name back to what it is now.
func (f *faulty) before(name string) {
	old, err := os.ReadFile(name)
	f.pending = append(f.pending, undo{filepath.Dir(name), func() {
		if err != nil {
			os.RemoveAll(name)
		} else {
			os.WriteFile(name, old, 0o644)
		}
	}})
}

func (f *faulty) create(name string) (file, error) {
	if err := f.op("create", name); err != nil {
		return nil, err
	}
	f.before(name)
	f.torn[name] = true
	g, err := f.real.create(name)
	return &faultyFile{g, f, name}, err
}

func (f *faulty) rename(from, to string) error {
	if err := f.op("rename", to); err != nil {
		return err
	}
	f.before(to)
	f.torn[to] = f.torn[from]
	delete(f.torn, from)
	return f.real.rename(from, to)
}

func (f *faulty) mkdir(name string) error {
	if err := f.op("mkdir", name); err != nil {
		return err
	}
	err := f.real.mkdir(name)
	if err == nil {
		f.pending = append(f.pending, undo{filepath.Dir(name), func() { os.RemoveAll(name) }})
	}
	return err
}

func (f *faulty) syncDir(name string) error {
	if err := f.op("sync", name); err != nil {
		return err
	}
	f.pending = slices.DeleteFunc(f.pending, func(u undo) bool { return u.dir == name })
	return f.real.syncDir(name)
}

func (f *faulty) remove(name string) error {
	if err := f.op("remove", name); err != nil {
		return err
	}
	if st, err := os.Stat(name); err == nil && !st.IsDir() {
		f.before(name)
	}
	if filepath.Base(name) == "reserve" {
		f.onward = false // there is room again
	}
	return f.real.remove(name)
}

// powerCut loses what was not synced: names, and half of the contents.
func (f *faulty) powerCut() {
	for name, torn := range f.torn {
		if st, err := os.Stat(name); torn && err == nil {
			os.Truncate(name, st.Size()/2)
		}
	}
	for _, u := range slices.Backward(f.pending) {
		u.do()
	}
}

type faultyFile struct {
	file
	f    *faulty
	name string
}

func (g *faultyFile) Write(b []byte) (int, error) {
	if err := g.f.op("write", g.name); err != nil {
		n, _ := g.file.Write(b[:len(b)/2])
		return n, err
	}
	return g.file.Write(b)
}

func (g *faultyFile) Sync() error {
	if err := g.f.op("sync", g.name); err != nil {
		return err
	}
	g.f.torn[g.name] = false
	return g.file.Sync()
}

// live enters and cosigns until something fails, over the edge of a full tile, and returns how many were acknowledged.
func live(h *house, l *Log) (acked int, err error) {
	for _, n := range []int{1, 2, 254, 255, 256, 259} {
		var es []Entry
		for i := acked; i < n; i++ {
			es = append(es, entry(i))
		}
		if _, err := l.Enter(context.Background(), es...); err != nil {
			return acked, err
		}
		acked = n
		old := h.witness.Size()
		proof, err := l.Consistency(context.Background(), old, l.Size())
		if err != nil {
			return acked, err
		}
		c, err := h.witness.Cosign(noon, l.Checkpoint(), old, proof)
		if err != nil {
			return acked, err
		}
		if err := l.AddCosignature(c); err != nil {
			return acked, err
		}
	}
	return acked, nil
}

// survives opens the log again on a sound disk: what was acknowledged is there, and goes on to verify.
func survives(t *testing.T, h *house, acked int, what string) {
	t.Helper()
	h.o.disk = nil
	l, err := Open(t.Context(), h.o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer l.Close()
	if l.Size() < int64(acked) {
		t.Fatalf("%s: %d entries, %d were acknowledged", what, l.Size(), acked)
	}
	for leaf, err := range l.Entries(t.Context(), 0) {
		if err != nil || leaf.Entry.Burst != entry(int(leaf.Index)).Burst {
			t.Fatalf("%s: leaf %+v, %v", what, leaf, err)
		}
	}
	fill(t, l, int(l.Size()), int(l.Size())+1)
	h.cosign(t, l)
	if _, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trust, h.witness.Remembers()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestAKillOrAPowerCutAtEveryWriteLosesNothingAcknowledged(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("power cut %v", cut), func(t *testing.T) {
			t.Parallel()
			at := 0
			for ; ; at++ {
				h := newHouse(t)
				check(t, Create(h.o))
				f := &faulty{real: osDisk(), at: at, err: errKilled, onward: true, torn: map[string]bool{}}
				h.o.disk = f.disk()
				l, err := Open(t.Context(), h.o)
				check(t, err)
				acked, err := live(h, l)
				check(t, l.Close())
				if err == nil {
					break
				}
				if cut {
					f.powerCut()
				}
				survives(t, h, acked, fmt.Sprintf("stopped at change %d, %s", at, f.hit))
			}
			if at < 100 {
				t.Fatalf("only %d changes", at)
			}
			t.Logf("stopped at each of %d changes", at)
		})
	}
}

func TestAFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	for at := 0; ; {
		h := newHouse(t)
		check(t, Create(h.o))
		f := &faulty{real: osDisk(), at: at, err: syscall.EIO, only: "sync", torn: map[string]bool{}}
		h.o.disk = f.disk()
		l, err := Open(t.Context(), h.o)
		check(t, err)
		acked, err := live(h, l)
		if err == nil {
			check(t, l.Close())
			break
		}
		at = f.at + 1
		if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrFull) || len(h.fatal) != 1 {
			t.Fatalf("sync failed: %v, %d fatal", err, len(h.fatal))
		}
		if _, err := l.EnterReserved(t.Context(), entry(acked)); !errors.Is(err, syscall.EIO) {
			t.Fatalf("entered after a failed sync: %v", err)
		}
		if err := l.WaitCosigned(t.Context(), 1000); !errors.Is(err, syscall.EIO) {
			t.Fatalf("waits on a dead log: %v", err)
		}
		check(t, l.Close())
		survives(t, h, acked, "sync failed at "+f.hit)
	}
}

func TestAFullDiskAtEveryWriteLosesNothingAndLeavesRoomForTeardown(t *testing.T) {
	t.Parallel()
	hits := map[string]bool{}
	for at := 0; ; {
		h := newHouse(t)
		check(t, Create(h.o))
		f := &faulty{real: osDisk(), at: at, err: syscall.ENOSPC, onward: true, only: "create write mkdir rename",
			torn: map[string]bool{}}
		h.o.disk = f.disk()
		l, err := Open(t.Context(), h.o)
		check(t, err)
		acked, err := live(h, l)
		if err == nil {
			check(t, l.Close())
			break
		}
		hits[f.hit], at = true, f.at+1
		if f.hit == "rename signed" { // the checkpoint is out: a failure here has no way back
			check(t, l.Close())
			survives(t, h, acked, f.hit)
			continue
		}
		if !errors.Is(err, ErrFull) || l.Size() != int64(acked) || len(h.fatal) != 1 {
			t.Fatalf("full at %s: %v, %d of %d, %d fatal", f.hit, err, l.Size(), acked, len(h.fatal))
		}
		if _, err := l.Enter(t.Context(), entry(acked)); !errors.Is(err, ErrFull) {
			t.Fatalf("full at %s: then %v", f.hit, err)
		}
		for range 3 {
			at, err := l.EnterReserved(t.Context(), entry(acked))
			if err != nil || at != int64(acked) {
				t.Fatalf("full at %s: teardown entered at %d: %v", f.hit, at, err)
			}
			acked++
		}
		h.cosign(t, l)
		if _, err := Verify(t.Context(), os.DirFS(h.o.Dir), h.trust); err != nil {
			t.Fatalf("full at %s: %v", f.hit, err)
		}
		check(t, l.Close())
		survives(t, h, acked, "full at "+f.hit)
	}
	for _, want := range []string{
		"write tmp-tile", "mkdir tile", "rename checkpoint", "write tmp-signed", "write tmp-cosigned",
	} {
		if !hits[want] {
			t.Errorf("never full at %s: %v", want, hits)
		}
	}
}

func TestACreationCutShortCanBeRepeated(t *testing.T) {
	for at := 0; ; at++ {
		h := newHouse(t)
		f := &faulty{real: osDisk(), at: at, err: errKilled, onward: true, torn: map[string]bool{}}
		o := h.o
		o.disk = f.disk()
		err := Create(o)
		if err == nil {
			break
		}
		if err := Create(h.o); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatalf("created again after %s: %v", f.hit, err)
		}
		survives(t, h, 0, f.hit)
	}
}

func TestAWitnessNeverForgetsWhatItCosigned(t *testing.T) {
	for at := 0; ; at++ {
		h := newHouse(t)
		l := h.start(t)
		fill(t, l, 0, 1)
		h.cosign(t, l)
		fill(t, l, 1, 2)
		proof, err := l.Consistency(t.Context(), 1, 2)
		check(t, err)
		f := &faulty{real: osDisk(), at: at, err: errKilled, onward: true, torn: map[string]bool{}}
		h.witness.disk = f.disk()
		_, failed := h.witness.Cosign(noon, l.Checkpoint(), 1, proof)
		f.powerCut()
		again, err := OpenWitness(h.witness.file, h.witness.signer, h.witness.log)
		check(t, err)
		if failed != nil && again.Size() != 1 || failed == nil && again.Size() != 2 {
			t.Fatalf("stopped at %s: %v, yet it remembers %d", f.hit, failed, again.Size())
		}
		if failed == nil {
			break
		}
		if _, err := h.witness.Cosign(noon, l.Checkpoint(), 1, proof); err == nil {
			t.Fatal("a witness that could not write went on")
		}
	}
}
