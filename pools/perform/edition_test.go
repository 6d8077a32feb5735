package perform_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
)

func TestAnOlderEditionOfThePlaceTableIsRefusedAlsoAfterARestart(t *testing.T) {
	edition := func(version string) *residency.Table {
		t.Helper()
		tab, err := residency.ParseTable([]byte(strings.Replace(lastDay, "1,2000-01-01", version+",2000-01-01", 1)))
		if err != nil {
			t.Fatal(err)
		}
		return tab
	}
	in(t, nil, func(t *testing.T, w *world) {
		law := w.Law
		set := func(version string) error {
			law.Places = edition(version)
			return w.engine().SetLaw("user:officer", law)
		}
		if err := set("3"); err != nil {
			t.Fatal(err)
		}
		if err := set("2"); !errors.Is(err, perform.ErrEdition) {
			t.Errorf("edition 2 after 3: error %v", err)
		}
		if err := set("3"); err != nil {
			t.Errorf("edition 3 once more: %v", err)
		}
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		for _, old := range []*residency.Table{edition("2"), new(residency.Table)} {
			w.Law.Places = old
			if err := w.Start(); !errors.Is(err, perform.ErrEdition) {
				t.Fatalf("a controller starts with edition %d after 3: error %v", old.Version(), err)
			}
		}
		w.Law.Places = edition("4")
		w.start()
	})
}
