package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/train"
)

// TestKillAtEveryEntry runs a whole burst in real processes once for every
// entry it has, kills the controller with SIGKILL as soon as that entry is
// durable, starts it again, and wants the same end each time. Without
// BURST_REAL it kills at a few entries only.
func TestKillAtEveryEntry(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "burstctl")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole := newHouse(t, bin).burst(t, 0)
	ks := []int{6, 12}
	if os.Getenv("BURST_REAL") != "" {
		ks = nil
		for k := 1; k <= whole; k++ {
			ks = append(ks, k)
		}
	}
	for _, k := range ks {
		newHouse(t, bin).burst(t, k)
	}
	t.Logf("a burst of %d entries, killed at %d of them", whole, len(ks))
}

// house is a deployment of separate processes on this machine.
type house struct{ dir, bin string }

func newHouse(t *testing.T, bin string) house {
	t.Helper()
	h := house{t.TempDir(), bin}
	if err := buildHouse(h.dir); err != nil {
		t.Fatal(err)
	}
	conf, err := json.Marshal(train.Config{Epochs: 2, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"}})
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
		os.Link(bin, filepath.Join(payload, "train")), os.WriteFile(filepath.Join(payload, "train.json"), conf, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	after, err := residency.BuildManifest(edge.PayloadName, os.DirFS(payload))
	if err != nil {
		t.Fatal(err)
	}
	if err := address(filepath.Join(h.dir, "job.yaml"), before.Digest(), after.Digest()); err != nil {
		t.Fatal(err)
	}
	return h
}

// burst plays one burst with a controller that dies at entry k, and returns
// how many entries the log has in the end.
func (h house) burst(t *testing.T, k int) int {
	t.Helper()
	nats := filepath.Join(h.dir, "keys", "nats")
	cert, err := keys.Certificate(filepath.Join(nats, "tls", "server.pem"), filepath.Join(nats, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := busserver.Start(busserver.Options{Dir: nats, Listen: "127.0.0.1:0",
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	ln.Close()
	for file, pairs := range map[string][]string{
		"controller.yaml": {"127.0.0.1:0", at, "tls://127.0.0.1:4222", server.URL()},
		"edge.yaml":       {"CONTROL_ADDRESS", at, "NATS_URL", server.URL()},
	} {
		if err := address(filepath.Join(h.dir, file), pairs...); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	endEdge := h.start(t, "edge", "--config", "edge.yaml")
	defer endEdge(syscall.SIGTERM)
	endController := h.start(t, "controller", "--config", "controller.yaml", "--die-at-entry", fmt.Sprint(k))
	if k > 0 {
		early, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { h.handIn(early, at); close(done) }()
		state := endController(0)
		stop()
		<-done // one hand at a time, or the job is handed in twice
		if !strings.Contains(state, "killed") {
			t.Errorf("killed at %d: the controller ended by itself: %s", k, state)
		}
		endController = h.start(t, "controller", "--config", "controller.yaml")
	}
	defer endController(syscall.SIGTERM)
	h.handIn(ctx, at)
	h.await(ctx, t, k)
	if state := endController(syscall.SIGTERM); state != "exit status 0" {
		t.Errorf("killed at %d: the controller ended with %s", k, state)
	}
	return h.check(t, k)
}

// start starts a process of the house. The function it returns sends a signal,
// unless that is 0, and waits for the end.
func (h house) start(t *testing.T, args ...string) func(syscall.Signal) string {
	t.Helper()
	cmd := exec.Command(h.bin, args...)
	cmd.Dir = h.dir
	log, err := os.OpenFile(filepath.Join(h.dir, args[0]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	line, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		_ = cmd.Wait()
		ended <- cmd.ProcessState.String()
		close(ended)
	}()
	state := ""
	return func(s syscall.Signal) string {
		if state != "" {
			return state
		}
		if s != 0 {
			_ = cmd.Process.Signal(s)
		}
		state = <-ended
		line.Close()
		log.Close()
		return state
	}
}

// handIn hands the job in until the controller has it, once.
func (h house) handIn(ctx context.Context, at string) {
	k := caller{address: at, as: filepath.Join(h.dir, "keys", "user-demo")}
	for ctx.Err() == nil {
		client, err := k.client()
		if err == nil {
			status, serr := client.Status(ctx)
			if serr == nil && len(status.Jobs) > 0 {
				return
			}
			if serr == nil {
				job, jerr := configs.ReadJob(filepath.Join(h.dir, "job.yaml"))
				if jerr != nil {
					return
				}
				_, _ = client.Submit(ctx, "hq", job)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// await waits until the burst has ended and the whole log verifies, which it
// does once the edge has cosigned its end.
func (h house) await(ctx context.Context, t *testing.T, k int) {
	t.Helper()
	for {
		kinds := h.kinds()
		if kinds["ended"] > 0 && h.verify() == nil {
			return
		}
		if ctx.Err() != nil {
			for _, name := range []string{"controller", "edge"} {
				b, _ := os.ReadFile(filepath.Join(h.dir, name+".log"))
				t.Logf("%s: %s", name, b[max(0, len(b)-2000):])
			}
			t.Fatalf("killed at %d: no end in a minute: %v", k, kinds)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (h house) verify() error {
	text, err := os.ReadFile(filepath.Join(h.dir, "trust.txt"))
	if err != nil {
		return err
	}
	trust, err := audit.ParseTrust(text)
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

// check wants the same end whatever happened: one node, gone; one account,
// settled; one model; nothing that still runs.
func (h house) check(t *testing.T, k int) int {
	t.Helper()
	kinds := h.kinds()
	for _, kind := range []string{"requested", "decided", "launch-intent", "launched", "gone", "settled", "ended"} {
		if kinds[kind] != 1 {
			t.Errorf("killed at %d: %d entries of kind %s, want 1", k, kinds[kind], kind)
		}
	}
	models, err := filepath.Glob(filepath.Join(h.dir, "quarantine", "*", "model.json"))
	if err != nil || len(models) != 1 {
		t.Errorf("killed at %d: %d models arrived: %s", k, len(models), h.story())
	}
	if err := h.verify(); err != nil {
		t.Errorf("killed at %d: %v", k, err)
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		b, err := os.ReadFile(p)
		if err == nil && strings.HasPrefix(string(b), h.bin+"\x00node") && strings.Contains(string(b), h.dir) {
			t.Errorf("killed at %d: a node still runs: %q", k, b)
		}
	}
	return kinds[""]
}
