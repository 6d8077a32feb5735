package site

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// look is how often a site looks whether its slices or their catalogue are other
// ones.
const look = 2 * time.Second

// Run runs the edge until ctx ends or it breaks for good. When slices were made
// anew or withdrawn, or their catalogue was changed, it goes by that within
// seconds.
func (s *Site) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Edge.Run(ctx) })
	g.Go(func() error { s.follow(ctx); return nil })
	return g.Wait()
}

// follow looks again and again.
func (s *Site) follow(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		seen := mark(s.conf)
		if seen == s.seen {
			continue
		}
		s.seen = seen
		if err := s.reload(); err != nil {
			s.lg.ErrorContext(ctx, "slices not looked at again: what was held stays", "error", err)
		}
	}
}

// mark is another one when the catalogue, what is built or who withdrew is.
// What was replaced has another time. What cannot be looked at is as if it were
// not there.
func mark(c configs.Edge) string {
	h := sha256.New()
	fmt.Fprintln(h, time.Now().UTC().Format(time.DateOnly)) // an embargo ends with a day
	names := []string{c.Catalogue}
	for _, of := range []string{"current", "withdrawn"} {
		found, _ := filepath.Glob(filepath.Join(c.Slices, of, "*.json")) // the pattern is one
		names = append(names, found...)
	}
	for _, n := range names {
		if info, err := os.Stat(n); err == nil {
			fmt.Fprintln(h, n, info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// reload has the edge hold what is built now. Nothing is built here.
func (s *Site) reload() error {
	sets, cat, err := catalogueOf(s.conf)
	if err != nil {
		return err
	}
	store, err := openStore(s.conf, columnar.OpenHeld)
	if err != nil {
		return err
	}
	defer store.Close()
	next := edge.Holdings{Catalogue: cat, Slices: map[string]fs.FS{}, Manifests: map[string]residency.Manifest{}}
	for _, d := range sets {
		for _, spec := range d.Slices {
			b, err := s.again(store, d, spec)
			if err != nil {
				s.lg.Warn("slice is not held", "slice", spec.Name, "error", err)
				continue
			}
			next.Slices[spec.Name], next.Manifests[spec.Name] = b.Root, b.Manifest
		}
	}
	if err := s.Edge.Hold(next); err != nil {
		return err
	}
	s.held = next
	return nil
}

// again opens a slice, unless it is the one that is held: then its bytes, which
// are hashed when they are served, need no look.
func (s *Site) again(store *columnar.Store, d residency.Dataset, spec residency.SliceSpec) (columnar.Built, error) {
	digest, err := store.Meant(d, spec)
	if err != nil {
		return columnar.Built{}, err
	}
	was := columnar.Built{Root: s.held.Slices[spec.Name], Manifest: s.held.Manifests[spec.Name]}
	if was.Root != nil && was.Manifest.Digest() == digest {
		if _, err := fs.Stat(was.Root, was.Manifest.Files[0].Name); err == nil {
			return was, nil
		} else if !errors.Is(err, fs.ErrNotExist) { // spoilt, and made anew: another directory of that name
			return columnar.Built{}, err
		}
	}
	return store.Held(d, spec)
}

// catalogueOf reads a site's catalogue.
func catalogueOf(c configs.Edge) ([]residency.Dataset, *residency.Catalogue, error) {
	sets, err := configs.ReadCatalogue(c.Catalogue)
	if err != nil {
		return nil, nil, of(Catalogue, err)
	}
	cat, err := residency.NewCatalogue(sets)
	return sets, cat, of(Catalogue, err)
}
