// Package slice is the one road of a granted slice: the edge serves, the node
// mounts, and nothing travels that was not authorised and entered first.
//
// # Who dials, who asks
//
// The edge dials the node: one outbound connection, no port open on site. Over
// it TLS 1.3 runs with the edge as client and the node as server, both with a
// certificate whose single URI SAN says who they are ([VerifyPeer]); tickets
// are off, a resumed session is refused. Then the roles turn: the node asks and
// the edge answers. A request names a digest and two indices, never a path, so
// a node can ask only for what a manifest lists.
//
// # What must have happened before a byte leaves
//
// The first request presents the receipt of the grant; [Gate.Open] checks it.
// Every slice byte, the manifest's included, is then charged to a [Window]
// that the gate entered in the log before, and charged before it is handed to
// TLS: served is never under-reported and never beyond what was entered. When
// the gate will not enter the next window, the stream ends.
//
// # How it ends
//
// A grant's context cancelled, the certificate or the grant run out (by the
// wall clock and by the monotonic one, whichever is first), a gate that errs,
// a frame that lies: each closes the socket with a reset, so that what still
// lies in its buffer is dropped too. Every open window is closed with what it
// served and why it ended.
//
// # What is verified where
//
// The edge hashes a chunk before it sends it: a file changed since its manifest
// is refused, not served. The node hashes it again before a reader sees it.
//
// # How far away
//
// The one thing the edge asks is an echo, of nodes that say in the handshake
// that they answer, and only after their receipt: a nonce inside the same TLS,
// which the node's process sends back. The least time of a few bounds how far
// away that process can be ([Rounds]). It is measured before the first window,
// which waits for it two seconds and no longer, and again while it serves. An
// answer that nobody asked for, or another than was asked, is a frame that
// lies; one that is late, or never comes, measures nothing and ends nothing.
//
// # Non-goals
//
// No retries against the network by timer: the edge daemon dials again, and
// the node moves its outstanding requests to the new connection. One
// connection carries one grant. Several connections, a cache on disk and
// tuning for long links come later. Framing and TLS overhead are not slice
// bytes and are not counted.
package slice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Ends of the road that a caller acts on.
var (
	// ErrDenied: the edge refused what was asked; see [Denied] for the code.
	ErrDenied = errors.New("denied")
	// ErrExpired: the peer's certificate or the grant has run out. Dial again
	// once there is a new one.
	ErrExpired = errors.New("expired")
	// ErrCut: the grant's context was cancelled. Do not dial again.
	ErrCut = errors.New("cut")
	// ErrChanged: a file on site is no longer what its manifest says.
	ErrChanged = errors.New("source changed since its manifest")
	// ErrNoFUSE: this machine or user cannot mount; use [Materialize].
	ErrNoFUSE = errors.New("no FUSE here")
	// ErrUnserved: no edge has been serving this road for [NodeConfig.Patience].
	ErrUnserved = errors.New("no edge serves this road")
)

// Denied is a refusal with the code the edge gave, such as "receipt". It wraps
// [ErrDenied]. A [Gate] may return one to choose the code that the node is
// told; the text of any other error stays on site.
type Denied struct {
	Code string // lowercase letters, digits and hyphens, at most 64 bytes
}

// Error is "denied: code".
func (d *Denied) Error() string { return ErrDenied.Error() + ": " + d.Code }

// Unwrap returns [ErrDenied].
func (d *Denied) Unwrap() error { return ErrDenied }

// Gate authorises and keeps the books; the edge daemon makes it. It is asked
// again for each window, not once per handshake. Any error refuses.
type Gate interface {
	// Open checks the receipt that a peer presents (signature, inclusion, the
	// checkpoint the edge last cosigned, site rules) and returns its grant,
	// which [Serve] checks against the peer once more.
	Open(ctx context.Context, peer Peer, receipt []byte) (residency.Grant, error)
	// Window returns only once the intent to serve up to budget bytes of the
	// manifest is durable and cosigned.
	Window(ctx context.Context, g residency.Grant, manifest string, budget int64) (Window, error)
	// Artefact opens quarantine for a result that the job's outputs list under
	// this very name, of exactly size bytes.
	Artefact(ctx context.Context, g residency.Grant, name string, size int64) (Sink, error)
}

// Window is a permission to serve a number of bytes, entered in the log.
type Window interface {
	// Close enters what the window served, once: payload bytes, chunks, and
	// the [WindowDigest] of them; a piece of the manifest counts as a chunk.
	// why is "spent", "unused", "bye", "lost", "cut", "expired" or "gate". An
	// error ends the stream.
	Close(served int64, chunks int, digest, why string) error
}

// Sink takes one artefact into quarantine. Exactly one of Commit and Abort is
// called, last.
type Sink interface {
	io.Writer
	// Commit makes the artefact durable under its digest, "sha256:hex".
	Commit(digest string) error
	// Abort drops it.
	Abort() error
}

// Store opens what the site holds, by digest. [DirStore] is one.
type Store interface {
	Manifest(digest string) (residency.Manifest, error)
	// Open opens the file at an index of the manifest.
	Open(digest string, file int) (Source, error)
}

// Source is one opened file of a slice.
type Source interface {
	io.ReaderAt
	io.Closer
}

// frameTimeout bounds the way of one frame, from its first byte to its last:
// a peer slower than about 70 KiB/s is cut.
const frameTimeout = 15 * time.Second

// handshakeTimeout bounds the TLS handshake.
const handshakeTimeout = 10 * time.Second

// maxChunk is the largest chunk a manifest may have on this road.
const maxChunk = 1 << 20

// fits refuses a manifest that this road cannot carry. That it holds together
// is checked by residency, which made or decoded it.
func fits(m residency.Manifest) error {
	if m.ChunkSize <= 0 || m.ChunkSize > maxChunk {
		return fmt.Errorf("check manifest of %s: chunk size %d not in 1..%d", m.Slice, m.ChunkSize, maxChunk)
	}
	return nil
}

// extent is where a chunk lies in its file.
func extent(m residency.Manifest, file, chunk int) (off, n int64, err error) {
	if file < 0 || file >= len(m.Files) || chunk < 0 || chunk >= len(m.Files[file].Chunks) {
		return 0, 0, fmt.Errorf("find chunk %d of file %d: the manifest has none", chunk, file)
	}
	off = int64(chunk) * int64(m.ChunkSize)
	return off, min(int64(m.ChunkSize), m.Files[file].Size-off), nil
}
