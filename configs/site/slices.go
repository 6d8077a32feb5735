package site

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// OpenSlices opens where a site makes its slices. Close it, so that another
// process can.
func OpenSlices(c configs.Edge) (*columnar.Store, error) {
	var key columnar.Key
	var err error
	if c.Pseudonyms != "" {
		if key, err = columnar.ReadKey(c.Pseudonyms); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, of(Keys, err) // one that is not there is missed where it is needed
		}
	}
	s, err := columnar.OpenStore(c.Data, c.Slices, key, time.Now())
	return s, of(Slices, err)
}

// holdings opens what the site may be asked for, made as the catalogue has it
// now. From each directory nothing leads out. What is under embargo, or past its
// retention, is not held.
func holdings(c configs.Edge, e *edge.Config) error {
	sets, err := configs.ReadCatalogue(c.Catalogue)
	if err != nil {
		return err
	}
	store, err := OpenSlices(c)
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
