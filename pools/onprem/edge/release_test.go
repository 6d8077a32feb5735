package edge_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

// prove proves the entry of a release, as pools/perform does.
func (c *controller) prove(ctx context.Context, in tunnel.Entering) (tunnel.Entered, error) {
	var ask tunnel.ReleaseBody
	if err := audit.DecodeStrict(in.Body, &ask); err != nil {
		return tunnel.Entered{}, err
	}
	for leaf, err := range c.log.Entries(ctx, ask.Entry) {
		if err != nil {
			return tunnel.Entered{}, err
		}
		raw, err := leaf.Entry.Encode()
		if err != nil {
			return tunnel.Entered{}, err
		}
		x, err := c.log.Extend(ctx, in.Old, leaf.Index)
		return tunnel.Entered{Index: leaf.Index, Leaf: raw, Checkpoint: x.Checkpoint, Consistency: hashes(x.Consistency),
			Inclusion: hashes(x.Inclusion)}, err
	}
	return tunnel.Entered{}, fmt.Errorf("no entry %d", ask.Entry)
}

// letOut enters a release and lists it for the edge, changed.
func (w *world) letOut(claim, name, digest string, change func(*tunnel.Releasing)) {
	w.t.Helper()
	body, err := audit.Canonical(&burst.Release{Name: name, Digest: digest, Reason: "checked by hand"})
	must(w.t, err)
	index, _, err := w.ctl.enter(w.t.Context(), claim, "released", "user:anna", body)
	must(w.t, err)
	r := tunnel.Releasing{Claim: claim, Name: name, Digest: digest, Entry: index}
	if change != nil {
		change(&r)
	}
	w.ctl.set(func(c *controller) { c.work.Releases = append(slices.Clone(c.work.Releases), r) })
}

// out is where a released result lies.
func (w *world) out(claim, name string) string {
	return filepath.Join(filepath.Dir(w.conf.Quarantine), "released", claim, name)
}

func TestAReleasedResultLeavesQuarantineWithTheNameOfWhoLetItOut(t *testing.T) {
	w := newWorld(t, nil)
	digest, err := w.honest("g-1", nil).put("model.json", "weights")
	must(t, err)
	w.letOut("c-g-1", "model.json", digest, nil)
	w.until("the site says so", func() bool { return len(entered[burst.HandedOut](w, "handed-out")) == 1 })
	at := w.out("c-g-1", "model.json")
	b, err := os.ReadFile(at)
	must(t, err)
	if info, err := os.Lstat(at); err != nil || info.Mode() != fs.FileMode(0o640) || string(b) != "weights" {
		t.Errorf("%v %q: %v", info.Mode(), b, err)
	}
	side, err := os.ReadFile(at + ".release.json")
	must(t, err)
	for _, want := range []string{"user:anna", digest, "checked by hand", `"entry"`} {
		if !strings.Contains(string(side), want) {
			t.Errorf("beside it stands nothing of %q:\n%s", want, side)
		}
	}
	if left := files(t, w.conf.Quarantine); len(left) != 0 {
		t.Errorf("quarantine still holds %q", left)
	}
	h := entered[burst.HandedOut](w, "handed-out")[0]
	if h.Digest != digest || h.Name != "model.json" || h.Release == 0 {
		t.Errorf("entered %+v", h)
	}
}

func TestAMoveThatACrashInterruptedIsFinishedOnce(t *testing.T) {
	w := newWorld(t, nil)
	digest, err := w.honest("g-1", nil).put("model.json", "weights")
	must(t, err)
	at := w.out("c-g-1", "model.json") // moved, and the site died before it said so
	must(t, os.MkdirAll(filepath.Dir(at), 0o750))
	must(t, os.Rename(filepath.Join(w.conf.Quarantine, "c-g-1", "model.json"), at))
	w.letOut("c-g-1", "model.json", digest, nil)
	w.until("the site says so", func() bool { return len(entered[burst.HandedOut](w, "handed-out")) == 1 })
	if b, err := os.ReadFile(at); err != nil || string(b) != "weights" {
		t.Errorf("%q: %v", b, err)
	}
}

func TestWhatWasNotReleasedStaysInQuarantineAndIsSaid(t *testing.T) {
	for what, tt := range map[string]struct {
		spoil  func(t *testing.T, w *world, file string)
		change func(*tunnel.Releasing)
		why    string // entered; "" if the edge does not believe the controller
	}{
		"tampered": {func(t *testing.T, _ *world, f string) { must(t, os.WriteFile(f, []byte("other"), 0o600)) }, nil,
			"that was not released"},
		"gone":    {func(t *testing.T, _ *world, f string) { must(t, os.Remove(f)) }, nil, "not in quarantine"},
		"flagged": {nil, func(r *tunnel.Releasing) { r.Flagged = "consent withdrawn" }, "flagged: consent withdrawn"},
		"a link": {func(t *testing.T, _ *world, f string) {
			must(t, os.Rename(f, f+".real"))
			must(t, os.Symlink("model.json.real", f))
		}, nil, "no plain file"},
		"another entry":  {nil, func(r *tunnel.Releasing) { r.Entry = 0 }, ""},
		"another digest": {nil, func(r *tunnel.Releasing) { r.Digest = cast.Digest("x") }, ""},
		"another claim":  {nil, func(r *tunnel.Releasing) { r.Claim = "c-g-2" }, ""},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, nil)
			digest, err := w.honest("g-1", nil).put("model.json", "weights")
			must(t, err)
			if tt.spoil != nil {
				tt.spoil(t, w, filepath.Join(w.conf.Quarantine, "c-g-1", "model.json"))
			}
			w.letOut("c-g-1", "model.json", digest, tt.change)
			if tt.why == "" {
				w.line("release not carried out", "another entry")
			} else {
				w.line("artefact withheld", tt.why)
				w.until("the log says so", func() bool {
					all := entered[burst.Withheld](w, "withheld")
					return len(all) == 1 && strings.Contains(all[0].Why, tt.why)
				})
			}
			_, err = os.Lstat(w.out("c-g-1", "model.json"))
			if err == nil || len(entered[burst.HandedOut](w, "handed-out")) > 0 {
				t.Error("it was moved")
			}
		})
	}
}
