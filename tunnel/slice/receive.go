package slice

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// upload is one artefact on its way into quarantine.
type upload struct {
	sink      Sink
	size, got int64
	hash      hash.Hash
}

// receive takes artefacts, one request after the other, and aborts what is
// unfinished at the end.
func (s *session) receive() {
	open := map[uint32]*upload{}
	defer func() {
		for _, u := range open {
			s.abort(u)
		}
	}()
	for {
		select {
		case <-s.ctx.Done():
			return
		case r, more := <-s.puts:
			if !more {
				return
			}
			if err := s.put(open, r); err != nil {
				s.cancel(err)
				return
			}
		}
	}
}

// put answers one request of an upload; an error ends the session.
func (s *session) put(open map[uint32]*upload, r request) error {
	f := fields{b: r.body}
	if r.op == opPutOpen {
		name, size := f.text(), f.u64()
		if err := f.end(); err != nil {
			return err
		}
		return s.putOpen(open, r.header, name, size)
	}
	handle := f.u32()
	u := open[handle]
	if f.err == nil && u == nil {
		return s.reply(r.header, statusNone, nil)
	}
	if r.op == opPutChunk {
		off, want := f.u64(), f.next(sha256.Size)
		if f.err != nil {
			return f.end()
		}
		return s.putChunk(open, handle, r.header, off, want, f.b)
	}
	digest := f.text()
	if err := f.end(); err != nil {
		return err
	}
	delete(open, handle)
	return s.putClose(u, r.header, digest)
}

// putOpen asks the gate whether the job may return this. The id of the request
// is the handle.
func (s *session) putOpen(open map[uint32]*upload, h header, name string, size uint64) error {
	if !cleanArtefact(name) || size > 1<<62 {
		return s.reply(h, statusDenied, []byte("name"))
	}
	if len(open) >= maxUploads || open[h.id] != nil {
		return s.reply(h, statusDenied, []byte("busy"))
	}
	sink, err := s.cfg.Gate.Artefact(s.ctx, s.grant, name, int64(size))
	if err != nil {
		s.log.WarnContext(s.ctx, "artefact refused", "grant", s.grant.ID(), "name", name, "error", err)
		return s.reply(h, statusDenied, []byte(code(err)))
	}
	open[h.id] = &upload{sink: sink, size: int64(size), hash: sha256.New()}
	return s.reply(h, statusOK, nil)
}

// putChunk writes the next bytes. A chunk out of order, of another hash or
// past the size that was announced is a lie and ends the session.
func (s *session) putChunk(open map[uint32]*upload, handle uint32, h header, off uint64, want, data []byte) error {
	u := open[handle]
	got := sha256.Sum256(data)
	if off != uint64(u.got) || string(got[:]) != string(want) || u.got+int64(len(data)) > u.size {
		return errors.New("receive artefact: chunk is not what was announced")
	}
	if _, err := u.sink.Write(data); err != nil {
		s.log.ErrorContext(s.ctx, "artefact not written", "grant", s.grant.ID(), "error", err)
		s.abort(u)
		delete(open, handle)
		return s.reply(h, statusFault, nil)
	}
	u.got += int64(len(data))
	u.hash.Write(data)
	return s.reply(h, statusOK, nil)
}

// putClose commits an upload that is whole; the empty digest takes it back.
func (s *session) putClose(u *upload, h header, digest string) error {
	total := sum(u.hash)
	if digest == "" {
		s.abort(u)
		return s.reply(h, statusOK, nil)
	}
	if digest != total || u.got != u.size {
		s.abort(u)
		return fmt.Errorf("receive artefact: %d of %d bytes with digest %s", u.got, u.size, total)
	}
	if s.ctx.Err() != nil {
		s.abort(u)
		return errors.New("receive artefact: the grant has ended")
	}
	if err := u.sink.Commit(total); err != nil {
		s.log.ErrorContext(s.ctx, "artefact not committed", "grant", s.grant.ID(), "error", err)
		return s.reply(h, statusFault, nil)
	}
	return s.reply(h, statusOK, appendText(nil, total))
}

// abort drops an upload.
func (s *session) abort(u *upload) {
	if err := u.sink.Abort(); err != nil {
		s.log.WarnContext(s.ctx, "artefact not dropped", "grant", s.grant.ID(), "error", err)
	}
}

// cleanArtefact reports whether name is one plain file name: letters, digits,
// "-", "_" and "." inside, at most 128 bytes.
func cleanArtefact(name string) bool {
	if name == "" || len(name) > 128 || name[0] == '.' || name[0] == '-' {
		return false
	}
	for _, c := range []byte(name) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !plain && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// hexOf is a SHA-256 as a manifest writes it.
func hexOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
