package edge

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel"
)

// releasedDir is the directory beside quarantine that released results are in.
const releasedDir = "released"

// sidecar ends the name of the file beside a released result that says who let
// it out.
const sidecar = ".release.json"

// letOut moves results that were released out of quarantine, until ctx ends.
// What is settled, moved or withheld, is not looked at again until the
// controller says something else of it.
func (e *Edge) letOut(ctx context.Context) error {
	settled := map[tunnel.Releasing]bool{}
	pause := e.pauses()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.due:
		}
		for again := true; again && ctx.Err() == nil; {
			again = false
			e.mu.Lock()
			due := e.work.Releases
			e.mu.Unlock()
			for _, r := range due {
				if settled[r] {
					continue
				}
				if err := e.release(ctx, r); err != nil {
					again = true
					e.Logger.WarnContext(ctx, "release not carried out", "claim", r.Claim, "name", r.Name, "error", err)
					continue
				}
				settled[r] = true
			}
			if again {
				sleep(ctx, pause.NextBackOff())
			} else {
				pause.Reset()
			}
		}
	}
}

// release moves one result, once this edge has seen the release in the log, and
// has it entered what became of it. An error is to be tried again.
func (e *Edge) release(ctx context.Context, r tunnel.Releasing) error {
	entry, err := e.released(ctx, r)
	if err != nil {
		return err
	}
	why := "it is flagged: " + r.Flagged
	if r.Flagged == "" {
		if why, err = e.moveOut(r, entry); err != nil {
			return fmt.Errorf("move %s out of quarantine: %w", r.Name, err)
		}
	}
	if why == "" {
		e.Logger.InfoContext(ctx, "artefact released", "claim", r.Claim, "name", r.Name, "digest", r.Digest,
			"by", entry.Actor, "entry", r.Entry)
		return e.enter(ctx, r.Claim, &burst.HandedOut{Name: r.Name, Digest: r.Digest, Release: r.Entry})
	}
	if why = clipped(why); why == r.Withheld {
		return nil
	}
	e.Logger.ErrorContext(ctx, "artefact withheld", "claim", r.Claim, "name", r.Name, "digest", r.Digest, "why", why)
	return e.enter(ctx, r.Claim, &burst.Withheld{Name: r.Name, Digest: r.Digest, Why: why})
}

// released returns the entry of a release, once it is proven to be in the log
// under a checkpoint this edge has cosigned, and to be of this very result.
func (e *Edge) released(ctx context.Context, r tunnel.Releasing) (audit.Entry, error) {
	no := func(err error) (audit.Entry, error) {
		return audit.Entry{}, fmt.Errorf("see release of %s in entry %d: %w", r.Name, r.Entry, err)
	}
	raw, err := audit.Canonical(tunnel.ReleaseBody{Entry: r.Entry})
	if err != nil {
		return no(err)
	}
	e.log.Lock()
	defer e.log.Unlock()
	old := e.Witness.Size()
	in, err := e.Control.Enter(ctx, tunnel.Entering{Claim: r.Claim, Kind: tunnel.AskRelease, Body: raw, Old: old})
	if err != nil {
		return no(err)
	}
	cosigned, err := e.cosign(ctx, in.Checkpoint, old, treeProof(in.Consistency))
	if err == nil {
		err = included(cosigned, in)
	}
	if err != nil {
		return no(err)
	}
	e.handIn(ctx, cosigned)
	entry, err := audit.DecodeEntry(in.Leaf)
	var body burst.Release
	is := in.Index == r.Entry && entry.Kind == body.Kind() && entry.Burst == r.Claim
	if err == nil && is {
		err = audit.DecodeStrict(entry.Body, &body)
	}
	if err == nil && (!is || body.Name != r.Name || body.Digest != r.Digest) {
		err = errors.New("the log holds another entry there")
	}
	if err != nil {
		return no(err)
	}
	return entry, nil
}

// about is what the file beside a released result says.
type about struct {
	Claim      string          `json:"claim"`
	Name       string          `json:"name"`
	Digest     string          `json:"digest"`
	ReleasedBy string          `json:"released_by"`
	At         time.Time       `json:"at"`
	Entry      int64           `json:"entry"`
	Release    json.RawMessage `json:"release"` // the entry's body, with the reason
}

// moveOut moves a result whose content is what was released, and says who let
// it out in a file beside it. It returns why the result stays, if it does. What
// a crash interrupts is done again; what is done is left as it is.
func (e *Edge) moveOut(r tunnel.Releasing, entry audit.Entry) (why string, err error) {
	for _, n := range []string{r.Claim, r.Name} {
		if n != filepath.Base(n) || !filepath.IsLocal(n) || n == "." || strings.HasSuffix(n, sidecar) {
			return "its name is none that can be moved", nil
		}
	}
	root, err := os.OpenRoot(filepath.Dir(e.Quarantine))
	if err != nil {
		return "", err
	}
	defer root.Close()
	from := filepath.Join(filepath.Base(e.Quarantine), r.Claim)
	to := filepath.Join(releasedDir, r.Claim)
	digest, err := digestOf(root, filepath.Join(from, r.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if out, err := digestOf(root, filepath.Join(to, r.Name)); err == nil && out == r.Digest {
			return "", nil
		}
		return "it is not in quarantine", nil
	case err != nil:
		return "", err
	case digest == "":
		return "it is no plain file", nil
	case digest != r.Digest:
		return "its content is " + digest + ", and that was not released", nil
	}
	text, err := json.MarshalIndent(about{r.Claim, r.Name, r.Digest, entry.Actor, entry.At, r.Entry, entry.Body}, "", "  ")
	if err == nil {
		err = root.MkdirAll(to, 0o750)
	}
	if err == nil {
		err = writeBeside(root, filepath.Join(to, r.Name+sidecar), append(text, '\n'))
	}
	if err == nil {
		err = root.Chmod(filepath.Join(from, r.Name), 0o640) // the group of the directory may read what is out
	}
	if err == nil {
		err = root.Rename(filepath.Join(from, r.Name), filepath.Join(to, r.Name))
	}
	return "", errors.Join(err, syncDir(root, to), syncDir(root, from))
}

// digestOf is the digest of a plain file below root; "" if it is another thing.
func digestOf(root *os.Root, name string) (string, error) {
	was, err := root.Lstat(name)
	if err != nil || !was.Mode().IsRegular() {
		return "", err
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if is, err := f.Stat(); err != nil || !os.SameFile(was, is) {
		return "", err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// writeBeside writes a file whole or not at all.
func writeBeside(root *os.Root, name string, content []byte) error {
	temp := filepath.Join(filepath.Dir(name), ".release-"+rand.Text())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		err = errors.Join(err, root.Remove(temp))
	}
	return err
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
