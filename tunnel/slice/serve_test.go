package slice

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// overhead is more than a handshake and a refusal take on the wire, and less
// than one chunk.
const overhead = 8 << 10

func TestANodeReadsEveryFileByTheRoad(t *testing.T) {
	w := newWorld(t)
	w.budget = 3 * testChunk
	r, conn, cut, ended := w.open(t, time.Minute)
	for name := range content {
		if got := w.readAll(t, r, name); string(got) != string(w.file(t, name)) {
			t.Errorf("%s differs", name)
		}
	}
	if c := r.Bytes(); c.Verified != w.m.Bytes || c.Received != w.m.Bytes {
		t.Errorf("counted %+v, want %d", c, w.m.Bytes)
	}
	cut()
	if err := <-ended; !errors.Is(err, ErrCut) {
		t.Errorf("ended with %v", err)
	}
	encoded, _ := w.m.Encode()
	served := w.books.check(t)
	if want := w.m.Bytes + int64(len(encoded)); served != want {
		t.Errorf("entered %d bytes served, want %d", served, want)
	}
	if wire := conn.wrote.Load(); wire < served || wire > served+served/20+overhead {
		t.Errorf("%d bytes on the wire for %d served", wire, served)
	}
	if n := len(w.books.windows); n < 5 {
		t.Errorf("%d windows of %d bytes", n, w.budget)
	}
}

func TestAWindowNamesWhatItServedInOrder(t *testing.T) {
	w := newWorld(t)
	r, _, cut, ended := w.open(t, time.Minute)
	encoded, _ := w.m.Encode()
	want := [][sha256.Size]byte{sha256.Sum256(encoded)}
	i := w.index("claims.csv")
	for k := range 3 {
		b, err := r.Chunk(t.Context(), w.digest, i, k)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, sha256.Sum256(b))
	}
	cut()
	<-ended
	w.books.check(t)
	if got := w.books.windows[0]; got.digest != WindowDigest(want) || got.chunks != 4 || got.why != "cut" {
		t.Errorf("window closed as %d chunks, %s, why %q", got.chunks, got.digest, got.why)
	}
}

func TestARefusedReceiptGetsNoByteAndItsCode(t *testing.T) {
	w := newWorld(t)
	w.books.open = func(Peer, []byte) error { return &Denied{Code: "revoked"} }
	r := w.listen(t, time.Second)
	conn := w.dial(t)
	err := <-w.serve(t.Context(), conn)
	if d, ok := errors.AsType[*Denied](err); !ok || d.Code != "revoked" {
		t.Errorf("the edge ended with %v", err)
	}
	ctx, done := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer done()
	err = r.Ready(ctx)
	if d, ok := errors.AsType[*Denied](err); !ok || d.Code != "revoked" {
		t.Errorf("the node was told %v", err)
	}
	if w.books.asked != 0 || conn.wrote.Load() > overhead {
		t.Errorf("%d windows, %d bytes on the wire", w.books.asked, conn.wrote.Load())
	}
}

func TestTheTextOfAGatesErrorStaysOnSite(t *testing.T) {
	w := newWorld(t)
	w.books.open = func(Peer, []byte) error { return errors.New("secret of the site") }
	r := w.listen(t, time.Second)
	if err := <-w.serve(t.Context(), w.dial(t)); !errors.Is(err, ErrDenied) {
		t.Errorf("ended with %v", err)
	}
	ctx, done := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer done()
	if err := r.Ready(ctx); !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "secret") {
		t.Errorf("the node was told %v", err)
	}
}

func TestAGrantWithoutAWindowGetsNoByte(t *testing.T) {
	w := newWorld(t)
	w.books.window = func(int) error { return errors.New("controller unreachable") }
	if err := w.noByte(t); !errors.Is(err, errGate) {
		t.Errorf("ended with %v", err)
	}
}

func TestTheStreamStopsAtTheLastByteOfItsWindow(t *testing.T) {
	w := newWorld(t)
	encoded, _ := w.m.Encode()
	w.budget = int64(len(encoded)) + 4*testChunk
	w.books.window = func(n int) error {
		if n > 1 {
			return errors.New("controller unreachable")
		}
		return nil
	}
	r, conn, _, ended := w.open(t, 300*time.Millisecond)
	i, got := w.index("year=2025/part-0.parquet"), 0
	for k := range w.m.Files[i].Chunks {
		if _, err := r.Chunk(t.Context(), w.digest, i, k); err != nil {
			break
		}
		got++
	}
	if err := <-ended; !errors.Is(err, errGate) {
		t.Errorf("ended with %v", err)
	}
	if served := w.books.check(t); got != 4 || served != w.budget || conn.wrote.Load() > w.budget+overhead {
		t.Errorf("%d chunks, %d of %d bytes entered, %d on the wire", got, served, w.budget, conn.wrote.Load())
	}
}

func TestARefusalOfTheNextWindowCutsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.budget = 8 * testChunk
	w.books.window = func(n int) error {
		if n > 1 {
			return &Denied{Code: "ended"}
		}
		return nil
	}
	r, _, _, ended := w.open(t, 300*time.Millisecond)
	i := w.index("year=2025/part-0.parquet")
	for k := range 5 { // past half of the window
		if _, err := r.Chunk(t.Context(), w.digest, i, k); err != nil {
			break
		}
	}
	if err := <-ended; !errors.Is(err, ErrDenied) {
		t.Errorf("ended with %v", err)
	}
	if served := w.books.check(t); served > 6*testChunk {
		t.Errorf("%d bytes went out", served)
	}
}

func TestOnlyGrantedManifestsAreServed(t *testing.T) {
	w := newWorld(t)
	r, _, _, _ := w.open(t, time.Second)
	for _, digest := range []string{"", "sha256:" + strings.Repeat("ab", 32), "../../etc/passwd"} {
		if _, err := r.Manifest(t.Context(), digest); !errors.Is(err, ErrDenied) {
			t.Errorf("%q: %v", digest, err)
		}
	}
	for _, at := range [][2]int{{-1, 0}, {99, 0}, {0, -1}, {0, 99}} {
		if _, err := r.Chunk(t.Context(), w.digest, at[0], at[1]); err == nil {
			t.Errorf("chunk %d of file %d was served", at[1], at[0])
		}
	}
}

func TestRevocationCutsARunningStreamWithin100Milliseconds(t *testing.T) {
	w := newWorld(t)
	w.budget = 2 * testChunk
	r, conn, cut, ended := w.open(t, 200*time.Millisecond)
	busy := make(chan struct{}, 1)
	for range 4 {
		go func() {
			for k := 0; ; k = (k + 1) % 12 {
				if _, err := r.Chunk(t.Context(), w.digest, w.index("year=2025/part-0.parquet"), k); err != nil {
					return
				}
				select {
				case busy <- struct{}{}:
				default:
				}
			}
		}()
	}
	for range 20 {
		<-busy
	}
	at := time.Now()
	cut()
	if err := <-ended; !errors.Is(err, ErrCut) {
		t.Errorf("ended with %v", err)
	}
	if late := time.Unix(0, conn.last.Load()).Sub(at); late > 100*time.Millisecond {
		t.Errorf("the last byte left %s after the revocation", late)
	}
	if took := time.Since(at); took > 2*time.Second {
		t.Errorf("the session took %s to end", took)
	}
	w.books.check(t)
	if _, err := r.Chunk(t.Context(), w.digest, 0, 0); !errors.Is(err, ErrUnserved) {
		t.Errorf("after the revocation a chunk: %v", err)
	}
}

func TestTheStreamEndsWithItsCredential(t *testing.T) {
	short := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Second) }
	for what, spoil := range map[string]func(*world){
		"the certificate": func(w *world) { w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), short) },
		"the grant":       func(w *world) { w.books.grant = w.grant(t, "grant-1", 2*time.Second) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			spoil(w)
			r, _, _, ended := w.open(t, 100*time.Millisecond)
			if _, err := r.Chunk(t.Context(), w.digest, 0, 0); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, ErrExpired) {
				t.Errorf("ended with %v", err)
			}
			w.books.check(t)
			if why := w.books.windows[0].why; why != "expired" {
				t.Errorf("the window ended for %q", why)
			}
		})
	}
}

func TestAClockThatJumpsPastTheEndEndsTheStream(t *testing.T) {
	w := newWorld(t)
	var jump atomic.Int64
	w.now = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
	r, _, _, ended := w.open(t, 100*time.Millisecond)
	if _, err := r.Chunk(t.Context(), w.digest, 0, 0); err != nil {
		t.Fatal(err)
	}
	jump.Store(int64(time.Hour))
	if _, err := r.Chunk(t.Context(), w.digest, 0, 1); err == nil {
		t.Error("a chunk was served after the end")
	}
	if err := <-ended; !errors.Is(err, ErrExpired) {
		t.Errorf("ended with %v", err)
	}
}

func TestARenewedReceiptTakesTheNextConnection(t *testing.T) {
	w := newWorld(t)
	seen := make(chan string, 4)
	w.books.open = func(p Peer, b []byte) error { seen <- string(b) + " " + p.Serial; return nil }
	r, _, _, ended := w.open(t, time.Minute)
	first := <-seen
	w.readAll(t, r, "claims.csv")
	w.node = w.house.leaf(t, w.key, tunnel.GrantURI(domain, "grant-1"), nil)
	r.SetReceipt([]byte("renewed"))
	if err := <-ended; err != nil {
		t.Errorf("the old connection ended with %v", err)
	}
	if why := w.books.windows[0].why; why != "bye" {
		t.Errorf("its window ended for %q", why)
	}
	w.serve(t.Context(), w.dial(t))
	w.readAll(t, r, "year=2025/part-0.parquet")
	if second := <-seen; !strings.HasPrefix(second, "renewed ") || strings.HasSuffix(second, strings.Fields(first)[3]) {
		t.Errorf("first %q, then %q", first, second)
	}
}

func TestReadsGoOnOverTheNextConnection(t *testing.T) {
	w := newWorld(t)
	r, conn, _, ended := w.open(t, time.Minute)
	i, got := w.index("claims.csv"), []byte{}
	for k := range w.m.Files[i].Chunks {
		if k == 2 {
			conn.TCPConn.Close()
			if err := <-ended; err == nil {
				t.Error("a broken connection ended well")
			}
			w.serve(t.Context(), w.dial(t))
		}
		b, err := r.Chunk(t.Context(), w.digest, i, k)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	if string(got) != string(w.file(t, "claims.csv")) {
		t.Error("what came differs")
	}
}
