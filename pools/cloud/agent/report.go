package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

const (
	// progressWait bounds a report of progress: the job waits for it meanwhile.
	progressWait = 5 * time.Second
	// drainFor bounds how long what a job wrote before it ended is still read.
	drainFor = 2 * time.Second
)

// mailbox is the pipe a job reports its progress by. Nothing is kept in it: who
// writes faster than reports are taken waits.
type mailbox struct {
	path string
	in   *os.File      // where we read
	hold *os.File      // keeps it open while the job's writers come and go
	done chan struct{} // closed once nothing is read any more
}

// mailbox makes the pipe in the job's own directory and starts to read it.
func (w *work) mailbox(s stage) (*mailbox, error) {
	m := &mailbox{path: filepath.Join(s.tmp, "report"), done: make(chan struct{})}
	if err := os.Remove(m.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make pipe for reports: %w", err)
	}
	if err := syscall.Mkfifo(m.path, 0o600); err != nil {
		return nil, fmt.Errorf("make pipe for reports: %w", err)
	}
	var err error
	if m.in, err = os.OpenFile(m.path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0); err != nil {
		return nil, fmt.Errorf("open pipe for reports: %w", err)
	}
	if m.hold, err = os.OpenFile(m.path, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0); err != nil {
		m.in.Close()
		return nil, fmt.Errorf("open pipe for reports: %w", err)
	}
	go func() {
		defer close(m.done)
		l := &lines{each: func(b []byte) { w.line(w.ctx, b) }}
		_, _ = io.Copy(l, m.in) // ends when it is closed, or nobody holds it
		l.flush()
	}()
	return m, nil
}

// close reads what was still written, for a moment, and ends.
func (m *mailbox) close() {
	m.hold.Close()
	select {
	case <-m.done:
	case <-time.After(drainFor):
	}
	m.in.Close()
}

// line forwards a line of progress, JSON with an epoch or words as in
// [tunnel.ParseProgress]; anything else a job says stays here.
func (w *work) line(ctx context.Context, b []byte) {
	var p tunnel.Progress
	if json.Unmarshal(b, &p) != nil {
		var err error
		if p, err = tunnel.ParseProgress(string(b)); err != nil {
			return
		}
	}
	if p.Epoch <= 0 {
		return
	}
	p.Grant = w.answer.Grant
	ctx, cancel := context.WithTimeout(ctx, progressWait)
	defer cancel()
	if err := w.agent.client.Report(ctx, "job-progress", p); err != nil {
		w.agent.Logger.DebugContext(ctx, "progress not reported", "error", err.Error())
	}
}
