package slice

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// forged are frames no honest peer sends after its receipt.
var forged = map[string][]byte{
	"a giant length":      frameOf(header{op: opChunk, length: 1<<32 - 1}),
	"a negative length":   frameOf(header{op: opChunk, length: 1 << 31}),
	"more than an op may": frameOf(header{op: opChunk, length: smallBody + 1}),
	"another version":     append([]byte{2}, frameOf(header{op: opChunk})[1:]...),
	"no op":               frameOf(header{op: 0}),
	"an unknown op":       frameOf(header{op: opEcho + 1}),
	"an unknown status":   frameOf(header{op: opChunk, status: statusFault + 1}),
	"an answer":           frameOf(header{op: opChunk, status: statusOK}),
	"reserved bytes":      append(frameOf(header{op: opChunk})[:15], 1),
	"a short body":        append(frameOf(header{op: opChunk, length: 3}), 200, 'x', 'y'),
	"too long a body":     append(frameOf(header{op: opChunk, length: 20}), make([]byte, 20)...),
	"a second receipt":    frameOf(header{op: opPresent}),
	"an unasked echo":     echoOf(statusOK),
	"an echo to the edge": echoOf(statusAsk),
}

func echoOf(st status) []byte {
	return append(frameOf(header{op: opEcho, status: st, length: nonceSize}), make([]byte, nonceSize)...)
}

func frameOf(h header) []byte {
	b := make([]byte, headerSize)
	h.put(b)
	return b
}

// impostor speaks for the node with the right credential, by hand.
func (w *world) impostor(t *testing.T) (*tls.Conn, <-chan error) {
	t.Helper()
	var err error
	if w.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ln.Close() })
	ended := w.serve(t.Context(), w.dial(t))
	raw, err := w.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Server(raw, NodeTLS(func() (*tls.Certificate, error) { return &w.node, nil }, w.house.pool, domain, site))
	t.Cleanup(func() { conn.Close() })
	return conn, ended
}

// present shows the receipt by hand.
func present(t *testing.T, conn *tls.Conn) {
	t.Helper()
	if _, err := conn.Write(append(frameOf(header{op: opPresent, length: uint32(len(receipt))}), receipt...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, headerSize)); err != nil {
		t.Fatal(err)
	}
}

func TestAForgedFrameCutsTheConnectionAndCostsNoMemory(t *testing.T) {
	for what, frame := range forged {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			conn, ended := w.impostor(t)
			present(t, conn)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := conn.Write(frame); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err == nil {
				t.Error("the session ended well")
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Errorf("%d bytes were allocated for it", grown)
			}
			if len(w.books.windows) != 0 {
				t.Error("a window was asked for")
			}
		})
	}
}

func TestTheReceiptComesFirst(t *testing.T) {
	w := newWorld(t)
	conn, ended := w.impostor(t)
	if _, err := conn.Write(frameOf(header{op: opChunk})); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a chunk was asked for before the receipt, and the session ended well")
	}
}

func TestANodeNeverNamesAPath(t *testing.T) {
	w := newWorld(t)
	conn, _ := w.impostor(t)
	present(t, conn)
	names := []string{"../model.bin", "/etc/passwd", "a/b", "", ".", "..", "-rf", ".hidden", "a\x00b", "ünï"}
	for _, name := range names {
		body := binary.BigEndian.AppendUint64(appendText(nil, name), 1)
		head := frameOf(header{op: opPutOpen, id: 7, length: uint32(len(body))})
		if _, err := conn.Write(append(head, body...)); err != nil {
			t.Fatal(err)
		}
		var b [headerSize]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			t.Fatal(err)
		}
		h, err := parseHeader(b[:])
		if err != nil || h.status != statusDenied {
			t.Errorf("%q: status %d, error %v", name, h.status, err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(h.length)); err != nil {
			t.Fatal(err)
		}
	}
}

// lie makes an edge that accepts the receipt of a request and then answers
// with the frame.
func (w *world) lie(t *testing.T, frame func(asked header) []byte) {
	t.Helper()
	conn := tls.Client(w.dial(t), EdgeTLS(w.edge, w.house.pool, domain, nil))
	t.Cleanup(func() { conn.Close() })
	go func() {
		for {
			var b [headerSize]byte
			if _, err := io.ReadFull(conn, b[:]); err != nil {
				return
			}
			h, err := parseHeader(b[:])
			if err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, conn, int64(h.length)); err != nil {
				return
			}
			answer := frameOf(header{op: h.op, status: statusOK, id: h.id})
			if h.op != opPresent {
				answer = frame(h)
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}()
}

func TestANodeDropsAnEdgeThatLies(t *testing.T) {
	good := func(h header) header { return header{op: h.op, status: statusOK, id: h.id} }
	for what, frame := range map[string]func(header) []byte{
		"a giant length":   func(h header) []byte { h = good(h); h.length = 1<<32 - 1; return frameOf(h) },
		"more than asked":  func(h header) []byte { h = good(h); h.length = maxBody; return frameOf(h) },
		"an unknown id":    func(h header) []byte { h = good(h); h.id += 9; return frameOf(h) },
		"another op":       func(h header) []byte { h = good(h); h.op = opPutOpen; return frameOf(h) },
		"a question":       func(h header) []byte { h = good(h); h.status = statusAsk; return frameOf(h) },
		"another manifest": func(h header) []byte { return otherManifest(h) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			r := w.listen(t, 300*time.Millisecond)
			w.lie(t, frame)
			if _, err := r.Manifest(t.Context(), w.digest); err == nil {
				t.Error("the lie was taken")
			}
		})
	}
}

func otherManifest(h header) []byte {
	body := append(binary.BigEndian.AppendUint64(nil, 2), "{}"...)
	return append(frameOf(header{op: h.op, status: statusOK, id: h.id, length: uint32(len(body))}), body...)
}

func TestANodeNeverReturnsAChunkThatIsAnother(t *testing.T) {
	w := newWorld(t)
	encoded, err := w.m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r := w.listen(t, time.Second)
	w.lie(t, func(h header) []byte {
		body := make([]byte, testChunk)
		if h.op == opManifest {
			body = append(binary.BigEndian.AppendUint64(nil, uint64(len(encoded))), encoded...)
		}
		return append(frameOf(header{op: h.op, status: statusOK, id: h.id, length: uint32(len(body))}), body...)
	})
	if b, err := r.Chunk(t.Context(), w.digest, w.index("claims.csv"), 0); err == nil || b != nil {
		t.Errorf("%d wrong bytes, error %v", len(b), err)
	}
	if c := r.Bytes(); c.Verified != 0 || c.Received != 2*testChunk {
		t.Errorf("counted %+v", c)
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, frame := range forged {
		f.Add(frame)
	}
	open := binary.BigEndian.AppendUint64(appendText(nil, "model"), 9)
	f.Add(append(frameOf(header{op: opPutOpen, length: uint32(len(open))}), open...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, err := readFrame(bytes.NewReader(b), func() error { return nil },
			func(h header) (uint32, error) { return h.op.limit(), nil })
		if err != nil {
			return
		}
		if uint32(len(body)) != h.length || h.length > h.op.limit() || h.op < opPresent || h.op > opEcho {
			t.Errorf("read %+v with %d bytes", h, len(body))
		}
		if again := append(frameOf(h), body...); !bytes.HasPrefix(b, again) {
			t.Errorf("%x reads as %x", b, again)
		}
		x := fields{b: body}
		name, size := x.text(), x.u64()
		if x.end() == nil && !bytes.Equal(body, binary.BigEndian.AppendUint64(appendText(nil, name), size)) {
			t.Errorf("%x has two readings", body)
		}
	})
}
