package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/burstctl/burstctl/configs/frame/frametest"
)

// TestMain lets the scripts run this very binary as burstctl.
func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"burstctl": main, "relog": relogMain, "train": main})
}

// tidy takes what the tests have built away when they are done.
type tidy struct{ *testing.M }

// Run runs the tests.
func (m tidy) Run() int {
	defer func() { os.RemoveAll(built) }()
	return m.M.Run()
}

func TestScripts(t *testing.T) { frametest.Scripts(t) }
