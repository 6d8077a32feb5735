package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// work is the job of one grant on this node.
type work struct {
	agent     *Agent
	answer    tunnel.Answer
	road      *slice.Road
	ln        net.Listener
	ctx       context.Context // ends when the node lets go
	stop      context.CancelFunc
	jobCtx    context.Context // ends sooner if the job is interrupted
	interrupt context.CancelCauseFunc
	idle      chan struct{} // closed once nothing is fetched, run or returned any more
	letGo     chan struct{}
	once      sync.Once
	mount     *slice.Mount // nil with a copy
	mu        sync.Mutex
}

// idleWait bounds how long letting go waits for what has been told to end.
const idleWait = 5 * time.Second

// open listens for the edge on the road.
func (a *Agent) open(ctx context.Context, answer tunnel.Answer) (*work, error) {
	if answer.Job == nil || len(answer.Job.Command) == 0 {
		return nil, errors.New("open road: the grant came without a job")
	}
	ln, err := net.Listen("tcp", a.Road)
	if err != nil {
		return nil, fmt.Errorf("open road: %w", err)
	}
	w := &work{agent: a, answer: answer, ln: ln, idle: make(chan struct{}), letGo: make(chan struct{})}
	w.ctx, w.stop = context.WithCancel(ctx)
	w.jobCtx, w.interrupt = context.WithCancelCause(w.ctx)
	w.road, err = slice.Listen(ctx, ln, slice.NodeConfig{
		TLS:     slice.NodeTLS(a.certificate, a.house(), a.UserData.Domain, answer.Site),
		Receipt: answer.Receipt, Logger: a.Logger,
	})
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("open road: %w", err)
	}
	return w, nil
}

// house is the pool that holds the house CA, which the controller's connection
// showed and the pin in user data proves.
func (a *Agent) house() *x509.CertPool { return a.client.House() }

// run does the job once: program, slice, process, results.
func (w *work) run(ctx context.Context) error {
	s, err := w.build()
	if err == nil {
		err = w.job(s)
	}
	if t := w.taken(); t != nil && err != nil && w.ctx.Err() == nil {
		err = w.rescue(t, s.out)
	}
	close(w.idle)
	if w.ctx.Err() != nil {
		return nil // told to let go meanwhile; the orders say how it ends
	}
	finished := tunnel.Finished{}
	if err != nil {
		finished = tunnel.Finished{Exit: 1, Why: err.Error()}
		if exit, ok := errors.AsType[*exitError](err); ok {
			finished = tunnel.Finished{Exit: exit.code, Why: exit.tail}
		}
		w.agent.Logger.ErrorContext(ctx, "job failed", "error", err.Error())
	}
	return w.say("job-finished", finished)
}

// job brings the slice to the program, runs the one over the other and returns
// what it left.
func (w *work) job(s stage) error {
	how, err := w.attach(s.slice)
	if err != nil {
		return fmt.Errorf("mount slice: %w", err)
	}
	started := struct {
		Grant   string `json:"grant"`
		Mount   string `json:"mount"`
		Payload string `json:"payload"`
	}{w.answer.Grant, how, w.answer.Payload}
	if err := w.say("job-started", started); err != nil {
		return err
	}
	if err := w.exec(s); err != nil {
		return err
	}
	return w.send(s.out)
}

// attach makes the slice readable below dir: mounted where that can be, else
// as a verified copy.
func (w *work) attach(dir string) (string, error) {
	if w.agent.FUSE {
		m, err := slice.MountAt(w.ctx, w.road, w.answer.Slice, dir)
		if err == nil {
			w.mu.Lock()
			w.mount = m
			w.mu.Unlock()
			return "fuse", nil
		}
		if !errors.Is(err, slice.ErrNoFUSE) {
			return "", err
		}
		w.agent.Logger.InfoContext(w.ctx, "no mount here, copying", "error", err.Error())
	}
	return "copy", slice.Materialize(w.jobCtx, w.road, w.answer.Slice, dir, nil)
}

// send returns the job's outputs by the road.
func (w *work) send(out string) error {
	root, err := os.OpenRoot(out)
	if err != nil {
		return fmt.Errorf("return outputs: %w", err)
	}
	defer root.Close()
	for _, name := range w.answer.Job.Outputs {
		err := w.put(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("return outputs: the job left no %s", name)
		}
		if err != nil {
			return fmt.Errorf("return %s: %w", name, err)
		}
	}
	return nil
}

// put returns one output by the road. One that is not there is fs.ErrNotExist.
func (w *work) put(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pause := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(time.Minute))
	return backoff.Retry(func() error {
		_, err := w.road.Put(w.ctx, name, f, info.Size())
		return err
	}, backoff.WithContext(pause, w.ctx))
}

// say reports until it was heard or the node is to let go.
func (w *work) say(kind string, body any) error {
	for {
		err := w.agent.client.Report(w.ctx, kind, body)
		if err == nil || w.ctx.Err() != nil {
			return nil
		}
		w.agent.Logger.DebugContext(w.ctx, "report not heard", "kind", kind, "error", err.Error())
		sleep(w.ctx, retryReport)
	}
}

// release lets go, once: the process ends, then the mount is gone, the copy too.
func (w *work) release() {
	w.once.Do(func() {
		w.stop()
		close(w.letGo)
		select {
		case <-w.idle:
		case <-time.After(idleWait):
			w.agent.Logger.Warn("job still ending, letting go all the same")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.mount != nil {
			if err := w.mount.Unmount(); err != nil {
				w.agent.Logger.Warn("slice not unmounted", "error", err.Error())
			}
		}
		for _, d := range rooms {
			os.RemoveAll(filepath.Join(w.agent.Scratch, d))
		}
	})
}

func (w *work) close() {
	w.release()
	w.ln.Close()
}
