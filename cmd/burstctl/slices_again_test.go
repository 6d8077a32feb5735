package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/scenarios/train"
)

// connector runs a verb of edge-connector in the house, and wants it to end well.
func (h house) connector(t *testing.T, in string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), "edge-connector"), args...)
	cmd.Dir, cmd.Stdin = h.dir, strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestAWithdrawalIsGoneByWithoutARestart withdraws a person while a job reads a
// slice they are in: the old slice is served no more, and the next job reads the
// one that was made without them.
func TestAWithdrawalIsGoneByWithoutARestart(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	h.train(t, train.Config{Epochs: 100_000, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"}})
	nats, controller, edge := h.startNATS(t), h.startController(t), h.startEdge(t)
	h.submit(t, "job.yaml")
	h.kind(t, "job-progress", 1)

	rows, err := os.ReadFile(filepath.Join(h.dir, "data/claims/2025-q3/part-000.csv"))
	if err != nil {
		t.Fatal(err)
	}
	member, _, _ := strings.Cut(strings.Split(string(rows), "\n")[1], ",")
	out := h.connector(t, member+"\n", "slices", "withdraw", "claims")
	changed := regexp.MustCompile(`2025-q3-pseudonymised +built again +(sha256:\w+) +(sha256:\w+)`).FindStringSubmatch(out)
	if changed == nil || changed[1] == changed[2] {
		t.Fatalf("withdraw said:\n%s", out)
	}
	h.tells(t, "edge-connector", "slice is held no more", changed[1])
	h.tells(t, "edge-connector", `"slice is held"`, changed[2])
	h.until(t, "files as they lie are not held", func() error {
		if len(h.logged(t, "edge-connector", "slice is not held", "somebody withdrew")) == 0 {
			return errors.New("not said")
		}
		return nil
	})
	if out, errs, code := h.call(t, "recall", "claims", "--reason", "consent withdrawn"); code != 0 {
		t.Errorf("recall: exit %d: %s%s", code, out, errs)
	}
	h.kind(t, "ended", 1)

	h.submit(t, "job.yaml")
	h.tells(t, "edge-connector", "request announced", "job-2", changed[2])
	reads := h.kinds()["job-progress"]
	h.until(t, "the next job reads the new slice", func() error {
		if len(h.logged(t, "edge-connector", "receipt accepted")) < 2 || h.kinds()["job-progress"] <= reads {
			return errors.New(h.story())
		}
		return nil
	})
	if out, errs, code := h.call(t, "recall", "claims", "--reason", "the test is over"); code != 0 {
		t.Errorf("recall: exit %d: %s%s", code, out, errs)
	}
	h.kind(t, "ended", 2)
	h.sealed(t)
	h.over(t, edge, controller, nats)
}
