package slice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/burstctl/burstctl/residency"
)

// Mount is a slice mounted read-only. Made by [MountAt]; the zero Mount is
// not usable.
type Mount struct {
	dir    string
	server *fuse.Server
	cut    context.CancelFunc
	cache  *cache
	files  []*fs.Inode
	once   sync.Once
	err    error
}

// MountAt mounts the slice at dir, which must exist: read-only, no programs, no
// devices. Every byte a reader gets has been verified, and only this user reads. Once
// ctx ends or [Mount.Unmount] is called, reads fail with EACCES; a chunk that
// does not come or does not fit fails with EIO. Where this machine or user
// cannot mount the error is [ErrNoFUSE].
//
// This process answers the kernel, so it must not start a program from below
// dir or with its working directory there: between fork and exec nothing of it
// runs, and neither would get on. Start a program elsewhere that goes there.
func MountAt(ctx context.Context, r *Road, digest, dir string) (*Mount, error) {
	opts, err := mountOptions()
	if err != nil {
		return nil, fmt.Errorf("mount slice: %w", err)
	}
	manifest, err := r.Manifest(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("mount slice: %w", err)
	}
	m := &Mount{dir: dir}
	ctx, m.cut = context.WithCancel(ctx)
	m.cache = newCache(ctx, cacheBytes, func(ctx context.Context, p place) ([]byte, error) {
		return r.Chunk(ctx, digest, p.file, p.chunk)
	})
	root := &dirNode{}
	opts.OnAdd = func(ctx context.Context) { m.plant(ctx, root, manifest) }
	if m.server, err = fs.Mount(dir, root, opts); err != nil {
		m.cut()
		if slices.ContainsFunc([]error{unix.EPERM, unix.EACCES, unix.ENODEV, unix.ENOSYS},
			func(e error) bool { return errors.Is(err, e) }) {
			err = fmt.Errorf("%w: %w", ErrNoFUSE, err)
		}
		return nil, fmt.Errorf("mount slice at %s: %w", dir, err)
	}
	return m, nil
}

// mountOptions are those of this user: root mounts by itself, others need the
// fusermount3 helper.
func mountOptions() (*fs.Options, error) {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	dev.Close()
	opts := &fs.Options{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	opts.MountOptions = fuse.MountOptions{
		FsName: "burst-slice", Name: "burst",
		MaxWrite: maxChunk, MaxReadAhead: maxChunk, MaxBackground: 64,
		DisableXAttrs: true,
		// A reply of 1 MiB and its header does not fit the largest pipe.
		DisableSplice: true,
	}
	if os.Geteuid() == 0 {
		opts.DirectMountStrict = true
		opts.DirectMountFlags = unix.MS_RDONLY | unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NOATIME
		return opts, nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	opts.Options = []string{"ro", "nodev", "nosuid", "noexec", "noatime"}
	return opts, nil
}

// plant makes the tree of the manifest's names.
func (m *Mount) plant(ctx context.Context, root *dirNode, manifest residency.Manifest) {
	for i, f := range manifest.Files {
		dir := &root.Inode
		for part := range strings.SplitSeq(path.Dir(f.Name), "/") {
			if part == "." {
				continue
			}
			next := dir.GetChild(part)
			if next == nil {
				next = dir.NewPersistentInode(ctx, &dirNode{}, fs.StableAttr{Mode: fuse.S_IFDIR})
				dir.AddChild(part, next, false)
			}
			dir = next
		}
		n := &fileNode{mount: m, index: i, file: f, chunkSize: int64(manifest.ChunkSize)}
		n.last.Store(-2)
		child := dir.NewPersistentInode(ctx, n, fs.StableAttr{Mode: fuse.S_IFREG})
		dir.AddChild(path.Base(f.Name), child, false)
		m.files = append(m.files, child)
	}
}

// Unmount cuts reads, drops every cached byte, the kernel's included, and
// takes the mount away; one that is in use is detached and stays unreadable to
// those who hold it. Again is the same answer.
func (m *Mount) Unmount() error {
	m.once.Do(func() {
		m.cut()
		m.cache.drop()
		for _, f := range m.files {
			// ENOENT: the kernel does not know the file, and so holds nothing.
			_ = f.NotifyContent(0, 0)
		}
		if err := m.server.Unmount(); err != nil {
			m.err = detach(m.dir)
		}
	})
	return m.err
}

// detach aborts a busy mount's connection to the kernel and takes it out of
// sight.
func detach(dir string) error {
	if os.Geteuid() == 0 {
		// EBUSY is why we are here; the abort has happened all the same.
		_ = unix.Unmount(dir, unix.MNT_FORCE)
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("detach %s: %w", dir, err)
		}
		return nil
	}
	if out, err := exec.Command("fusermount3", "-u", "-z", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("detach %s: %w: %s", dir, err, out)
	}
	return nil
}

// dirNode is a directory of the slice.
type dirNode struct{ fs.Inode }

// Getattr says that anyone the mount lets in may look.
func (d *dirNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = fuse.S_IFDIR | 0o555
	return fs.OK
}

// fileNode is a file of the slice.
type fileNode struct {
	fs.Inode
	mount     *Mount
	index     int
	file      residency.File
	chunkSize int64
	last      atomic.Int64 // chunk read last
}

// Getattr says what the manifest says.
func (n *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Nlink = fuse.S_IFREG|n.file.Mode, uint64(n.file.Size), 1
	out.Blocks = (out.Size + 511) / 512
	return fs.OK
}

// Open lets the kernel keep what it has read: content under a digest does not
// change, and Unmount has it dropped.
func (n *fileNode) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&(syscall.O_WRONLY|syscall.O_RDWR|syscall.O_TRUNC|syscall.O_APPEND) != 0 {
		return nil, 0, syscall.EROFS
	}
	if n.mount.cache.ctx.Err() != nil {
		return nil, 0, syscall.EACCES
	}
	return nil, fuse.FOPEN_KEEP_CACHE, fs.OK
}

// Read fills dest from verified chunks. An interrupted reader still gets its
// answer: a fetch is bounded by the road's patience.
func (n *fileNode) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off < 0 || off >= n.file.Size {
		return fuse.ReadResultData(nil), fs.OK
	}
	dest = dest[:min(int64(len(dest)), n.file.Size-off)]
	for done := 0; done < len(dest); {
		at := off + int64(done)
		chunk := at / n.chunkSize
		n.readAhead(chunk)
		data, err := n.mount.cache.get(place{n.index, int(chunk)})
		if n.mount.cache.ctx.Err() != nil {
			return nil, syscall.EACCES
		}
		if err != nil {
			return nil, syscall.EIO
		}
		done += copy(dest[done:], data[at-chunk*n.chunkSize:])
	}
	return fuse.ReadResultData(dest), fs.OK
}

// readAhead asks for the next chunks once a reader has gone on to this one.
func (n *fileNode) readAhead(chunk int64) {
	if last := n.last.Swap(chunk); last+1 != chunk {
		return
	}
	for next := chunk + 1; next <= chunk+ahead && next < int64(len(n.file.Chunks)); next++ {
		n.mount.cache.hint(place{n.index, int(next)})
	}
}
