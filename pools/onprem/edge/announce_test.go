package edge_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/bus"
	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

// gpu is a sampler of one GPU that says what a test has it say.
type gpu struct {
	say    func(now time.Time) (onprem.Sample, error)
	rounds atomic.Int64
	hang   chan struct{} // closed: not a word more
}

func (g *gpu) Samples(ctx context.Context) iter.Seq2[[]onprem.Sample, error] {
	return func(yield func([]onprem.Sample, error) bool) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-g.hang:
				<-ctx.Done()
				return
			case now := <-tick.C:
				s, err := g.say(now)
				if round := []onprem.Sample{s}; !yield(round, err) {
					return
				}
				g.rounds.Add(1)
			}
		}
	}
}

func busy(now time.Time) (onprem.Sample, error) {
	return onprem.Sample{UUID: "GPU-a", At: now, Utilisation: 97, MemoryTotalMiB: 100, State: onprem.OK}, nil
}

// ear hears what the edge announces.
type ear struct {
	signals  chan policy.Signal
	requests chan policy.Request
}

func (e ear) Signal(_ context.Context, s policy.Signal) error   { e.signals <- s; return nil }
func (e ear) Request(_ context.Context, r policy.Request) error { e.requests <- r; return nil }

// next waits for what an edge announces.
func next[T any](t *testing.T, from chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatal("nothing is announced")
	}
	return v
}

// quiet wants no request while three levels are announced.
func (e ear) quiet(t *testing.T) {
	t.Helper()
	for range 3 {
		next(t, e.signals)
	}
	if len(e.requests) > 0 {
		t.Errorf("requested: %+v", <-e.requests)
	}
}

// calm waits for the saturated level to end and forgets what was asked before.
func (e ear) calm(t *testing.T) policy.Signal {
	t.Helper()
	for len(e.signals) > 0 {
		<-e.signals
	}
	for {
		if s := next(t, e.signals); !s.Saturated {
			for len(e.requests) > 0 {
				<-e.requests
			}
			return s
		}
	}
}

// waits is an edge with a GPU, and a job that waits for a slice.
func waits(t *testing.T, slice string, g *gpu, change func(*world)) (*world, ear) {
	t.Helper()
	e := ear{make(chan policy.Signal, 10_000), make(chan policy.Request, 10_000)}
	w := newWorld(t, func(w *world) {
		w.conf.Sampler, w.conf.Bus, w.conf.Announce = g, e, 100*time.Millisecond
		w.conf.Threshold = policy.Threshold{Utilisation: 85, For: 200 * time.Millisecond, JobsWaiting: 1, Release: 60,
			StaleAfter: 2 * time.Second}
		program, err := edge.ReadProgram(w.conf.Payloads[0])
		must(t, err)
		job := cast.Job(slice)
		job.Payload = program.Names[0]
		w.ctl.work.Jobs = []tunnel.Waiting{{ID: "job-1", Job: job, Since: time.Now().Add(-time.Hour)}}
		w.ctl.work.N++
		if change != nil {
			change(w)
		}
	})
	return w, e
}

func TestASaturatedSiteAsksForEachJobUntilItIsHeard(t *testing.T) {
	w, e := waits(t, pseudo, &gpu{say: busy}, nil)
	first, second := next(t, e.requests), next(t, e.requests)
	for _, r := range []policy.Request{first, second} {
		if r.ID != edge.ClaimID(site, "job-1") || r.Site != site || r.SliceDigest != w.edge.Held()[pseudo] ||
			r.SliceBytes <= 0 {
			t.Errorf("requested: %+v", r)
		}
		if err := r.Check(); err != nil {
			t.Error(err)
		}
	}
	w.ctl.set(func(c *controller) { c.work.Jobs = []tunnel.Waiting{{ID: "job-1", Claim: first.ID}} })
	if s := e.calm(t); s.Waiting != 0 {
		t.Errorf("the level still counts it: %+v", s)
	}
	e.quiet(t)
}

func TestALevelThatIsNotShownAsksForNothing(t *testing.T) {
	for name, say := range map[string]func(time.Time) (onprem.Sample, error){
		"stale": func(now time.Time) (onprem.Sample, error) {
			s, _ := busy(now)
			s.State = onprem.Stale
			return s, nil
		},
		"an hour old": func(now time.Time) (onprem.Sample, error) { return busy(now.Add(-time.Hour)) },
		"an hour ahead": func(now time.Time) (onprem.Sample, error) {
			return busy(now.Add(time.Hour))
		},
		"standing still": func() func(time.Time) (onprem.Sample, error) {
			at := time.Now().Add(-10 * time.Second)
			return func(time.Time) (onprem.Sample, error) { return busy(at) }
		}(),
		"lost": func(now time.Time) (onprem.Sample, error) {
			return onprem.Sample{UUID: "GPU-a", At: now, Utilisation: 97, State: onprem.Lost}, nil
		},
		"of no state": func(now time.Time) (onprem.Sample, error) {
			return onprem.Sample{UUID: "GPU-a", At: now, Utilisation: 97}, nil
		},
		"an error": func(time.Time) (onprem.Sample, error) { return onprem.Sample{}, errors.New("the driver is gone") },
		"at rest": func(now time.Time) (onprem.Sample, error) {
			return onprem.Sample{UUID: "GPU-a", At: now, Utilisation: 3, State: onprem.OK}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gpu{say: say}
			w, e := waits(t, pseudo, g, nil)
			w.until("it was looked at often enough", func() bool { return g.rounds.Load() > 60 })
			if len(e.requests) > 0 {
				t.Errorf("requested: %+v", <-e.requests)
			}
			for len(e.signals) > 0 {
				if s := <-e.signals; s.Saturated {
					t.Errorf("announced: %+v", s)
				}
			}
		})
	}
}

func TestASamplerThatFallsSilentLeavesNoLevelStanding(t *testing.T) {
	g := &gpu{say: busy, hang: make(chan struct{})}
	_, e := waits(t, pseudo, g, nil)
	next(t, e.requests)
	close(g.hang)
	if s := e.calm(t); !s.Stale || s.Reason == "" {
		t.Errorf("announced: %+v", s)
	}
	e.quiet(t)
}

func TestASiteThatCannotHearItsControllerAsksForNothing(t *testing.T) {
	w, e := waits(t, pseudo, &gpu{say: busy}, nil)
	next(t, e.requests)
	w.http.Close()
	e.calm(t)
	e.quiet(t)
	w.comeBack()
	next(t, e.requests)
}

func TestAJobForASliceTheSiteDoesNotHoldIsNotAskedFor(t *testing.T) {
	w, e := waits(t, "claims/2031", &gpu{say: busy}, nil)
	w.line("does not hold", "find slice claims/2031")
	if len(e.requests) > 0 {
		t.Errorf("requested: %+v", <-e.requests)
	}
}

func TestAJobForAProgramTheSiteDoesNotHoldIsNotAskedFor(t *testing.T) {
	w, e := waits(t, pseudo, &gpu{say: busy}, func(w *world) { w.conf.Payloads = nil })
	w.line("does not hold", "find program sha256:")
	if len(e.requests) > 0 {
		t.Errorf("requested: %+v", <-e.requests)
	}
}

func TestAnImageIsAskedForByItsDigestAndServedByItsManifests(t *testing.T) {
	image := cast.Digest("image")
	layout := fstest.MapFS{"oci-layout": {Data: []byte("{}")},
		"index.json": {Data: fmt.Appendf(nil, `{"manifests": [{"digest": %q}]}`, image)}}
	_, e := waits(t, pseudo, &gpu{say: busy}, func(w *world) {
		w.conf.Payloads = []fs.FS{layout}
		w.ctl.work.Jobs[0].Job.Payload = image
	})
	program, err := edge.ReadProgram(layout)
	must(t, err)
	if r := next(t, e.requests); r.Job.Payload != image || r.PayloadDigest != program.Manifest.Digest() {
		t.Errorf("requested %s, served as %s", r.Job.Payload, r.PayloadDigest)
	}
}

// startBus is one life of a real bus.
func startBus(t *testing.T, dir, listen string, conf *tls.Config) *busserver.Server {
	t.Helper()
	s, err := busserver.Start(busserver.Options{Dir: dir, TLS: conf, Listen: listen})
	must(t, err)
	t.Cleanup(s.Shutdown)
	return s
}

// desk is the controller's end of the bus.
type desk struct{ requests chan bus.Received }

func (d desk) Request(_ context.Context, r bus.Received) error { d.requests <- r; return nil }
func (d desk) Signal(context.Context, bus.Received) error      { return nil }

func TestALevelIsAnnouncedAnewAfterTheBusWasWiped(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	must(t, busserver.Init(dir, []string{site}))
	here := &tls.Config{Certificates: []tls.Certificate{serverCert(t, ca)}}
	there := &tls.Config{RootCAs: ca.pool}
	server := startBus(t, dir, "127.0.0.1:0", here)
	address := strings.TrimPrefix(server.URL(), "tls://")
	connect := func(name string) *bus.Conn {
		c, err := bus.Connect(t.Context(), bus.Config{URL: server.URL(), TLS: there, Name: name,
			CredsFile: busserver.Creds(dir, name)})
		must(t, err)
		t.Cleanup(c.Close)
		return c
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	controllers := connect(bus.Durable)
	must(t, controllers.Ensure(t.Context()))
	d := desk{make(chan bus.Received, 10_000)}
	ctx, stop := context.WithCancel(t.Context())
	var consumer sync.WaitGroup
	consumer.Go(func() {
		if err := controllers.Consume(ctx, map[string]ed25519.PublicKey{site: pub}, d); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); consumer.Wait() })
	_, _ = waits(t, pseudo, &gpu{say: busy}, func(w *world) { w.conf.Bus = bus.NewPublisher(connect(site), site, key) })
	first := next(t, d.requests)
	server.Shutdown()
	must(t, os.RemoveAll(filepath.Join(dir, "jetstream")))
	wiped := time.Now()
	startBus(t, dir, address, here)
	for {
		again := next(t, d.requests)
		if again.Request.ID != first.Request.ID || again.Request.SliceDigest != first.Request.SliceDigest {
			t.Fatalf("another request: %+v", again.Request)
		}
		if again.At.After(wiped) {
			return
		}
	}
}

// serverCert certifies a server on loopback.
func serverCert(t *testing.T, ca *authority) tls.Certificate {
	t.Helper()
	key := cast.Key(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &key.PublicKey, ca.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
