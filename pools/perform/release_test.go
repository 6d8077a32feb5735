package perform_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
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

func TestASiteIsToldOfAReleaseWithItsProofUntilItHasMovedTheResult(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.ask()
		w.until(burst.Ended)
		if err := w.engine().Release("user:anna", claim, "model.json", "checked"); err != nil {
			t.Fatal(err)
		}
		w.recall("claims", "", "consent withdrawn")
		settle()
		due := func() []tunnel.Releasing { return w.engine().Work(context.Background(), cast.Place, -1).Releases }
		all := due()
		if len(all) != 1 || all[0].Claim != claim || all[0].Flagged != "consent withdrawn" {
			t.Fatalf("the site is told of %+v", all)
		}
		enter := func(kind string, body any) (tunnel.Entered, error) {
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			return w.engine().EnterFor(t.Context(), cast.Place, tunnel.Entering{Claim: claim, Kind: kind, Body: raw})
		}
		in, err := enter(tunnel.AskRelease, tunnel.ReleaseBody{Entry: all[0].Entry})
		if err != nil || in.Index != all[0].Entry || !strings.Contains(string(in.Leaf), `"user:anna"`) {
			t.Errorf("proof of entry %d: %s: %v", in.Index, in.Leaf, err)
		}
		for _, entry := range []int64{-1, 0, all[0].Entry - 1, all[0].Entry + 1, 1 << 40} {
			if _, err := enter(tunnel.AskRelease, tunnel.ReleaseBody{Entry: entry}); err == nil {
				t.Errorf("entry %d is proven as a release", entry)
			}
		}
		said := func(b burst.Body) error { _, err := enter(b.Kind(), b); return err }
		held := &burst.Withheld{Name: "model.json", Digest: all[0].Digest, Why: "it is flagged"}
		if err := said(held); err != nil || said(held) == nil || due()[0].Withheld != "it is flagged" {
			t.Errorf("withheld: %v, %+v", err, due())
		}
		moved := burst.HandedOut{Name: "model.json", Digest: all[0].Digest, Release: all[0].Entry + 1}
		if err := said(&moved); err == nil {
			t.Error("it is moved by another release")
		}
		moved.Release = all[0].Entry
		if err := said(&moved); err != nil || len(due()) != 0 || !w.state().Released[0].Out {
			t.Errorf("handed out: %v, %+v", err, due())
		}
		settle()
	})
}
