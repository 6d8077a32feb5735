package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/train"
)

// packages are what README's walk-through builds.
var packages = []string{"./cmd/burstctl", "./cmd/edge-connector", "github.com/nats-io/nats-server/v2"}

// built is where the packages' programs are, once a test has asked for them.
var built string

var build = sync.OnceValue(func() error {
	var err error
	if built, err = os.MkdirTemp("", "burstctl-programs-"); err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"build", "-o", built + "/"}, packages...)...)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
})

// programs builds the programs once and returns their directory.
func programs(t *testing.T) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return built
}

// patient is how long a test waits for what must come; the machine may be busy.
const patient = 2 * time.Minute

// until asks again until it is so, and fails with the reason if it never is.
func (h house) until(t *testing.T, what string, so func() error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(patient)
	for {
		err := so()
		if err == nil {
			return
		}
		if time.Now().After(end) || t.Context().Err() != nil {
			logs, _ := filepath.Glob(filepath.Join(h.dir, "*.log"))
			for _, name := range logs {
				b, _ := os.ReadFile(name)
				t.Logf("%s: %s", filepath.Base(name), b[max(0, len(b)-1500):])
			}
			t.Fatalf("never %s: %v%s", what, err, h.story())
		}
		<-tick.C
	}
}

// house is a deployment of separate processes on this machine.
type house struct {
	dir, bin string // its files; the program burstctl
	at, nats string // host:port of the controller and of the bus
}

// deploy prepares a house as README says, at free ports. Nothing runs yet.
func deploy(t *testing.T) house {
	t.Helper()
	h := house{dir: filepath.Join(t.TempDir(), "house"), bin: filepath.Join(programs(t), "burstctl"),
		at: freePort(t), nats: freePort(t)}
	prepare := exec.CommandContext(t.Context(), h.bin, "demo", "--prepare", "--state", h.dir)
	if out, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.fill(t, []string{"127.0.0.1:8443", h.at, "127.0.0.1:4222", h.nats},
		"controller.yaml", "edge.yaml", "keys/nats/nats.conf")
	t.Cleanup(func() { // a test that failed may leave nodes
		for pid := range h.processes(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return h
}

// startNATS, startController and startEdge start the house's three daemons.
func (h house) startNATS(t *testing.T) *process {
	return h.start(t, filepath.Join(programs(t), "nats-server"), "-c", "keys/nats/nats.conf")
}

func (h house) startController(t *testing.T) *process {
	return h.start(t, h.bin, "controller", "--config", "controller.yaml")
}

func (h house) startEdge(t *testing.T) *process {
	return h.start(t, filepath.Join(programs(t), "edge-connector"), "run", "--config", "edge.yaml")
}

// call runs burstctl as the house's user, and returns what it says.
func (h house) call(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), h.bin, args...)
	var stdout, stderr strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), "BURSTCTL_CONTROLLER="+h.at, "BURSTCTL_AS=keys/user-demo")
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// submit hands a job in.
func (h house) submit(t *testing.T, job string) {
	t.Helper()
	if _, errs, code := h.call(t, "submit", "--site", "hq", job); code != 0 {
		t.Fatalf("submit %s: exit %d: %s", job, code, errs)
	}
}

// wells waits until n bursts have ended well and the log verifies.
func (h house) wells(t *testing.T, n int) {
	t.Helper()
	h.until(t, fmt.Sprintf("%d bursts ended well", n), func() error {
		out, errs, _ := h.call(t, "status")
		if strings.Count(out, " ended ") < n || strings.Count(out, " finished") < n {
			return errors.New(out + errs)
		}
		return h.verify()
	})
}

// logged are the lines of a program's log that hold all of what.
func (h house) logged(t *testing.T, program string, what ...string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, program+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(b), "\n"), func(line string) bool {
		return slices.ContainsFunc(what, func(w string) bool { return !strings.Contains(line, w) })
	})
}

// freePort is an address nothing listens at just now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// fill replaces text in files of the house.
func (h house) fill(t *testing.T, pairs []string, files ...string) {
	t.Helper()
	for _, name := range files {
		if err := address(filepath.Join(h.dir, name), pairs...); err != nil {
			t.Fatal(err)
		}
	}
}

// train changes how long the payload trains, and its digest in the jobs.
func (h house) train(t *testing.T, c train.Config) {
	t.Helper()
	conf, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	payload := filepath.Join(h.dir, "payloads", "train")
	before, err := residency.BuildManifest(edge.PayloadName, os.DirFS(payload))
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(payload, "train"))
	for _, err := range []error{
		os.Link(h.bin, filepath.Join(payload, "train")), os.WriteFile(filepath.Join(payload, "train.json"), conf, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	after, err := residency.BuildManifest(edge.PayloadName, os.DirFS(payload))
	if err != nil {
		t.Fatal(err)
	}
	h.fill(t, []string{before.Digest(), after.Digest()}, "job.yaml", "job-unpermitted.yaml")
}

// process is a program that runs. Made by [house.start]; it ends with its test.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts a program in the house's directory. What it says is in its
// name's log there.
func (h house) start(t *testing.T, program string, args ...string) *process {
	t.Helper()
	name := filepath.Base(program)
	if program == h.bin {
		name = args[0]
	}
	log, err := os.OpenFile(filepath.Join(h.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, log, log
	line, err := cmd.StdinPipe() // burstctl's own edge ends when it closes
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		line.Close()
		close(p.ended)
	}()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

// end sends a signal, unless it is 0, and tells how the process ended. One that
// does not end in time is killed.
func (p *process) end(s syscall.Signal) string {
	if s != 0 {
		_ = p.cmd.Process.Signal(s)
	}
	select {
	case <-p.ended:
		return p.cmd.ProcessState.String()
	case <-time.After(patient):
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return "not in time: " + p.cmd.ProcessState.String()
}

// trust is whom the house's log is verified with.
func (h house) trust() (audit.Trust, error) {
	text, err := os.ReadFile(filepath.Join(h.dir, "trust.txt"))
	if err != nil {
		return audit.Trust{}, err
	}
	return audit.ParseTrust(text)
}

func (h house) verify() error {
	trust, err := h.trust()
	if err != nil {
		return err
	}
	_, err = audit.Verify(context.Background(), os.DirFS(filepath.Join(h.dir, "log")), trust)
	return err
}

// kinds counts the log's entries by kind; "" is their number.
func (h house) kinds() map[string]int {
	kinds := map[string]int{}
	for leaf, err := range audit.Read(context.Background(), os.DirFS(filepath.Join(h.dir, "log"))) {
		if err != nil {
			break
		}
		kinds[leaf.Entry.Kind]++
		kinds[""]++
	}
	return kinds
}

// story is the log in words.
func (h house) story() string {
	var b strings.Builder
	for leaf, err := range audit.Read(context.Background(), os.DirFS(filepath.Join(h.dir, "log"))) {
		if err != nil {
			break
		}
		l := tell(leaf)
		fmt.Fprintf(&b, "\n%d %s %s %s", l.Index, l.At.Format("15:04:05.000"), l.Actor, l.Text)
	}
	return b.String()
}

// gone wants nothing of the house to be left: no process that runs from it, in
// it or with it in its command line, and no mount. Namespaces end with their
// last process, or are mounts.
func (h house) gone(t *testing.T) {
	t.Helper()
	h.until(t, "gone", func() error {
		for pid, what := range h.processes(t) {
			return fmt.Errorf("process %d still runs: %s", pid, what)
		}
		mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
		if err != nil {
			return err
		}
		for m := range strings.Lines(string(mounts)) {
			if strings.Contains(m, h.dir+"/") {
				return fmt.Errorf("still mounted: %s", m)
			}
		}
		return nil
	})
}

// processes are those of the house that still run, with their command lines.
func (h house) processes(t *testing.T) map[int]string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		line, lerr := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || lerr != nil || len(line) == 0 || pid == os.Getpid() { // ended meanwhile, or a zombie
			continue
		}
		exe, _ := os.Readlink(filepath.Join(dir, "exe"))
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		said := strings.ReplaceAll(string(line), "\x00", " ")
		if strings.Contains(exe+"\n"+cwd+"/\n"+said, h.dir+"/") {
			found[pid] = said
		}
	}
	return found
}
