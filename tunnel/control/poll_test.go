package control_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burstctl/burstctl/tunnel"
)

// polls are the calls that wait, each by the one who may make it.
func polls(t *testing.T, w *world) map[string]func(context.Context) error {
	node := w.client(w.grants.leaf(t, tunnel.RoleGrant, "grant-1", nil))
	edge := w.client(w.house.leaf(t, tunnel.RoleEdge, "munich", nil))
	return map[string]func(context.Context) error{
		"orders":    func(ctx context.Context) error { _, _, err := node.Orders(ctx, 0); return err },
		"work":      func(ctx context.Context) error { _, err := edge.Work(ctx, 0); return err },
		"extension": func(ctx context.Context) error { _, err := edge.Extension(ctx, 0); return err },
	}
}

func TestAPollEndsAfterLongPollWithAnAnswer(t *testing.T) {
	const most = 100 * time.Millisecond
	w := newWorld(t, func(w *world) {
		w.LongPoll = most
		w.parts.wait = func(ctx context.Context) { <-ctx.Done() }
	})
	for name, poll := range polls(t, w) {
		began := time.Now()
		if err := poll(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took < most {
			t.Errorf("%s ended after %s", name, took)
		}
	}
}

func TestAPollEndsWhenItsCallerGoesAway(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(w *world) {
		w.LongPoll = time.Hour
		w.parts.wait = func(ctx context.Context) {
			began <- struct{}{}
			<-ctx.Done()
			ended <- struct{}{}
		}
	})
	for name, poll := range polls(t, w) {
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- poll(ctx) }()
		<-began
		gone := time.Now()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		<-ended
		if took := time.Since(gone); took > 20*time.Second {
			t.Errorf("%s hung on for %s", name, took)
		}
	}
	bounded, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.http.Shutdown(bounded); err != nil {
		t.Errorf("a call is still in work: %v", err)
	}
}

func TestNoTimeOutIsShorterThanTheLongestPoll(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.LongPoll = time.Hour
		w.parts.wait = func(ctx context.Context) {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > 45*time.Second {
				t.Errorf("a poll may hang until %s", end)
			}
		}
	})
	for name, poll := range polls(t, w) {
		if err := poll(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, d := range map[string]time.Duration{"read": w.http.ReadTimeout, "write": w.http.WriteTimeout} {
		if d < 40*time.Second {
			t.Errorf("the %s time-out, %s, would end a poll", name, d)
		}
	}
}

// A controller that restarted counts from nothing, so a caller that has seen
// nothing must be able to say so.
func TestWhoHasSeenNothingSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	node := w.client(w.grants.leaf(t, tunnel.RoleGrant, "grant-1", nil))
	if _, n, err := node.Orders(t.Context(), -1); err != nil || n != 0 {
		t.Errorf("the parts were asked for orders past %d: %v", n-1, err)
	}
	edge := w.client(w.house.leaf(t, tunnel.RoleEdge, "munich", nil))
	if got, err := edge.Work(t.Context(), -1); err != nil || got.N != 0 {
		t.Errorf("the parts were asked for work past %d: %v", got.N-1, err)
	}
}

func TestSlowCallersAreCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, say := range map[string]func(net.Conn) (net.Conn, error){
		"before the handshake": func(c net.Conn) (net.Conn, error) { return c, nil },
		"within the handshake": func(c net.Conn) (net.Conn, error) { _, err := c.Write([]byte{22, 3, 1}); return c, err },
		"before the header": func(c net.Conn) (net.Conn, error) {
			s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			return s, s.Handshake()
		},
		"within the header": func(c net.Conn) (net.Conn, error) {
			s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			_, err := io.WriteString(s, "GET /v1/status HTTP/1.1\r\nHost: x\r\nA: ")
			return s, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := net.Dial("tcp", w.addr)
			must(t, err)
			defer raw.Close()
			conn, err := say(raw)
			must(t, err)
			began := time.Now()
			must(t, conn.SetReadDeadline(began.Add(30*time.Second))) // a call may take longer
			_, err = io.Copy(io.Discard, conn)
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				t.Errorf("it was still there after %s", time.Since(began))
			}
		})
	}
}

func TestAHeaderTooLongIsNotReadToItsEnd(t *testing.T) {
	w := newWorld(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+w.addr+"/v1/status", nil)
	must(t, err)
	req.Header.Set("Authorization", strings.Repeat("a", 64<<10))
	resp, err := w.caller(t, nil).http.Do(req)
	if err != nil {
		return // cut off before it could hear the answer
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answers %s", resp.Status)
	}
}

func TestOnlyTLS13WithoutTickets(t *testing.T) {
	w := newWorld(t, nil)
	if c, err := tls.Dial("tcp", w.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		c.Close()
		t.Error("TLS 1.2 is spoken")
	}
	if resp, err := http.Get("http://" + w.addr + "/v1/status"); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %s", resp.Status)
		}
	}
	cache := &tickets{tls.NewLRUClientSessionCache(8), atomic.Int64{}}
	for range 2 {
		conf := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache, ServerName: "controller"}
		c, err := tls.Dial("tcp", w.addr, conf)
		must(t, err)
		fmt.Fprint(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if _, err := io.ReadAll(c); err != nil { // tickets come with the first bytes read
			t.Error(err)
		}
		if c.ConnectionState().DidResume {
			t.Error("a session was resumed")
		}
		c.Close()
	}
	if n := cache.put.Load(); n != 0 {
		t.Errorf("%d session tickets were given out", n)
	}
}

// tickets counts the session tickets that a client is given.
type tickets struct {
	tls.ClientSessionCache
	put atomic.Int64
}

func (c *tickets) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		c.put.Add(1)
	}
	c.ClientSessionCache.Put(key, s)
}
