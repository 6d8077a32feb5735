package nvml

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// grace is how long the end of a sampler waits for its helper to end. A healthy one
// needs milliseconds; one inside the driver is left.
const grace = 2 * time.Second

// report is what the keeper tells the sampler: a line, or why there is none.
type report struct {
	line
	err error
}

// keep has one helper running, and one only, until ctx ends, the library is missing
// or Patience has passed without a round. It closes out when it returns.
func keep(ctx context.Context, s Sampler, out chan<- report) {
	defer close(out)
	tell := func(r report) {
		select {
		case out <- r:
		case <-ctx.Done():
		}
	}
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.MaxElapsedTime = 200*time.Millisecond, 30*time.Second, s.Patience
	err := backoff.RetryNotify(func() error {
		err := once(ctx, s, func(l line) {
			if l.Kind == kindRound {
				b.Reset()
			}
			tell(report{line: l})
		})
		if errors.Is(err, ErrNoLibrary) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx), func(err error, wait time.Duration) {
		tell(report{err: fmt.Errorf("%w; started again in %s", err, wait.Round(time.Millisecond))})
	})
	if ctx.Err() == nil {
		tell(report{err: err})
	}
}

// once runs a helper to its end, or until ctx ends and grace is over. The error is
// never nil: a helper is not meant to end by itself.
func once(ctx context.Context, s Sampler, tell func(line)) error {
	c, err := start(s)
	if err != nil {
		return fmt.Errorf("start GPU helper: %w", err)
	}
	giveUp := time.NewTimer(s.GiveUp)
	defer giveUp.Stop()
	for {
		select {
		case l := <-c.lines:
			switch l.Kind {
			case kindMissing:
				c.leave()
				return fmt.Errorf("%w (%s)", ErrNoLibrary, l.Err)
			case kindError:
				c.leave()
				return fmt.Errorf("sample GPUs: %s", l.Err)
			case kindRound:
				giveUp.Reset(s.GiveUp)
			}
			tell(l)
		case <-giveUp.C:
			c.ask() // and go on listening: it ends when its call returns
		case <-c.gone:
			return c.err
		case <-ctx.Done():
			c.leave()
			return ctx.Err()
		}
	}
}

// child is a running helper.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan line
	left  chan struct{} // closed when nobody listens any more
	gone  chan struct{} // closed when the process has ended, after err is set
	err   error
	once  sync.Once
}

// start starts a helper. It gets no more of our environment than it needs: it loads
// a vendor's library, and secrets are none of its business.
func start(s Sampler) (*child, error) {
	if len(s.Command) == 0 {
		return nil, errors.New("no command")
	}
	args := append(s.Command[1:len(s.Command):len(s.Command)], "--every", s.Every.String(), "--frozen", s.Frozen.String())
	if s.Library != "" {
		args = append(args, "--library", s.Library)
	}
	cmd := exec.Command(s.Command[0], args...)
	cmd.Env = environ(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is ours to pass on
	said := &tail{}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: in, lines: make(chan line), left: make(chan struct{}), gone: make(chan struct{})}
	go func() {
		defer close(c.gone)
		bad := c.read(out)
		_, _ = io.Copy(io.Discard, out)
		c.err = fmt.Errorf("GPU helper ended: %w", errors.Join(bad, said.with(cmd.Wait())))
	}()
	return c, nil
}

// read passes lines on until the helper closes its output or writes what cannot be
// read, at which it is asked to end.
func (c *child) read(out io.Reader) error {
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, maxLine)
	for sc.Scan() {
		l, err := decode(sc.Bytes())
		if err != nil {
			c.ask()
			return err
		}
		select {
		case c.lines <- l:
		case <-c.left:
		}
	}
	if sc.Err() != nil {
		c.ask()
	}
	return sc.Err()
}

// ask asks the helper to end: SIGTERM and the end of its input. Never SIGKILL.
func (c *child) ask() {
	_ = c.stdin.Close()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
}

// leave asks, waits for grace at most, and stops listening. A goroutine stays until
// the process is gone, to reap it.
func (c *child) leave() {
	c.once.Do(func() { close(c.left) })
	c.ask()
	select {
	case <-c.gone:
	case <-time.After(grace):
	}
}

// passed are the variables that a helper may see, and the prefixes of such.
var passed = []string{"PATH=", "HOME=", "TZ=", "LANG=", "LD_LIBRARY_PATH=", "NVIDIA_", "CUDA_", "NVML_"}

// environ picks what passes from an environment.
func environ(all []string) []string {
	env := []string{}
	for _, v := range all {
		for _, p := range passed {
			if strings.HasPrefix(v, p) {
				env = append(env, v)
				break
			}
		}
	}
	return env
}

// tail keeps the first 1,000 bytes of what a helper says on its error output.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write keeps what fits and takes the rest.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[:min(len(b), 1000-len(t.buf))]...)
	return len(b), nil
}

// with adds what was said to how it ended.
func (t *tail) with(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		err = errors.New("without a reason")
	}
	if said := strings.TrimSpace(string(t.buf)); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}
