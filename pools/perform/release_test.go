package perform_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/scenarios/cast"
)

func TestAResultLeavesQuarantineByAnotherPersonsDecisionOnce(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		job, err := w.engine().Submit("user:alice", cast.Place, cast.Job(cast.Pseudonymised))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.engine().Ask(cast.Request(claim, job.ID, job.Job), cast.Digest("event")); err != nil {
			t.Fatal(err)
		}
		s := w.until(burst.Ended)
		for _, tc := range []struct{ who, claim, name, reason, want string }{
			{"user:anna", "c-9", "model.json", "checked", "not in the log"},
			{"user:anna", claim, "weights.bin", "checked", "no such result"},
			{"user:anna", claim, "model.json", "", "reason is missing"},
			{"user:alice", claim, "model.json", "checked", "another person must decide"},
			{"user:anna", claim, "model.json", "checked by hand", ""},
			{"user:anna", claim, "model.json", "again", "released already"},
		} {
			err := w.engine().Release(tc.who, tc.claim, tc.name, tc.reason)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%+v: %v", tc, err)
			}
		}
		if got := w.state().Released; w.count("released") != 1 || len(got) != 1 || got[0].Digest != s.Artefacts[0].Digest ||
			got[0].By != "user:anna" || got[0].Reason != "checked by hand" {
			t.Errorf("released %v in %d entries, want %s", got, w.count("released"), s.Artefacts[0].Digest)
		}
	})
}
