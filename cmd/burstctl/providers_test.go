package main

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
)

// TestTwoEntriesForOneProviderAreRefused: the second would hide the nodes that
// the first one made.
func TestTwoEntriesForOneProviderAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := buildHouse(dir); err != nil {
		t.Fatal(err)
	}
	conf, err := readController(filepath.Join(dir, "controller.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{conf: conf, lg: slog.New(slog.NewTextHandler(io.Discard, nil))}
	d.conf.Providers = append(d.conf.Providers,
		configs.Driver{Kind: "local", Dir: filepath.Join(dir, "more"), Places: []string{"azure/westeurope"}})
	err = d.openFleet(t.Context())
	if err == nil || frame.ExitCode(err) != 1 ||
		!strings.Contains(err.Error(), "open provider 2: an earlier one makes nodes at azure too") {
		t.Errorf("openFleet = %v", err)
	}
	d.conf.Providers[1].Places = []string{"gcp/europe-west3"}
	if err := d.openFleet(t.Context()); err != nil || len(d.fleet) != 3 {
		t.Errorf("openFleet = %v with %d providers, want 3", err, len(d.fleet))
	}
	d.close()
}
