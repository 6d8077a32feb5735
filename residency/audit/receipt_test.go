package audit

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/proof"
)

// receipts are the house's receipts of entries in a log of n.
func receiptOf(t testing.TB, n, index int) (*house, Receipt) {
	t.Helper()
	h := newHouse(t)
	l := h.start(t)
	bulk(t, l, 0, n)
	h.cosign(t, l)
	r, err := l.Receipt(t.Context(), int64(index))
	check(t, err)
	return h, r
}

func TestAReceiptWithAnyByteChangedIsRefused(t *testing.T) {
	t.Parallel()
	h, r := receiptOf(t, 300, 270)
	if _, _, _, err := OpenReceipt(r, h.trust); err != nil {
		t.Fatal(err)
	}
	for i := range r {
		for _, mask := range []byte{1, 0x20, 0x80} {
			r[i] ^= mask
			if e, index, size, err := OpenReceipt(r, h.trust); !errors.Is(err, ErrUnverified) || e.V != 0 || index+size != 0 {
				t.Fatalf("byte %d of\n%s: %+v at %d, %v", i, r, e, index, err)
			}
			r[i] ^= mask
		}
	}
	for _, bad := range []Receipt{nil, r[:len(r)-1], append(r[:len(r):len(r)], '\n'), []byte("c2sp.org/tlog-proof@v1\n")} {
		if _, _, _, err := OpenReceipt(bad, h.trust); !errors.Is(err, ErrUnverified) {
			t.Fatalf("%q: %v", bad, err)
		}
	}
	if _, _, _, err := OpenReceipt(r, Trust{}); !errors.Is(err, ErrUnverified) {
		t.Fatalf("the zero trust opened a receipt: %v", err)
	}
	other, _ := receiptOf(t, 1, 0)
	if _, _, _, err := OpenReceipt(r, other.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("opened under foreign keys: %v", err)
	}
}

func TestAReceiptWithoutTheQuorumIsRefused(t *testing.T) {
	h, r := receiptOf(t, 5, 2)
	lines := strings.SplitAfter(string(r), "\n")
	bare := Receipt(strings.Join(lines[:len(lines)-2], ""))
	if _, _, _, err := OpenReceipt(bare, h.trust); !errors.Is(err, ErrUnverified) {
		t.Fatalf("without a cosignature: %v", err)
	}
	alone, err := NewTrust(0, h.vkey)
	check(t, err)
	if _, index, _, err := OpenReceipt(r, alone); err != nil || index != 2 {
		t.Fatalf("a trust that asks for no quorum: %v", err)
	}
}

func TestTheLargestEntryStillFitsAReceiptOthersCanRead(t *testing.T) {
	h := newHouse(t)
	l := h.start(t)
	e := entry(0)
	b, err := e.Encode()
	check(t, err)
	e.Body = json.RawMessage(`{"n":0,"place":"aws/eu-central-1` + strings.Repeat("x", MaxEntry-len(b)) + `"}`)
	if _, err := l.Enter(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	h.cosign(t, l)
	r, err := l.Receipt(t.Context(), 0)
	check(t, err)
	var p proof.TLogProof
	check(t, p.Unmarshal(r))
	if len(p.ExtraData) != MaxEntry {
		t.Fatalf("%d bytes", len(p.ExtraData))
	}
}

func FuzzOpenReceipt(f *testing.F) {
	h, r := receiptOf(f, 9, 4)
	f.Add([]byte(r))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, index, _, err := OpenReceipt(b, h.trust)
		if err == nil && (index != 4 || e.Burst != "b-4" || string(b) != string(r)) {
			t.Fatalf("%q proves %+v at %d", b, e, index)
		}
	})
}
