package keys

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/burstctl/burstctl/residency/audit"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keyDir is a controller's folder.
func keyDir(t *testing.T) (log, vkey string) {
	t.Helper()
	dir := t.TempDir()
	must(t, Init(dir, plan))
	log = filepath.Join(dir, "controller", "log.key")
	vkey, err := VKey(Public(log))
	must(t, err)
	return log, vkey
}

func TestARotationCutShortAnywhereIsFinishedOrNeverWas(t *testing.T) {
	for _, entered := range []bool{false, true} {
		for cut := range 4 {
			log, old := keyDir(t)
			next, err := Prepare(log, audit.RoleLog, old)
			must(t, err)
			k, err := Open(next, audit.RoleLog)
			must(t, err)
			again, err := Prepare(log, audit.RoleLog, old)
			must(t, err)
			if b, err := Open(again, audit.RoleLog); err != nil || b.VKey != k.VKey {
				t.Fatal("a second try made another key")
			}
			want := old
			if entered {
				want = k.VKey
				n := namesOf(log)
				if cut > 0 {
					must(t, os.Link(log, filepath.Join(filepath.Dir(log), "log."+old[len(plan.Origin)+1:][:8]+".superseded.key")))
				}
				if cut > 1 {
					must(t, os.Rename(n.next, n.key))
				}
				if cut > 2 {
					must(t, os.Rename(n.nextV, n.vkey))
				}
			}
			for range 2 { // a second start changes nothing
				must(t, Settle(log, func(v string) bool { return entered && v == k.VKey }))
			}
			got, err := Open(log, audit.RoleLog)
			must(t, err)
			public, err := VKey(Public(log))
			must(t, err)
			if got.VKey != want || public != want {
				t.Fatalf("entered %v, cut at %d: the key is %s beside %s, want %s", entered, cut, got.VKey, public, want)
			}
		}
	}
}

func TestTheOldKeyIsKeptAside0600(t *testing.T) {
	log, old := keyDir(t)
	_, err := Prepare(log, audit.RoleLog, old)
	must(t, err)
	must(t, Adopt(log, old))
	asides, err := filepath.Glob(filepath.Join(filepath.Dir(log), "log.*.superseded.key"))
	must(t, err)
	if len(asides) != 1 {
		t.Fatalf("kept aside: %v", asides)
	}
	for _, path := range append(asides, log) {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	k, err := Open(asides[0], audit.RoleLog)
	must(t, err)
	former, err := Superseded(log)
	must(t, err)
	if k.VKey != old || len(former) != 1 || former[0] != old {
		t.Errorf("kept aside: %s, %v", k.VKey, former)
	}
}

func TestAWitnessKeyIsRotatedByItsOwnKind(t *testing.T) {
	dir := t.TempDir()
	must(t, Init(dir, plan))
	path := filepath.Join(dir, "edge-hq", "witness.key")
	old, err := Open(path, audit.RoleWitness)
	must(t, err)
	want, err := VKey(filepath.Join(dir, "controller", "witness-hq.vkey"))
	must(t, err)
	if old.VKey != want {
		t.Fatalf("the key is %s, the controller has %s", old.VKey, want)
	}
	next, err := Prepare(path, audit.RoleWitness, old.VKey)
	must(t, err)
	k, err := Open(next, audit.RoleWitness)
	must(t, err)
	if _, err := audit.CosignatureVerifier(k.VKey); err != nil || k.Name() != old.Name() {
		t.Fatalf("next: %s, %v", k.VKey, err)
	}
}
