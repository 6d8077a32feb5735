package main

import (
	"io"
	"log/slog"
	"os"
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

// An entry of kind azure opens without a word to Azure, and only whole.
func TestAProviderOfKindAzureOpensFromTheConfigFile(t *testing.T) {
	dir := t.TempDir()
	if err := buildHouse(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "controller.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const subnet = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/net/providers/" +
		"Microsoft.Network/virtualNetworks/v/subnets/nodes"
	before, _, ok := strings.Cut(string(text), "\nproviders:")
	if !ok {
		t.Fatalf("no providers in %s", text)
	}
	for _, tt := range []struct{ image, why string }{
		{"canonical:ubuntu-24_04-lts:server:24.04.202611010", ""},
		{"canonical:ubuntu-24_04-lts:server:latest", "name a version"},
	} {
		with := before + "\nproviders:\n  - kind: azure\n    azure: {subscription: " +
			"11111111-2222-3333-4444-555555555555, resource_group: bursts, image: \"" + tt.image +
			"\", subnets: {westeurope: \"" + subnet + "\"}, boot: {program: \"https://releases.claims.example/burstctl\", " +
			"sha256: " + strings.Repeat("ab", 32) + ", control: [\"192.0.2.10:8443\"], edges: [192.0.2.0/24]}}\n"
		if err := os.WriteFile(path, []byte(with), 0o600); err != nil {
			t.Fatal(err)
		}
		conf, err := readController(path)
		if err != nil {
			t.Fatal(err)
		}
		d := &daemon{conf: conf, lg: slog.New(slog.NewTextHandler(io.Discard, nil))}
		err = d.openFleet(t.Context())
		if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v", tt.image, err)
		}
		if err == nil && (len(d.fleet) != 1 || d.fleet["azure"] == nil) {
			t.Errorf("fleet %v", d.fleet)
		}
	}
}
