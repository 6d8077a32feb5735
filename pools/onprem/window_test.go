package onprem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/onprem"
)

var (
	day  = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	full = policy.Threshold{
		Utilisation: 90, For: 5 * time.Minute, JobsWaiting: 1, WaitedFor: 2 * time.Minute,
		Release: 70, CoolDown: 10 * time.Minute, StaleAfter: 30 * time.Second,
	}
	queue = onprem.Pressure{Waiting: 3, Oldest: 4 * time.Minute}
)

// round gives n good samples at an instant.
func round(at time.Time, n, util int) []onprem.Sample {
	s := make([]onprem.Sample, n)
	for i := range s {
		s[i] = onprem.Sample{
			UUID: fmt.Sprintf("GPU-%d", i), Index: i, At: at, Utilisation: util, State: onprem.OK,
			MemoryUsedMiB: 40960, MemoryTotalMiB: 81920,
		}
	}
	return s
}

// feed adds a round each 10 s from from for d, and gives the instant of the last.
func feed(w *onprem.Window, from time.Time, d time.Duration, util int) time.Time {
	at := from
	for ; !at.After(from.Add(d)); at = at.Add(10 * time.Second) {
		w.Add(round(at, 8, util)...)
	}
	return at.Add(-10 * time.Second)
}

func TestAFullPoolWithJobsWaitingIsSaturated(t *testing.T) {
	w := onprem.NewWindow("berlin", "a100")
	now := feed(w, day, 6*time.Minute, 97)
	s := w.Signal(now, queue, full)
	want := policy.Signal{
		Site: "berlin", Pool: "a100", Saturated: true, Since: now, At: now, GPUs: 8,
		Rule:        "utilisation ≥ 90 % for 5m and ≥ 1 job waiting ≥ 2m",
		Utilisation: 97, MemoryUsed: 50, Waiting: 3, OldestWait: 4 * time.Minute,
	}
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if again := w.Signal(now, queue, full); again != s {
		t.Errorf("asked twice, it answers %+v", again)
	}
	now = feed(w, now.Add(10*time.Second), time.Minute, 97)
	if s := w.Signal(now, queue, full); !s.Saturated || s.Since != want.Since {
		t.Errorf("it holds since %v, got %+v", want.Since, s)
	}
}

func TestDoubtNeverBursts(t *testing.T) {
	lost := func(s onprem.Sample) onprem.Sample {
		s.State, s.Err = onprem.Lost, "GPU is lost"
		return s
	}
	edit := func(change func(*onprem.Sample)) func(*onprem.Window, time.Time) time.Time {
		return func(w *onprem.Window, now time.Time) time.Time {
			now = now.Add(10 * time.Second)
			r := round(now, 8, 97)
			change(&r[3])
			w.Add(r...)
			return now
		}
	}
	for _, c := range []struct {
		name, reason string
		after        func(w *onprem.Window, now time.Time) time.Time
	}{
		{"a lost GPU", "GPU 3 (GPU-3) is lost: GPU is lost", edit(func(s *onprem.Sample) { *s = lost(*s) })},
		{"a reading that errs", "is failed: x", edit(func(s *onprem.Sample) { s.State, s.Err = onprem.Failed, "x" })},
		{"a sample marked stale", "is stale", edit(func(s *onprem.Sample) { s.State = onprem.Stale })},
		{"a sample of no state", "is of no state", edit(func(s *onprem.Sample) { s.State = "" })},
		{"a sample of no time", "measured at no time", edit(func(s *onprem.Sample) { s.At = time.Time{} })},
		{"an impossible reading", "at 101 % utilisation", edit(func(s *onprem.Sample) { s.Utilisation = 101 })},
		{"a fatal Xid", "failing with Xid 79", edit(func(s *onprem.Sample) { s.XID = 79 })},
		{"a sample set back in time", "was last measured 6m10s ago", edit(func(s *onprem.Sample) { s.At = day })},
		{"an error in place of a round", "no driver", func(w *onprem.Window, now time.Time) time.Time {
			w.Doubt("no driver")
			return now
		}},
		{"silence", "was last measured 31s ago, more than 30s", func(w *onprem.Window, now time.Time) time.Time {
			return now.Add(31 * time.Second)
		}},
		{"a source that repeats itself", "was last measured 40s ago", func(w *onprem.Window, now time.Time) time.Time {
			for range 4 {
				w.Add(round(now, 8, 97)...)
			}
			return now.Add(40 * time.Second)
		}},
		{"a GPU that vanished", "GPU 7 (GPU-7) was last measured", func(w *onprem.Window, now time.Time) time.Time {
			now = now.Add(40 * time.Second)
			w.Add(round(now.Add(-20*time.Second), 7, 97)...)
			w.Add(round(now, 7, 97)...)
			return now
		}},
		{"a gap in the watch", "was not measured for 1m of the last 5m", func(w *onprem.Window, now time.Time) time.Time {
			now = now.Add(time.Minute)
			w.Add(round(now, 8, 97)...)
			return now
		}},
		{"a clock that went back", "from now", func(w *onprem.Window, now time.Time) time.Time {
			return now.Add(-time.Hour)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onprem.NewWindow("berlin", "a100")
			now := feed(w, day, 6*time.Minute, 97)
			if s := w.Signal(now, queue, full); !s.Saturated {
				t.Fatalf("not saturated before: %s", s.Reason)
			}
			now = c.after(w, now)
			s := w.Signal(now, queue, full)
			if s.Saturated || !s.Stale || !strings.Contains(s.Reason, c.reason) {
				t.Errorf("saturated=%v stale=%v reason=%q, want %q", s.Saturated, s.Stale, s.Reason, c.reason)
			}
			if s.Since != now {
				t.Errorf("since %v, want %v", s.Since, now)
			}
		})
	}
}

func TestWhatFallsShortIsSaid(t *testing.T) {
	loose := full
	loose.JobsWaiting = 2
	for _, c := range []struct {
		name   string
		th     policy.Threshold
		q      onprem.Pressure
		util   int
		d      time.Duration
		reason string
	}{
		{"nothing seen", full, queue, 97, -1, "no GPU has been seen"},
		{"too short a watch", full, queue, 97, time.Minute, "has been watched for 1m of 5m"},
		{"idle GPUs", full, queue, 40, 6 * time.Minute, "utilisation 40 % is below 90 %"},
		{"nobody waits", full, onprem.Pressure{}, 97, 6 * time.Minute, "0 of 0 jobs waiting have waited 2m, fewer than 1"},
		{"a short wait", full, onprem.Pressure{Waiting: 9, Oldest: time.Minute}, 97, 6 * time.Minute, "0 of 9 jobs"},
		{"two asked, ages unknown", loose, queue, 97, 6 * time.Minute, "1 of 3 jobs waiting have waited 2m, fewer than 2"},
		{"a queue in doubt", full, onprem.Pressure{Waiting: 9, Oldest: time.Hour, Doubt: "squeue timed out"}, 97,
			6 * time.Minute, "squeue timed out"},
		{"the zero threshold", policy.Threshold{}, queue, 100, 6 * time.Minute, "the threshold is incomplete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onprem.NewWindow("berlin", "a100")
			now := day
			if c.d >= 0 {
				now = feed(w, day, c.d, c.util)
			}
			if s := w.Signal(now, c.q, c.th); s.Saturated || !strings.Contains(s.Reason, c.reason) {
				t.Errorf("saturated=%v reason=%q, want %q", s.Saturated, s.Reason, c.reason)
			}
		})
	}
	q := onprem.Pressure{Waiting: 2, Oldest: time.Hour, Waits: []time.Duration{time.Hour, 3 * time.Minute}}
	w := onprem.NewWindow("berlin", "a100")
	if s := w.Signal(feed(w, day, 6*time.Minute, 97), q, loose); !s.Saturated {
		t.Errorf("two jobs with known waits are enough, got %q", s.Reason)
	}
}

func TestHysteresisHoldsThroughADipAndCoolDownAfterARelease(t *testing.T) {
	w := onprem.NewWindow("berlin", "a100")
	now := feed(w, day, 6*time.Minute, 97)
	step := func(d time.Duration, util int, q onprem.Pressure) policy.Signal {
		now = feed(w, now.Add(10*time.Second), d, util)
		return w.Signal(now, q, full)
	}
	if s := step(0, 97, queue); !s.Saturated {
		t.Fatalf("not saturated: %s", s.Reason)
	}
	if s := step(6*time.Minute, 75, queue); !s.Saturated {
		t.Errorf("75 %% lies above the release, got %q", s.Reason)
	}
	if s := step(6*time.Minute, 60, queue); s.Saturated || s.Reason != "utilisation 60 % fell below 70 %" || s.Stale {
		t.Errorf("60 %% releases: %+v", s)
	}
	cooling := "cooling down until 2026-03-02T08:28:"
	if s := step(6*time.Minute, 97, queue); s.Saturated || !strings.HasPrefix(s.Reason, cooling) {
		t.Errorf("it cools down for 10m after a release: %+v", s)
	}
	if s := step(5*time.Minute, 97, queue); !s.Saturated {
		t.Errorf("it may hold again, got %q", s.Reason)
	}
	if s := step(0, 97, onprem.Pressure{}); s.Saturated || s.Reason != "0 jobs wait, fewer than 1" {
		t.Errorf("an empty queue releases: %+v", s)
	}
}

func TestAWindowIsBounded(t *testing.T) {
	w := onprem.NewWindow("berlin", "a100")
	at := day
	for range 3 * onprem.MaxPoints {
		at = at.Add(time.Second)
		w.Add(round(at, 1, 97)...)
	}
	long := full
	long.For = 2 * onprem.MaxPoints * time.Second
	if s := w.Signal(at, queue, long); s.Saturated || !strings.Contains(s.Reason, "has been watched for") {
		t.Errorf("a window longer than what is kept is never met: %+v", s)
	}
}

func TestRowsShowWhatMayBeBelieved(t *testing.T) {
	s := round(day, 2, 97)
	s[0], s[1] = s[1], s[0]
	s[0].State, s[0].Err, s[0].XID, s[0].Throttle = onprem.Lost, "GPU is lost", 79, 0x44|0x1000
	rows := onprem.Rows(s, day.Add(1500*time.Millisecond))
	got := make([]string, len(rows))
	for i, r := range rows {
		got[i] = strings.Join(r, "|")
	}
	want := []string{
		"GPU|UUID|UTIL|MEMORY MiB|POWER W|TEMP C|SM MHz|PROCS|THROTTLE|XID|AGE|STATE",
		"0|GPU-0|97 %|40960/81920|0|0|0|0|-|-|1.5s|ok",
		"1|GPU-1|97 %|40960/81920|0|0|0|0|power-cap,hw-thermal,0x1000|79|1.5s|lost: GPU is lost",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r := onprem.Rows([]onprem.Sample{{}}, day); r[1][10] != "never" || r[1][11] != "of no state" {
		t.Errorf("the zero sample is not believed: %q", r[1])
	}
}

func BenchmarkWindowOfEightGPUs(b *testing.B) {
	w := onprem.NewWindow("berlin", "a100")
	at := day
	for b.Loop() {
		at = at.Add(time.Second)
		w.Add(round(at, 8, 97)...)
		if s := w.Signal(at, queue, full); s.GPUs != 8 {
			b.Fatal(s)
		}
	}
}
