package columnar_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// row is one that would be taken.
const row = "canary,1950-01-01,30,north,2,1.5\n"

func TestAFileThatIsNotAsTheCatalogueSaysIsRefusedWithTheReason(t *testing.T) {
	for what, tc := range map[string]struct{ text, why string }{
		"nothing":           {"", "it has no header"},
		"an unknown column": {strings.Replace(header, "born", "birth", 1), `column "birth" is not in the catalogue`},
		"a column more":     {strings.Replace(header, "\n", ",postcode\n", 1), `column "postcode" is not in the catalogue`},
		"a column less":     {strings.Replace(header, ",amount", "", 1), `column "amount" is missing`},
		"a column twice":    {strings.Replace(header, "born", "member", 1), `column "member" is there twice`},
		"another order":     {strings.Replace(header, "member,born", "born,member", 1), "not in the order of the catalogue"},
		"a column in case":  {strings.Replace(header, "born", "Born", 1), `column "Born" is not in the catalogue`},
		"a text for a day": {header + row + strings.Replace(row, "1950-01-01", "canary", 1),
			`row 2: column "born": its value is no date`},
		"a day that is none": {header + strings.Replace(row, "01-01", "02-30", 1), `column "born": its value is no date`},
		"a text for a count": {header + strings.Replace(row, "30", "canary", 1),
			`column "age_band": its value is no integer`},
		"a huge count": {header + strings.Replace(row, "30", "99999999999999999999", 1),
			`column "age_band": its value is no`},
		"no number":       {header + strings.Replace(row, "1.5", "NaN", 1), `column "amount": its value is no number`},
		"an empty value":  {header + strings.Replace(row, "30", "", 1), `column "age_band": it is empty`},
		"a short row":     {header + "canary,1950-01-01\n", "wrong number of fields"},
		"a bare quote":    {header + strings.Replace(row, "canary", `can"ary`, 1), "bare \""},
		"no UTF-8":        {header + strings.Replace(row, "canary", "\xff", 1), `column "member": it is not UTF-8`},
		"an empty region": {header + strings.Replace(row, "north", "", 1), ""}, // nullable, and compared with text only
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.spec.KAnonymity = nil
			w.put(t, "claims/2025-q3/part-2.csv", tc.text)
			if tc.why == "" {
				w.must(t)
				return
			}
			refused(t, w, tc.why)
		})
	}
}

func TestAPredicateWithoutAnAnswerIsRefused(t *testing.T) {
	for rows, why := range map[string]string{
		"1 / (stay_days - stay_days) > 0":               "no answer",
		`region.size() > 0`:                             "no answer", // one of them is empty
		`region == null || region.size() > 0`:           "",
		`born < timestamp("1980-01-01T00:00:00Z")`:      "",
		`amount > 1000.0 && stay_days in [1, 2, 3]`:     "",
		`member.matches("^canary-member-00000[0-9]$")`:  "",
		`stay_days > 100000`:                            "no row is left",
		`born.getFullYear() == 1950 && age_band == 999`: "no row is left",
	} {
		w := newWorld(t)
		w.put(t, "claims/2025-q3/part-2.csv", header+strings.Replace(row, "north", "", 1))
		w.spec.KAnonymity, w.spec.Rows = nil, rows
		if why == "" {
			w.must(t)
			continue
		}
		refused(t, w, why)
	}
}

func TestOnlyAPlainFileInsideIsRead(t *testing.T) {
	for what, tc := range map[string]struct {
		lay func(dir string) error // dir is data/claims/2025-q3
		why string
	}{
		"a link to a file inside": {func(d string) error { return os.Symlink("part-0.csv", d+"/link.csv") },
			"link.csv is a link"},
		"a link to a file outside": {func(d string) error { return os.Symlink("/etc/hostname", d+"/link.csv") },
			"link.csv is a link"},
		"a link to a directory": {func(d string) error { return os.Symlink("/etc", d+"/dir") }, "dir is a link"},
		"a hard link": {func(d string) error { return os.Link(d+"/part-0.csv", d+"/../other") },
			"part-0.csv has 2 names"},
		"a pipe": {func(d string) error { return syscall.Mkfifo(d+"/pipe.csv", 0o600) },
			"pipe.csv is not a regular file"},
		"a socket": {func(d string) error { return socket(d + "/socket.csv") },
			"socket.csv is not a regular file"},
		"a device": {func(d string) error { return syscall.Mknod(d+"/null.csv", syscall.S_IFCHR|0o600, 1<<8|3) },
			"null.csv is not a regular file"},
		"a version that is a link": {func(d string) error {
			return errors.Join(os.Rename(d, d+"-real"), os.Symlink("2025-q3-real", d))
		}, "claims/2025-q3 is a link"},
		"a version below a link": {func(d string) error {
			up := filepath.Dir(d)
			return errors.Join(os.Rename(up, up+"-real"), os.Symlink("claims-real", up))
		}, "claims is a link"},
		"a version that is a file": {func(d string) error {
			return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o600))
		}, "claims/2025-q3 is not a directory"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			err := tc.lay(filepath.Join(w.dir, "data/claims/2025-q3"))
			if errors.Is(err, syscall.EPERM) {
				t.Skip("only root makes devices")
			}
			if err != nil {
				t.Fatal(err)
			}
			refused(t, w, tc.why)
		})
	}
}

func socket(path string) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if len(path) > 100 { // sun_path is short
		if err := os.Chdir(filepath.Dir(path)); err != nil {
			return err
		}
		path = filepath.Base(path)
	}
	return syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
}

func TestAVersionNeverChanges(t *testing.T) {
	for what, tc := range map[string]struct {
		change func(w *world)
		why    string
	}{
		"one byte": {func(w *world) { w.put(t, "claims/2025-q3/part-0.csv", w.rows(1, 60)) }, "part-0.csv has changed"},
		"one file more": {func(w *world) { w.put(t, "claims/2025-q3/part-00.csv", w.rows(0, 5)) },
			"part-00.csv is new"},
		"one file less": {func(w *world) { os.Remove(filepath.Join(w.dir, "data/claims/2025-q3/part-1.csv")) },
			"part-1.csv is gone"},
		"another directory": {func(w *world) {
			w.set.Versions[0].Dir = "claims/other"
			w.put(t, "claims/other/part-0.csv", w.rows(0, 60))
		}, "a version never changes"},
		"a digest that is not its": {func(w *world) { w.set.Versions[0].Digest = "sha256:" + strings.Repeat("0", 64) },
			"and the catalogue says sha256:0000"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			s := w.store(t, "slices")
			w.set.Slices = []residency.SliceSpec{w.spec}
			if _, err := s.Build(w.set, w.spec); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Verify(w.set, w.spec); err != nil {
				t.Errorf("before it changes: %v", err)
			}
			tc.change(w)
			if _, err := s.Build(w.set, w.spec); !errors.Is(err, columnar.ErrChanged) || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("after: %v", err)
			}
		})
	}
	w := newWorld(t)
	s := w.store(t, "slices")
	w.set.Slices = []residency.SliceSpec{w.spec}
	first, err := s.Build(w.set, w.spec)
	if err != nil {
		t.Fatal(err)
	}
	if w.set.Versions[0].Digest, err = s.VersionDigest(w.set, w.spec); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Build(w.set, w.spec); err != nil || again.Manifest.Made.Source != first.Manifest.Made.Source {
		t.Errorf("pinned to its own digest: %v", err)
	}
}

func TestADatasetOutsideItsDaysIsNotHeld(t *testing.T) {
	for what, change := range map[string]func(*residency.Dataset){
		"embargo until tomorrow":    func(d *residency.Dataset) { d.Embargo, d.Retention = "2026-11-26", "2026-11-26" },
		"retention until yesterday": func(d *residency.Dataset) { d.Embargo, d.Retention = "2026-11-24", "2026-11-24" },
	} {
		w := newWorld(t)
		s := w.store(t, "slices")
		w.set.Slices = []residency.SliceSpec{w.spec}
		w.set.Embargo, w.set.Retention = "2026-11-25", "2026-11-25"
		if _, err := s.Build(w.set, w.spec); err != nil {
			t.Fatal(err)
		}
		change(&w.set)
		_, built := s.Build(w.set, w.spec)
		_, held := s.Held(w.set, w.spec)
		if !errors.Is(built, columnar.ErrNotNow) || !errors.Is(held, columnar.ErrNotNow) {
			t.Errorf("%s: build %v, hold %v", what, built, held)
		}
	}
}

func TestASliceTakesThePartitionsItNames(t *testing.T) {
	w := newWorld(t)
	w.set.Table.Columns = append(w.set.Table.Columns, residency.Column{Name: "dt", Type: "text", Partition: true},
		residency.Column{Name: "land", Type: "text", Partition: true})
	w.set.Versions[0].Dir = "claims/lake"
	for i, dir := range []string{"dt=2025-07/land=be", "dt=2025-07/land=by", "dt=2025-08/land=be"} {
		w.put(t, "claims/lake/"+dir+"/part-0.csv", w.rows(i*60, 60))
	}
	names := func(b columnar.Built) (names []string) {
		for _, f := range b.Manifest.Files {
			names = append(names, f.Name)
		}
		return names
	}
	want := func(b columnar.Built, rows int64, files string) {
		t.Helper()
		if got := strings.Join(names(b), " "); b.Manifest.Made.Rows != rows || got != files {
			t.Errorf("%d rows of %s, want %d of %s", b.Manifest.Made.Rows, got, rows, files)
		}
	}
	w.spec.Partitions = []string{"dt=2025-07"}
	want(w.must(t), 108, "dt=2025-07/land=be/part-00000.csv dt=2025-07/land=by/part-00001.csv")
	w.spec.Partitions = []string{"dt=2025-07/land=by", "dt=2025-08"}
	want(w.must(t), 108, "dt=2025-07/land=by/part-00000.csv dt=2025-08/land=be/part-00001.csv")
	w.spec.Partitions, w.spec.Rows = nil, `land == "be" && dt >= "2025-08" && region != "hidden"`
	want(w.must(t), 54, "dt=2025-08/land=be/part-00000.csv")
	w.spec.KAnonymity.Columns = []string{"age_band", "region", "land"}
	if b := w.must(t); b.Manifest.Made.SmallestGroup != 24 {
		t.Errorf("a value in the path does not tell groups apart: %+v", b.Manifest.Made)
	}
	w.spec.Partitions = []string{"dt=2025-09"}
	refused(t, w, "dt=2025-09 is not there")
	w.spec.Partitions = []string{"dt=2025-0"}
	refused(t, w, "dt=2025-0 is not there")
	w.spec.Partitions = nil
	w.put(t, "claims/lake/extra.csv", w.rows(0, 1))
	refused(t, w, "extra.csv lies 0 directories deep")
	w.put(t, "claims/lake/land=be/dt=2025-07/extra.csv", w.rows(0, 1))
	w.spec.Partitions = []string{"land=be"}
	refused(t, w, "is not dt=…")

	plain := residency.SliceSpec{Name: "claims/july", Version: "2025-q3", Partitions: []string{"dt=2025-07"}}
	w.spec = plain
	if b := w.must(t); len(names(b)) != 2 || b.Manifest.Made.Derived {
		t.Errorf("files as they are: %q", names(b))
	}
}

func TestAnotherFilesystemIsNotRead(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.dir, "data/claims/2025-q3/dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	w.put(t, "claims/2025-q3/dir/part-2.csv", w.rows(0, 5))
	refused(t, w, "directory dir lies on another filesystem")
}
