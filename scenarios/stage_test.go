package scenarios

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/pools/cloud/sim"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// threshold is when the site of every story is saturated.
var threshold = policy.Threshold{Utilisation: 85, For: 10 * time.Minute, JobsWaiting: 1, WaitedFor: time.Minute,
	Release: 60, CoolDown: 5 * time.Minute, StaleAfter: 30 * time.Second}

// stage is one story's house with everything around it.
type stage struct {
	t      *testing.T
	a      *archive
	o      cast.Options
	h      *cast.House // nil until the settings are read
	ctx    context.Context
	stop   context.CancelFunc
	all    sync.WaitGroup
	server *busserver.Server
	raw    *nats.Conn // sees and repeats what the site said
	conn   *bus.Conn  // the controller's
	site   *bus.Conn
	key    ed25519.PrivateKey

	mu        sync.Mutex // guards the rest
	load      int        // percent
	manners   cast.Manners
	heard     []*nats.Msg
	flipped   string // a file of the log with a wrong byte
	flippedAt int    // which byte
	look      int    // which burst is looked at, from 1; 0 is the newest
}

func newStage(t *testing.T, a *archive) *stage {
	s := &stage{t: t, a: a, load: 30}
	s.o = cast.Options{Budget: policy.Money{Micros: 100e6, Currency: "USD"},
		Timing: perform.Timing{Heartbeat: time.Minute}, Beside: s.beside}
	if os.Getenv("BURST_STORY_LOG") != "" {
		s.o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s.ctx, s.stop = context.WithCancel(t.Context())
	return s
}

// open builds the house and lets everybody begin.
func (s *stage) open() (err error) {
	if s.o.Law.Rules == nil {
		if s.o.Law, err = cast.Law(rules.Files()); err != nil {
			return err
		}
	}
	s.h = cast.New(s.t, s.o)
	s.server = busserver.InBubble(s.t)
	if _, s.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return err
	}
	for name, conn := range map[string]**bus.Conn{bus.Durable: &s.conn, cast.Place: &s.site} {
		c := bus.Config{Name: name, InProcess: s.server, InMemory: true, Logger: s.o.Logger}
		if *conn, err = bus.Connect(s.ctx, c); err != nil {
			return err
		}
	}
	if s.raw, err = nats.Connect("", nats.InProcessServer(s.server)); err != nil {
		return err
	}
	if _, err = s.raw.Subscribe(bus.Subjects, s.hear); err != nil {
		return err
	}
	if err := s.conn.Ensure(s.ctx); err != nil {
		return err
	}
	s.all.Go(func() { s.h.Site.Witness(s.ctx) })
	s.all.Go(func() {
		s.h.Nodes(s.ctx, func() cast.Manners { s.mu.Lock(); defer s.mu.Unlock(); return s.manners })
	})
	s.all.Go(func() { s.watch(s.ctx) })
	return s.start(nil)
}

// start begins a life of the controller and lets it say so.
func (s *stage) start([]string) error {
	err := s.h.Start()
	time.Sleep(time.Second)
	return err
}

// close ends the story: everything that was lent is back, or it is an error.
func (s *stage) close() {
	defer s.all.Wait()
	defer s.stop()
	if s.h == nil {
		return
	}
	if broken := s.h.Close(); s.flipped == "" {
		for _, b := range broken {
			s.t.Errorf("at the end: %s", b)
		}
	}
	for _, c := range []*bus.Conn{s.conn, s.site} {
		if c != nil {
			c.Close()
		}
	}
	if s.raw != nil {
		s.raw.Close()
	}
}

// hear remembers requests, so that they can be said again.
func (s *stage) hear(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Subject == "burst."+cast.Place+".request" {
		s.heard = append(s.heard, m)
	}
}

// beside is what runs with each life of the controller: it takes what sites
// say, and misses nodes that the cloud no longer lists.
func (s *stage) beside(ctx context.Context, e *perform.Engine) {
	keys := map[string]ed25519.PublicKey{cast.Place: s.key.Public().(ed25519.PublicKey)}
	s.all.Go(func() {
		if err := s.conn.Consume(ctx, keys, inbox{e}); err != nil {
			s.t.Error(err)
		}
	})
	for ctx.Err() == nil {
		cast.Sleep(ctx, 30*time.Second)
		nodes, err := s.h.Cloud.List(ctx)
		if err != nil {
			continue // half a list proves nothing
		}
		for _, b := range e.Bursts() {
			there := b.Node == nil || slices.ContainsFunc(nodes, func(n pools.Node) bool { return n.ID == b.Node.ID })
			if !there && b.Stopped == nil && b.Live() {
				err := e.Stop(b.Claim, "controller", burst.WhyLost, "the cloud no longer lists it")
				if err != nil && ctx.Err() == nil {
					s.t.Error(err)
				}
			}
		}
	}
}

// inbox is what the controller does with announcements.
type inbox struct{ e *perform.Engine }

func (in inbox) Request(_ context.Context, r bus.Received) error {
	return in.e.Ask(r.Request, r.Digest)
}
func (in inbox) Signal(context.Context, bus.Received) error { return nil }

// watch is the site's edge as far as GPUs and jobs go: it folds samples every
// ten seconds, and announces while the level says saturated.
func (s *stage) watch(ctx context.Context) {
	w := onprem.NewWindow(cast.Place, "main")
	p := bus.NewPublisher(s.site, cast.Place, s.key)
	for ; ctx.Err() == nil; cast.Sleep(ctx, 10*time.Second) {
		now := time.Now()
		s.mu.Lock()
		load := s.load
		s.mu.Unlock()
		for i, uuid := range []string{"GPU-a", "GPU-b"} {
			w.Add(onprem.Sample{UUID: uuid, Index: i, At: now, Utilisation: load, State: onprem.OK, MemoryTotalMiB: 100})
		}
		queue, requests := s.waiting(ctx, now)
		signal := w.Signal(now, queue, threshold)
		if err := p.Signal(ctx, signal); err != nil && ctx.Err() == nil {
			s.t.Logf("signal not announced: %v", err)
		}
		for _, r := range requests {
			if r.Signal = signal; signal.Saturated {
				if err := p.Request(ctx, r); err != nil && ctx.Err() == nil {
					s.t.Logf("request not announced: %v", err)
				}
			}
		}
	}
}

// waiting asks the controller which jobs nobody has asked a burst for.
func (s *stage) waiting(ctx context.Context, now time.Time) (onprem.Pressure, []policy.Request) {
	e, err := s.h.Engine()
	if err != nil {
		return onprem.Pressure{Doubt: err.Error()}, nil
	}
	var p onprem.Pressure
	var requests []policy.Request
	for _, j := range e.Work(ctx, cast.Place, -1).Jobs {
		if j.Claim == "" {
			wait := now.Sub(j.Since)
			p.Waiting, p.Oldest, p.Waits = p.Waiting+1, max(p.Oldest, wait), append(p.Waits, wait)
			requests = append(requests, cast.Request(edge.ClaimID(cast.Place, j.ID), j.ID, j.Job))
		}
	}
	return p, requests
}

// cloud is the one simulated cloud.
func (s *stage) cloud() *sim.Cloud { return s.h.Cloud }
