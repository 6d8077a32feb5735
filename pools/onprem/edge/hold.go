package edge

import (
	"context"
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
	for name, root := range e.Slices {
		digest, err := e.add(name, root)
		if err != nil {
			return fmt.Errorf("hold slice %s: %w", name, err)
		}
		e.slices[name] = digest
	}
	for _, root := range e.Payloads {
		if _, err := e.add(PayloadName, root); err != nil {
			return fmt.Errorf("hold payload: %w", err)
		}
	}
	return nil
}

// PayloadName is the slice name in the manifest of a program.
const PayloadName = "payload/program"

func (e *Edge) add(name string, root fs.FS) (string, error) {
	m, err := residency.BuildManifest(name, root)
	if err != nil {
		return "", err
	}
	return m.Digest(), e.store.Add(m, root)
}

// Held lists what this site holds: slice name → manifest digest.
func (e *Edge) Held() map[string]string { return e.slices }

// incoming is a result on its way into quarantine. It is written beside its
// name and takes it only when its digest is entered.
type incoming struct {
	*os.File
	edge  *Edge
	ctx   context.Context
	grant residency.Grant
	name  string
	size  int64
}

// quarantine opens a result's file. Nothing leaves quarantine by itself: a
// release is a person's decision.
func (e *Edge) quarantine(ctx context.Context, g residency.Grant, name string, size int64) (slice.Sink, error) {
	dir := filepath.Join(e.Quarantine, g.Claim())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	f, err := os.CreateTemp(dir, ".incoming-*")
	if err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	return &incoming{File: f, edge: e, ctx: context.WithoutCancel(ctx), grant: g, name: name, size: size}, nil
}

// Commit makes the result durable and enters its digest.
func (in *incoming) Commit(digest string) error {
	if err := in.Sync(); err != nil {
		return fmt.Errorf("keep %s: %w", in.name, err)
	}
	if err := in.Close(); err != nil {
		return fmt.Errorf("keep %s: %w", in.name, err)
	}
	body := &burst.Artefact{Grant: in.grant.ID(), Name: in.name, Digest: digest, Bytes: in.size, Class: in.grant.Slice().Class.String()}
	bounded, cancel := context.WithTimeout(in.ctx, 20*time.Second) // a controller that restarts is waited for
	defer cancel()
	enter := func() error { return in.edge.enter(bounded, in.grant.Claim(), body) }
	if err := backoff.Retry(enter, backoff.WithContext(in.edge.pauses(), bounded)); err != nil {
		os.Remove(in.File.Name())
		return err
	}
	in.edge.Logger.InfoContext(in.ctx, "artefact in quarantine", "grant", in.grant.ID(), "name", in.name, "digest", digest, "bytes", in.size)
	return os.Rename(in.File.Name(), filepath.Join(filepath.Dir(in.File.Name()), in.name))
}

// Abort drops the result.
func (in *incoming) Abort() error {
	in.Close()
	return os.Remove(in.File.Name())
}
