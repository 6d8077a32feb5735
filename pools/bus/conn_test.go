package bus_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/bus/busserver"
)

func TestAnAwayServerIsOneClearErrorWithinTheBound(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	cfg := w.config("fra")
	cfg.URL, cfg.Wait = "tls://"+l.Addr().String(), time.Second
	must(t, l.Close())
	start := time.Now()
	_, err = bus.Connect(t.Context(), cfg)
	ce, ok := errors.AsType[*bus.ConnectError](err)
	if !ok || time.Since(start) > 6*time.Second {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	for _, part := range []string{cfg.URL, "no servers available", "tried for", "start nats-server"} {
		if !strings.Contains(ce.Error(), part) {
			t.Errorf("%q does not say %q", ce, part)
		}
	}
}

func TestTheServersOwnProcessNeedsNoTLSButStillCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.consume()
	c := w.connect(bus.Config{InProcess: w.server, CredsFile: busserver.Creds(w.dir, "fra"), Name: "fra"})
	must(t, bus.NewPublisher(c, "fra", w.edge["fra"]).Request(t.Context(), request("fra", "claim-1")))
	h.wantRequest(t, "claim-1")
	// The server holds on to a pipe it closes for its write deadline of 10 s.
	start := time.Now()
	_, err := bus.Connect(t.Context(), bus.Config{InProcess: w.server, Name: "fra", Wait: time.Minute})
	if err == nil || time.Since(start) > 15*time.Second {
		t.Fatalf("without credentials, after %v: %v", time.Since(start), err)
	}
}

func TestAnUntrustedServerIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t)
	cfg := w.config("fra")
	_, cfg.TLS = certificates(t)
	start := time.Now()
	_, err := bus.Connect(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "check the CA") || time.Since(start) > 5*time.Second {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
}

func TestRefusedCredentialsAreNotTriedAgain(t *testing.T) {
	w := newWorld(t)
	other := t.TempDir()
	must(t, busserver.Init(other, []string{"fra"}))
	cfg := w.config("fra")
	cfg.CredsFile = busserver.Creds(other, "fra")
	start := time.Now()
	_, err := bus.Connect(t.Context(), cfg)
	if !errors.Is(err, nats.ErrAuthorization) || time.Since(start) > 5*time.Second {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
}

func TestAConfigThatWouldBeOpenToOthersIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*bus.Config){
		"no TLS":         func(c *bus.Config) { c.TLS = nil },
		"TLS unverified": func(c *bus.Config) { c.TLS = &tls.Config{InsecureSkipVerify: true} },
		"no credentials": func(c *bus.Config) { c.CredsFile = "" },
		"no such file":   func(c *bus.Config) { c.CredsFile += "x" },
		"readable by others": func(c *bus.Config) {
			must(t, os.Chmod(c.CredsFile, 0o644))
		},
		"no URL":   func(c *bus.Config) { c.URL = "" },
		"no name":  func(c *bus.Config) { c.Name = "" },
		"wildcard": func(c *bus.Config) { c.Name = "*" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := w.config("muc")
			change(&cfg)
			c, err := bus.Connect(t.Context(), cfg)
			if err == nil {
				c.Close()
				t.Fatal("connected")
			}
		})
	}
	if _, err := bus.Connect(t.Context(), bus.Config{}); err == nil {
		t.Fatal("the zero Config connected")
	}
}

func TestAnEdgeMayOnlyAnnounceForItsOwnSite(t *testing.T) {
	w := newWorld(t)
	w.consume()
	states := make(chan bus.State, 10)
	cfg := w.config("fra")
	cfg.OnState = func(s bus.State) { states <- s }
	c := w.connect(cfg)
	<-states

	start := time.Now()
	err := bus.NewPublisher(c, "muc", w.edge["muc"]).Request(t.Context(), request("muc", "claim-1"))
	wantErr(t, err, bus.ErrForbidden)
	if time.Since(start) > 3*time.Second || !strings.Contains(err.Error(), "burst.muc.request") {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	if s := <-states; !s.Up || !errors.Is(s.Err, nats.ErrPermissionViolation) {
		t.Fatalf("the refusal does not show: %+v", s)
	}
	wantErr(t, c.Ensure(t.Context()), bus.ErrForbidden)

	nc := c.NATS()
	for _, subject := range []string{"burst.muc.request", "burst.fra.request", bus.Inbox("muc") + ".>", "$JS.API.>", ">"} {
		_, err := nc.SubscribeSync(subject)
		must(t, err)
		wantRefused(t, states, `Subscription to "`+subject+`"`)
	}
}

// wantRefused waits until the server says that it refused something.
func wantRefused(t *testing.T, states chan bus.State, what string) {
	t.Helper()
	for {
		select {
		case s := <-states:
			if errors.Is(s.Err, nats.ErrPermissionViolation) && strings.Contains(s.Err.Error(), what) {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not refused: %s", what)
		}
	}
}

func TestTheControllerMayNeitherDeleteNorSpeakForASite(t *testing.T) {
	w := newWorld(t)
	states := make(chan bus.State, 10)
	cfg := w.config(bus.Durable)
	cfg.OnState = func(s bus.State) { states <- s }
	c := w.connect(cfg)
	<-states
	must(t, c.Ensure(t.Context()))
	for _, subject := range []string{
		"burst.fra.request", "$JS.API.STREAM.DELETE.BURST", "$JS.API.STREAM.PURGE.BURST", "$JS.API.STREAM.CREATE.OTHER",
	} {
		must(t, c.NATS().Publish(subject, nil))
		wantRefused(t, states, `Publish to "`+subject+`"`)
	}
}

// wantDown waits for the connection to go, and returns what was said about it.
func wantDown(t *testing.T, states chan bus.State, c *bus.Conn) (said string) {
	t.Helper()
	for end := time.After(20 * time.Second); ; {
		select {
		case s := <-states:
			if s.Err != nil {
				said += s.Err.Error() + "; "
			}
			if !s.Up && !c.Up() {
				return said
			}
		case <-end:
			t.Fatalf("still connected: %s", said)
		}
	}
}

func TestARevokedEdgeIsDroppedAndComesBackWithNewCredentials(t *testing.T) {
	w := newWorld(t)
	h := w.consume()
	states := make(chan bus.State, 1000)
	cfg := w.config("fra")
	cfg.OnState = func(s bus.State) { states <- s }
	c := w.connect(cfg)
	p := bus.NewPublisher(c, "fra", w.edge["fra"])
	must(t, p.Request(t.Context(), request("fra", "claim-1")))
	h.wantRequest(t, "claim-1")
	stolen, err := os.ReadFile(cfg.CredsFile)
	must(t, err)

	must(t, busserver.Revoke(w.dir, "fra"))
	must(t, w.server.Reload())
	wantDown(t, states, c)
	if err := p.PublishFor(time.Second).Request(t.Context(), request("fra", "claim-2")); err == nil {
		t.Fatal("a revoked edge announced")
	}
	file := t.TempDir() + "/stolen.creds"
	must(t, os.WriteFile(file, stolen, 0o600))
	old := cfg
	old.CredsFile, old.OnState = file, nil
	if _, err := bus.Connect(t.Context(), old); err == nil {
		t.Fatal("revoked credentials connect")
	}

	path, err := busserver.AddEdge(w.dir, "fra", time.Hour)
	must(t, err)
	if path != cfg.CredsFile {
		t.Fatalf("credentials moved from %s to %s", cfg.CredsFile, path)
	}
	eventually(t, "reconnected with the new credentials", c.Up)
	must(t, p.PublishFor(20*time.Second).Request(t.Context(), request("fra", "claim-3")))
	h.wantRequest(t, "claim-3")
}

func TestAnExpiredEdgeIsDropped(t *testing.T) {
	w := newWorld(t)
	must(t, busserver.Revoke(w.dir, "muc"))
	_, err := busserver.AddEdge(w.dir, "muc", 3*time.Second)
	must(t, err)
	states := make(chan bus.State, 1000)
	cfg := w.config("muc")
	cfg.OnState = func(s bus.State) { states <- s }
	c := w.connect(cfg)
	if said := wantDown(t, states, c); !strings.Contains(said, "expired") {
		t.Fatalf("it does not say why: %s", said)
	}
}
