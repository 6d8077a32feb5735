package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency/audit"
)

// refused wants a bundle of these bytes not to verify.
func refused(t *testing.T, what string, zipped, trust []byte, parsed audit.Trust) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "e.zip")
	if err := os.WriteFile(path, zipped, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := checkBundle(context.Background(), path, parsed, trust)
	if !errors.Is(err, audit.ErrUnverified) || v.Verifies || len(v.Problems) == 0 {
		t.Errorf("%s: verifies, or fails otherwise: %v %+v", what, err, v)
	}
}

func TestABundleWithAnyByteTouchedDoesNotVerify(t *testing.T) {
	path, trust, parsed := small(t)
	v, err := checkBundle(t.Context(), path, parsed, trust)
	if err != nil || !v.SameTrust || v.Answers != len(answerParts) {
		t.Fatalf("%v: %+v", err, v)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stride := 23
	if os.Getenv("BURST_REAL") == "1" {
		stride = 1
	}
	flipped := map[int]bool{}
	for i := 0; i < len(whole); i += stride {
		flipped[i] = true
	}
	z, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range z.File { // its header, and its first byte, middle and last
		at, err := p.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		size := int64(p.UncompressedSize64)
		for _, i := range []int64{at - 30 - int64(len(p.Name)), at - 1, at, at + size/2, at + size - 1} {
			flipped[int(i)] = true
		}
	}
	for i := range flipped {
		touched := slices.Clone(whole)
		touched[i] ^= 1 << (i % 8)
		refused(t, fmt.Sprintf("one bit of byte %d flipped", i), touched, trust, parsed)
	}
	t.Logf("%d bytes flipped, one at a time, of %d; %d parts", len(flipped), len(whole), len(z.File))
	for what, b := range map[string][]byte{
		"nothing": {}, "cut short": whole[:len(whole)-1], "a byte more": append(slices.Clone(whole), 0),
		"a byte before": append([]byte{0}, whole...), "twice": append(slices.Clone(whole), whole...),
		"no zip": []byte("checkpoint"),
	} {
		refused(t, what, b, trust, parsed)
	}
}

// rezip writes the parts of a bundle again, changed, as somebody would who knows the format.
func rezip(t *testing.T, path string, change func([]part) []part, header func(*zip.FileHeader)) []byte {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var parts []part
	for _, p := range z.File {
		data, err := bundle{zip: &z.Reader}.part(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{p.Name, data})
	}
	if change != nil {
		parts = change(parts)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, p := range parts {
		h := partHeader(p.name, crc32.ChecksumIEEE(p.data), uint64(len(p.data)))
		if header != nil {
			header(h)
		}
		out, err := w.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(p.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestABundleMadeAgainWithOtherPartsDoesNotVerify(t *testing.T) {
	path, trust, parsed := small(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rezip(t, path, nil, nil), whole) {
		t.Fatal("the same parts make another bundle")
	}
	more := func(name string) func([]part) []part {
		return func(ps []part) []part { return append(ps, part{name, []byte("x")}) }
	}
	in := func(name, old, new string) func([]part) []part {
		return func(ps []part) []part {
			i := slices.IndexFunc(ps, func(p part) bool { return p.name == name })
			if !bytes.Contains(ps[i].data, []byte(old)) {
				t.Fatalf("%s does not hold %s", name, old)
			}
			ps[i].data = bytes.Replace(ps[i].data, []byte(old), []byte(new), 1)
			return ps
		}
	}
	for what, change := range map[string]func([]part) []part{
		"another answer":       in("answers/denials.json", `"clean": true`, `"clean": false`),
		"another readme":       in(partReadme, "Exit 7", "Exit 0"),
		"no version":           in(partVersion, "{", ""),
		"another entry":        in("log/tile/entries/000.p/3", "refused", "allowed"),
		"another checkpoint":   in("log/checkpoint", "\n3\n", "\n2\n"),
		"a path that leads up": more("log/tile/../../../etc/passwd"),
		"an absolute path":     more("/etc/passwd"),
		"a backslash":          more(`log\tile\0\000`),
		"a directory":          func(ps []part) []part { return append(ps, part{name: "log/tile/9/"}) },
		"a stranger":           more("log/notes.txt"),
		"a tile of nothing":    more("log/tile/entries/001"),
		"a part twice":         func(ps []part) []part { return append(ps, ps[len(ps)-1]) },
		"a part left out":      func(ps []part) []part { return ps[:len(ps)-1] },
		"an answer left out":   func(ps []part) []part { return slices.Delete(ps, 4, 5) },
		"another order":        func(ps []part) []part { ps[0], ps[1] = ps[1], ps[0]; return ps },
		"no parts":             func([]part) []part { return nil },
	} {
		refused(t, what, rezip(t, path, change, nil), trust, parsed)
	}
	for what, header := range map[string]func(*zip.FileHeader){
		"a symlink":       func(h *zip.FileHeader) { h.SetMode(os.ModeSymlink | 0o777) },
		"a comment":       func(h *zip.FileHeader) { h.Comment = "hello" },
		"an extra field":  func(h *zip.FileHeader) { h.Extra = []byte{1, 0, 0, 0} },
		"compressed":      func(h *zip.FileHeader) { h.Method = zip.Deflate },
		"says it is huge": func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 40 },
	} {
		refused(t, what, rezip(t, path, nil, header), trust, parsed)
	}
}

func TestABundleIsVerifiedWithTheKeysGivenAndNotItsOwn(t *testing.T) {
	path, trust, parsed := small(t)
	_, _, stranger := small(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "under a stranger's keys", whole, trust, stranger)
	commented := append([]byte("# the auditor's copy\n"), trust...)
	v, err := checkBundle(t.Context(), path, parsed, commented)
	if err != nil || v.SameTrust {
		t.Errorf("%v: %+v", err, v)
	}
	var out strings.Builder
	if err := v.print(&out); err != nil || !strings.Contains(out.String(), "is NOT the one you gave") {
		t.Errorf("%v: %s", err, &out)
	}
}
