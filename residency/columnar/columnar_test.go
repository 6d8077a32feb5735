package columnar_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

func TestASliceHasTheColumnsAndRowsThatWereAskedFor(t *testing.T) {
	w := newWorld(t)
	b := w.must(t)
	all := bytesOf(t, b)
	for _, gone := range []string{"canary", "hidden", "born"} {
		if bytes.Contains(all, []byte(gone)) {
			t.Errorf("%q, of a dropped column or row, is in the slice", gone)
		}
	}
	rows, err := csv.NewReader(mustOpen(t, b, "part-00000.csv")).ReadAll()
	if err != nil || !slices.Equal(rows[0], []string{"member", "age_band", "region", "stay_days", "amount"}) {
		t.Fatalf("header %q, error %v", rows[0], err)
	}
	if len(rows) != 1+54 || len(rows[1][0]) != 32 || rows[1][4] != "1000.5" {
		t.Errorf("%d rows, the first is %q", len(rows)-1, rows[1])
	}
	m := b.Manifest
	if m.V != 2 || m.Made.Rows != 108 || m.Made.K != 5 || m.Made.SmallestGroup != 48 || m.Made.Version != "2025-q3" ||
		!slices.Equal(m.Made.Pseudonymised, []string{"member"}) || m.Hash != "sha256" || len(m.Root) != 71 {
		t.Errorf("manifest %+v, made %+v", m, m.Made)
	}
	back, err := residency.DecodeManifest(mustEncode(t, m))
	if err != nil || back.Digest() != m.Digest() {
		t.Errorf("decoded %s, was %s: %v", back.Digest(), m.Digest(), err)
	}
}

// A source may be a file a person: neither its name nor its number gets out.
func TestAFileOfTheSliceIsNotNamedAsItsSource(t *testing.T) {
	w := newWorld(t)
	w.put(t, "claims/2025-q3/a-canary-who-is-left-out.csv", strings.ReplaceAll(w.rows(200, 20), "north", "hidden"))
	w.put(t, "claims/2025-q3/canary-member-000120.csv", w.rows(120, 60))
	w.spec.Rows += " && amount < 1200.0"
	b := w.must(t)
	var names []string
	for _, f := range b.Manifest.Files {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"part-00000.csv", "part-00001.csv", "part-00002.csv"}) {
		t.Errorf("its files are %q", names)
	}
	if bytes.Contains(bytesOf(t, b), []byte("canary")) {
		t.Error("a source's name is in the slice")
	}
}

func TestTheSameSliceIsMadeOfTheSameBytes(t *testing.T) {
	for _, format := range []string{"csv", "parquet"} {
		w := newWorld(t)
		w.format(t, format)
		first, second := w.must(t), w.must(t)
		if first.Manifest.Digest() != second.Manifest.Digest() || !bytes.Equal(bytesOf(t, first), bytesOf(t, second)) {
			t.Errorf("%s: built as %s and as %s", format, first.Manifest.Digest(), second.Manifest.Digest())
		}
		if err := os.Remove(filepath.Join(w.dir, "key")); err != nil {
			t.Fatal(err)
		}
		if _, err := columnar.NewKey(filepath.Join(w.dir, "key")); err != nil {
			t.Fatal(err)
		}
		if third := w.must(t); third.Manifest.Digest() == first.Manifest.Digest() {
			t.Errorf("%s: another key makes the same codes", format)
		}
	}
}

func TestASliceThatIsBuiltIsHeldAndCheckedByteForByte(t *testing.T) {
	w := newWorld(t)
	s := w.store(t, "slices")
	if _, err := s.Held(w.set, w.spec); !errors.Is(err, columnar.ErrNotBuilt) {
		t.Errorf("before it is built: %v", err)
	}
	w.set.Slices = []residency.SliceSpec{w.spec}
	b, err := s.Build(w.set, w.spec)
	if err != nil {
		t.Fatal(err)
	}
	held, err := s.Held(w.set, w.spec)
	if err != nil || held.Manifest.Digest() != b.Manifest.Digest() {
		t.Fatalf("held %s: %v", held.Manifest.Digest(), err)
	}
	if again, err := s.Build(w.set, w.spec); err != nil || again.Manifest.Digest() != b.Manifest.Digest() {
		t.Errorf("built again as %s: %v", again.Manifest.Digest(), err)
	}
	other := w.spec
	other.Rows = "stay_days > 1"
	if _, err := s.Held(w.set, other); !errors.Is(err, columnar.ErrNotBuilt) {
		t.Errorf("the catalogue asks for other rows: %v", err)
	}
	part := glob(t, w.dir, "slices/built/*/data/part-00000.csv")[0]
	text, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-2] ^= 1
	if err := os.WriteFile(part, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Held(w.set, w.spec); !errors.Is(err, columnar.ErrChanged) ||
		!strings.Contains(err.Error(), "part-00000.csv is not what the manifest says") {
		t.Errorf("one bit is flipped: %v", err)
	}
	if again, err := s.Build(w.set, w.spec); err != nil || again.Manifest.Digest() != b.Manifest.Digest() {
		t.Errorf("made anew as %s: %v", again.Manifest.Digest(), err)
	}
	if left := glob(t, w.dir, "slices/.new-*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestFilesAsTheyAreAreListedAndNotCopied(t *testing.T) {
	w := newWorld(t)
	w.spec = residency.SliceSpec{Name: "claims/whole", Version: "2025-q3", Files: []string{"part-1.csv"}}
	b := w.must(t)
	if m := b.Manifest; m.V != 2 || m.Made.Derived || len(m.Files) != 1 || m.Files[0].Name != "part-1.csv" {
		t.Errorf("%+v made %+v", m, m.Made)
	}
	if made := glob(t, w.dir, "slices-0/built/*/data"); len(made) > 0 {
		t.Errorf("copied to %q", made)
	}
}

func TestGroupsThatAreTooSmallAreRefusedOrLeftOut(t *testing.T) {
	w := newWorld(t)
	w.put(t, "claims/2025-q3/part-2.csv", header+strings.Repeat("canary,1950-01-01,90,north,2,1\n", 4))
	refused(t, w, "1 of 3 groups of [\"age_band\" \"region\"] have fewer than 5 rows")
	w.spec.KAnonymity.SmallGroups = "drop"
	b := w.must(t)
	if b.LeftOut != 4 || b.Manifest.Made.Rows != 108 || b.Manifest.Made.SmallestGroup != 48 || len(b.Manifest.Files) != 2 {
		t.Errorf("left out %d, made %+v of %d files", b.LeftOut, b.Manifest.Made, len(b.Manifest.Files))
	}
	w.spec.KAnonymity.K = 61
	refused(t, w, "no row is left")
}

func TestAPseudonymIsTheSameAcrossFormatsAndNowhereElse(t *testing.T) {
	w := newWorld(t)
	key, err := columnar.ReadKey(filepath.Join(w.dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	want := key.Pseudonym("claims", "member", "canary-member-000000")
	for _, format := range []string{"csv", "parquet"} {
		w.format(t, format)
		if all := bytesOf(t, w.must(t)); !bytes.Contains(all, []byte(want)) {
			t.Errorf("%s: the code is not there", format)
		}
	}
	for _, other := range []string{key.Pseudonym("roads", "member", "canary-member-000000"),
		key.Pseudonym("claims", "born", "canary-member-000000"), key.Pseudonym("claims", "member", "canary-member-00000")} {
		if other == want {
			t.Error("two values have one code")
		}
	}
}

func TestAKeyThatOthersCanReadIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	k, err := columnar.NewKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := columnar.NewKey(path); err == nil {
		t.Error("a key is overwritten")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := k.String(); strings.Contains(s, strings.TrimSpace(string(text))) || len(k.ID()) != 16 {
		t.Errorf("it prints as %s", s)
	}
	for _, step := range []struct {
		what   string
		change func() error
	}{
		{"mode", func() error { return os.Chmod(path, 0o640) }},
		{"short", func() error { return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, text[:40], 0o600)) }},
		{"link", func() error {
			return errors.Join(os.WriteFile(path+"2", text, 0o600), os.Remove(path), os.Symlink(path+"2", path))
		}},
		{"gone", func() error { return os.Remove(path) }},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		if _, err := columnar.ReadKey(path); err == nil {
			t.Errorf("%s: read", step.what)
		}
	}
	w := newWorld(t)
	s, err := columnar.OpenStore(filepath.Join(w.dir, "data"), filepath.Join(w.dir, "slices"), columnar.Key{}, today)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w.set.Slices = []residency.SliceSpec{w.spec}
	if _, err := s.Build(w.set, w.spec); err == nil || !strings.Contains(err.Error(), "no pseudonym key") {
		t.Errorf("without a key: %v", err)
	}
}
