package site

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/bucket"
	"github.com/burstctl/burstctl/residency/columnar"
)

// OpenSlices opens where a site makes its slices. Close it, so that another
// process can. Buckets are read until ctx ends.
func OpenSlices(ctx context.Context, c configs.Edge) (*columnar.Store, error) {
	s, err := openStore(c, columnar.OpenStore)
	if err != nil {
		return nil, err
	}
	s.Reach(func(b residency.Bucket, dir string) (columnar.Files, error) { return openBucket(ctx, c, b, dir) })
	return s, nil
}

// openStore opens it one way or the other.
func openStore(c configs.Edge, open func(data, dir string, k columnar.Key, now time.Time) (*columnar.Store, error)) (
	*columnar.Store, error) {
	var key columnar.Key
	var err error
	if c.Pseudonyms != "" {
		if key, err = columnar.ReadKey(c.Pseudonyms); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, of(Keys, err) // one that is not there is missed where it is needed
		}
	}
	s, err := open(c.Data, c.Slices, key, time.Now())
	return s, of(Slices, err)
}

// openBucket opens files in a bucket, with the keys that the edge's file has for
// its endpoint.
func openBucket(ctx context.Context, c configs.Edge, b residency.Bucket, dir string) (columnar.Files, error) {
	i := slices.IndexFunc(c.Buckets, func(s configs.Bucket) bool { return s.Endpoint == b.Endpoint })
	if i < 0 {
		return nil, of(Keys, fmt.Errorf("read bucket: buckets in the edge's file has no %s", b.Endpoint))
	}
	text, err := keys.Text(c.Buckets[i].Keys)
	if err != nil {
		return nil, of(Keys, err)
	}
	k, err := bucket.ParseKeys(text)
	if err != nil {
		return nil, of(Keys, fmt.Errorf("%s: %w", c.Buckets[i].Keys, err))
	}
	var roots *x509.CertPool
	if c.Buckets[i].CA != "" {
		if roots, err = keys.Pool(c.Buckets[i].CA); err != nil {
			return nil, of(Keys, err)
		}
	}
	return bucket.Open(ctx, b, dir, k, roots)
}

// holdings opens what the site may be asked for, made as the catalogue has it
// now. From each directory nothing leads out. What is under embargo, or past its
// retention, is not held.
func holdings(ctx context.Context, c configs.Edge, e *edge.Config) error {
	sets, err := configs.ReadCatalogue(c.Catalogue)
	if err != nil {
		return err
	}
	store, err := OpenSlices(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	e.Slices, e.Manifests = map[string]fs.FS{}, map[string]residency.Manifest{}
	for _, d := range sets {
		for _, s := range d.Slices {
			b, err := store.Held(d, s)
			if errors.Is(err, columnar.ErrNotBuilt) {
				b, err = store.Build(d, s)
			}
			if errors.Is(err, columnar.ErrNotNow) {
				e.Logger.Warn("slice is not held", slog.String("slice", s.Name), slog.Any("error", err))
				continue
			}
			if err != nil {
				return fmt.Errorf("hold slice %s: %w: put its files there, or take it out of the catalogue", s.Name, err)
			}
			e.Slices[s.Name], e.Manifests[s.Name] = b.Root, b.Manifest
		}
	}
	return nil
}

// holding is holdings until ctx ends.
func holding(ctx context.Context) func(configs.Edge, *edge.Config) error {
	return func(c configs.Edge, e *edge.Config) error { return holdings(ctx, c, e) }
}

// payloads opens the programs that jobs may ask for.
func payloads(c configs.Edge, e *edge.Config) error {
	dirs, err := os.ReadDir(c.Payloads)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hold payloads: %w", err)
	}
	for _, d := range dirs {
		root, err := os.OpenRoot(filepath.Join(c.Payloads, d.Name()))
		if err != nil {
			return fmt.Errorf("hold payloads: %w", err)
		}
		e.Payloads = append(e.Payloads, root.FS())
	}
	return nil
}
