package audit

import (
	"slices"
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestAForestTrimmedOrNotHasTheTilesAndRootsOfSumdb(t *testing.T) {
	const n = 256*256 + 700
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		hs := make([]tlog.Hash, len(at))
		for i, x := range at {
			hs[i] = stored[x]
		}
		return hs, nil
	})
	whole, live := &forest{}, &forest{}
	for i := range int64(n) {
		leaf := strconv.AppendInt(nil, i, 10)
		hs, err := tlog.StoredHashes(i, leaf, reader)
		check(t, err)
		stored = append(stored, hs...)
		whole.add(leaf)
		live.add(leaf)
		if i%97 != 0 && i < n-3 && i != 1<<16 {
			continue
		}
		want, err := tlog.TreeHash(i+1, reader)
		check(t, err)
		before := live.clone()
		live.trim()
		for _, f := range []*forest{whole, before, live} {
			if got, err := f.root(); err != nil || got != want {
				t.Fatalf("root of %d: %v, want %v, %v", i+1, got, want, err)
			}
		}
	}
	for level := range 3 {
		for _, tile := range tilesFor(level, n) {
			want, err := tlog.ReadTileData(tile, reader)
			check(t, err)
			if !slices.Equal(whole.tile(tile), want) {
				t.Fatalf("%s differs", tilePath(tile))
			}
			if back, err := parsePath(tilePath(tile)); err != nil || back != tile {
				t.Fatalf("%s reads as %v, %v", tilePath(tile), back, err)
			}
		}
	}
	if live.tile(tlog.Tile{H: tileHeight, N: 1, W: 5}) != nil || whole.tile(tlog.Tile{H: tileHeight, L: 3, W: 1}) != nil {
		t.Fatal("a tile from nowhere")
	}
}
