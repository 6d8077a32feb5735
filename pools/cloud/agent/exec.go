package agent

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// retryReport is the pause before a report is made again.
const retryReport = 200 * time.Millisecond

// exitError is how a job ended badly.
type exitError struct {
	code int
	tail string // the end of what it said
}

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d: %s", e.code, e.tail) }

// exec runs the job's command in the payload directory. It gets no environment
// but where things lie, and does not outlive this process.
func (w *work) exec(dirs map[string]string) error {
	runtime.LockOSThread() // Pdeathsig is tied to the thread that starts the process
	defer runtime.UnlockOSThread()
	argv := w.answer.Job.Command
	path := argv[0]
	if strings.HasPrefix(path, "./") {
		path = filepath.Join(dirs["payload"], path)
	}
	cmd := exec.CommandContext(w.ctx, path, argv[1:]...)
	cmd.Dir = dirs["payload"]
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + w.agent.Scratch, "TMPDIR=" + w.agent.Scratch,
		"BURST_SLICE=" + dirs["slice"], "BURST_OUT=" + dirs["out"]}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said := &tail{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run job: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run job: %w", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		w.line(w.ctx, lines.Bytes())
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{exit.ExitCode(), said.String()}
	}
	if err != nil {
		return fmt.Errorf("run job: %w", err)
	}
	return nil
}

// tail keeps the last bytes written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - 400; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }
