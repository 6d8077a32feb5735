package columnar_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

func TestUnderALegalHoldAWithdrawalDestroysNothingAndServesNothingOfIt(t *testing.T) {
	for what, hold := range map[string]*residency.Hold{
		"free": nil, "held": {Since: "2026-01-01", Reason: "a suit", By: "the court"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.set.Hold, w.set.Slices = hold, []residency.SliceSpec{w.spec}
			w.set.Table.Subject = "member"
			s := w.store(t, "slices-0")
			before, err := s.Build(w.set, w.spec)
			if err != nil {
				t.Fatal(err)
			}
			all, err := s.Withdraw(w.set, []string{"canary-member-000002"})
			if err != nil || len(all) != 1 || all[0].After == all[0].Before || all[0].Kept != (hold != nil) {
				t.Fatalf("%+v: %v", all, err)
			}
			name := strings.TrimPrefix(before.Manifest.Digest(), "sha256:")
			if n := len(glob(t, w.dir, "slices-0/built/"+name)); n != 0 {
				t.Error("what it was is still where slices are served from")
			}
			kept := len(glob(t, w.dir, "slices-0/held/claims/"+name+"/data/*"))
			if (kept > 0) != (hold != nil) {
				t.Errorf("%d of its files are kept", kept)
			}
			if now, err := s.Held(w.set, w.spec); err != nil || now.Manifest.Digest() != all[0].After {
				t.Errorf("held now: %s: %v", now.Manifest.Digest(), err)
			}
		})
	}
}

func TestALegalHoldAfterRetentionKeepsTheSliceAndLetsNothingOut(t *testing.T) {
	w := newWorld(t)
	w.set.Slices, w.set.Table.Subject = []residency.SliceSpec{w.spec}, "member"
	s := w.store(t, "slices-0")
	if _, err := s.Build(w.set, w.spec); err != nil {
		t.Fatal(err)
	}
	w.set.Hold = &residency.Hold{Since: "2026-01-01", Reason: "a suit", By: "the court"}
	w.set.Retention = "2026-11-24"
	all, err := s.Withdraw(w.set, []string{"canary-member-000002"})
	if err != nil || len(all) != 1 || !all[0].Kept || !errors.Is(all[0].Err, columnar.ErrNotNow) {
		t.Fatalf("%+v: %v", all, err)
	}
	if len(glob(t, w.dir, "slices-0/held/claims/*/manifest.json")) != 1 {
		t.Error("it is not kept")
	}
	if _, err := s.Held(w.set, w.spec); !errors.Is(err, columnar.ErrNotNow) {
		t.Errorf("it is held out for serving: %v", err)
	}
}

func TestAHoldSaysSinceWhenWhyAndByWhom(t *testing.T) {
	w := newWorld(t)
	w.set.Slices = []residency.SliceSpec{w.spec}
	for what, tt := range map[string]struct {
		hold residency.Hold
		want string
	}{
		"zero":      {residency.Hold{}, "since"},
		"no reason": {residency.Hold{Since: "2026-01-01", By: "x"}, "reason"},
		"too long":  {residency.Hold{Since: "2026-01-01", Reason: strings.Repeat("x", 501), By: "x"}, "reason"},
		"nobody":    {residency.Hold{Since: "2026-01-01", Reason: "x"}, "who ordered"},
		"no day":    {residency.Hold{Since: "2026-02-30", Reason: "x", By: "x"}, "no day"},
	} {
		w.set.Hold = &tt.hold
		_, err := residency.NewCatalogue([]residency.Dataset{w.set})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatALegalHoldKeptIsDiscardedOnlyOnceItIsLifted(t *testing.T) {
	w := newWorld(t)
	w.set.Slices, w.set.Table.Subject = []residency.SliceSpec{w.spec}, "member"
	w.set.Hold = &residency.Hold{Since: "2026-01-01", Reason: "a suit", By: "the court"}
	s := w.store(t, "slices-0")
	before, err := s.Build(w.set, w.spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Withdraw(w.set, []string{"canary-member-000002"}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Kept()
	if err != nil || len(all) != 1 || all[0].Digest != before.Manifest.Digest() || all[0].Slice != w.spec.Name ||
		all[0].Dataset != "claims" || all[0].Bytes < before.Manifest.Bytes {
		t.Fatalf("kept %+v: %v", all, err)
	}
	if _, err := s.Discard(w.set); !errors.Is(err, columnar.ErrRefused) || !strings.Contains(err.Error(), "the court") {
		t.Errorf("discarded while the hold stands: %v", err)
	}
	other := w.set
	if other.ID, other.Slices, other.Hold = "roads", nil, nil; len(must(s.Discard(other))(t)) != 0 {
		t.Error("another dataset's discard takes it")
	}
	if all, err := s.Kept(); err != nil || len(all) != 1 {
		t.Fatalf("kept %+v: %v", all, err)
	}
	w.set.Hold = nil
	if gone := must(s.Discard(w.set))(t); len(gone) != 1 || gone[0] != all[0] {
		t.Errorf("discarded %+v", gone)
	}
	if n := len(glob(t, w.dir, "slices-0/held/claims/*")); n != 0 {
		t.Errorf("%d are left", n)
	}
	if _, err := s.Held(w.set, w.spec); err != nil {
		t.Errorf("the slice that is served went with it: %v", err)
	}
}

// must wants no error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
