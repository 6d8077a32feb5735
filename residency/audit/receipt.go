package audit

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// Receipt is a C2SP tlog-proof@v1 text that proves one entry: its extra line carries the entry, its checkpoint the
// signatures. Log.Receipt makes it, OpenReceipt is the only way to read it. It needs no log at hand.
type Receipt []byte

// Receipt proves the entry at index under the newest checkpoint that met the quorum. Before there is one it answers
// ErrNotCosigned.
func (l *Log) Receipt(ctx context.Context, index int64) (Receipt, error) {
	l.mu.Lock()
	head, c := l.head, l.cosigned
	l.mu.Unlock()
	if index < 0 || index >= c.size {
		return nil, fmt.Errorf("receipt of entry %d: %w", index, ErrNotCosigned)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("receipt of entry %d: %w", index, err)
	}
	leaves, err := l.proven(head, index)
	if err != nil {
		return nil, fmt.Errorf("receipt of entry %d: %w", index, err)
	}
	path, err := tlog.ProveRecord(c.size, index, l.hashes(head))
	if err != nil {
		return nil, fmt.Errorf("receipt of entry %d: %w", index, err)
	}
	p := proof.TLogProof{Index: uint64(index), Checkpoint: c.bytes(), ExtraData: leaves[0]}
	for _, h := range path {
		p.Hashes = append(p.Hashes, h)
	}
	return Receipt(p.Marshal()), nil
}

// OpenReceipt checks a receipt against t: the log's signature, the quorum's cosignatures and that the entry is in the
// tree. It returns the entry, its index and the size of the tree. Every refusal wraps ErrUnverified. Cosignatures of
// witnesses t does not name are passed over, as C2SP asks. A receipt shows no rotation by itself: t must name the key
// that signed, or be what Trust.Follow makes of it.
func OpenReceipt(r Receipt, t Trust) (e Entry, index, size int64, err error) {
	e, index, c, err := openReceipt(r, t)
	if err != nil {
		return Entry{}, 0, 0, fmt.Errorf("open receipt: %w: %w", ErrUnverified, err)
	}
	return e, index, c.size, nil
}

func openReceipt(r Receipt, t Trust) (Entry, int64, signed, error) {
	var p proof.TLogProof
	if err := p.Unmarshal(r); err != nil {
		return Entry{}, 0, signed{}, err
	}
	if !bytes.Equal(p.Marshal(), r) {
		return Entry{}, 0, signed{}, fmt.Errorf("does not re-encode byte for byte")
	}
	c, err := parseSigned(p.Checkpoint)
	if err != nil {
		return Entry{}, 0, signed{}, err
	}
	known, _, err := c.by(append(t.witnessKeys(), verifiers(t.logs)...)...)
	if err != nil {
		return Entry{}, 0, signed{}, err
	}
	if !signedBy(known, c.origin, verifiers(t.logs)) {
		return Entry{}, 0, signed{}, fmt.Errorf("not signed by a trusted key of the log %q", c.origin)
	}
	if !t.satisfied(known) {
		return Entry{}, 0, signed{}, fmt.Errorf("not cosigned by the quorum the trust asks for")
	}
	if p.Index > math.MaxInt64 || int64(p.Index) >= c.size {
		return Entry{}, 0, signed{}, fmt.Errorf("index %d in a tree of %d", p.Index, c.size)
	}
	var path tlog.RecordProof
	for _, h := range p.Hashes {
		path = append(path, h)
	}
	if err := tlog.CheckRecord(path, c.size, c.root, int64(p.Index), tlog.RecordHash(p.ExtraData)); err != nil {
		return Entry{}, 0, signed{}, err
	}
	e, err := DecodeEntry(p.ExtraData)
	return e, int64(p.Index), c, err
}
