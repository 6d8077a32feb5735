package edge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// hold builds the manifest of everything this site may be asked for.
func (e *Edge) hold() error {
	e.store = slice.NewDirStore()
	if err := e.Hold(Holdings{e.Catalogue, e.Slices, e.Manifests}); err != nil {
		return err
	}
	for _, root := range e.Payloads {
		p, err := ReadProgram(root)
		if err == nil {
			err = e.store.Add(p.Manifest, root)
		}
		if err != nil {
			return fmt.Errorf("hold payload: %w", err)
		}
		for _, name := range p.Names {
			e.programs[name] = p.Manifest.Digest()
		}
	}
	return nil
}

// ErrNotHeld: a job waits for a slice or a program that this site does not hold. It goes on
// waiting until the site holds it.
var ErrNotHeld = errors.New("this site does not hold it")

// incoming is a result on its way into quarantine. It is written beside its
// name and takes it only when its digest is entered.
type incoming struct {
	*os.File
	root  *os.Root // the claim's directory, which nothing leads out of
	edge  *Edge
	ctx   context.Context
	grant residency.Grant
	name  string
	size  int64
}

// quarantine opens a result's file. Nothing leaves quarantine by itself: a
// release is a person's decision.
func (e *Edge) quarantine(ctx context.Context, g residency.Grant, name string, size int64) (slice.Sink, error) {
	for _, n := range []string{g.Claim(), name} {
		if n != filepath.Base(n) || !filepath.IsLocal(n) || n == "." {
			return nil, fmt.Errorf("open quarantine: %q: %w", n, &slice.Denied{Code: "name"})
		}
	}
	all, err := os.OpenRoot(e.Quarantine)
	if err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	defer all.Close()
	if err := all.Mkdir(g.Claim(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	root, err := all.OpenRoot(g.Claim())
	if err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	f, err := root.OpenFile(".incoming-"+rand.Text(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open quarantine: %w", err), root.Close())
	}
	return &incoming{f, root, e, context.WithoutCancel(ctx), g, name, size}, nil
}

// Commit makes the result durable and enters its digest.
func (in *incoming) Commit(digest string) error {
	if err := in.commit(digest); err != nil {
		return errors.Join(fmt.Errorf("keep %s: %w", in.name, err), in.Abort())
	}
	in.edge.Logger.InfoContext(in.ctx, "artefact in quarantine", "grant", in.grant.ID(), "name", in.name,
		"digest", digest, "bytes", in.size)
	return in.root.Close()
}

func (in *incoming) commit(digest string) error {
	if err := errors.Join(in.Sync(), in.Close()); err != nil {
		return err
	}
	body := &burst.Artefact{Grant: in.grant.ID(), Name: in.name, Digest: digest, Bytes: in.size,
		Class: in.grant.Slice().Class.String()}
	bounded, cancel := context.WithTimeout(in.ctx, 20*time.Second) // a controller that restarts is waited for
	defer cancel()
	enter := func() error { return in.edge.enter(bounded, in.grant.Claim(), body) }
	if err := backoff.Retry(enter, backoff.WithContext(in.edge.pauses(), bounded)); err != nil {
		return err
	}
	if err := in.root.Rename(filepath.Base(in.File.Name()), in.name); err != nil {
		return err
	}
	dir, err := in.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Abort drops the result.
func (in *incoming) Abort() error {
	in.Close() // a file that is closed already is no matter
	err := in.root.Remove(filepath.Base(in.File.Name()))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, in.root.Close())
}
