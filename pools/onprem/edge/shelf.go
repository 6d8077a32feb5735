package edge

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel/slice"
)

// Holdings are the slices a site may be asked for, and what it says of them.
// Made by the caller; the zero Holdings are none.
type Holdings struct {
	Catalogue *residency.Catalogue
	Slices    map[string]fs.FS              // by slice name, where its files lie
	Manifests map[string]residency.Manifest // of those slices that were made and have one
}

// shelf is what is held now. It is replaced whole, and never changed.
type shelf struct {
	catalogue *residency.Catalogue
	digests   map[string]string // slice name → manifest digest
	sizes     map[string]int64  // slice name → bytes of its files
}

// shelf is what this edge holds at this moment.
func (e *Edge) shelf() shelf {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held
}

// Hold puts other slices in the place of those that are held. What is not among
// them is served no more: a stream of it gets no further window, and its peer is
// told why when it comes again. If it cannot hold them all, it holds what it held.
func (e *Edge) Hold(h Holdings) error {
	next := shelf{h.Catalogue, map[string]string{}, map[string]int64{}}
	for name, root := range h.Slices {
		m, made := h.Manifests[name]
		var err error
		if !made {
			m, err = residency.BuildManifest(name, root)
		}
		if err == nil {
			err = e.store.Add(m, root)
		}
		if err != nil {
			return fmt.Errorf("hold slice %s: %w", name, err)
		}
		next.digests[name], next.sizes[name] = m.Digest(), m.Bytes
	}
	e.mu.Lock()
	was := e.held
	e.held = next
	e.mu.Unlock()
	for name, digest := range was.digests {
		if !next.holds(digest) && !e.runs(digest) {
			e.store.Drop(digest)
		}
		if now := next.digests[name]; now != digest {
			e.Logger.Warn("slice is held no more", "name", name, "digest", digest, "now", now)
		}
	}
	for name, digest := range next.digests {
		if was.digests != nil && was.digests[name] != digest {
			e.Logger.Info("slice is held", "name", name, "digest", digest)
		}
	}
	return nil
}

// holds reports whether a digest is that of a slice.
func (s shelf) holds(digest string) bool {
	return slices.Contains(slices.Collect(maps.Values(s.digests)), digest)
}

// runs reports whether a digest is that of a program.
func (e *Edge) runs(digest string) bool {
	return slices.Contains(slices.Collect(maps.Values(e.programs)), digest)
}

// covers reports why a grant's slice is not the one that is held under its name.
func (s shelf) covers(g residency.Grant) error {
	name := g.Slice().Name
	no := func(why string) error { return fmt.Errorf("%w: %s", &slice.Denied{Code: "slice"}, why) }
	digest, ok := s.digests[name]
	switch {
	case !ok:
		return no("this site does not hold " + name)
	case digest != g.SliceDigest():
		return no("the digest is not what is held under the name " + name + ": that is " + digest + " now")
	}
	return nil
}

// Held lists what this site holds: slice name → manifest digest.
func (e *Edge) Held() map[string]string { return maps.Clone(e.shelf().digests) }
