package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud/local"
)

// told is a scene as a program reads it.
type told struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Time       time.Time       `json:"time"`
	Since      string          `json:"since"`
	Step       int             `json:"step"`
	Title      string          `json:"title"`
	Who        string          `json:"who"`
	Text       string          `json:"text"`
	More       []string        `json:"more"`
	Index      *int64          `json:"index"`
	Entry      string          `json:"entry"`
	Claim      string          `json:"claim"`
	Facts      json.RawMessage `json:"facts"`
}

// theater is where one demo is played: its own copy of the program, in a
// directory of its own that everyone may enter, so that whatever is left of
// this run is known by its path.
type theater struct{ dir string }

func newTheater(t *testing.T) theater {
	t.Helper()
	dir, err := os.MkdirTemp("", "burstctl-theater-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := os.ReadFile(filepath.Join(programs(t), "burstctl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "tmp"), 0o700),
		os.WriteFile(filepath.Join(dir, "burstctl"), b, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return theater{dir}
}

// command is the program, called from its own directory, in a process group of
// its own, with the least of environments.
func (th theater) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "./burstctl", args...)
	cmd.Dir = th.dir
	tmp := filepath.Join(th.dir, "tmp")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + tmp, "HOME=" + tmp}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// play plays the demo to its end and shows every scene to watch, if there is one.
func (th theater) play(t *testing.T, cmd *exec.Cmd, watch func(told)) []told {
	t.Helper()
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scenes := listen(t, out, watch)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("demo: %v\n%s", err, &talk)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("the demo took %v, more than a minute", took)
	}
	return scenes
}

// listen reads scenes until there are no more; every line must be one.
func listen(t *testing.T, out io.Reader, watch func(told)) []told {
	t.Helper()
	var scenes []told
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s told
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if s.Kind != "Scene" || s.Time.IsZero() || slices.Contains([]string{s.Since, s.Text, s.Title, s.Who}, "") {
			t.Errorf("a scene lacks something: %s", lines.Text())
		}
		scenes = append(scenes, s)
		if watch != nil {
			watch(s)
		}
	}
	return scenes
}

// status runs a command line and wants it to end with that status.
func (th theater) status(t *testing.T, want int, args ...string) string {
	t.Helper()
	out, err := th.command(t, args...).CombinedOutput()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("burstctl %s: exit %d, want %d\n%s", strings.Join(args, " "), got, want, out)
	}
	return string(out)
}

func TestTheDemoPlaysAWholeBurstOnRealParts(t *testing.T) {
	th := newTheater(t)
	state := filepath.Join(th.dir, "it's a state") // what it prints must survive a shell
	var spaces []string
	scenes := th.play(t, th.command(t, "demo", "--state", state, "--keep", "-o", "json"), func(s told) {
		if s.Entry == "job-progress" && spaces == nil {
			spaces = th.spaces(t)
		}
	})
	checkOrder(t, scenes)
	checkFacts(t, scenes)
	checkSpaces(t, spaces, os.Geteuid() == 0 && local.Isolates())
	th.gone(t, "a whole demo")

	log, trust := filepath.Join(state, "log"), filepath.Join(state, "trust.txt")
	th.status(t, 0, "audit", "verify", log, "--trust", trust)
	for _, kept := range []string{"data", "payloads", "nodes", "controller.yaml", "edge.log"} {
		if _, err := os.Stat(filepath.Join(state, kept)); err != nil {
			t.Errorf("--keep: %v", err)
		}
	}
	th.tryNext(t, scenes[len(scenes)-1], 3)
	flip(t, filepath.Join(log, "checkpoint"))
	th.status(t, 7, "audit", "verify", log, "--trust", trust)
	th.status(t, 1, "demo", "--state", state) // is not empty
}

// tryNext runs the commands that the last scene proposes, as they stand.
func (th theater) tryNext(t *testing.T, last told, want int) {
	t.Helper()
	if len(last.More) != want {
		t.Errorf("%d commands to try next, want %d: %v", len(last.More), want, last.More)
	}
	for _, line := range last.More {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir = th.dir
		if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

func TestTheDemoNeedsNeitherRootNorNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("every other test of the demo is this one")
	}
	t.Run("as nobody", func(t *testing.T) {
		const nobody = 65534
		th := newTheater(t)
		if err := os.Chown(filepath.Join(th.dir, "tmp"), nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd := th.command(t, "demo", "-o", "json")
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		playPlain(t, th, cmd)
	})
	t.Run("as root in a container, who may make no namespaces", func(t *testing.T) {
		th := newTheater(t)
		cmd := th.command(t, "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "./burstctl", "demo", "-o", "json")
		var err error
		if cmd.Path, err = exec.LookPath("setpriv"); err != nil && os.Getenv("BURST_REAL") == "" {
			t.Skip(err)
		} else if err != nil {
			t.Fatal(err)
		}
		playPlain(t, th, cmd)
	})
}

// playPlain plays the whole story where nodes are plain processes.
func playPlain(t *testing.T, th theater, cmd *exec.Cmd) {
	t.Helper()
	var spaces []string
	scenes := th.play(t, cmd, func(s told) {
		if s.Entry == "job-progress" && spaces == nil {
			spaces = th.spaces(t)
		}
	})
	checkOrder(t, scenes)
	checkSummary(t, scenes)
	checkSpaces(t, spaces, false)
	body(t, scenes, func(s burst.Started) bool { return s.Mount == "copy" })
	if !slices.ContainsFunc(scenes, func(s told) bool { return strings.HasPrefix(s.Text, "slice copied and verified") }) {
		t.Error("the story does not say that the slice was copied")
	}
	th.tryNext(t, scenes[len(scenes)-1], 3)
	th.gone(t, "a demo without namespaces")
}

// processes are the ids of those that have to do with this theater. Whoever
// has a namespace of the driver's is among them: it names none and mounts none.
func (th theater) processes(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, d := range dirs {
		exe, _ := os.Readlink(filepath.Join(d, "exe"))
		cwd, _ := os.Readlink(filepath.Join(d, "cwd"))
		argv, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		if strings.Contains(exe+" "+cwd+" "+string(argv), th.dir+"/") {
			pids = append(pids, filepath.Base(d))
		}
	}
	return pids
}

// spaces are the network namespaces of the theater's nodes.
func (th theater) spaces(t *testing.T) []string {
	t.Helper()
	var spaces []string
	for _, pid := range th.processes(t) {
		argv, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil || !bytes.Contains(argv, []byte("\x00node\x00")) {
			continue
		}
		if s, err := os.Readlink("/proc/" + pid + "/ns/net"); err == nil {
			spaces = append(spaces, s)
		}
	}
	return spaces
}

// checkSpaces wants one node, in a network of its own or not.
func checkSpaces(t *testing.T, spaces []string, own bool) {
	t.Helper()
	here, err := os.Readlink("/proc/thread-self/ns/net") // the first thread may be apart: local.Isolates
	if err != nil {
		t.Fatal(err)
	}
	if len(spaces) != 1 || (spaces[0] != here) != own {
		t.Errorf("nodes in %v while the job runs, this is %s; want one, apart: %v", spaces, here, own)
	}
}

// gone waits a few seconds until no process and no mount of the theater is left.
func (th theater) gone(t *testing.T, after string) {
	t.Helper()
	var pids []string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if pids = th.processes(t); len(pids) == 0 {
			break
		}
	}
	for _, pid := range pids {
		argv, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		t.Errorf("after %s a process is left: %s %q", after, pid, argv)
	}
	tables, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		b, err := os.ReadFile(table)
		if err == nil && bytes.Contains(b, []byte(th.dir+"/")) {
			t.Errorf("after %s a mount is left: %s", after, table)
		}
	}
}

// moments are scenes at which the demo is ended. The zero moment is the start.
var moments = []struct {
	name  string
	plain bool // also without BURST_REAL
	is    func(told) bool
}{
	{"at the very start", true, nil},
	{"when the house opens", false, func(s told) bool { return s.Step == int(opening) }},
	{"while the site fills up", false, func(s told) bool { return strings.Contains(s.Text, "busy") }},
	{"when it is saturated", false, func(s told) bool { return strings.HasPrefix(s.Text, "SATURATED") }},
	{"when a launch is intended", false, func(s told) bool { return s.Entry == "launch-intent" }},
	{"after the launch", false, func(s told) bool { return s.Entry == "launched" }},
	{"when the receipt is accepted", false, func(s told) bool { return strings.HasPrefix(s.Text, "receipt accepted") }},
	{"when the slice is mounted", false, func(s told) bool { return s.Entry == "job-started" }},
	{"while the job runs", true, func(s told) bool { return s.Entry == "job-progress" }},
	{"when the model is back", false, func(s told) bool { return s.Entry == "artefact" }},
	{"during the teardown", false, func(s told) bool { return s.Entry == "unmounted" }},
	{"when the node is gone", false, func(s told) bool { return s.Entry == "gone" }},
}

func TestTheDemoLeavesNothingHoweverItEnds(t *testing.T) {
	for _, m := range moments {
		if !m.plain && os.Getenv("BURST_REAL") == "" {
			continue
		}
		t.Run("Ctrl-C "+m.name, func(t *testing.T) { interrupt(t, m.name, m.is) })
		t.Run("kill -9 "+m.name, func(t *testing.T) { kill(t, m.name, m.is) })
	}
}

// interrupt presses Ctrl-C, which reaches the whole process group.
func interrupt(t *testing.T, name string, is func(told) bool) {
	th := newTheater(t)
	state := th.end(t, is, func(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGINT) })
	early := is == nil && state.String() == "signal: interrupt" // no program can be quick enough
	if state.ExitCode() != 2 && !early {
		t.Errorf("ended with %v, want status 2", state)
	}
	th.gone(t, "a Ctrl-C "+name)
	left, err := os.ReadDir(filepath.Join(th.dir, "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// kill kills the demo's first process and no other.
func kill(t *testing.T, name string, is func(told) bool) {
	th := newTheater(t)
	state := th.end(t, is, (*os.Process).Kill)
	if state.String() != "signal: killed" {
		t.Errorf("ended with %v", state)
	}
	th.gone(t, "a kill -9 "+name)
}

// end plays until the scene, ends the demo there and returns how it ended.
func (th theater) end(t *testing.T, is func(told) bool, how func(*os.Process) error) *os.ProcessState {
	t.Helper()
	cmd := th.command(t, "demo", "-o", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begun := is == nil
	if begun {
		time.Sleep(time.Duration(os.Getpid()%40) * time.Millisecond) // the moment is any
		if err := how(cmd.Process); err != nil {
			t.Error(err)
		}
	}
	listen(t, io.LimitReader(out, 1<<20), func(s told) {
		if !begun && is(s) {
			begun = true
			if err := how(cmd.Process); err != nil {
				t.Error(err)
			}
		}
	})
	_ = cmd.Wait() // its state says how it ended
	if !begun {
		t.Error("the moment never came")
	}
	return cmd.ProcessState
}
