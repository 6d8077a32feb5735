package slice

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// answer serves a request for data. An error ends the session; everything a
// node may ask wrongly in good faith is answered instead.
func (s *session) answer(r request) error {
	f := fields{b: r.body}
	digest := f.text()
	if r.op == opManifest {
		off := f.u64()
		if err := f.end(); err != nil {
			return err
		}
		return s.piece(r.header, digest, off)
	}
	file, chunk := f.u32(), f.u32()
	if err := f.end(); err != nil {
		return err
	}
	return s.chunk(r.header, digest, file, chunk)
}

// account finds the books of a manifest. With st not OK, that is the answer.
func (s *session) account(digest string) (a *account, st status) {
	if digest == "" || digest != s.grant.SliceDigest() && digest != s.grant.Payload() {
		return nil, statusDenied
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[digest]; a != nil {
		return a, statusOK
	}
	m, err := s.cfg.Store.Manifest(digest)
	if err != nil || fits(m) != nil || m.Digest() != digest {
		s.log.ErrorContext(s.ctx, "manifest not served", "grant", s.grant.ID(), "manifest", digest, "error", err)
		return nil, statusNone
	}
	encoded, err := m.Encode()
	if err != nil {
		return nil, statusFault
	}
	a = &account{s: s, digest: digest, manifest: m, encoded: encoded}
	s.accounts[digest] = a
	return a, statusOK
}

// turnAway answers a request for a manifest that account refused.
func (s *session) turnAway(h header, st status) error {
	if st == statusDenied {
		return s.reply(h, st, []byte("manifest"))
	}
	return s.reply(h, st, nil)
}

// piece serves up to maxChunk bytes of an encoded manifest, with its length
// before them. They are slice bytes: names and digests say things too.
func (s *session) piece(h header, digest string, off uint64) error {
	a, st := s.account(digest)
	if st != statusOK {
		return s.turnAway(h, st)
	}
	if off >= uint64(len(a.encoded)) {
		return s.reply(h, statusNone, nil)
	}
	part := a.encoded[off:min(off+maxChunk, uint64(len(a.encoded)))]
	if err := a.take(int64(len(part)), sha256.Sum256(part)); err != nil {
		return err
	}
	frame := make([]byte, headerSize, headerSize+8+len(part))
	frame = binary.BigEndian.AppendUint64(frame, uint64(len(a.encoded)))
	return s.send(h, statusOK, append(frame, part...))
}

// chunk serves one chunk, if it is still what the manifest says.
func (s *session) chunk(h header, digest string, file, chunk uint32) error {
	a, st := s.account(digest)
	if st != statusOK {
		return s.turnAway(h, st)
	}
	off, n, err := extent(a.manifest, int(file), int(chunk))
	if err != nil {
		return s.reply(h, statusNone, nil)
	}
	frame := make([]byte, headerSize+n)
	err = s.read(a, int(file), off, frame[headerSize:])
	got := sha256.Sum256(frame[headerSize:])
	if err == nil && hex.EncodeToString(got[:]) != a.manifest.Files[file].Chunks[chunk] {
		err = ErrChanged
	}
	switch {
	case errors.Is(err, ErrChanged):
		err = fmt.Errorf("serve chunk %d of file %d of %s: %w", chunk, file, digest, err)
		s.log.ErrorContext(s.ctx, "source changed", "grant", s.grant.ID(), "manifest", digest,
			"file", file, "chunk", chunk, "error", err)
		if s.cfg.Report != nil {
			s.cfg.Report(err)
		}
		return s.reply(h, statusChanged, nil)
	case err != nil:
		s.log.ErrorContext(s.ctx, "source not read", "grant", s.grant.ID(), "manifest", digest,
			"file", file, "error", err)
		return s.reply(h, statusFault, nil)
	}
	if err := a.take(n, got); err != nil {
		return err
	}
	return s.send(h, statusOK, frame)
}

// read fills b from a file of the store, opened for this read alone, so that
// what was swapped in meanwhile is seen.
func (s *session) read(a *account, file int, off int64, b []byte) error {
	src, err := s.cfg.Store.Open(a.digest, file)
	if err != nil {
		return err
	}
	defer src.Close()
	n, err := src.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it is shorter", ErrChanged)
	}
	return err
}
