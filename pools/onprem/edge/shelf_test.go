package edge_test

import (
	"io/fs"
	"maps"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/onprem/edge"
)

func TestASliceThatWasMadeAnewIsServedAndTheOldOneIsNot(t *testing.T) {
	w := newWorld(t, nil)
	old, roadsWere := w.edge.Held()[pseudo], w.edge.Held()[roads]
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	anew := maps.Clone(w.conf.Slices)
	anew[pseudo] = directory(t, "rows.csv", 9*mib)
	delete(anew, raw)
	must(t, w.edge.Hold(edge.Holdings{Catalogue: w.conf.Catalogue, Slices: anew}))

	if err := n.chunk(5, 300*time.Millisecond); err == nil {
		t.Error("a byte of the old slice went out")
	}
	w.line("slice is held no more", "name="+pseudo, "digest="+old, "now="+w.edge.Held()[pseudo])
	w.line("slice is held no more", "name="+raw)
	w.honest("g-2", func(s *spec) { s.SliceDigest = old }).noByte(t, "slice")
	w.line("peer refused", "grant=g-2", "the digest is not what is held under the name "+pseudo+": that is sha256:")
	w.honest("g-3", nil).reads(0, 9) // of the new one
	if w.edge.Held()[roads] != roadsWere {
		t.Error("a slice that was not made anew is another one")
	}
	if _, ok := w.edge.Held()[raw]; ok {
		t.Error("a slice that went is still held")
	}
}

func TestNoWindowIsOpenedForASliceThatIsHeldNoMore(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	n.reads(0, 1)
	must(t, w.edge.Hold(edge.Holdings{Catalogue: w.conf.Catalogue, Slices: map[string]fs.FS{}}))
	for i := 1; i < 9; i++ {
		if n.chunk(i, 200*time.Millisecond) == nil {
			t.Fatalf("chunk %d of a slice that is held no more went out", i)
		}
	}
	if opened, _ := w.books("g-1"); len(opened) != 1 {
		t.Errorf("%d windows were entered", len(opened))
	}
	// One that is away for a while, as while it is built, is served when it is back.
	must(t, w.edge.Hold(edge.Holdings{Catalogue: w.conf.Catalogue, Slices: w.conf.Slices}))
	w.honest("g-2", nil).reads(0, 9)
}

func TestSlicesAreReplacedWhileTheyAreServed(t *testing.T) {
	w := newWorld(t, nil)
	n, done := w.honest("g-1", nil), make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			if err := w.edge.Hold(edge.Holdings{Catalogue: w.conf.Catalogue, Slices: w.conf.Slices}); err != nil {
				t.Error(err)
			}
			w.edge.Held()
		}
	}()
	n.reads(0, 9)
	<-done
}
