package residency_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

// site writes files and returns their directory as a root nothing escapes.
func site(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestAManifestListsFilesByContent(t *testing.T) {
	big := strings.Repeat("x", residency.ChunkSize)
	root := site(t, map[string]string{"b/two.csv": big + "y", "a.csv": "1", "empty": "", "whole": big})
	if err := root.Chmod("a.csv", 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := residency.BuildManifest("claims/2025-q3", root.FS())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range m.Files {
		got = append(got, f.Name+strings.Repeat("+", len(f.Chunks)))
	}
	if s := strings.Join(got, " "); s != "a.csv+ b/two.csv++ empty whole+" || m.Bytes != int64(2*len(big)+2) {
		t.Errorf("lists %s, %d bytes", s, m.Bytes)
	}
	if m.Files[0].Mode != residency.ModeProgram || m.Files[1].Mode != residency.ModeData {
		t.Errorf("modes %#o and %#o", m.Files[0].Mode, m.Files[1].Mode)
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := residency.DecodeManifest(b)
	if err != nil || back.Digest() != m.Digest() || len(m.Digest()) != 71 {
		t.Errorf("decoded digest %s, was %s (error %v)", back.Digest(), m.Digest(), err)
	}
	some, err := residency.BuildManifest("claims/2025-q3", root.FS(), "whole", "a.csv")
	if err != nil || len(some.Files) != 2 || some.Digest() == m.Digest() {
		t.Errorf("of two named files: %d, error %v", len(some.Files), err)
	}
}

func TestOnlyRegularFilesAreListed(t *testing.T) {
	for what, tc := range map[string]struct {
		lay  func(dir string) error
		name string // asked for by name too
	}{
		"link to a file inside":  {func(d string) error { return os.Symlink("a.csv", d+"/link") }, "link"},
		"link to a file outside": {func(d string) error { return os.Symlink("/etc/hostname", d+"/link") }, "link"},
		"link to a directory":    {func(d string) error { return os.Symlink("dir", d+"/link") }, "link/in.csv"},
		"pipe":                   {func(d string) error { return syscall.Mkfifo(d+"/pipe", 0o600) }, "pipe"},
	} {
		root := site(t, map[string]string{"a.csv": "1", "dir/in.csv": "2"})
		if err := tc.lay(root.Name()); err != nil {
			t.Fatal(err)
		}
		if _, err := residency.BuildManifest("claims/x", root.FS()); err == nil {
			t.Errorf("%s: listed", what)
		}
		if _, err := residency.BuildManifest("claims/x", root.FS(), tc.name); err == nil {
			t.Errorf("%s: listed by name", what)
		}
	}
	root := site(t, map[string]string{"dir/in.csv": "2"})
	for _, name := range []string{"dir", ".", "", "..", "../x", "/dir/in.csv", "dir//in.csv", "dir/./in.csv", "none"} {
		if _, err := residency.BuildManifest("claims/x", root.FS(), name); err == nil {
			t.Errorf("%q: listed", name)
		}
	}
	if _, err := residency.BuildManifest("claims/x", root.FS(), "dir/in.csv", "dir/in.csv"); err == nil {
		t.Error("a file is listed twice")
	}
	if _, err := residency.BuildManifest("claims/x", site(t, nil).FS()); err == nil {
		t.Error("a slice of nothing is listed")
	}
}

// manifest is a small one that holds together.
func manifest(names ...string) residency.Manifest {
	m := residency.Manifest{V: 1, Slice: "claims/x", Hash: "sha256", ChunkSize: 4}
	for _, n := range names {
		h := strings.Repeat("0", 64)
		m.Files = append(m.Files, residency.File{Name: n, Size: 5, Mode: residency.ModeData, Chunks: []string{h, h}})
		m.Bytes += 5
	}
	return m
}

func TestAManifestThatDoesNotHoldTogetherHasNoDigest(t *testing.T) {
	if d := manifest("a", "b/c").Digest(); d == "" {
		t.Fatal("a good manifest has no digest")
	}
	for what, change := range map[string]func(*residency.Manifest){
		"version":       func(m *residency.Manifest) { m.V = 2 },
		"hash":          func(m *residency.Manifest) { m.Hash = "sha1" },
		"slice":         func(m *residency.Manifest) { m.Slice = "claims" },
		"chunk size":    func(m *residency.Manifest) { m.ChunkSize = 0 },
		"huge chunks":   func(m *residency.Manifest) { m.ChunkSize = 1 << 40 },
		"no files":      func(m *residency.Manifest) { m.Files = nil },
		"bytes":         func(m *residency.Manifest) { m.Bytes++ },
		"fewer bytes":   func(m *residency.Manifest) { m.Bytes-- },
		"negative size": func(m *residency.Manifest) { m.Files[0].Size = -5; m.Bytes = 0 },
		"overflow":      func(m *residency.Manifest) { m.Files[0].Size, m.Files[1].Size = 1<<62, 1<<62 },
		"chunk missing": func(m *residency.Manifest) { m.Files[0].Chunks = m.Files[0].Chunks[:1] },
		"chunk too many": func(m *residency.Manifest) {
			m.Files[0].Chunks = append(m.Files[0].Chunks, strings.Repeat("0", 64))
		},
		"capital chunk": func(m *residency.Manifest) {
			m.Files[0].Chunks = []string{strings.Repeat("A", 64), strings.Repeat("0", 64)}
		},
		"mode":   func(m *residency.Manifest) { m.Files[0].Mode = 0o644 },
		"setuid": func(m *residency.Manifest) { m.Files[0].Mode = 0o4555 },
		"order":  func(m *residency.Manifest) { m.Files[0], m.Files[1] = m.Files[1], m.Files[0] },
	} {
		m := manifest("a", "b/c")
		change(&m)
		if m.Digest() != "" {
			t.Errorf("%s: has a digest", what)
		}
	}
	for _, names := range [][]string{{"a", "a"}, {"A", "a"}, {"a", "a/b"}, {"A/b", "a"}, {"../a"},
		{"/a"}, {"a/"}, {"a/../b"}, {"."}, {""}, {"a\x00"}, {"a\nb"}, {"a\\b"}, {"\xff"}, {"a."}, {"a "}, {"a\u202eb"},
		{strings.Repeat("a", 256)}, {strings.Repeat("a/", 600) + "a"}} {
		if manifest(names...).Digest() != "" {
			t.Errorf("%q: has a digest", names)
		}
	}
}

func TestOnlyTheOneSpellingOfAManifestIsRead(t *testing.T) {
	good, err := manifest("a").Encode()
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"blank":         append(bytes.Clone(good), '\n'),
		"unknown field": bytes.Replace(good, []byte(`{"v":1`), []byte(`{"x":1,"v":1`), 1),
		"doubled field": bytes.Replace(good, []byte(`"size":5`), []byte(`"size":4,"size":5`), 1),
		"float":         bytes.Replace(good, []byte(`"size":5`), []byte(`"size":5.0`), 1),
		"capital":       bytes.Replace(good, []byte(`"size"`), []byte(`"Size"`), 1),
		"null":          []byte("null"),
		"nothing":       nil,
	} {
		if _, err := residency.DecodeManifest(b); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	b, err := manifest("a", "b/c").Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	m, err := manifest("a", "b/c").With(made())
	if err != nil {
		f.Fatal(err)
	}
	if b, err = m.Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := residency.DecodeManifest(b)
		if err != nil {
			return
		}
		if again, err := m.Encode(); err != nil || !bytes.Equal(b, again) {
			t.Errorf("%q encodes to %q (error %v)", b, again, err)
		}
	})
}
