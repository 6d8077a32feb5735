package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestDeployedWalkThrough does what README's "As separate processes" says, in
// its words. Three things differ: the programs are built into a directory of
// the test, ports 8443 and 4222 are replaced by free ones in the files that
// were prepared and in the environment, and the two commands that README says
// to repeat are repeated.
func TestDeployedWalkThrough(t *testing.T) {
	w := walk{t: t, at: freePort(t), nats: freePort(t)}
	w.bin, w.dir = programs(t), t.TempDir()
	w.house = house{dir: filepath.Join(w.dir, "house"), bin: filepath.Join(w.bin, "burstctl")}
	for _, line := range walkThrough(t) {
		w.do(line)
	}
	if len(w.running) != 3 {
		t.Fatalf("%d programs were started, want nats-server, controller, edge-connector", len(w.running))
	}
	if why := w.said["./burstctl why job-2"]; !strings.Contains(why, "special-needs-pseudonyms") ||
		!strings.Contains(why, "nearest permitted alternative: claims/2025-q3-pseudonymised") {
		t.Errorf("why job-2 says:\n%s", why)
	}
	w.results()
	for _, p := range slices.Backward(w.running) {
		if state := p.end(syscall.SIGTERM); state != "exit status 0" {
			t.Errorf("%s ended with %s", p.cmd.Args, state)
		}
	}
	w.house.gone(t)
	if err := w.house.verify(); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

// results looks at what came back, which its own submitter may not release.
func (w *walk) results() {
	w.t.Helper()
	out, err := w.ask([]string{"./burstctl", "artefacts"})
	if err != nil || !strings.Contains(out, "model.json") || !strings.Contains(out, "in quarantine") {
		w.t.Errorf("artefacts: %v\n%s", err, out)
	}
	claim, _, _ := strings.Cut(out[strings.Index(out, "c-"):], " ")
	_, err = w.ask([]string{"./burstctl", "release", claim, "model.json", "--reason", "mine"})
	if err == nil || !strings.Contains(err.Error(), "BRS-4003") {
		w.t.Errorf("release by who has no role: %v", err)
	}
}

// walkThrough are the command lines of README's section.
func walkThrough(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(b), "\n## As separate processes\n")
	_, section, fenced := strings.Cut(section, "\n```\n")
	block, _, closed := strings.Cut(section, "\n```\n")
	if !ok || !fenced || !closed {
		t.Fatal("README has no section \"As separate processes\" with a block of commands")
	}
	return strings.Split(block, "\n")
}

// walk is someone who follows the walk-through.
type walk struct {
	t        *testing.T
	dir, bin string // where one stands; where the programs are
	at, nats string // instead of ports 8443 and 4222
	house    house
	env      []string
	running  []*process
	said     map[string]string // by command
}

// do does one line.
func (w *walk) do(line string) {
	w.t.Helper()
	line, _, _ = strings.Cut(line, "#")
	line = strings.TrimSpace(line)
	command, behind := strings.CutSuffix(line, " &")
	words := strings.Fields(command)
	switch {
	case strings.HasPrefix(line, "go build "):
		w.build(line)
	case words[0] == "export":
		for _, pair := range words[1:] {
			w.env = append(w.env, strings.ReplaceAll(pair, "127.0.0.1:8443", w.at))
		}
	case behind:
		w.running = append(w.running, house{dir: w.dir, bin: w.house.bin}.start(w.t, w.program(words[0]), words[1:]...))
	default:
		w.run(line, words)
	}
}

// build wants README to build what this package's tests build.
func (w *walk) build(line string) {
	w.t.Helper()
	var named []string
	for one := range strings.SplitSeq(line, " && ") {
		named = append(named, strings.TrimPrefix(one, "go build "))
	}
	if !slices.Equal(named, packages) {
		w.t.Fatalf("README builds %v, the tests %v", named, packages)
	}
}

// program is ./name, which lies elsewhere.
func (w *walk) program(name string) string { return filepath.Join(w.bin, filepath.Base(name)) }

// run runs a command to its end, which must be 0. "status" is asked until both
// jobs have ended, and the log verified until the edge has cosigned that end.
func (w *walk) run(line string, words []string) {
	w.t.Helper()
	once := true
	enough := func(string) bool { return true }
	switch words[1] {
	case "status":
		once = false
		enough = func(out string) bool { return strings.Count(out, " ended ") == 2 }
	case "audit":
		once = false
	}
	w.house.until(w.t, line, func() error {
		out, err := w.ask(words)
		if err != nil && once {
			w.t.Fatal(err)
		}
		if err == nil && !enough(out) {
			err = errors.New(out)
		}
		return err
	})
	if slices.Contains(words, "--prepare") {
		w.house.fill(w.t, []string{"127.0.0.1:8443", w.at, "127.0.0.1:4222", w.nats},
			"controller.yaml", "edge.yaml", "keys/nats/nats.conf")
	}
}

// ask runs a command once and notes what it says.
func (w *walk) ask(words []string) (string, error) {
	cmd := exec.CommandContext(w.t.Context(), w.program(words[0]), words[1:]...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), w.env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if w.said == nil {
		w.said = map[string]string{}
	}
	w.said[strings.Join(words, " ")] = string(out)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, errs.Bytes())
	}
	return string(out), nil
}
