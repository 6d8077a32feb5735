package main

import (
	"bytes"
	"io/fs"
	"testing"

	"github.com/burstctl/burstctl/residency/columnar"
	"github.com/burstctl/burstctl/scenarios/claims"
)

func TestTheDemosSliceNamesNobody(t *testing.T) {
	dir := t.TempDir()
	if err := buildHouse(dir); err != nil {
		t.Fatal(err)
	}
	all, err := eachSlice(dir, (*columnar.Store).Verify)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d slices, error %v", len(all), err)
	}
	whole, slice := all[0], all[1]
	made := slice.Manifest.Made
	if whole.Manifest.Made.Derived || !made.Derived || made.K != 50 || made.SmallestGroup < 50 ||
		made.Rows == 0 || made.Rows >= claims.Rows*claims.Files {
		t.Errorf("made %+v", made)
	}
	for _, f := range slice.Manifest.Files {
		b, err := fs.ReadFile(slice.Root, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, trace := range []string{"M0", "M1", "M2", "M3", "born", "postcode", "-06-15"} {
			if bytes.Contains(b, []byte(trace)) {
				t.Errorf("%s contains %q", f.Name, trace)
			}
		}
	}
}
