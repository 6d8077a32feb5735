package slice

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A frame is a header of 16 bytes and a body:
//
//	0 version (1) · 1 op · 2 status · 3 zero · 4..7 id · 8..11 length · 12..15 zero
//
// all big-endian. A request and its answer carry the same op and id.
const (
	frameVersion = 1
	headerSize   = 16
	// maxBody bounds every body: a chunk and what names it.
	maxBody = maxChunk + 256
	// smallBody bounds a request that carries no data, such as "chunk".
	smallBody = 512
)

// op is what a frame asks for.
type op uint8

const (
	opPresent  op = iota + 1 // receipt → grant accepted
	opManifest               // digest, offset → total, piece of the encoded manifest
	opChunk                  // digest, file, chunk → bytes
	opPutOpen                // name, size → handle
	opPutChunk               // handle, offset, sha256, bytes → nothing
	opPutClose               // handle, digest → digest
	opBye                    // the node is done with this connection; no answer
	opEcho                   // the edge asks: nonce → the same nonce
)

var opNames = [...]string{"", "present", "manifest", "chunk", "put-open", "put-chunk", "put-close", "bye", "echo"}

// String names the op in logs and errors.
func (o op) String() string {
	if o < opPresent || o > opEcho {
		return "op?"
	}
	return opNames[o]
}

// limit is the longest body a node's request of this op may have.
func (o op) limit() uint32 {
	switch o {
	case opPresent, opPutChunk:
		return maxBody
	case opManifest, opChunk, opPutOpen, opPutClose:
		return smallBody
	}
	return 0
}

// status says how an answer came out. Requests carry statusAsk.
type status uint8

const (
	statusAsk status = iota
	statusOK
	statusDenied  // body: a reason code
	statusNone    // no such manifest, file, chunk or handle
	statusChanged // the source is not what its manifest says
	statusFault   // the edge could not; nothing about why
)

// header is a decoded frame header.
type header struct {
	op     op
	status status
	id     uint32
	length uint32
}

// put writes the header to b, which has headerSize bytes.
func (h header) put(b []byte) {
	clear(b[:headerSize])
	b[0], b[1], b[2] = frameVersion, byte(h.op), byte(h.status)
	binary.BigEndian.PutUint32(b[4:], h.id)
	binary.BigEndian.PutUint32(b[8:], h.length)
}

// parseHeader reads a header. It refuses what no honest peer sends, a length
// beyond maxBody included, before anyone allocates for it.
func parseHeader(b []byte) (header, error) {
	h := header{
		op: op(b[1]), status: status(b[2]),
		id: binary.BigEndian.Uint32(b[4:]), length: binary.BigEndian.Uint32(b[8:]),
	}
	switch {
	case b[0] != frameVersion:
		return header{}, fmt.Errorf("read frame: version %d, want %d", b[0], frameVersion)
	case b[3] != 0 || binary.BigEndian.Uint32(b[12:]) != 0:
		return header{}, fmt.Errorf("read frame: reserved bytes are set")
	case h.op < opPresent || h.op > opEcho:
		return header{}, fmt.Errorf("read frame: unknown op %d", b[1])
	case h.status > statusFault:
		return header{}, fmt.Errorf("read frame: unknown status %d", b[2])
	case h.length > maxBody:
		return header{}, fmt.Errorf("read frame: %d bytes exceed %d", h.length, maxBody)
	}
	return h, nil
}

// readFrame reads one frame. begun is called once its first byte is there, to
// set the deadline for the rest; limit says how long a body this header may
// have, or refuses it.
func readFrame(r io.Reader, begun func() error, limit func(header) (uint32, error)) (header, []byte, error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return header{}, nil, err
	}
	if err := begun(); err != nil {
		return header{}, nil, err
	}
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return header{}, nil, fmt.Errorf("read frame: %w", err)
	}
	h, err := parseHeader(b[:])
	if err != nil {
		return header{}, nil, err
	}
	most, err := limit(h)
	if err != nil {
		return header{}, nil, err
	}
	if h.length > most {
		return header{}, nil, fmt.Errorf("read frame: %s of %d bytes exceeds %d", h.op, h.length, most)
	}
	body := make([]byte, h.length)
	if _, err := io.ReadFull(r, body); err != nil {
		return header{}, nil, fmt.Errorf("read frame: %w", err)
	}
	return h, body, nil
}

// fields reads a body from the front. The first shortage sticks in err.
type fields struct {
	b   []byte
	err error
}

// next takes n bytes, nil once the body fell short.
func (f *fields) next(n int) []byte {
	if f.err != nil || n > len(f.b) {
		f.err = io.ErrUnexpectedEOF
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) u32() uint32 {
	if v := f.next(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (f *fields) u64() uint64 {
	if v := f.next(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// text takes a string with its length in one byte before it.
func (f *fields) text() string {
	if n := f.next(1); n != nil {
		return string(f.next(int(n[0])))
	}
	return ""
}

// end refuses a body that was short or has bytes left over.
func (f *fields) end() error {
	if f.err == nil && len(f.b) > 0 {
		f.err = fmt.Errorf("%d bytes too many", len(f.b))
	}
	if f.err != nil {
		return fmt.Errorf("read request: %w", f.err)
	}
	return nil
}

// appendText writes what fields.text reads; s has at most 255 bytes.
func appendText(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}
