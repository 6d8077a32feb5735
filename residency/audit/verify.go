package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Report is what Verify found. It is filled as far as the evidence went, also when it does not verify.
type Report struct {
	// Size is the number of entries the checkpoint claims, Root its root in base64, Origin the log's name.
	Size   int64
	Root   string
	Origin string
	// Entries is how many entries were read and decode.
	Entries int64
	// CosignedSize is Size when the quorum has cosigned the checkpoint, else 0.
	CosignedSize int64
	// Cosigners are the names of the witnesses that have cosigned the checkpoint with keys the trust names.
	Cosigners []string
	// FirstBad is the index of the first entry that cannot be relied on; -1 when there is none, or none can be named.
	FirstBad int64
	// Problems are all that was found, at most a hundred; none when the log verifies.
	Problems []string
}

// Verify checks a whole log directory against t: that the checkpoint re-encodes byte for byte, is signed by the log
// and cosigned by the quorum, and carries no signature t does not know; that every entry is there, decodes and
// hashes to the root; that every tile, superseded partial ones too, holds what the entries make; and that nothing
// else lies there. Changes of keys are followed from the keys t names; what a revoked key signed does not count.
// Checkpoints remembered from elsewhere, such as Witness.Remembers, must be of trees that this one extends: that is
// how a tree cut back to an older checkpoint is found.
//
// fsys is the public tree, read by several goroutines at a time. An error that wraps ErrUnverified names the first
// problem; the report has them all.
func Verify(ctx context.Context, fsys fs.FS, t Trust, remembered ...[]byte) (Report, error) {
	return VerifyEntries(ctx, fsys, t, nil, remembered...)
}

// VerifyEntries is Verify, and hands every entry that decodes to each, in order, on the way. Until it has answered
// without an error nothing that each was given counts: it is there so that a log is read once.
func VerifyEntries(
	ctx context.Context, fsys fs.FS, t Trust, each func(Leaf), remembered ...[]byte,
) (Report, error) {
	v := &verification{ctx: ctx, fsys: fsys, each: each, first: -1}
	if err := v.all(t, remembered); err != nil {
		return v.report(0), fmt.Errorf("verify log: %w", err)
	}
	r := v.report(v.head.size)
	if len(v.problems) > 0 {
		return r, fmt.Errorf("verify log: %w: %s", ErrUnverified, v.problems[0])
	}
	return r, nil
}

// verification is the state of one walk over a log.
type verification struct {
	ctx      context.Context
	fsys     fs.FS
	head     signed
	each     func(Leaf) // nil: nobody reads along
	tail     bool       // files beyond the checkpoint are collected, not refused
	beyond   []string
	older    map[string][]tlog.Tile // superseded partial tiles by the path of the tile that has more
	forest   *forest
	bundle   []byte // of the last, partial tile
	entries  int64
	changes  []Leaf // entries about keys
	first    int64
	problems []string
	unsealed bool
	cosigned []string // names of witnesses
}

func (v *verification) report(cosigned int64) Report {
	if v.unsealed {
		cosigned = 0
	}
	return Report{
		Size: v.head.size, Root: base64.StdEncoding.EncodeToString(v.head.root[:]), Origin: v.head.origin,
		Entries: v.entries, CosignedSize: cosigned, Cosigners: v.cosigned, FirstBad: v.first, Problems: v.problems,
	}
}

func (v *verification) problem(leaf int64, format string, args ...any) {
	if leaf >= 0 && (v.first < 0 || leaf < v.first) {
		v.first = leaf
	}
	if len(v.problems) < 100 {
		v.problems = append(v.problems, fmt.Sprintf(format, args...))
	}
}

func (v *verification) all(t Trust, remembered [][]byte) error {
	v.unsealed = true
	if len(t.logs) == 0 {
		return fmt.Errorf("%w: the trust names no log", ErrUnverified)
	}
	raw, err := fs.ReadFile(v.fsys, "checkpoint")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	if v.head, err = parseSigned(raw); err != nil {
		return fmt.Errorf("%w: checkpoint: %w", ErrUnverified, err)
	}
	if err := v.tree(); err != nil {
		return err
	}
	v.signatures(t)
	for _, raw := range remembered {
		v.extends(t, raw)
	}
	return nil
}

// tree checks everything but the signatures.
func (v *verification) tree() error {
	v.forest, v.older = &forest{}, map[string][]tlog.Tile{}
	if err := v.walk(); err != nil {
		return err
	}
	for b := range ahead(v.ctx, v.fsys, v.head.size) {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if !v.readEntries(b) {
			return nil
		}
	}
	if err := v.ctx.Err(); err != nil {
		return err
	}
	for level := 0; v.head.size>>(tileHeight*level) > 0; level++ {
		for _, t := range tilesFor(level, v.head.size) {
			v.readHashes(t)
		}
	}
	root, err := v.forest.root()
	if err != nil || root != v.head.root {
		v.problem(-1, "checkpoint: its root is not the root of the %d entries", v.head.size)
	}
	return nil
}

// walk refuses what does not belong to the tree, and finds the superseded partial tiles.
func (v *verification) walk() error {
	return fs.WalkDir(v.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			v.problem(-1, "%s: %v", name, err)
			return nil
		}
		if d.IsDir() || name == "checkpoint" && d.Type().IsRegular() {
			return v.ctx.Err()
		}
		t, err := parsePath(name)
		switch {
		case err != nil || !d.Type().IsRegular():
			v.problem(-1, "%s: no file of a log", name)
		case inTree(t, v.head.size):
			if full := widest(t, v.head.size); full != t {
				v.older[tilePath(full)] = append(v.older[tilePath(full)], t)
			}
		case v.tail:
			v.beyond = append(v.beyond, name)
		default:
			v.problem(-1, "%s: beyond the %d entries of the checkpoint", name, v.head.size)
		}
		return nil
	})
}

// widest is the tile with t's place that a tree of n entries needs.
func widest(t tlog.Tile, n int64) tlog.Tile {
	count := n >> (tileHeight * max(t.L, 0))
	t.W = int(min(tileWidth, count-t.N*tileWidth))
	return t
}

// readEntries adds the entries of a bundle to the forest. It answers false when the tree cannot be built any further.
func (v *verification) readEntries(b bundleRead) bool {
	name, from := tilePath(b.tile), b.tile.N*tileWidth
	if b.unread != nil {
		v.problem(from, "%s: %v", name, b.unread)
		return false
	}
	if b.uncut != nil || b.end != len(b.data) {
		v.problem(from+int64(len(b.leaves)), "%s: leaf %d: the file does not end where its entries do",
			name, from+int64(len(b.leaves)))
		if b.uncut != nil {
			return false
		}
	}
	for i, leaf := range b.leaves {
		v.forest.push(0, leaf.hash)
		v.forest.size++
		if err := v.leaf(leaf.entry, leaf.err); err != nil {
			v.problem(from+int64(i), "%s: leaf %d: %v", name, from+int64(i), err)
		}
	}
	for _, p := range v.older[name] {
		_, end, _ := splitBundle(b.data, p.W)
		v.same(p, b.data[:end])
	}
	if v.bundle = nil; b.tile.W < tileWidth {
		v.bundle = b.data
	}
	return true
}

func (v *verification) leaf(e Entry, err error) error {
	if err != nil {
		return err
	}
	v.entries++
	if v.each != nil {
		v.each(Leaf{v.forest.size - 1, e})
	}
	if IsChange(e) {
		if _, err := OpenChange(e); err != nil {
			return err
		}
		v.changes = append(v.changes, Leaf{v.forest.size - 1, e})
	}
	return nil
}

// readHashes compares a tile, and what it superseded, with the hashes of the entries.
func (v *verification) readHashes(t tlog.Tile) {
	v.same(t, v.forest.tile(t))
	for _, p := range v.older[tilePath(t)] {
		v.same(p, v.forest.tile(p))
	}
}

// same requires the file of tile t to hold want.
func (v *verification) same(t tlog.Tile, want []byte) {
	got, err := fs.ReadFile(v.fsys, tilePath(t))
	if err == nil && bytes.Equal(got, want) {
		return
	}
	if err != nil {
		v.problem(v.precise(t, t.N*tileWidth), "%s: %v", tilePath(t), err)
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	whole := at / tlog.HashSize
	if t.L == entryLevel {
		leaves, _, _ := splitBundle(want[:at], t.W)
		whole = len(leaves)
	}
	leaf := t.N*tileWidth + int64(min(whole, t.W-1))
	v.problem(v.precise(t, leaf), "%s: number %d, byte %d: not what the entries make", tilePath(t), leaf, at)
}

// precise turns the number of a hash into the first leaf below it. Where a leaf is known to be bad already, the upper
// levels, which cover many leaves, have nothing to add: then it is -1.
func (v *verification) precise(t tlog.Tile, number int64) int64 {
	if t.L > 0 && v.first >= 0 {
		return -1
	}
	return number << (tileHeight * max(t.L, 0))
}

// signatures requires the log's signature, the quorum, and no signature of a stranger.
func (v *verification) signatures(t Trust) {
	t = t.after(v.turns(), newest)
	logs := verifiers(t.logs)
	keys := append(t.witnessKeys(), logs...)
	known, unknown, err := v.head.by(keys...)
	if err != nil {
		v.problem(-1, "checkpoint: %v", err)
		return
	}
	for _, s := range known {
		if !signedBy([]note.Signature{s}, s.Name, logs) {
			v.cosigned = append(v.cosigned, s.Name)
		}
	}
	for _, s := range unknown {
		v.problem(-1, "checkpoint: signed by %s+%08x, a key the trust does not name", s.Name, s.Hash)
	}
	if !signedBy(known, v.head.origin, logs) {
		v.problem(-1, "checkpoint: not signed by a trusted key of the log %q", v.head.origin)
	}
	if v.unsealed = !t.satisfied(known); v.unsealed {
		v.problem(-1, "checkpoint: not cosigned by the quorum the trust asks for")
	}
}

// turns are the changes of keys that the log holds.
func (v *verification) turns() []Change {
	var changes []Change
	for _, leaf := range v.changes {
		if c, err := OpenChange(leaf.Entry); err == nil {
			changes = append(changes, c)
		}
	}
	return changes
}

func signedBy(known []note.Signature, origin string, logs []note.Verifier) bool {
	for _, k := range logs {
		if k.Name() == origin && indexSig(known, note.Signature{Name: k.Name(), Hash: k.KeyHash()}) >= 0 {
			return true
		}
	}
	return false
}

// extends requires the tree to contain the tree of a checkpoint remembered from elsewhere.
func (v *verification) extends(t Trust, raw []byte) {
	c, err := parseSigned(raw)
	if err != nil {
		v.problem(-1, "remembered: %v", err)
		return
	}
	t = t.after(v.turns(), ever)
	keys := append(t.witnessKeys(), verifiers(t.logs)...)
	known, _, err := c.by(keys...)
	if err != nil || len(known) == 0 || c.origin != v.head.origin {
		v.problem(-1, "remembered: no checkpoint of this log under a trusted key")
		return
	}
	if c.size > v.head.size {
		v.problem(-1, "checkpoint: rolled back: %d entries, but %d were seen", v.head.size, c.size)
		return
	}
	if v.forest.size < c.size {
		return // already a problem
	}
	if root, err := tlog.TreeHash(c.size, v.forest); err != nil || root != c.root {
		v.problem(-1, "checkpoint: forked: the first %d entries are not those that were seen", c.size)
	}
}
