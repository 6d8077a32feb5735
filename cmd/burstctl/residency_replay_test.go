package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestALogIsReplayedUnderOtherRulesAndPlaces(t *testing.T) {
	th, state := played(t)
	log := filepath.Join(state, "log")
	replay := func(want int, args ...string) string {
		t.Helper()
		args = append([]string{"residency", "replay", log, "--catalogue", filepath.Join(state, "catalogue.yaml")}, args...)
		return th.status(t, want, args...)
	}
	if out := replay(0); !strings.Contains(out, " 21 the same, 0 flip, 0 live grants to recall; 0 not known") {
		t.Errorf("under the rules it was decided by: %s", out)
	}
	if out := replay(0, "--withdraw", "EU/DE"); !strings.Contains(out, "allowed -> denied") ||
		!strings.Contains(out, "0 live grants") {
		t.Errorf("without Germany, when it is over: %s", out)
	}
	if out := replay(64, "--at", "yesterday"); !strings.Contains(out, "2026-11-25T12:00:00Z") {
		t.Errorf("at no time: %s", out)
	}
	if out := replay(1, "--withdraw", "adequacy:MOON"); !strings.Contains(out, "no such membership") {
		t.Errorf("without what is not there: %s", out)
	}
	// The same log as it stood while the node was reading: everything after the grant is left out.
	running := filepath.Join(th.dir, "running")
	leaves, err := readLog(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	var at time.Time
	for i, leaf := range leaves {
		if leaf.Entry.Kind == "cleared" {
			leaves, at = leaves[:i+1], leaf.Entry.At
			break
		}
	}
	if err := relog(running, leaves, false); err != nil {
		t.Fatal(err)
	}
	log = filepath.Join(running, "log")
	now := at.UTC().Format(time.RFC3339)
	if out := replay(0, "--at", now); !strings.Contains(out, "0 flip, 0 live grants") {
		t.Errorf("while it runs: %s", out)
	}
	out := replay(3, "--at", now, "--withdraw", "EU/DE")
	if !strings.Contains(out, "RECALL grant ") || !strings.Contains(out, "1 live grants to recall") {
		t.Errorf("without Germany, while it runs: %s", out)
	}
	if out := replay(0, "--at", at.AddDate(1, 0, 0).UTC().Format(time.RFC3339), "--withdraw", "EU/DE"); !strings.Contains(
		out, "0 live grants to recall") {
		t.Errorf("without Germany, after it expired: %s", out)
	}
}
