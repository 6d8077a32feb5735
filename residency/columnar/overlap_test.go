package columnar_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// pair gives the world two slices of columns and rows.
func (w *world) pair(a, b string) {
	w.spec.KAnonymity.Columns, w.spec.KAnonymity.SmallGroups = []string{"age_band"}, "drop"
	one, other := w.spec, w.spec
	one.Name, one.Rows = "claims/one", a
	other.Name, other.Rows = "claims/other", b
	w.set.Slices = []residency.SliceSpec{one, other}
}

func TestTwoSlicesThatDifferInFewRowsAreNotBothBuilt(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		ok   bool
	}{
		{"stay_days > 0", "stay_days > 0", true},                          // in none
		{"stay_days > 0", "amount != 1010.5", false},                      // in one row
		{"amount != 1010.5", "stay_days > 0", false},                      // the other way
		{"stay_days > 0", "amount >= 1004.5", false},                      // in 4
		{"stay_days > 0", "amount >= 1005.5", true},                       // in 5
		{"amount < 1060.0", "amount >= 1060.0", true},                     // in all
		{"amount < 1060.0", "amount >= 1059.0 && amount < 1119.0", true},  // in many both ways
		{"amount < 1060.0", "amount >= 1003.0 && amount < 1080.0", false}, // in 3 one way
	} {
		w := newWorld(t)
		w.pair(tc.a, tc.b)
		s := w.store(t, "slices")
		if _, err := s.Build(w.set, w.set.Slices[0]); err != nil {
			t.Fatal(err)
		}
		b, err := s.Build(w.set, w.set.Slices[1])
		if tc.ok {
			if err != nil {
				t.Errorf("%s and %s: %v", tc.a, tc.b, err)
			}
			continue
		}
		if !errors.Is(err, columnar.ErrRefused) || !strings.Contains(err.Error(), "claims/other and claims/one differ in") {
			t.Errorf("%s and %s: built %s with error %v", tc.a, tc.b, b.Manifest.Digest(), err)
		}
		if _, err := s.Held(w.set, w.set.Slices[1]); !errors.Is(err, columnar.ErrNotBuilt) {
			t.Errorf("what was refused is held: %v", err)
		}
		if _, err := s.Held(w.set, w.set.Slices[0]); err != nil {
			t.Errorf("the first is not held any more: %v", err)
		}
	}
}

func TestWhichRowsASliceHasStaysOnSite(t *testing.T) {
	w := newWorld(t)
	b := w.must(t)
	found := glob(t, w.dir, "slices-0/built/*/rows")
	if len(found) != 1 {
		t.Fatalf("kept %q", found)
	}
	if info, err := os.Stat(found[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := b.Root.Open("rows"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is among the slice's files: %v", err)
	}
}

// Whatever two predicates say: two slices that are both built differ in no row or
// in k at least, as one sees who has both; and none is refused that does.
func TestNoTwoSlicesThatAreBuiltTellFewRows(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 14))
	predicate := func() string {
		return fmt.Sprintf("stay_days > %d && amount >= %d.0 && region != %q", dice.IntN(2), 1000+dice.IntN(8),
			[]string{"hidden", "north", "none"}[dice.IntN(3)])
	}
	refusals := 0
	for range 24 {
		w := newWorld(t)
		w.pair(predicate(), predicate())
		s := w.store(t, "slices")
		a, err := s.Build(w.set, w.set.Slices[0])
		if err != nil {
			t.Fatal(err)
		}
		_, refused := s.Build(w.set, w.set.Slices[1])
		alone := w.set
		alone.Slices = w.set.Slices[1:]
		b, err := w.store(t, "alone").Build(alone, alone.Slices[0])
		if err != nil {
			t.Fatal(err)
		}
		few := false
		for _, n := range []int{missing(t, a, b), missing(t, b, a)} {
			few = few || 0 < n && n < 5
		}
		if few != (refused != nil) {
			t.Errorf("%q and %q: few rows differ is %t, and %v", w.set.Slices[0].Rows, w.set.Slices[1].Rows, few, refused)
		}
		if few {
			refusals++
		}
	}
	if refusals == 0 || refusals == 24 {
		t.Errorf("%d of 24 refused: the dice show nothing", refusals)
	}
}

// missing counts the rows of a that are not in b, as who has both would.
func missing(t *testing.T, a, b columnar.Built) (n int) {
	t.Helper()
	other := string(bytesOf(t, b))
	for _, f := range a.Manifest.Files {
		text, err := fs.ReadFile(a.Root, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(other, line) {
				n++
			}
		}
	}
	return n
}
