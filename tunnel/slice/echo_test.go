package slice

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// taken is what an edge was told of its measurements.
type taken struct {
	mu   sync.Mutex
	all  []RoundTrip
	errs []error
	more chan struct{}
}

// measures has the world's edge measure, and tells what it took.
func (w *world) measures(r Rounds) *taken {
	k := &taken{more: make(chan struct{}, 1000)}
	r.Took = func(_ context.Context, g residency.Grant, rt RoundTrip, err error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if err == nil {
			k.all = append(k.all, rt)
		} else {
			k.errs = append(k.errs, err)
		}
		k.more <- struct{}{}
	}
	w.rounds = r
	return k
}

// got is how much it took so far.
func (k *taken) got() (all []RoundTrip, errs []error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all, k.errs
}

// slow is a proxy before the world's node that holds every byte back for so
// long, each way. It returns its address.
func (w *world) slow(t *testing.T, delay time.Duration) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	pass := func(to, from net.Conn) {
		defer to.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			time.Sleep(delay)
			if _, bad := to.Write(b[:n]); err != nil || bad != nil {
				return
			}
		}
	}
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.ln.Addr().String())
			if err != nil {
				near.Close()
				return
			}
			go pass(near, far)
			go pass(far, near)
		}
	}()
	return ln.Addr().String()
}

func TestARoundTripIsMeasuredBeforeTheFirstWindowAndAgainLater(t *testing.T) {
	w := newWorld(t)
	k := w.measures(Rounds{Every: 10 * time.Millisecond, Wait: time.Minute})
	w.books.window = func(int) error {
		if all, _ := k.got(); len(all) == 0 {
			t.Error("a window was asked for before a round trip was measured")
		}
		return nil
	}
	r, _, _, _ := w.open(t, time.Minute)
	for range 3 {
		w.readAll(t, r, "claims.csv")
		<-k.more
	}
	all, errs := k.got()
	for _, rt := range all {
		if rt.Least <= 0 || rt.Samples != echoSamples {
			t.Errorf("took %+v", rt)
		}
	}
	if len(errs) > 0 {
		t.Error(errs)
	}
}

func TestADelayOnTheWayMakesTheRoundTripLongerByAtLeastItself(t *testing.T) {
	const delay = 25 * time.Millisecond
	w := newWorld(t)
	k := w.measures(Rounds{Wait: time.Minute})
	r := w.listen(t, time.Minute)
	conn, err := net.Dial("tcp", w.slow(t, delay))
	if err != nil {
		t.Fatal(err)
	}
	w.serve(t.Context(), conn)
	w.readAll(t, r, "train")
	all, errs := k.got()
	if len(all) != 1 || len(errs) != 0 || all[0].Least < 2*delay {
		t.Errorf("took %v, errors %v, although the way there and back is held up for %v", all, errs, 2*delay)
	}
	t.Logf("%v with %v each way", all, delay)
}

// byHand speaks for a node that presented its receipt and answers as it likes.
type byHand struct {
	*tls.Conn
	t *testing.T
}

// next reads one frame.
func (c byHand) next() (header, []byte) {
	c.t.Helper()
	var b [headerSize]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		c.t.Fatal(err)
	}
	h, err := parseHeader(b[:])
	if err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, h.length)
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatal(err)
	}
	return h, body
}

// say writes a frame, as long as anybody listens.
func (c byHand) say(h header, body []byte) error {
	h.length = uint32(len(body))
	_, err := c.Write(append(frameOf(h), body...))
	return err
}

// served asks for the manifest and wants it, whatever else comes meanwhile.
func (c byHand) served(w *world) {
	c.t.Helper()
	ask := binary.BigEndian.AppendUint64(appendText(nil, w.digest), 0)
	if err := c.say(header{op: opManifest, id: 77}, ask); err != nil {
		c.t.Fatal(err)
	}
	for {
		if h, _ := c.next(); h.op == opManifest {
			if h.status != statusOK || h.id != 77 {
				c.t.Errorf("the manifest was answered with status %d", h.status)
			}
			return
		}
	}
}

func TestANodeThatAnswersWhatNobodyAskedIsCut(t *testing.T) {
	answer := func(h header) header { return header{op: opEcho, status: statusOK, id: h.id} }
	for what, lie := range map[string]func(c byHand, h header, nonce []byte){
		"another nonce": func(c byHand, h header, nonce []byte) { nonce[0]++; c.say(answer(h), nonce) },
		"another id":    func(c byHand, h header, nonce []byte) { h.id++; c.say(answer(h), nonce) },
		"half a nonce":  func(c byHand, h header, nonce []byte) { c.say(answer(h), nonce[:16]) },
		"a refusal":     func(c byHand, h header, nonce []byte) { h = answer(h); h.status = statusNone; c.say(h, nonce) },
		"a question":    func(c byHand, h header, nonce []byte) { c.say(h, nonce) },
		"two answers":   func(c byHand, h header, nonce []byte) { c.say(answer(h), nonce); c.say(answer(h), nonce) },
		"the next answer, guessed": func(c byHand, h header, nonce []byte) {
			c.say(answer(h), nonce)
			c.say(header{op: opEcho, status: statusOK, id: h.id + 1}, nonce)
		},
		"a flood": func(c byHand, h header, nonce []byte) {
			for c.say(answer(h), nonce) == nil {
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			k := w.measures(Rounds{Wait: time.Minute})
			conn, ended := w.impostor(t)
			present(t, conn)
			c := byHand{conn, t}
			h, nonce := c.next()
			if h.op != opEcho || h.status != statusAsk || len(nonce) != nonceSize {
				t.Fatalf("the edge began with %+v", h)
			}
			lie(c, h, nonce)
			if err := <-ended; err == nil || ending(err) != "lost" {
				t.Errorf("the session ended with %v", err)
			}
			if all, _ := k.got(); len(all) > 0 && all[0].Samples > 1 {
				t.Errorf("it was measured: %v", all)
			}
			if len(w.books.windows) != 0 {
				t.Error("a window was asked for")
			}
		})
	}
}

func TestANodeThatNeverAnswersIsServedAndOneThatAnswersLateToo(t *testing.T) {
	w := newWorld(t)
	k := w.measures(Rounds{Wait: 20 * time.Millisecond, Every: 10 * time.Millisecond})
	conn, ended := w.impostor(t)
	present(t, conn)
	c := byHand{conn, t}
	h, nonce := c.next()
	c.served(w)
	<-k.more
	<-k.more // it is due again, and is not asked while it owes an answer
	if all, errs := k.got(); len(all) != 0 || len(errs) < 2 || !errors.Is(errs[0], context.DeadlineExceeded) {
		t.Errorf("took %v, errors %v", all, errs)
	}
	if err := c.say(header{op: opEcho, status: statusOK, id: h.id}, nonce); err != nil {
		t.Fatal(err)
	}
	if again, other := c.next(); again.op != opEcho || again.id == h.id || string(other) == string(nonce) {
		t.Errorf("after a late answer came %+v", again)
	}
	c.served(w)
	if all, _ := k.got(); len(all) != 0 {
		t.Errorf("a late answer was taken for %v", all)
	}
	if err := c.say(header{op: opBye}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestWhoKnowsNoEchoesIsServedAsBefore(t *testing.T) {
	for what, old := range map[string]func(node, edge *tls.Config){
		"an old node": func(node, _ *tls.Config) { node.NextProtos = []string{ALPN} },
		"an old edge": func(_, edge *tls.Config) { edge.NextProtos = []string{ALPN} },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			k := w.measures(Rounds{Wait: time.Minute})
			node := NodeTLS(func() (*tls.Certificate, error) { return &w.node, nil }, w.house.pool, domain, site)
			edge := EdgeTLS(w.edge, w.house.pool, domain, nil)
			old(node, edge)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			w.ln = ln
			r, err := Listen(t.Context(), ln, NodeConfig{TLS: node, Receipt: receipt, Patience: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			conn := w.dial(t)
			ctx, cut := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- Serve(ctx, conn, ServeConfig{TLS: edge, Gate: w.books, Store: w.store, Rounds: w.rounds})
			}()
			if got := w.readAll(t, r, "claims.csv"); string(got) != string(w.file(t, "claims.csv")) {
				t.Error("the file differs")
			}
			cut()
			<-ended
			if all, errs := k.got(); len(all)+len(errs) > 0 {
				t.Errorf("it was asked: %v, %v", all, errs)
			}
		})
	}
}

func TestANodeAnswersOnlyTheEdgeThatTookItsReceipt(t *testing.T) {
	question := func(n int) []byte {
		return append(frameOf(header{op: opEcho, id: 1, length: uint32(n)}), make([]byte, n)...)
	}
	for what, tt := range map[string]struct {
		protos []string
		accept bool
		ask    []byte
	}{
		"before the receipt":     {[]string{ALPNEcho}, false, question(nonceSize)},
		"by the old name":        {[]string{ALPN}, true, question(nonceSize)},
		"of another length":      {[]string{ALPNEcho}, true, question(nonceSize + 1)},
		"on and on, not reading": {[]string{ALPNEcho}, true, nil},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.listen(t, time.Minute)
			edge := EdgeTLS(w.edge, w.house.pool, domain, nil)
			edge.NextProtos = tt.protos
			c := byHand{tls.Client(w.dial(t), edge), t}
			t.Cleanup(func() { c.Close() })
			h, _ := c.next()
			if tt.accept {
				if err := c.say(header{op: h.op, status: statusOK, id: h.id}, nil); err != nil {
					t.Fatal(err)
				}
			}
			for tt.ask == nil {
				if _, err := c.Write(question(nonceSize)); err != nil {
					return // it was dropped
				}
			}
			if _, err := c.Write(tt.ask); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("%d bytes came back", n)
			}
		})
	}
}
