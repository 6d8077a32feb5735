package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/burstctl/burstctl/pools/cloud/netns"
)

// retryReport is the pause before a report is made again.
const retryReport = 200 * time.Millisecond

// jobGrace is how long a job that is asked to end may take to, and how long
// what it left behind may hold its output open.
const jobGrace = 20 * time.Second

// maxLine bounds a line of a job's output; the rest of a longer one is dropped.
const maxLine = 64 << 10

// exitError is how a job ended badly.
type exitError struct {
	code int
	tail string // the end of what it said
}

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d: %s", e.code, e.tail) }

// exec runs the job's command on its stage, alone: its network is a loopback and
// no more, so it reaches no metadata service and nobody it could tell what it
// read. Only an agent that need not be strict runs it otherwise, where it may
// not make namespaces.
func (w *work) exec(s stage) error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the job's network and the job end with the thread
		err := netns.Enter()
		if errors.Is(err, netns.ErrDenied) && !w.agent.Strict {
			w.agent.Logger.WarnContext(w.ctx, "job shares the node's network", "error", err.Error())
			err = nil
		}
		if err != nil {
			ended <- fmt.Errorf("run job: %w", err)
			return
		}
		ended <- w.command(s)
	}()
	return <-ended
}

// command runs it on this thread, which outlives it. Nothing of its process group
// outlives it, and it does not outlive this process. When the machine is taken
// back the group is asked to end (SIGTERM); when the node lets go it is ended.
func (w *work) command(s stage) error {
	box, err := w.mailbox(s)
	if err != nil {
		return fmt.Errorf("run job: %w", err)
	}
	defer box.close()
	cmd, err := s.command(w.jobCtx, w.answer.Job.Command)
	if err != nil {
		return fmt.Errorf("run job: %w", err)
	}
	cmd.Env = append(cmd.Env, "BURST_REPORT="+s.inside(box.path))
	end := func(sig syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, sig) }
	cmd.Cancel = func() error {
		if w.ctx.Err() != nil {
			return end(syscall.SIGKILL)
		}
		return end(syscall.SIGTERM)
	}
	cmd.WaitDelay = jobGrace
	said, told := &tail{}, &lines{each: func(b []byte) { w.line(w.ctx, b) }}
	cmd.Stdout, cmd.Stderr = told, said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run job: %w", err)
	}
	spare := context.AfterFunc(w.ctx, func() { _ = end(syscall.SIGKILL) })
	err = cmd.Wait()
	spare()
	_ = end(syscall.SIGKILL) // whoever it left behind; none is no error
	told.flush()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{exitCode(exit), cmp.Or(said.String(), exit.Error())}
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("run job: %w", err)
	}
	return nil
}

// exitCode is the process's, or 128 and the signal that ended it.
func exitCode(e *exec.ExitError) int {
	if s, ok := e.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return e.ExitCode()
}

// maxTail bounds the tail of what a job says; the log keeps no more.
const maxTail = 200

// tail keeps the last bytes written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

// String is what was kept, fit to print: whole characters, none that controls.
func (t *tail) String() string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(t.b), "")))
}

// lines hands on each line that is written to it.
type lines struct {
	b    []byte
	each func([]byte)
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		l.b = append(l.b, line[:min(len(line), maxLine-len(l.b))]...)
		if !whole {
			return n, nil
		}
		l.flush()
		p = rest
	}
}

// flush hands on what is there as a line.
func (l *lines) flush() {
	if len(l.b) > 0 {
		l.each(l.b)
	}
	l.b = l.b[:0]
}
