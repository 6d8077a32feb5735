package perform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/cast"
	"github.com/burstctl/burstctl/tunnel"
)

func raw(t *testing.T, body any) json.RawMessage {
	t.Helper()
	b, err := audit.Canonical(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASiteEntersOnlyItsOwnKindsForItsOwnBursts(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		w.ask()
		s := w.until(burst.Running)
		next := burst.Window{Grant: s.Grant.ID, N: s.WindowN + 1, Bytes: 10}
		for name, tc := range map[string]struct {
			site, kind string
			body       any
			want       error
		}{
			"a foreign site's window":   {"other", "serve-intent", next, perform.ErrUnknownClaim},
			"a stop":                    {cast.Place, "stop", burst.Stop{Why: burst.WhyRevoked, By: time.Now()}, nil},
			"a window out of order":     {cast.Place, "serve-intent", burst.Window{Grant: s.Grant.ID, N: 99, Bytes: 1}, nil},
			"a window of another grant": {cast.Place, "serve-intent", burst.Window{Grant: "c-9.1", N: next.N, Bytes: 1}, nil},
			"a window of a field more":  {cast.Place, "serve-intent", map[string]any{"grant": s.Grant.ID, "x": 1}, nil},
			"another's round trip":      {cast.Place, "round-trip", burst.RoundTrip{Grant: "c-9.1", Micros: 1, Samples: 1}, nil},
			"a round trip of no time":   {cast.Place, "round-trip", burst.RoundTrip{Grant: s.Grant.ID, Samples: 1}, nil},
			"a probe before its time":   {cast.Place, "probed", burst.Probed{Serial: s.Current(), Refused: true}, nil},
		} {
			before := w.engine().Log.Size()
			in := tunnel.Entering{Claim: claim, Kind: tc.kind, Body: raw(t, tc.body)}
			_, err := w.engine().EnterFor(t.Context(), tc.site, in)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%s: %v", name, err)
			}
			if tc.want != nil && w.engine().Log.Size() != before {
				t.Errorf("%s is in the log", name)
			}
		}
		trip := raw(t, burst.RoundTrip{Grant: s.Grant.ID, Micros: 840, Samples: 5})
		in := tunnel.Entering{Claim: claim, Kind: "round-trip", Body: trip}
		if _, err := w.engine().EnterFor(t.Context(), cast.Place, in); err != nil {
			t.Errorf("an edge's round trip: %v", err)
		}
		if len(w.engine().Work(t.Context(), "other", -1).Grants) != 0 {
			t.Error("a foreign site sees the grant")
		}
		w.until(burst.Ended)
	})
}

func TestWhatIsTooLongForAnEntryIsRefusedAndEndsNothing(t *testing.T) {
	in(t, short, func(t *testing.T, w *world) {
		long := strings.Repeat("x", 2*audit.MaxEntry)
		w.ask()
		s := w.until(burst.Running)
		r := tunnel.Report{Kind: "job-progress", Body: raw(t, burst.Progress{Grant: s.Grant.ID, Metric: long})}
		if err := w.engine().Report(s.Grant.ID, s.Current(), r); err == nil {
			t.Error("a metric's name of 96 KiB was entered")
		}
		job := cast.Job(cast.Pseudonymised)
		job.Name = long
		if _, err := w.engine().Submit("user:alice", cast.Place, job); err == nil {
			t.Error("a job's name of 96 KiB was entered")
		}
		if s = w.until(burst.Ended); s.Outcome != burst.WhyFinished {
			t.Errorf("outcome %q", s.Outcome)
		}
	})
}

func TestARestartEndsWhatTheNewLawForbids(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.ask()
		w.until(burst.Running)
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		law, err := cast.Law(map[string][]byte{"none.cedar": []byte(`@id("none") @title("Nothing leaves") @basis("A test")
			forbid (principal, action, resource);`)})
		if err != nil {
			t.Fatal(err)
		}
		w.Law = law
		w.start()
		if s := w.until(burst.Ended); s.Outcome != burst.WhyRules {
			t.Errorf("outcome %q", s.Outcome)
		}
	})
}

// late is a ledger before which somebody stops the burst.
type late struct {
	perform.Ledger
	stop func()
}

func (l late) Reserve(c policy.Charge) error {
	err := l.Ledger.Reserve(c)
	l.stop()
	return err
}

func TestADecisionThatLostToAStopReservesNothing(t *testing.T) {
	var w *world
	stop := func() {
		e, err := w.Engine()
		if err == nil {
			err = e.Stop(claim, "user:alice", burst.WhyRevoked, "a test")
		}
		if err != nil {
			w.t.Error(err)
		}
	}
	in(t, func(o *cast.Options) {
		o.Ledger = func(l perform.Ledger) perform.Ledger { return late{l, func() { stop() }} }
	}, func(t *testing.T, now *world) {
		w = now
		w.ask()
		if s := w.until(burst.Ended); s.Outcome != burst.WhyRevoked || s.Decision.Plan != nil {
			t.Errorf("outcome %q, %+v", s.Outcome, s.Decision)
		}
		if reserved, spent := w.Money(); reserved.Micros != 0 || spent.Micros != 0 {
			t.Errorf("reserved %v, spent %v", reserved, spent)
		}
	})
}

// needs skips a test whose surroundings are missing, or fails it where
// BURST_REAL asks for all of them.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("BURST_REAL") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

func TestAFullDiskRefusesTheNewAndStillTearsDown(t *testing.T) {
	needs(t, os.Getuid() == 0, "root to mount a tmpfs")
	vol := t.TempDir()
	if err := syscall.Mount("tmpfs", vol, "tmpfs", 0, "size=4m"); err != nil {
		needs(t, false, fmt.Sprintf("a tmpfs: %v", err))
	}
	defer func() {
		if err := syscall.Unmount(vol, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	in(t, func(o *cast.Options) { o.Dir, o.Job = vol, time.Hour }, func(t *testing.T, w *world) {
		w.ask()
		w.until(burst.Running)
		if err := fill(filepath.Join(vol, "filler")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute) // heartbeats fail meanwhile
		job := cast.Job(cast.Pseudonymised)
		if err := w.engine().Ask(cast.Request("c-2", "job-2", job), cast.Digest("event")); !errors.Is(err, audit.ErrFull) {
			t.Errorf("asked on a full disk: %v", err)
		}
		w.stop(burst.WhyRevoked)
		if s := w.until(burst.Ended); s.Outcome != burst.WhyRevoked {
			t.Errorf("outcome %q", s.Outcome)
		}
	})
}

// fill writes until the volume has no room.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return errors.Join(f.Close(), ignore(err, syscall.ENOSPC))
		}
	}
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}
