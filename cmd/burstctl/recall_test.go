package main

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/scenarios/train"
)

// TestDataThatIsCalledBackEndsItsBursts withdraws a dataset while a job reads it.
func TestDataThatIsCalledBackEndsItsBursts(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	h.train(t, train.Config{Epochs: 100_000, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"}})
	h.startNATS(t)
	h.startController(t)
	h.startEdge(t)
	h.submit(t, "job.yaml")
	h.kind(t, "job-progress", 1)

	if out, errs, code := h.call(t, "recall", "claim", "--reason", "a name that only begins alike"); code != 0 ||
		!strings.Contains(out, "0 bursts") {
		t.Errorf("recall of another dataset: exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := h.call(t, "recall", "claims", "--reason", "consent withdrawn"); code != 0 ||
		!strings.Contains(out, "1 bursts called back: c-") {
		t.Errorf("recall: exit %d: %s%s", code, out, errs)
	}
	h.kind(t, "ended", 1)
	h.sealed(t)
	story := h.story()
	for _, want := range []string{"consent withdrawn", "probe: the old credential is refused", "ended: revoked"} {
		if !strings.Contains(story, want) {
			t.Errorf("the log does not say %q:%s", want, story)
		}
	}
	out, _, code := h.call(t, "recall", "claims", "--reason", "again")
	if code != 0 || !strings.Contains(out, "0 bursts") {
		t.Errorf("recall again: exit %d: %s", code, out)
	}
}
