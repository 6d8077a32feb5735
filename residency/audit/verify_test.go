package audit

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// inMemory copies a directory.
func inMemory(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	check(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path.Join(dir, name))
		m[name] = &fstest.MapFile{Data: b, Mode: 0o644}
		return err
	}))
	return m
}

// sealed is a house whose log holds n entries, the first under a checkpoint each, the rest in bulk.
func sealed(t testing.TB, single, n int) (*house, fstest.MapFS) {
	t.Helper()
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, single)
	if n > single {
		bulk(t, l, single, n)
	}
	h.cosign(t, l)
	m := inMemory(t, h.o.Dir)
	_, err := Verify(t.Context(), m, h.trust)
	check(t, err)
	return h, m
}

func refused(t *testing.T, h *house, m fs.FS, what string) Report {
	t.Helper()
	r, err := Verify(t.Context(), m, h.trust, h.witness.Remembers())
	if !errors.Is(err, ErrUnverified) || len(r.Problems) == 0 && r.Size > 0 {
		t.Fatalf("%s: %v", what, err)
	}
	return r
}

func TestEveryFlippedByteOfEveryFileIsFound(t *testing.T) {
	t.Parallel()
	h, m := sealed(t, 6, 6)
	flips := 0
	for name, f := range m {
		for i := range f.Data {
			for _, mask := range []byte{1 << (i % 8), 0xff} {
				f.Data[i] ^= mask
				r := refused(t, h, m, name)
				if strings.HasPrefix(name, "tile/entries/000.p/6") && r.FirstBad < 0 {
					t.Fatalf("%s byte %d: no leaf is named: %v", name, i, r.Problems)
				}
				f.Data[i] ^= mask
				flips++
			}
		}
	}
	if _, ok := m["tile/0/000.p/2"]; !ok {
		t.Fatal("the log has no superseded partial tiles")
	}
	t.Logf("%d flips in %d files", flips, len(m))
}

func TestAFlippedByteIsFoundInFullTilesAndUpperLevels(t *testing.T) {
	t.Parallel()
	h, m := sealed(t, 3, 700)
	for _, name := range []string{"tile/1/000.p/2", "tile/0/001", "tile/0/002.p/188", "tile/entries/002.p/188"} {
		if m[name] == nil {
			t.Fatalf("no %s among %v", name, slices.Sorted(maps.Keys(m)))
		}
	}
	for name, f := range m {
		step := max(1, len(f.Data)/7)
		for i := 0; i < len(f.Data); i += step {
			f.Data[i] ^= 4
			refused(t, h, m, name)
			f.Data[i] ^= 4
		}
	}
}

func TestTheFirstBadLeafIsNamed(t *testing.T) {
	h, m := sealed(t, 2, 700)
	f := m["tile/entries/001"]
	leaves, _, err := splitBundle(f.Data, 44)
	check(t, err)
	copy(leaves[43][bytes.Index(leaves[43], []byte("aws")):], "gcp")
	if r := refused(t, h, m, "another place"); r.FirstBad != 256+43 {
		t.Fatalf("first bad leaf %d: %v", r.FirstBad, r.Problems)
	}
}

func TestWhatIsMissingCutAddedOrForeignIsFound(t *testing.T) {
	h, m := sealed(t, 5, 300)
	with := func(name string, data []byte) fstest.MapFS {
		c := maps.Clone(m)
		if c[name] = (&fstest.MapFile{Data: data}); data == nil {
			delete(c, name)
		}
		return c
	}
	for name, f := range m {
		refused(t, h, with(name, f.Data[:len(f.Data)-1]), name+" cut")
		refused(t, h, with(name, append(slices.Clone(f.Data), '\n')), name+" longer")
		refused(t, h, with(name, []byte{}), name+" empty")
		refused(t, h, with(name, nil), name+" gone")
	}
	for _, name := range []string{
		"notes.txt", "tile/0/000.p/256", "tile/0/001.p/45", "tile/entries/001", "tile/2/000.p/1", "tile/00/000",
		"tile/data/000", "tile/entries/x000/000", "checkpoint.old", "tile/8/0/000", "tile/0/000.p/0", "tile/63/000.p/1",
	} {
		refused(t, h, with(name, []byte("x")), name)
	}
	link := with("tile/0/001.p/44", nil)
	link["tile/0/001.p/44"] = &fstest.MapFile{Data: []byte("000"), Mode: fs.ModeSymlink | 0o777}
	refused(t, h, link, "a link")
}

func TestAnOlderOrAnotherTreeIsRefusedByWhatTheWitnessRemembers(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	fill(t, l, 0, 3)
	h.cosign(t, l)
	old := inMemory(t, h.o.Dir)
	fill(t, l, 3, 5)
	h.cosign(t, l)
	if _, err := Verify(t.Context(), old, h.trust); err != nil {
		t.Fatalf("an old tree is whole in itself: %v", err)
	}
	if r := refused(t, h, old, "rolled back"); !strings.Contains(r.Problems[0], "rolled back") {
		t.Fatal(r.Problems)
	}
	now := inMemory(t, h.o.Dir)
	if _, err := Verify(t.Context(), now, h.trust, old["checkpoint"].Data); err != nil {
		t.Fatal(err)
	}
	other := newHouse(t)
	if _, err := Verify(t.Context(), now, other.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("verified under foreign keys: %v", err)
	}
	if _, err := Verify(t.Context(), now, Trust{}); !errors.Is(err, ErrUnverified) {
		t.Fatalf("the zero trust verified: %v", err)
	}
}

func TestTwoSpellingsOfASignatureAreOneTooMany(t *testing.T) {
	h, m := sealed(t, 2, 2)
	cp := string(m["checkpoint"].Data)
	lines := strings.SplitAfter(cp, "\n")
	again := cp + lines[len(lines)-2]
	m["checkpoint"].Data = []byte(again)
	refused(t, h, m, "a signature twice")
	foreign := newHouse(t)
	l := foreign.start(t)
	fill(t, l, 0, 1)
	sigs := strings.SplitAfter(string(l.Checkpoint()), "\n")
	m["checkpoint"].Data = []byte(cp + sigs[len(sigs)-2])
	if r := refused(t, h, m, "a stranger's signature"); !strings.Contains(r.Problems[0], "does not name") {
		t.Fatal(r.Problems)
	}
}
