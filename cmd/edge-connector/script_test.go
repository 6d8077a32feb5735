package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/burstctl/burstctl/configs/frame/frametest"
)

// TestMain lets the scripts run this very binary as edge-connector.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"edge-connector": main})
}

func TestScripts(t *testing.T) { frametest.Scripts(t) }
