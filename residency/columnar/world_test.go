package columnar_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// world is a site with a table and a place for slices.
type world struct {
	dir  string
	set  residency.Dataset
	spec residency.SliceSpec
}

// layout is what the tables of the tests look like.
func layout(format string) *residency.Layout {
	return &residency.Layout{Format: format, Columns: []residency.Column{
		{Name: "member", Type: "text", Identifies: true},
		{Name: "born", Type: "date", Identifies: true},
		{Name: "age_band", Type: "integer"},
		{Name: "region", Type: "text", Nullable: true},
		{Name: "stay_days", Type: "integer"},
		{Name: "amount", Type: "number"},
	}}
}

// newWorld lays out two CSV files of 60 rows each.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.set = residency.Dataset{ID: "claims", Title: "Claims", Owner: "claims-office", Class: residency.Special,
		Origin: "DE", Basis: "contract", Purposes: []string{"research"}, Table: layout("csv"),
		Versions: []residency.Version{{Name: "2025-q3", Dir: "claims/2025-q3"}}}
	w.spec = residency.SliceSpec{Name: "claims/adults", Class: residency.Personal, Pseudonymised: true,
		Version: "2025-q3", Columns: &residency.Columns{Drop: []string{"born"}, Pseudonymise: []string{"member"}},
		Rows:       `stay_days > 0 && region != "hidden"`,
		KAnonymity: &residency.KAnonymity{Columns: []string{"age_band", "region"}, K: 5}}
	for part := range 2 {
		w.put(t, fmt.Sprintf("claims/2025-q3/part-%d.csv", part), w.rows(part*60, 60))
	}
	if _, err := columnar.NewKey(filepath.Join(w.dir, "key")); err != nil {
		t.Fatal(err)
	}
	return w
}

// today is the day of the tests.
var today = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// header is that of every CSV file.
const header = "member,born,age_band,region,stay_days,amount\n"

// rows makes some. What must not get out has canary in it.
func (w *world) rows(from, n int) string {
	b := strings.Builder{}
	b.WriteString(header)
	for i := from; i < from+n; i++ {
		region, stay := []string{"north", "south"}[i%2], 1+i%9
		if i%10 == 7 {
			region, stay = "hidden", 3
		}
		fmt.Fprintf(&b, "canary-member-%06d,19%02d-01-02,%d,%s,%d,%d.5\n", i, 10+i%80, i%2*10+30, region, stay, 1000+i)
	}
	return b.String()
}

// put writes a file below the data directory.
func (w *world) put(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(w.dir, "data", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// store opens the site's slices in one of several directories.
func (w *world) store(t testing.TB, dir string) *columnar.Store {
	t.Helper()
	key, err := columnar.ReadKey(filepath.Join(w.dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := columnar.OpenStore(filepath.Join(w.dir, "data"), filepath.Join(w.dir, dir), key, today)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// build builds the one slice into a fresh directory.
func (w *world) build(t testing.TB) (columnar.Built, error) {
	t.Helper()
	w.set.Slices = []residency.SliceSpec{w.spec}
	dir := fmt.Sprintf("slices-%d", len(glob(t, w.dir, "slices-*")))
	return w.store(t, dir).Build(w.set, w.spec)
}

// must builds it, and it is there.
func (w *world) must(t testing.TB) columnar.Built {
	t.Helper()
	b, err := w.build(t)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func glob(t testing.TB, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// bytesOf is every byte of a slice, its manifest and its file names included.
func bytesOf(t *testing.T, b columnar.Built) []byte {
	t.Helper()
	m, err := b.Manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Clone(m)
	for _, f := range b.Manifest.Files {
		text, err := fs.ReadFile(b.Root, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, f.Name...), text...)
	}
	return all
}

// refused wants a build to be refused with a reason.
func refused(t *testing.T, w *world, why string) {
	t.Helper()
	b, err := w.build(t)
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("built %s with error %v, want one that says %q", b.Manifest.Digest(), err, why)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("the error repeats a value: %v", err)
	}
}

func mustOpen(t *testing.T, b columnar.Built, name string) fs.File {
	t.Helper()
	f, err := b.Root.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func mustEncode(t *testing.T, m residency.Manifest) []byte {
	t.Helper()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
