package slice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/burstctl/burstctl/residency"
)

// Manifest fetches a manifest and checks it against its digest. It is fetched
// once.
func (r *Road) Manifest(ctx context.Context, digest string) (residency.Manifest, error) {
	r.mu.Lock()
	m, ok := r.manifests[digest]
	r.mu.Unlock()
	if ok {
		return m, nil
	}
	m, err := r.fetchManifest(ctx, digest)
	if err != nil {
		return residency.Manifest{}, fmt.Errorf("fetch manifest %.80s: %w", digest, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[digest] = m
	return m, nil
}

// fetchManifest puts the pieces of a manifest together.
func (r *Road) fetchManifest(ctx context.Context, digest string) (residency.Manifest, error) {
	if len(digest) > 255 {
		return residency.Manifest{}, errors.New("that is no digest")
	}
	var all []byte
	for {
		body := binary.BigEndian.AppendUint64(appendText(nil, digest), uint64(len(all)))
		piece, err := r.ask(ctx, opManifest, body, maxChunk+8)
		if err != nil {
			return residency.Manifest{}, err
		}
		f := fields{b: piece}
		total := f.u64()
		if f.err != nil || total > maxManifest || len(f.b) == 0 || uint64(len(all)+len(f.b)) > total {
			return residency.Manifest{}, errors.New("its pieces do not fit")
		}
		if all = append(all, f.b...); uint64(len(all)) == total {
			break
		}
	}
	if "sha256:"+hexOf(all) != digest {
		return residency.Manifest{}, errors.New("what came is another")
	}
	m, err := residency.DecodeManifest(all)
	if err != nil {
		return residency.Manifest{}, err
	}
	return m, fits(m)
}

// Chunk fetches one chunk of a file and returns it only if it is what the
// manifest says. What is not is asked for once more, on another connection.
func (r *Road) Chunk(ctx context.Context, digest string, file, chunk int) ([]byte, error) {
	m, err := r.Manifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	_, n, err := extent(m, file, chunk)
	if err != nil {
		return nil, err
	}
	body := appendText(nil, digest)
	body = binary.BigEndian.AppendUint32(body, uint32(file))
	body = binary.BigEndian.AppendUint32(body, uint32(chunk))
	for range 2 {
		b, err := r.ask(ctx, opChunk, body, uint32(n))
		if err != nil {
			return nil, fmt.Errorf("fetch chunk %d of %s: %w", chunk, m.Files[file].Name, err)
		}
		r.received.Add(int64(len(b)))
		if int64(len(b)) == n && hexOf(b) == m.Files[file].Chunks[chunk] {
			r.verified.Add(n)
			return b, nil
		}
		r.log.ErrorContext(ctx, "chunk is not what the manifest says", "file", m.Files[file].Name, "chunk", chunk)
	}
	return nil, fmt.Errorf("fetch chunk %d of %s: what came is another, twice", chunk, m.Files[file].Name)
}
