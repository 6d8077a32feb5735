// Package audit is the log nobody can rewrite: an append-only Merkle tree of entries, kept as plain files in the
// C2SP tlog-tiles layout, signed by the log, cosigned by witnesses, and checkable with tools no one here wrote.
//
// # On disk
//
// A log is two directories. Options.Dir holds the public tree and nothing else, so that it can be copied with cp -r,
// served by any web server and verified byte for byte:
//
//	checkpoint                      C2SP signed note: origin, size, root; the log's signature and the cosignatures
//	tile/<L>/<N>[.p/<W>]            hashes of level L, 256 a tile
//	tile/entries/<N>[.p/<W>]        the entries, each behind a big-endian uint16 length
//
// Dir + ".state" beside it is private to the writer: the lock, temporary files, the newest checkpoint that met the
// quorum (cosigned), the newest one acknowledged (signed, the guard against a rolled-back tree) and the emergency
// reserve. Nothing in it is evidence. Both must lie on one file system, because files are renamed from one to the
// other.
//
// A partial tile stays until its full tile is durable. [Verify] checks every one of them.
//
// # Writing
//
// [Log.Enter] gathers the entries of all callers into a batch, writes and syncs the tiles, their directories, the
// checkpoint and its directory, and only then answers. Files appear by rename, so none is ever torn. A failed sync is
// final: the pages are gone, a second sync would lie. The log then refuses everything and calls Options.OnFatal.
//
// A full disk is different: nothing was acknowledged and nothing is lost. Enter answers [ErrFull] from then on, OnFatal
// is called once, and [Log.EnterReserved] frees the reserve so that denials and teardown can still be entered.
//
// # Trust
//
// Keys never come from the log's directory. A verifier holds a [Trust] (C2SP tlog-policy text); a [Receipt] (C2SP
// tlog-proof text) proves one entry under it; [Verify] proves a whole directory. A [Witness] remembers the largest tree
// it saw and refuses a smaller or a forked one. While the log runs, its newest checkpoint may for a moment lack
// cosignatures: [Log.Seal] waits for them, and a tree is verified after Seal.
//
// # Non-goals
//
// No search, no pruning, no network: the tree is evidence, indexes are rebuilt from it, and others carry its bytes.
package audit

import "errors"

// ErrFull is returned by Enter when the volume has no room. Nothing acknowledged is lost. The process is to wind down:
// what must still be entered goes through EnterReserved.
var ErrFull = errors.New("the audit volume is full")

// ErrBehind says that a log holds less than was acknowledged to this machine or to a witness: it was rolled back, or an
// older copy was put in its place.
var ErrBehind = errors.New("the log holds less than it did")

// ErrClosed is returned by every call on a log after Close.
var ErrClosed = errors.New("the log is closed")

// ErrNotCosigned is returned by Receipt for an entry that no checkpoint with a quorum covers yet: WaitCosigned first.
var ErrNotCosigned = errors.New("no cosigned checkpoint covers the entry yet")

// ErrUnverified is wrapped by every refusal of Verify, OpenReceipt and Restore: the evidence does not verify.
// Commands turn it into exit code 7.
var ErrUnverified = errors.New("does not verify")

// errFinal marks an error after which no file may be trusted to this process again.
var errFinal = errors.New("final")
