package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/burstctl/burstctl/pools/cloud/image"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// rooms are the directories below scratch, gone once the node has let go. The
// last is there only if the program is an image.
var rooms = []string{"payload", "slice", "out", "tmp", "root"}

// stage is where a job runs: its rooms, as this process names them, and its own
// root directory if its program is an image.
type stage struct {
	payload, slice, out, tmp string
	image                    *image.Root // nil: the program is a directory
}

// build brings the program here and makes the job's rooms. A payload that is
// not what the job names can only be the layout of the image it names.
func (w *work) build() (s stage, err error) {
	at := func(room string) string { return filepath.Join(w.agent.Scratch, room) }
	s = stage{payload: at("payload"), slice: at("slice"), out: at("out"), tmp: at("tmp")}
	if err := os.MkdirAll(s.payload, 0o700); err != nil {
		return s, fmt.Errorf("make scratch: %w", err)
	}
	named, held := w.answer.Job.Payload, w.answer.Payload
	if held != "" {
		if err := slice.Materialize(w.jobCtx, w.road, held, s.payload, nil); err != nil {
			return s, fmt.Errorf("fetch program: %w", err)
		}
	}
	if named != "" && named != held {
		root, err := image.Unpack(s.payload, named, at("root"))
		if err != nil {
			return s, err
		}
		in := func(room string) string { return filepath.Join(root.Path, "burst", room) }
		s = stage{payload: s.payload, slice: in("slice"), out: in("out"), tmp: in("tmp"), image: &root}
	}
	return s, s.rooms(w.agent.Scratch)
}

// rooms makes the job's rooms, wherever an image's links may point.
func (s stage) rooms(scratch string) error {
	base := scratch
	if s.image != nil {
		base = s.image.Path
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return fmt.Errorf("make scratch: %w", err)
	}
	defer root.Close()
	for _, dir := range []string{s.slice, s.out, s.tmp} {
		if err := root.MkdirAll(strings.TrimPrefix(dir, base+"/"), 0o700); err != nil {
			return fmt.Errorf("make scratch: %w", err)
		}
	}
	return nil
}

// inside is a path as the job sees it.
func (s stage) inside(path string) string {
	if s.image == nil {
		return path
	}
	return strings.TrimPrefix(path, s.image.Path)
}

// command is a job's command, which sees its rooms and nothing else of ours.
func (s stage) command(ctx context.Context, argv []string) (*exec.Cmd, error) {
	const searched = "PATH=/usr/local/bin:/usr/bin:/bin"
	env := []string{"HOME=" + s.inside(s.tmp), "TMPDIR=" + s.inside(s.tmp),
		"BURST_SLICE=" + s.inside(s.slice), "BURST_OUT=" + s.inside(s.out)}
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	path, dir := argv[0], s.payload
	switch {
	case s.image == nil:
		env = append([]string{searched}, env...)
		if strings.HasPrefix(path, "./") {
			path = filepath.Join(s.payload, path)
		}
	default:
		found, err := s.image.Find(path)
		if err != nil {
			return nil, err
		}
		path, dir = found, s.image.Dir
		env = append(append([]string{searched}, s.image.Env...), env...)
		confine(attr, s.image.Path)
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, env, attr
	return cmd, nil
}

// confine gives a process a root directory of its own. Whoever may not do that
// may within a user namespace, where it is the one user there is.
func confine(attr *syscall.SysProcAttr, root string) {
	attr.Chroot = root
	if uid := os.Geteuid(); uid != 0 {
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
}
