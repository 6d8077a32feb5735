package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAnOlderBackupVerifiesAndIsRefused puts back a log that has seen less than
// its controller and its witness, as the runbook "Backup and restore" has it:
// by itself nothing is wrong with it.
func TestAnOlderBackupVerifiesAndIsRefused(t *testing.T) {
	h := deploy(t)
	h.startNATS(t)
	h.startEdge(t)
	controller := h.startController(t)
	h.until(t, "witnessed", h.verify)
	controller.end(syscall.SIGTERM)
	if _, errs, code := h.call(t, "audit", "backup", "log", "old.tar"); code != 0 {
		t.Fatalf("backup: exit %d: %s", code, errs)
	}

	controller = h.startController(t)
	h.submit(t, "job.yaml")
	h.wells(t, 1)
	controller.end(syscall.SIGTERM)
	if _, errs, code := h.call(t, "audit", "restore", "old.tar", "restored", "--trust", "trust.txt"); code != 0 {
		t.Fatalf("restore: exit %d: %s", code, errs)
	}
	h.move(t, "log", "newest")
	h.move(t, "restored", "log")
	if err := h.verify(); err != nil {
		t.Errorf("the backup by itself: %v", err)
	}

	// The machine's own memory of what it has acknowledged refuses it first.
	_, errs, code := h.call(t, "controller", "--config", "controller.yaml")
	if code != 7 || !strings.Contains(errs, "BRS-7003") {
		t.Errorf("a controller that knows better opened it: exit %d: %s", code, errs)
	}
	// A new machine has none. The witness still remembers, and cosigns nothing.
	h.move(t, "log.state", "newest.state")
	controller = h.startController(t)
	h.until(t, "refused by the witness", func() error {
		if len(h.logged(t, "edge-connector", `"BRS-7003"`, "the witness remembers")) == 0 {
			return errors.New("not a word of BRS-7003")
		}
		return nil
	})
	if err := h.verify(); err == nil {
		t.Error("the older log goes on, and verifies")
	}
	controller.end(syscall.SIGTERM)

	// The newest copy is put back: all goes on.
	h.move(t, "log", "older")
	h.move(t, "log.state", "older.state")
	h.move(t, "newest", "log")
	h.move(t, "newest.state", "log.state")
	h.startController(t)
	h.submit(t, "job.yaml")
	h.wells(t, 2)
}

// move renames a file of the house.
func (h house) move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(h.dir, from), filepath.Join(h.dir, to)); err != nil {
		t.Fatal(err)
	}
}
