package columnar_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// rowsOf are n rows of a table, each of the person that who names.
func rowsOf(n int, who func(int) string, rest string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s,%s\n", who(i), rest)
	}
	return b.String()
}

// same is one person, and each another one a row.
func same(int) string   { return "canary-same" }
func each(i int) string { return fmt.Sprintf("canary-each-%d", i) }
func nobody(int) string { return "" }

// of are n persons in turn.
func of(n int) func(int) string { return func(i int) string { return each(i % n) } }

func TestAPersonWithManyRowsIsNoGroup(t *testing.T) {
	const rest = "1950-01-01,90,north,2,1.5"
	for what, tc := range map[string]struct {
		who     func(int) string
		subject string
		n       int
		ok      bool
		least   int64
		counted string
	}{
		"rows of one person, counted by rows":    {same, "", 5, true, 5, "rows"},
		"rows of one person":                     {same, "member", 5, false, 0, ""},
		"many rows of one person":                {same, "member", 500, false, 0, ""},
		"rows of four persons":                   {of(4), "member", 40, false, 0, ""},
		"rows of five persons":                   {of(5), "member", 40, true, 5, "persons"},
		"rows of nobody":                         {nobody, "member", 40, false, 0, ""},
		"rows of four persons and of nobody":     {fourAndNobody, "member", 40, false, 0, ""},
		"rows of five persons, a person each":    {each, "member", 5, true, 5, "persons"},
		"rows of six persons, 4 of whom are one": {func(i int) string { return each(max(i, 3)) }, "member", 6, false, 0, ""},
	} {
		t.Run(what, func(t *testing.T) {
			for _, format := range []string{"csv", "parquet"} {
				w := newWorld(t)
				w.set.Table.Columns[0].Nullable, w.set.Table.Subject = true, tc.subject
				w.put(t, "claims/2025-q3/part-2.csv", header+rowsOf(tc.n, tc.who, rest))
				w.format(t, format)
				w.set.Table.Columns[0].Nullable, w.set.Table.Subject = true, tc.subject
				if !tc.ok {
					refused(t, w, `1 of 3 groups of ["age_band" "region"] have fewer than 5 persons`)
					w.spec.KAnonymity.SmallGroups = "drop"
					if b := w.must(t); b.LeftOut != int64(tc.n) || b.Manifest.Made.Rows != 108 {
						t.Errorf("%s: left out %d, made %+v", format, b.LeftOut, b.Manifest.Made)
					}
					continue
				}
				if m := w.must(t).Manifest.Made; m.SmallestGroup != tc.least || m.Unit() != tc.counted {
					t.Errorf("%s: smallest group %d, counted in %s", format, m.SmallestGroup, m.Unit())
				}
			}
		})
	}
}

// fourAndNobody are four persons, and rows without one.
func fourAndNobody(i int) string {
	if i%5 == 4 {
		return ""
	}
	return each(i % 5)
}

func TestRowsOfFewPersonsAreNoDifference(t *testing.T) {
	for what, tc := range map[string]struct {
		who     func(int) string
		subject string
		ok      bool
		says    string
	}{
		"eight rows of one person, counted by rows": {same, "", true, ""},
		"eight rows of one person":                  {same, "member", false, "differ in rows of 1 persons, fewer than 5"},
		"eight rows of nobody":                      {nobody, "member", false, "differ in rows of 0 persons, fewer than 5"},
		"eight rows of four persons": {of(4), "member", false,
			"differ in rows of 4 persons, fewer than 5"},
		"eight rows of five persons": {of(5), "member", true, ""},
	} {
		for _, which := range []int{0, 1} {
			w := newWorld(t)
			w.set.Table.Columns[0].Nullable, w.set.Table.Subject = true, tc.subject
			w.put(t, "claims/2025-q3/part-2.csv", header+rowsOf(8, tc.who, "1950-01-01,30,north,2,1.5"))
			w.pair("amount > 0.0", "amount > 2.0")
			s := w.store(t, "slices")
			if _, err := s.Build(w.set, w.set.Slices[which]); err != nil {
				t.Fatal(err)
			}
			_, err := s.Build(w.set, w.set.Slices[1-which])
			if tc.ok && err == nil {
				continue
			}
			if tc.ok || !errors.Is(err, columnar.ErrRefused) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s, %s last: %v", what, w.set.Slices[1-which].Name, err)
			}
		}
	}
}

// Two files of the same bytes are two files: their paths say what they mean.
func TestRowsOfFilesThatAreTheSameAreNotTheSameRows(t *testing.T) {
	w := newWorld(t)
	w.set.Table.Columns = append(w.set.Table.Columns, residency.Column{Name: "dt", Type: "text", Partition: true})
	w.set.Versions[0].Dir = "claims/lake"
	for _, dt := range []string{"2025-07", "2025-08"} {
		w.put(t, "claims/lake/dt="+dt+"/part-0.csv", w.rows(0, 60))
	}
	w.pair("stay_days > 0", `dt == "2025-07" || amount > 1003.0`)
	s := w.store(t, "slices")
	if _, err := s.Build(w.set, w.set.Slices[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Build(w.set, w.set.Slices[1]); err == nil || !strings.Contains(err.Error(), "differ in 3 rows") {
		t.Errorf("three rows of August are told: %v", err)
	}
}

func TestSlicesOfOneDirectoryAreComparedWhateverItIsCalled(t *testing.T) {
	w := newWorld(t)
	w.pair("stay_days > 0", "amount != 1010.5")
	w.set.Slices[0].Version, w.set.Slices[0].Dir = "", "claims/2025-q3"
	s := w.store(t, "slices")
	if _, err := s.Build(w.set, w.set.Slices[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Build(w.set, w.set.Slices[1]); err == nil || !strings.Contains(err.Error(), "differ in 1 rows") {
		t.Errorf("a version and a directory of the same files: %v", err)
	}
}

func TestASliceThatIsPutBackIsComparedBeforeItIsHeld(t *testing.T) {
	w := newWorld(t)
	w.pair("stay_days > 0", "stay_days > 0")
	s := w.store(t, "slices")
	build := func(of residency.Dataset, spec residency.SliceSpec) {
		t.Helper()
		if _, err := s.Build(of, spec); err != nil {
			t.Fatal(err)
		}
	}
	held := func(what string, of residency.Dataset, spec residency.SliceSpec, want error) {
		t.Helper()
		_, err := s.Held(of, spec)
		_, meant := s.Meant(of, spec)
		if !errors.Is(err, want) || !errors.Is(meant, want) {
			t.Errorf("%s: held %v, meant %v, want %v", what, err, meant, want)
		}
	}
	one, other := w.set.Slices[0], w.set.Slices[1]
	build(w.set, one)
	build(w.set, other)
	held("both are compared", w.set, one, nil)
	held("both are compared", w.set, other, nil)

	alone, changed := w.set, one
	changed.Rows = "amount != 1010.5" // all but one row
	alone.Slices = []residency.SliceSpec{changed}
	build(alone, changed)
	held("the other is not in the catalogue", alone, changed, nil)
	back := w.set
	back.Slices = []residency.SliceSpec{changed, other}
	held("it was built since", back, changed, nil)
	held("it is put back, and was never compared", back, other, columnar.ErrNotBuilt)
	if _, err := s.Build(back, other); err == nil || !strings.Contains(err.Error(), "differ in 1 rows") {
		t.Errorf("built again: %v", err)
	}
	held("the build was refused", back, other, columnar.ErrNotBuilt)
	held("the first is as it was", back, changed, nil)

	changed.Rows = "amount >= 1005.5"
	back.Slices[0], alone.Slices[0] = changed, changed
	build(alone, changed)
	held("five rows differ, and it was not compared", back, other, columnar.ErrNotBuilt)
	build(back, other)
	held("it is compared again", back, other, nil)
	held("it is compared again", back, changed, nil)
}
