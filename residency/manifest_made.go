package residency

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Made says what a slice was made of and how, in a manifest of version 2. It
// travels with the slice, so it says nothing that the slice does not show:
// what was left out stands behind keyed commitments, which only the site can
// open. Made on site; the zero Made is refused.
type Made struct {
	Dataset       string   `json:"dataset"`
	Version       string   `json:"version"` // of the dataset, by name
	Source        string   `json:"source"`  // of the version's files: "sha256:…", or "hmac-sha256:…" if derived
	Spec          string   `json:"spec"`    // of what the catalogue asked for, likewise
	Derived       bool     `json:"derived"` // made from the files, not the files themselves
	Format        string   `json:"format,omitempty"`
	Columns       []string `json:"columns,omitempty"`        // in the files, in order
	Pseudonymised []string `json:"pseudonymised,omitempty"`  // of these, by a key that stays on site
	Key           string   `json:"key,omitempty"`            // which key, 16 hexadecimal digits that do not tell it
	Rows          int64    `json:"rows,omitempty"`           // of all files; 0 if not derived
	K             int      `json:"k,omitempty"`              // 0: no groups were asked for
	Groups        []string `json:"groups,omitempty"`         // the quasi-identifiers
	SmallestGroup int64    `json:"smallest_group,omitempty"` // what the smallest group has of Unit, K or more
	Counted       string   `json:"counted,omitempty"`        // "persons"; empty: rows, as the table names no subject
}

// Unit is what K and SmallestGroup count: "persons" or "rows".
func (d Made) Unit() string {
	if d.Counted == "" {
		return "rows"
	}
	return d.Counted
}

// With makes a manifest of version 2: the same files, the root of the Merkle
// tree over their chunks, and what they were made of.
func (m Manifest) With(made Made) (Manifest, error) {
	m.V, m.Root, m.Made = 2, m.root(), &made
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("describe %s: %w", m.Slice, err)
	}
	return m, nil
}

// root is the Merkle tree head of RFC 6962 §2.1 over the digests of all
// chunks, file by file.
func (m Manifest) root() string {
	var leaves [][sha256.Size]byte
	for _, f := range m.Files {
		for _, c := range f.Chunks {
			b, _ := hex.DecodeString(c) // what is no digest is found by check
			leaves = append(leaves, sha256.Sum256(append([]byte{0}, b...)))
		}
	}
	head := treeHead(leaves)
	return "sha256:" + hex.EncodeToString(head[:])
}

// treeHead joins leaf hashes.
func treeHead(leaves [][sha256.Size]byte) [sha256.Size]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	half := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	left, right := treeHead(leaves[:half]), treeHead(leaves[half:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// checkMade reports the first thing that does not hold together between a
// manifest's version, its root and what it was made of.
func (m Manifest) checkMade() error {
	if m.V == 1 {
		if m.Root != "" || m.Made != nil {
			return errors.New("version 1 has no root and was made of nothing")
		}
		return nil
	}
	dataset, _, _ := strings.Cut(m.Slice, "/")
	switch {
	case m.Made == nil:
		return errors.New("it does not say what it was made of")
	case m.Root != m.root():
		return errors.New("root is not that of the chunks")
	case m.Made.Dataset != dataset || !isName(m.Made.Version):
		return fmt.Errorf("version %q of dataset %q is none of %q", m.Made.Version, m.Made.Dataset, dataset)
	}
	return m.Made.check()
}

// check reports the first thing that does not hold together.
func (d Made) check() error {
	kind := "sha256:"
	if d.Derived {
		kind = "hmac-sha256:"
	}
	for _, c := range []string{d.Source, d.Spec} {
		if h, ok := strings.CutPrefix(c, kind); !ok || !isHash(h) {
			return fmt.Errorf("commitment %q is not %s and a hash", c, kind)
		}
	}
	if !d.Derived {
		if d.Format != "" || d.Columns != nil || d.Pseudonymised != nil || d.Key != "" || d.Rows != 0 || d.K != 0 ||
			d.Groups != nil || d.SmallestGroup != 0 || d.Counted != "" {
			return errors.New("files as they are have no columns, rows or groups")
		}
		return nil
	}
	switch {
	case d.Format != "csv" && d.Format != "parquet":
		return fmt.Errorf("format %q is not known", d.Format)
	case len(d.Key) != 16 || strings.Trim(d.Key, "0123456789abcdef") != "":
		return fmt.Errorf("key %q is not named by 16 hexadecimal digits", d.Key)
	case d.Rows < 1 || len(d.Columns) == 0:
		return fmt.Errorf("%d rows of %d columns", d.Rows, len(d.Columns))
	case !within(d.Columns, d.Columns) || !within(d.Pseudonymised, d.Columns) || !within(d.Groups, d.Columns):
		return errors.New("a column is named twice, or is not there")
	case (d.K == 0) != (len(d.Groups) == 0) || d.K < 0 || d.K == 1:
		return fmt.Errorf("k is %d for %d columns", d.K, len(d.Groups))
	case d.SmallestGroup < int64(d.K) || d.SmallestGroup > d.Rows || d.K == 0 && d.SmallestGroup != 0:
		return fmt.Errorf("smallest group of %d %s, with k %d", d.SmallestGroup, d.Unit(), d.K)
	case d.Counted != "" && (d.Counted != "persons" || d.K == 0):
		return fmt.Errorf("counted is %q, with k %d", d.Counted, d.K)
	}
	return nil
}

// within reports whether every name is among all, and none is there twice. A
// list of none is nil.
func within(names, all []string) bool {
	for i, n := range names {
		if n == "" || slices.Contains(names[:i], n) || !slices.Contains(all, n) {
			return false
		}
	}
	return names == nil || len(names) > 0
}
