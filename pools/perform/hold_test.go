package perform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// held is the world's catalogue with one dataset, under this hold or none.
func held(t *testing.T, hold *residency.Hold) *residency.Catalogue {
	t.Helper()
	c, err := residency.NewCatalogue([]residency.Dataset{{ID: "claims", Title: "Claims", Owner: "claims department",
		Class: residency.Special, Origin: "DE", Basis: "contract", Purposes: []string{"model-training"}, Hold: hold,
		Slices: []residency.SliceSpec{{Name: "claims/2025-q3", Dir: "claims"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// holdEntries are the entries about holds: kind, code, actor and what they say.
func (w *world) holdEntries() (all []string) {
	w.t.Helper()
	leaves, err := w.Entries()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range leaves {
		var h residency.HoldOf
		if residency.HoldCodes[l.Entry.Kind] == "" {
			continue
		}
		if err := audit.DecodeStrict(l.Entry.Body, &h); err != nil || h.Check() != nil {
			w.t.Errorf("entry %d: %+v: %v", l.Index, h, err)
		}
		all = append(all, fmt.Sprintf("%s %s %s %s %s", l.Entry.Code, l.Entry.Kind, l.Entry.Actor, h.Dataset, h.Reason))
	}
	return all
}

func TestALegalHoldThatIsSetChangedOrLiftedIsEnteredOnceAlsoByAMereRestart(t *testing.T) {
	suit := &residency.Hold{Since: "2026-01-01", Reason: "a suit", By: "the court"}
	appeal := &residency.Hold{Since: "2026-01-01", Reason: "the appeal", By: "the court"}
	in(t, nil, func(t *testing.T, w *world) {
		var want []string
		step := func(what, entry string, do func() error) {
			t.Helper()
			if err := do(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			settle()
			if entry != "" {
				want = append(want, entry)
			}
			if got := w.holdEntries(); !slices.Equal(got, want) {
				t.Fatalf("%s: the log says\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		reload := func(hold *residency.Hold) func() error {
			return func() error {
				w.Law.Catalogue = held(t, hold)
				return w.engine().SetLaw("user:oscar", w.Law)
			}
		}
		restart := func(hold *residency.Hold) func() error {
			return func() error {
				if err := w.Kill(); err != nil {
					return err
				}
				w.Law.Catalogue = held(t, hold)
				return w.Start()
			}
		}
		step("a hold appears", "0702 hold-set user:oscar claims a suit", reload(suit))
		step("the same again", "", reload(suit))
		step("a restart with it", "", restart(suit))
		step("it changes", "0702 hold-set user:oscar claims the appeal", reload(appeal))
		step("a restart without it", "0703 hold-lifted controller claims the appeal", restart(nil))
		step("and again", "", restart(nil))
		step("a restart with another", "0702 hold-set controller claims a suit", restart(suit))
		step("lifted by a person", "0703 hold-lifted user:oscar claims a suit", reload(nil))
		time.Sleep(20 * time.Second)

		leaves, err := w.Entries()
		if err != nil {
			t.Fatal(err)
		}
		r := review.New(0)
		for _, l := range leaves {
			r.Add(l)
		}
		all, found := r.Holds()
		if len(all) != 3 || len(found) != 1 || !strings.Contains(found[0].Text, "by no named person") {
			t.Errorf("the review says %+v, and finds %+v", all, found)
		}
	})
}
