package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/scenarios/train"
)

// TestKillAtEveryEntry runs a whole burst in real processes once for every
// entry it has, kills the controller with SIGKILL as soon as that entry is
// durable, starts it again, and wants the same end each time. Without
// BURST_REAL it kills at a few entries only.
func TestKillAtEveryEntry(t *testing.T) {
	bin := filepath.Join(programs(t), "burstctl")
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

func newHouse(t *testing.T, bin string) house {
	t.Helper()
	h := house{dir: t.TempDir(), bin: bin}
	if err := buildHouse(h.dir); err != nil {
		t.Fatal(err)
	}
	h.train(t, train.Config{Epochs: 2, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"}})
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
	edge := h.start(t, h.bin, "edge", "--config", "edge.yaml")
	controller := h.start(t, h.bin, "controller", "--config", "controller.yaml", "--die-at-entry", fmt.Sprint(k))
	if k > 0 {
		early, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { h.handIn(early, at); close(done) }()
		state := controller.end(0)
		stop()
		<-done // one hand at a time, or the job is handed in twice
		if !strings.Contains(state, "killed") {
			t.Errorf("killed at %d: the controller ended by itself: %s", k, state)
		}
		controller = h.start(t, h.bin, "controller", "--config", "controller.yaml")
	}
	h.handIn(ctx, at)
	h.await(ctx, t, k)
	if state := controller.end(syscall.SIGTERM); state != "exit status 0" {
		t.Errorf("killed at %d: the controller ended with %s", k, state)
	}
	edge.end(syscall.SIGTERM)
	return h.check(t, k)
}

// handIn hands the job in until the controller has it, once.
func (h house) handIn(ctx context.Context, at string) {
	k := caller{address: at, as: filepath.Join(h.dir, "keys", "user-demo")}
	for ctx.Err() == nil {
		client, err := k.client(ctx)
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
	h.gone(t)
	return kinds[""]
}
