package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/train"
)

// keyHouse is a house whose demo user may change keys, with a bus that runs.
func keyHouse(t *testing.T) house {
	t.Helper()
	h := newHouse(t, filepath.Join(programs(t), "burstctl"))
	h.train(t, train.Config{Epochs: 8, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"},
		Pause: 300 * time.Millisecond})
	h.at = freePort(t)
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
	t.Cleanup(server.Shutdown)
	h.fill(t, []string{"127.0.0.1:0", h.at, "tls://127.0.0.1:4222", server.URL()}, "controller.yaml")
	h.fill(t, []string{"CONTROL_ADDRESS", h.at, "NATS_URL", server.URL()}, "edge.yaml")
	h.fill(t, []string{`Action::"burst.revoke"`, `Action::"burst.revoke", Action::"keys.rotate", Action::"rules.reload"`},
		"roles.cedar")
	return h
}

// says runs the command as the demo's user, and wants it to exit with code.
func (h house) says(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := exec.Command(h.bin, args...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "BURSTCTL_CONTROLLER="+h.at, "BURSTCTL_AS="+filepath.Join("keys", "user-demo"))
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if (ok && exit.ExitCode() != code) || (!ok && code != 0) {
		t.Fatalf("%s: %v, want %d\n%s", args, err, code, out)
	}
	return string(out)
}

// sealed waits until the whole log verifies with the first trust file.
func (h house) sealed(t *testing.T) {
	t.Helper()
	h.until(t, "sealed", h.verify)
}

// kind waits for entries of a kind.
func (h house) kind(t *testing.T, kind string, n int) {
	t.Helper()
	h.until(t, kind, func() error {
		if have := h.kinds()[kind]; have < n {
			return fmt.Errorf("%d entries of kind %s, want %d", have, kind, n)
		}
		return nil
	})
}

func (h house) vkey(t *testing.T, name string) string {
	t.Helper()
	v, err := keys.VKey(filepath.Join(h.dir, "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheLogKeyIsRotatedWhileABurstRunsAndRevokedAfter(t *testing.T) {
	h := keyHouse(t)
	edge := h.start(t, h.bin, "edge", "--config", "edge.yaml")
	controller := h.start(t, h.bin, "controller", "--config", "controller.yaml")
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	h.handIn(ctx, h.at)
	h.kind(t, "job-progress", 1)
	first := h.vkey(t, "controller/log.vkey")
	if said := h.says(t, 0, "keys", "rotate", "log"); !strings.Contains(said, "rotated") {
		t.Errorf("said %q", said)
	}
	h.kind(t, "ended", 1)
	h.sealed(t)
	h.says(t, 0, "audit", "verify", "log", "--trust", "trust.txt")
	if second := h.vkey(t, "controller/log.vkey"); second == first || h.kinds()[audit.RotationKind] != 1 {
		t.Fatal("the key is the same")
	}
	asides, err := filepath.Glob(filepath.Join(h.dir, "keys", "controller", "log.*.superseded.key"))
	if err != nil || len(asides) != 1 {
		t.Fatalf("kept aside: %v, %v", asides, err)
	}

	for _, p := range []*process{edge, controller} {
		if state := p.end(syscall.SIGTERM); state != "exit status 0" {
			t.Errorf("ended with %s", state)
		}
	}
	h.check(t, 0)
	dir := filepath.Join(h.dir, "keys", "controller") // as if killed after the entry and before the files moved
	for _, err := range []error{
		os.Rename(filepath.Join(dir, "log.key"), filepath.Join(dir, "log.next.key")),
		os.Rename(filepath.Join(dir, "log.vkey"), filepath.Join(dir, "log.next.vkey")),
		os.Rename(asides[0], filepath.Join(dir, "log.key")),
		os.WriteFile(filepath.Join(dir, "log.vkey"), []byte(first+"\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	edge = h.start(t, h.bin, "edge", "--config", "edge.yaml") // with the log.vkey it was once given
	controller = h.start(t, h.bin, "controller", "--config", "controller.yaml")
	h.kind(t, "opened", 2)
	h.sealed(t)
	if now := h.vkey(t, "controller/log.vkey"); now == first {
		t.Error("the next key was not put in place at the start")
	}
	h.says(t, 1, "keys", "revoke", "log", "--reason", "")
	h.says(t, 0, "keys", "revoke", "log", "--reason", "the old disk was sold")
	h.kind(t, audit.RevocationKind, 1)
	h.sealed(t)
	h.says(t, 0, "audit", "verify", "log", "--trust", "trust.txt")
	if n := h.kinds()[audit.RotationKind]; n != 2 {
		t.Errorf("%d rotations, want 2", n)
	}
	told := h.says(t, 0, "audit", "list", "log")
	for _, want := range []string{"key of log rotated, ", "key of log revoked, ", ": the old disk was sold"} {
		if !strings.Contains(told, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	controller.end(syscall.SIGTERM)
	edge.end(syscall.SIGTERM)
}

func TestTheOtherKeysAreRotatedAndRevoked(t *testing.T) {
	h := keyHouse(t)
	edge := h.start(t, h.bin, "edge", "--config", "edge.yaml")
	controller := h.start(t, h.bin, "controller", "--config", "controller.yaml")
	h.sealed(t)
	old := h.vkey(t, "controller/witness-hq.vkey")
	h.says(t, 0, "keys", "rotate", "witness", "--site", "hq")
	h.kind(t, audit.ChangeKind, 1)
	edge.end(syscall.SIGTERM)
	edge = h.start(t, h.bin, "edge", "--config", "edge.yaml") // signs with the new one
	aside, err := filepath.Glob(filepath.Join(h.dir, "keys", "edge-hq", "witness.*.superseded.vkey"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("kept aside: %v, %v", aside, err)
	}
	h.says(t, 0, "keys", "revoke", "witness", "--site", "hq", "--key", aside[0], "--reason", "rotated")
	h.sealed(t)
	head, err := os.ReadFile(filepath.Join(h.dir, "log", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := audit.CosignatureVerifier(old); err != nil || audit.SignedWith(head, v) {
		t.Errorf("cosigned with the revoked key: %v", err)
	}

	grants := h.vkey(t, "controller/grants.vkey")
	h.says(t, 0, "keys", "rotate", "grants")
	h.says(t, 0, "keys", "revoke", "grants", "--reason", "seen elsewhere")
	if now := h.vkey(t, "controller/grants.vkey"); now == grants {
		t.Error("the grants key is the same")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	h.handIn(ctx, h.at) // the edge was given the first grants key alone
	h.kind(t, "ended", 1)
	h.sealed(t)

	h.says(t, 0, "keys", "rotate", "places", "--dir", "keys/office")
	h.says(t, 0, "keys", "revoke", "places", "--reason", "the office was broken into", "--key",
		"keys/controller/places.vkey")
	if said := h.says(t, 1, "reload"); !strings.Contains(said, "revoked") {
		t.Errorf("a table under a revoked key: %s", said)
	}
	h.sealed(t)
	controller.end(syscall.SIGTERM)
	if said := h.says(t, 1, "controller", "--config", "controller.yaml"); !strings.Contains(said, "revoked") {
		t.Errorf("a table under a revoked key at the start: %s", said)
	}
	h.fill(t, []string{"keys: [keys/controller/places.vkey]",
		"keys: [keys/controller/places.vkey, keys/office/places.vkey], threshold: 1"}, "controller.yaml")
	if said := h.says(t, 1, "controller", "--config", "controller.yaml"); !strings.Contains(said, "BRS-1102") {
		t.Errorf("a table whose one signature is by a revoked key: %s", said)
	}
	h.says(t, 0, "places", "sign", "places.note", "--key", "keys/office/places.key", "--out", "places.note")
	controller = h.startController(t)
	h.says(t, 0, "reload")
	h.sealed(t)
	controller.end(syscall.SIGTERM)
	edge.end(syscall.SIGTERM)
	h.check(t, 0)
}
