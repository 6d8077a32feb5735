package replay_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/replay"
	"github.com/burstctl/burstctl/pools/onprem/samplertest"
	"github.com/burstctl/burstctl/scenarios/traces"
)

// moment reads a time of traces.
func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// philly packs the embedded day.
func philly(t *testing.T) *replay.Day {
	t.Helper()
	jobs, err := replay.ReadJobs(bytes.NewReader(traces.PhillyDay))
	if err != nil {
		t.Fatal(err)
	}
	d, err := replay.NewDay(jobs, moment(t, traces.PhillyEpoch), moment(t, traces.PhillyDate), traces.PhillyGPUs, 1)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheEmbeddedDayIsWhatItsConstantsSay(t *testing.T) {
	jobs, err := replay.ReadJobs(bytes.NewReader(traces.PhillyDay))
	if err != nil {
		t.Fatal(err)
	}
	midnight := moment(t, traces.PhillyDate).Sub(moment(t, traces.PhillyEpoch))
	if got := replay.Extract(jobs, traces.PhillyVC, midnight); !slices.Equal(got, jobs) || len(jobs) != 48 {
		t.Errorf("%d of %d jobs are of the day", len(got), len(jobs))
	}
	d := philly(t)
	at := moment(t, traces.PhillyDate).Add(7*time.Hour + 40*time.Minute)
	if n := d.Held(at); n != 4 {
		t.Errorf("%d GPUs are held at 07:40, want 4", n)
	}
	if n := d.Held(at.Add(time.Hour)) + d.Pressure(at.Add(time.Hour)).Waiting; n < 44 {
		t.Errorf("%d GPUs are wanted an hour later, want 44", n)
	}
	if got := d.Peak().Format(time.TimeOnly); got != "07:41:44" {
		t.Errorf("the peak builds from %s", got)
	}
	want := "48 jobs of queue ed69ec on Fri 2017-10-20, on 8 GPUs; its largest queue builds from 07:41:44"
	if got := d.Describe(); got != want {
		t.Errorf("got %q", got)
	}
}

func TestThePackingIsFIFOAndNeverSharesAGPU(t *testing.T) {
	jobs, err := replay.ReadJobs(strings.NewReader("job_id,submit_s,duration_s,gpus,vc\n" +
		"1,0,100,3,q\n2,10,50,2,q\n3,20,10,1,q\n"))
	if err != nil {
		t.Fatal(err)
	}
	epoch := time.Unix(0, 0).UTC()
	d, err := replay.NewDay(jobs, epoch, epoch, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ at, held, waiting int }{
		{0, 3, 0}, {10, 3, 1}, {25, 3, 2}, {99, 3, 2}, {100, 3, 0}, {110, 2, 0}, {150, 0, 0},
	} {
		at := epoch.Add(time.Duration(c.at) * time.Second)
		if h, p := d.Held(at), d.Pressure(at); h != c.held || p.Waiting != c.waiting {
			t.Errorf("at %d s: %d held, %d waiting, want %d and %d", c.at, h, p.Waiting, c.held, c.waiting)
		}
		busy := 0
		for _, s := range d.Round(at) {
			busy += s.Processes
		}
		if busy != c.held {
			t.Errorf("at %d s: %d GPUs are busy, %d are held", c.at, busy, c.held)
		}
	}
	if _, err := replay.NewDay(jobs, epoch, epoch, 2, 1); err == nil {
		t.Error("a job larger than the pool would wait forever")
	}
	if _, err := replay.NewDay(nil, epoch, epoch, 2, 1); err == nil {
		t.Error("a day without jobs shows nothing")
	}
}

// The demonstration's own way: played at 120, the peak fills a window of five
// recorded minutes, and saturation is declared within a few seconds.
func TestTheRecordedPeakSaturatesTheSiteWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := philly(t)
		began := time.Now()
		s, err := d.Play(d.Peak().Add(-3*time.Minute), began, 120, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		th := policy.Threshold{
			Utilisation: 90, For: s.Played(5 * time.Minute), JobsWaiting: 2, WaitedFor: s.Played(2 * time.Minute),
			Release: 70, CoolDown: s.Played(10 * time.Minute), StaleAfter: 2 * time.Second,
		}
		w := onprem.NewWindow("berlin", "philly")
		for round, err := range s.Samples(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			w.Add(round...)
			sig := w.Signal(now, s.Pressure(now), th)
			if sig.Saturated {
				took := now.Sub(began)
				t.Logf("saturated after %s, at %s of the day: %s, %d waiting",
					took, s.Recorded(now).Format(time.TimeOnly), sig.Rule, sig.Waiting)
				if took < 2500*time.Millisecond || took > 5*time.Second {
					t.Errorf("saturated after %s", took)
				}
				return
			}
			if now.Sub(began) > 10*time.Second {
				t.Fatalf("not saturated: %s", sig.Reason)
			}
		}
	})
}

func TestTheSequenceEndsWithTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := philly(t)
		_, end := d.Bounds()
		s, err := d.Play(end.Add(-time.Minute), time.Now(), 60, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range s.Samples(t.Context()) {
			n++
		}
		if n != 10 {
			t.Errorf("%d rounds in the last second, want 10", n)
		}
	})
}

func TestReplayKeepsTheSamplersContract(t *testing.T) {
	samplertest.TestSampler(t, 5*time.Second, func(t *testing.T) onprem.Sampler {
		d := philly(t)
		s, err := d.Play(d.Peak(), time.Now(), 60, 10*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestABadPlayIsRefused(t *testing.T) {
	d := philly(t)
	from, end := d.Bounds()
	for _, c := range []struct {
		from  time.Time
		pace  int
		every time.Duration
	}{
		{from, 0, time.Second}, {from, 1e6, time.Second}, {from, 60, 0}, {end, 60, time.Second},
		{time.Time{}, 60, time.Second},
	} {
		if _, err := d.Play(c.from, end, c.pace, c.every); err == nil {
			t.Errorf("played %+v", c)
		}
	}
}

func FuzzReadJobs(f *testing.F) {
	f.Add(traces.PhillyDay)
	f.Add([]byte("job_id,submit_s,duration_s,gpus,vc\n1,2,3,4\n"))
	f.Add([]byte("job_id,submit_s,duration_s,gpus,vc\n1,99999999999999999999,3,4,q\n"))
	f.Add([]byte("job_id,submit_s,duration_s,gpus,vc\n1,-1,3,4,q\n"))
	f.Add([]byte("vc\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		jobs, err := replay.ReadJobs(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, j := range jobs {
			if j.GPUs < 1 || j.Submit < 0 || j.Duration < 0 {
				t.Fatalf("read %+v", j)
			}
		}
		epoch := time.Unix(0, 0)
		if d, err := replay.NewDay(jobs[:min(len(jobs), 20)], epoch, epoch, 8, 1); err == nil {
			d.Round(epoch)
			d.Pressure(epoch)
		}
	})
}
