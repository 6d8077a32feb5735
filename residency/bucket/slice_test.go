package bucket_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/bucket"
	"github.com/burstctl/burstctl/residency/columnar"
)

// site has the same files in a directory and in a bucket.
type site struct {
	*shop
	dir  string
	here residency.Dataset // in the directory
	far  residency.Dataset // in the bucket
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{shop: open(t), dir: t.TempDir()}
	for _, month := range []string{"07", "08"} {
		b := strings.Builder{}
		b.WriteString("member,age_band,stay_days\n")
		for i := range 40 {
			fmt.Fprintf(&b, "canary-%s-%d,%d,%d\n", month, i, i%4*10, i%3)
		}
		name := "dt=2025-" + month + "/part.csv"
		s.put(t, "insurance/2025/"+name, b.String())
		path := filepath.Join(s.dir, "data/2025", name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(b.String()), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	s.here = residency.Dataset{ID: "claims", Title: "Claims", Owner: "claims-office", Class: residency.Special,
		Origin: "DE", Basis: "contract", Purposes: []string{"research"},
		Versions: []residency.Version{{Name: "2025", Dir: "2025"}},
		Table: &residency.Layout{Format: "csv", Columns: []residency.Column{{Name: "member", Type: "text", Identifies: true},
			{Name: "age_band", Type: "integer"}, {Name: "stay_days", Type: "integer"},
			{Name: "dt", Type: "text", Partition: true}}},
		Slices: []residency.SliceSpec{
			{Name: "claims/whole", Version: "2025"},
			{Name: "claims/july", Version: "2025", Partitions: []string{"dt=2025-07"}},
			{Name: "claims/one", Version: "2025", Files: []string{"dt=2025-08/part.csv"}},
			{Name: "claims/coded", Version: "2025", Class: residency.Personal, Pseudonymised: true,
				Columns: &residency.Columns{Pseudonymise: []string{"member"}}, Rows: `stay_days > 0 && dt > "2025-07"`,
				KAnonymity: &residency.KAnonymity{Columns: []string{"age_band"}, K: 5}},
		}}
	s.far = s.here
	lake := s.lake()
	s.far.Bucket = &lake
	if _, err := columnar.NewKey(filepath.Join(s.dir, "key")); err != nil {
		t.Fatal(err)
	}
	return s
}

// store opens a place for slices that reads the bucket.
func (s *site) store(t *testing.T, dir string) *columnar.Store {
	t.Helper()
	key, err := columnar.ReadKey(filepath.Join(s.dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := columnar.OpenStore(filepath.Join(s.dir, "data"), filepath.Join(s.dir, dir), key,
		time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	st.Reach(func(b residency.Bucket, dir string) (columnar.Files, error) {
		return bucket.Open(patient(t), b, dir, keys(t), nil)
	})
	return st
}

// contents is each file of a slice.
func contents(t *testing.T, b columnar.Built) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, f := range b.Manifest.Files {
		text, err := fs.ReadFile(b.Root, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name] = string(text) + strings.Join(f.Chunks, " ")
	}
	return all
}

func TestASliceOfABucketIsTheSliceOfADirectory(t *testing.T) {
	s := newSite(t)
	here, far := s.store(t, "here"), s.store(t, "far")
	for _, spec := range s.here.Slices {
		want, err := here.Build(s.here, spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := far.Build(s.far, spec)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(contents(t, got)) != fmt.Sprint(contents(t, want)) {
			t.Errorf("%s: %v, want %v", spec.Name, contents(t, got), contents(t, want))
		}
		if _, err := far.Verify(s.far, spec); err != nil {
			t.Error(err)
		}
	}
	s.Close() // what is built needs the store no more
	for _, spec := range s.far.Slices {
		if _, err := far.Held(s.far, spec); err != nil {
			t.Error(err)
		}
		if _, err := far.Verify(s.far, spec); !errors.Is(err, bucket.ErrAway) {
			t.Errorf("verified %s without its store: %v", spec.Name, err)
		}
	}
}

func TestAVersionInABucketNeverChanges(t *testing.T) {
	for why, change := range map[string]func(s *site){
		"dt=2025-07/part.csv has changed": func(s *site) { s.put(t, "insurance/2025/dt=2025-07/part.csv", "member\n") },
		"dt=2025-09/part.csv is new":      func(s *site) { s.put(t, "insurance/2025/dt=2025-09/part.csv", "member\n") },
		"dt=2025-08/part.csv is gone":     func(s *site) { s.mem.DeleteObject("lake", "insurance/2025/dt=2025-08/part.csv") },
		"a version never changes": func(s *site) {
			s.far.Bucket.Prefix = "elsewhere"
			s.put(t, "elsewhere/2025/dt=2025-07/part.csv", "member\n")
		},
	} {
		s := newSite(t)
		st := s.store(t, "far")
		if _, err := st.Build(s.far, s.far.Slices[1]); err != nil {
			t.Fatal(err)
		}
		change(s)
		_, err := st.Build(s.far, s.far.Slices[3])
		if !errors.Is(err, columnar.ErrChanged) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// Each object is read several times: to know the version, to count groups, to
// write. Whichever of these reads finds another object, no slice is made.
func TestAnObjectThatIsChangedBetweenTwoReadsMakesNoSlice(t *testing.T) {
	for _, spec := range []int{0, 3} {
		for at := 1; ; at++ {
			s := newSite(t)
			st, reads := s.store(t, "far"), 0
			s.trouble = func(_ http.ResponseWriter, r *http.Request) bool {
				if isGet(r) {
					if reads++; reads == at {
						s.put(t, "insurance/2025/dt=2025-08/part.csv", "member,age_band,stay_days\ncanary-x,30,1\n")
					}
				}
				return false
			}
			b, err := st.Build(s.far, s.far.Slices[spec])
			if reads < at {
				if at < 4 || err != nil {
					t.Errorf("%d reads, and then %v", reads, err)
				}
				break
			}
			last := err == nil && !strings.Contains(fmt.Sprint(contents(t, b)), "canary-x") // it was read already
			if !last && !errors.Is(err, bucket.ErrChanged) && !errors.Is(err, columnar.ErrChanged) {
				t.Errorf("changed at read %d: %v", at, err)
			}
			left, _ := filepath.Glob(filepath.Join(s.dir, "far", ".new-*"))
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		}
	}
}

func TestABucketWithoutAWayToItIsRefused(t *testing.T) {
	s := newSite(t)
	st := s.store(t, "far")
	st.Reach(nil)
	if _, err := st.Build(s.far, s.far.Slices[0]); !errors.Is(err, columnar.ErrRefused) {
		t.Errorf("without access keys: %v", err)
	}
	for what, b := range map[string]residency.Bucket{
		"no scheme":         {Endpoint: "s3.hq.example", Name: "lake"},
		"no TLS":            {Endpoint: "http://s3.hq.example:9000", Name: "lake"},
		"no TLS, lookalike": {Endpoint: "http://127.0.0.1.evil.example:9000", Name: "lake"},
		"a path":            {Endpoint: "https://s3.hq.example/lake", Name: "lake"},
		"a user":            {Endpoint: "https://me@s3.hq.example", Name: "lake"},
		"no name":           {Endpoint: "https://s3.hq.example"},
		"a way out":         {Endpoint: "https://s3.hq.example", Name: "lake", Prefix: "../other"},
		"a slash":           {Endpoint: "https://s3.hq.example", Name: "lake/other"},
		"a region":          {Endpoint: "https://s3.hq.example", Name: "lake", Region: "eu west"},
	} {
		s.far.Bucket = &b
		if _, err := residency.NewCatalogue([]residency.Dataset{s.far}); err == nil {
			t.Errorf("%s: %+v is taken", what, b)
		}
	}
}
