package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The tlog-tiles layout: tiles are 8 levels high, 256 hashes wide; level -1 is the entries.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileBytes  = tileWidth * tlog.HashSize
	entryLevel = -1
)

// tilePath is where tile t lies below the public directory.
func tilePath(t tlog.Tile) string {
	p := strings.TrimPrefix(t.Path(), "tile/8/")
	if rest, ok := strings.CutPrefix(p, "data/"); ok {
		p = "entries/" + rest
	}
	return "tile/" + p
}

// parsePath is the inverse of tilePath. It refuses every other spelling.
func parsePath(name string) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(name, "tile/")
	if !ok {
		return tlog.Tile{}, fmt.Errorf("%s is no file of a log", name)
	}
	if data, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + data
	}
	t, err := tlog.ParseTilePath("tile/8/" + rest)
	if err != nil || tilePath(t) != name {
		return tlog.Tile{}, fmt.Errorf("%s is no file of a log", name)
	}
	return t, nil
}

// tilesFor lists the tiles of a level, its last one partial if need be, for a tree of n entries.
func tilesFor(level int, n int64) []tlog.Tile {
	count := n >> (tileHeight * max(level, 0))
	var tiles []tlog.Tile
	for i := range count / tileWidth {
		tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: i, W: tileWidth})
	}
	if w := count % tileWidth; w > 0 {
		tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: count / tileWidth, W: int(w)})
	}
	return tiles
}

// inTree tells whether tile t covers only hashes or entries that a tree of n entries has.
func inTree(t tlog.Tile, n int64) bool {
	level := max(t.L, 0)
	return level < 8 && t.N < 1<<40 && t.N*tileWidth+int64(t.W) <= n>>(tileHeight*level)
}

func appendLeaf(bundle, leaf []byte) []byte {
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...)
}

// splitBundle cuts a bundle into its first w entries and says where they end. With an error come the entries before it.
func splitBundle(bundle []byte, w int) (leaves [][]byte, end int, err error) {
	for len(leaves) < w {
		rest := bundle[end:]
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return leaves, end, fmt.Errorf("entry %d is cut short", len(leaves))
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		leaves = append(leaves, rest[2:n])
		end += n
	}
	return leaves, end, nil
}

// readBundle reads the first w entries of bundle n, from the full bundle if the partial one was superseded.
func readBundle(fsys fs.FS, n int64, w int) ([][]byte, error) {
	t := tlog.Tile{H: tileHeight, L: entryLevel, N: n, W: w}
	b, err := readTile(fsys, t)
	if err != nil {
		return nil, err
	}
	leaves, _, err := splitBundle(b, w)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", tilePath(t), err)
	}
	return leaves, nil
}

// readTile reads tile t, or the full tile that superseded it: then the data is longer than asked for.
func readTile(fsys fs.FS, t tlog.Tile) ([]byte, error) {
	b, err := fs.ReadFile(fsys, tilePath(t))
	if errors.Is(err, fs.ErrNotExist) && t.W < tileWidth {
		t.W = tileWidth
		if full, ferr := fs.ReadFile(fsys, tilePath(t)); ferr == nil {
			return full, nil
		}
	}
	return b, err
}

// tileReader lets sumdb/tlog read, and prove, hashes from the tiles of a directory.
type tileReader struct{ fsys fs.FS }

func (tileReader) Height() int { return tileHeight }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		b, err := readTile(r.fsys, t)
		if err != nil {
			return nil, err
		}
		if len(b) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("read %s: %d bytes", tilePath(t), len(b))
		}
		all = append(all, b[:t.W*tlog.HashSize])
	}
	return all, nil
}

func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// forest holds the hashes of a tree level by level, as the tiles do. A trimmed one holds only the tiles that can still
// grow, which is enough to add entries and to compute the root.
type forest struct {
	size   int64
	levels []level
}

// level is a run of hashes that starts at hash number from, a multiple of the tile width.
type level struct {
	from   int64
	hashes []byte
}

func (f *forest) add(leaf []byte) {
	f.push(0, tlog.RecordHash(leaf))
	f.size++
}

func (f *forest) push(l int, h tlog.Hash) {
	if l == len(f.levels) {
		f.levels = append(f.levels, level{})
	}
	lv := &f.levels[l]
	lv.hashes = append(lv.hashes, h[:]...)
	if n := len(lv.hashes); n%tileBytes == 0 {
		f.push(l+1, subtree(lv.hashes[n-tileBytes:]))
	}
}

func subtree(hashes []byte) tlog.Hash {
	if len(hashes) == tlog.HashSize {
		return tlog.Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

// tile gives the hashes of tile t, or nil where the forest does not hold them.
func (f *forest) tile(t tlog.Tile) []byte {
	if t.L < 0 || t.L >= len(f.levels) {
		return nil
	}
	lv := f.levels[t.L]
	from := (t.N*tileWidth - lv.from) * tlog.HashSize
	to := from + int64(t.W)*tlog.HashSize
	if from < 0 || to > int64(len(lv.hashes)) {
		return nil
	}
	return lv.hashes[from:to]
}

// ReadHashes makes a forest a tlog.HashReader.
func (f *forest) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, x := range indexes {
		t := tlog.TileForIndex(tileHeight, x)
		h, err := tlog.HashFromTile(t, f.tile(t), x)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}

func (f *forest) root() (tlog.Hash, error) { return tlog.TreeHash(f.size, f) }

// trim drops the full tiles: they are on disk.
func (f *forest) trim() {
	for i := range f.levels {
		lv := &f.levels[i]
		full := len(lv.hashes) / tileBytes
		lv.from += int64(full) * tileWidth
		lv.hashes = slices.Clone(lv.hashes[full*tileBytes:])
	}
}

func (f *forest) clone() *forest {
	c := &forest{size: f.size, levels: slices.Clone(f.levels)}
	for i := range c.levels {
		c.levels[i].hashes = slices.Clone(c.levels[i].hashes)
	}
	return c
}
