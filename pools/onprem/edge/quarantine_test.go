package edge_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/tunnel"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// put returns a result and its digest.
func (n *node) put(name, content string) (string, error) {
	return n.Put(n.w.t.Context(), name, strings.NewReader(content), int64(len(content)))
}

// denied wants a refusal with the code.
func denied(t *testing.T, err error, code string) {
	t.Helper()
	if d, ok := errors.AsType[*slice.Denied](err); !ok || d.Code != code {
		t.Errorf("got %v, want a refusal with code %q", err, code)
	}
}

// files lists everything below a directory, by relative path.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			all = append(all, rel)
		}
		return err
	}))
	return all
}

func TestAResultLandsInQuarantineForItsOwnerAloneAndItsDigestInTheLog(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	model := strings.Repeat("weights ", 300_000) // more than one chunk
	digest, err := n.put("model.json", model)
	must(t, err)
	sum := sha256.Sum256([]byte(model))
	if want := "sha256:" + hex.EncodeToString(sum[:]); digest != want {
		t.Errorf("digest %s, want %s", digest, want)
	}
	at := filepath.Join(w.conf.Quarantine, "c-g-1", "model.json")
	if got, err := os.ReadFile(at); err != nil || !bytes.Equal(got, []byte(model)) {
		t.Errorf("%d bytes are there: %v", len(got), err)
	}
	for path, want := range map[string]fs.FileMode{w.conf.Quarantine: 0o700, filepath.Dir(at): 0o700, at: 0o600} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
	if got := files(t, w.conf.Quarantine); len(got) != 1 {
		t.Errorf("quarantine holds %q", got)
	}
	a := entered[burst.Artefact](w, "artefact")
	want := burst.Artefact{Grant: "g-1", Name: "model.json", Digest: digest, Bytes: int64(len(model)),
		Class: "personal"} // that of what it was made from
	if len(a) != 1 || a[0] != want {
		t.Errorf("entered: %+v", a)
	}
}

func TestAResultTakesItsNameOnlyOnceItsDigestIsEntered(t *testing.T) {
	w := newWorld(t, nil)
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			_, err := os.Lstat(filepath.Join(w.conf.Quarantine, "c-g-1", "model.json"))
			if in.Kind == "artefact" && err == nil {
				t.Error("it had its name before")
			}
			return nil
		}
	})
	if _, err := w.honest("g-1", nil).put("model.json", "{}"); err != nil {
		t.Error(err)
	}
}

func TestNoNameLeadsOutOfQuarantine(t *testing.T) {
	w := newWorld(t, nil)
	parent := filepath.Dir(w.conf.Quarantine)
	for id, claim := range map[string]string{"up": "../c-up", "further": "../../../../../../tmp/c-further", "below": "a/b",
		"root": "/c-root", "self": ".", "parent": ".."} {
		n := w.honest(id, func(s *spec) { s.Claim, s.EnteredFor = claim, claim })
		_, err := n.put("model.json", "{}")
		denied(t, err, "name")
	}
	must(t, os.Symlink(t.TempDir(), filepath.Join(w.conf.Quarantine, "c-linked")))
	if _, err := w.honest("linked", nil).put("model.json", "{}"); err == nil {
		t.Error("a link led out")
	}
	if got := files(t, parent); len(got) != 1 {
		t.Errorf("there are %q", got)
	}
	if a := entered[burst.Artefact](w, "artefact"); len(a) > 0 {
		t.Errorf("entered: %+v", a)
	}
}

func TestAResultReplacesALinkAndNotWhatItPointsTo(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	target := filepath.Join(t.TempDir(), "passwd")
	must(t, os.WriteFile(target, []byte("root"), 0o600))
	must(t, os.Mkdir(filepath.Join(w.conf.Quarantine, "c-g-1"), 0o700))
	at := filepath.Join(w.conf.Quarantine, "c-g-1", "model.json")
	must(t, os.Symlink(target, at))
	if _, err := n.put("model.json", "{}"); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "root" {
		t.Errorf("what the link points to holds %q", got)
	}
	if info, err := os.Lstat(at); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the result is %v: %v", info, err)
	}
}

func TestOnlyWhatTheJobListsComesBack(t *testing.T) {
	w := newWorld(t, nil)
	n := w.honest("g-1", nil)
	_, err := n.put("claims.csv", "all of it")
	denied(t, err, "output")
	_, err = n.Put(t.Context(), "model.json", strings.NewReader(""), 1<<30+1)
	denied(t, err, "size")
	if _, err := n.Put(t.Context(), "model.json", strings.NewReader("short"), 100); err == nil {
		t.Error("half a result was kept")
	}
	w.until("nothing is left of it", func() bool { return len(files(t, w.conf.Quarantine)) == 0 })
	if a := entered[burst.Artefact](w, "artefact"); len(a) > 0 {
		t.Errorf("entered: %+v", a)
	}
}

func TestWhileTheNodeLetsGoResultsComeBackAndNoByteGoesOut(t *testing.T) {
	w := newWorld(t, nil)
	w.ctl.set(func(c *controller) {
		c.before = func(in tunnel.Entering) error {
			if in.Kind == "serve-intent" {
				t.Error("the edge asked for a window")
			}
			return nil
		}
	})
	n := w.honest("g-1", func(s *spec) { s.Order = tunnel.OrderUnmount })
	if _, err := n.put("model.json", "{}"); err != nil {
		t.Error(err)
	}
	if err := n.chunk(0, 300*time.Millisecond); err == nil {
		t.Error("a chunk was served")
	}
	if opened, _ := w.books("g-1"); len(opened) > 0 {
		t.Errorf("%d windows were entered", len(opened))
	}
}
