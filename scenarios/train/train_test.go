package train

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/scenarios/claims"
)

var config = Config{Epochs: 4, Seed: 7, Rate: 0.02, Label: "high_cost",
	Inputs: []string{"age_band", "stay_days", "prior_claims"}}

func TestTrainingLearnsRepeatsAndResumes(t *testing.T) {
	dir := t.TempDir()
	if err := claims.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	slice := os.DirFS(filepath.Join(dir, "claims", "2025-q3"))
	run := func(c Config, out string) []byte {
		var progress bytes.Buffer
		if _, err := Run(t.Context(), c, slice, out, &progress); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(out, "model.json"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	whole := run(config, t.TempDir())
	again := run(config, t.TempDir())
	if !bytes.Equal(whole, again) {
		t.Error("the same seed gave another model")
	}
	out, half := t.TempDir(), config
	half.Epochs = 2
	run(half, out)
	if resumed := run(config, out); !bytes.Equal(whole, resumed) {
		t.Errorf("a resumed run gave another model:\n%s\n%s", whole, resumed)
	}
	m, err := Run(t.Context(), config, slice, t.TempDir(), &bytes.Buffer{})
	if err != nil || m.Loss > 0.62 || m.Rows != claims.Rows*claims.Files {
		t.Errorf("loss %v over %d rows, %v: nothing was learnt", m.Loss, m.Rows, err)
	}
}

func TestAMissingColumnIsOneClearError(t *testing.T) {
	dir := t.TempDir()
	if err := claims.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	c := config
	c.Inputs = []string{"blood_group"}
	_, err := Run(t.Context(), c, os.DirFS(filepath.Join(dir, "claims", "2025-q3")), t.TempDir(), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), `column "blood_group" is not in the slice`) {
		t.Errorf("got %v", err)
	}
}
