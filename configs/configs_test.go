package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheExamplesAreRead(t *testing.T) {
	if _, err := ReadController("controller.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := ReadEdge("edge.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := ReadCatalogue("catalogue.yaml"); err != nil {
		t.Error(err)
	}
	if j, err := ReadJob("job.yaml"); err != nil || j.GPUs != 1 || j.Budget.String() != "2.0000 USD" {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestABadConfigIsOneErrorThatNamesThePlace(t *testing.T) {
	good, err := os.ReadFile("controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"an unknown key":       {"heartbeat: 30s", "heart_beat: 30s", ":27:1: "},
		"another case":         {"rules: rules ", "Rules: rules ", ":14:1: "},
		"a key given twice":    {"heartbeat: 30s", "domain: other", "domain"},
		"no such duration":     {"heartbeat: 30s", "heartbeat: soon", "soon"},
		"money without a unit": {"25.00 USD", "25.00", "parse money"},
		"a value left out":     {"origin: burst.example/log ", "#", "origin is missing"},
	} {
		text := strings.Replace(string(good), c.old, c.new, 1)
		if text == string(good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		path := filepath.Join(t.TempDir(), "controller.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadController(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
