//go:build cgo

package nvml_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/nvml"
	"github.com/burstctl/burstctl/pools/onprem/samplertest"
)

// TestMain lets the test binary be its own helper, as a command is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "nvml-helper" {
		if err := nvml.Helper(context.Background(), os.Stdin, os.Stdout, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	_ = os.RemoveAll(libraryDir)
	os.Exit(code)
}

// needs skips a test that cannot run here, unless the real tier asks for it.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("BURST_REAL") != "" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// library builds the stand-in once.
var libraryDir string
var library = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nvml-standin")
	if err != nil {
		return "", err
	}
	libraryDir = dir
	so := filepath.Join(dir, "libnvidia-ml.so.1")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror",
		"-o", so, "testdata/libnvidia-ml.c").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build stand-in: %w: %s", err, out)
	}
	return so, nil
})

// driver is a stand-in under a test's orders.
type driver struct {
	t             *testing.T
	orders, calls string
}

// newDriver gives a stand-in, and a sampler whose helper loads it by dlopen.
func newDriver(t *testing.T) (*driver, nvml.Sampler) {
	t.Helper()
	_, err := exec.LookPath("gcc")
	needs(t, err == nil, "gcc")
	so, err := library()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &driver{t: t, orders: filepath.Join(dir, "orders"), calls: filepath.Join(dir, "calls")}
	t.Setenv("NVML_STANDIN", d.orders)
	t.Setenv("NVML_CALLS", d.calls)
	d.order()
	t.Cleanup(func() { d.order() }) // let go whatever hangs
	return d, nvml.Sampler{
		Command: []string{os.Args[0], "nvml-helper"}, Library: so,
		Every: 20 * time.Millisecond, Silence: 300 * time.Millisecond,
		GiveUp: 10 * time.Second, Frozen: 200 * time.Millisecond, Patience: 20 * time.Second,
	}
}

// order replaces the driver's orders, in one step.
func (d *driver) order(lines ...string) {
	d.t.Helper()
	tmp := d.orders + ".new"
	if err := os.WriteFile(tmp, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(tmp, d.orders); err != nil {
		d.t.Fatal(err)
	}
}

// called counts the calls of a function.
func (d *driver) called(name string) int {
	d.t.Helper()
	b, err := os.ReadFile(d.calls)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
	return strings.Count("\n"+string(b), "\n"+name+"\n")
}

// watch ranges over a sampler in the background.
type watch struct {
	t    *testing.T
	news chan answer
}

type answer struct {
	round []onprem.Sample
	err   error
}

func newWatch(t *testing.T, s onprem.Sampler) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{t: t, news: make(chan answer)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(w.news)
		for round, err := range s.Samples(ctx) {
			select {
			case w.news <- answer{round, err}:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("the sampler does not end")
		}
	})
	return w
}

// until waits for an answer that ok accepts. No two answers may lie further apart
// than bound: the sampler never blocks.
func (w *watch) until(bound time.Duration, what string, ok func(answer) bool) answer {
	w.t.Helper()
	end := time.After(15 * time.Second)
	var last answer
	for {
		select {
		case a, more := <-w.news:
			if !more {
				w.t.Fatalf("the sequence ended before %s; last %+v", what, last)
			}
			if last = a; ok(a) {
				return a
			}
		case <-time.After(bound):
			w.t.Fatalf("no answer for %s while waiting for %s; last %+v", bound, what, last)
		case <-end:
			w.t.Fatalf("no answer shows %s; last %+v", what, last)
		}
	}
}

// shows accepts a round whose first sample is in a state and says some words.
func shows(state onprem.State, words string) func(answer) bool {
	return func(a answer) bool {
		return len(a.round) > 0 && a.round[0].State == state && strings.Contains(a.round[0].Err, words)
	}
}

func TestNVMLKeepsTheSamplersContract(t *testing.T) {
	_, s := newDriver(t)
	samplertest.TestSampler(t, 10*time.Second, func(*testing.T) onprem.Sampler { return s })
}

func TestARoundHoldsWhatTheLibrarySays(t *testing.T) {
	d, s := newDriver(t)
	d.order("gpus 8", "util 97")
	a := newWatch(t, s).until(10*time.Second, "eight GPUs", shows(onprem.OK, ""))
	if len(a.round) != 8 {
		t.Fatalf("%d GPUs, want 8", len(a.round))
	}
	got := a.round[7]
	if age := time.Since(got.At); age < 0 || age > 5*time.Second {
		t.Errorf("measured %s ago", age)
	}
	if got.EnergyMJ == 0 {
		t.Error("no energy was read")
	}
	got.At, got.EnergyMJ = time.Time{}, 0
	want := onprem.Sample{
		UUID: "GPU-standin-7", Index: 7, Utilisation: 97, MemoryUsedMiB: 20480, MemoryTotalMiB: 81920,
		PowerMilliwatt: 350000, TempC: 61, SMClockMHz: 1980, Processes: 1, Throttle: 4, State: onprem.OK,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if n := d.called("nvmlInit_v2"); n != 1 {
		t.Errorf("the library was opened %d times", n)
	}
}

func TestAHungDriverIsStaleAndNeverBlocks(t *testing.T) {
	d, s := newDriver(t)
	w := newWatch(t, s)
	w.until(10*time.Second, "a good round", shows(onprem.OK, ""))
	d.order("hang nvmlDeviceGetUtilizationRates")
	a := w.until(3*time.Second, "staleness", shows(onprem.Stale, "no answer from the GPU helper for"))
	if time.Since(a.round[0].At) < s.Silence {
		t.Errorf("a stale sample must keep the time of the last good one, got %v", a.round[0].At)
	}
	w.until(3*time.Second, "the call that hangs",
		shows(onprem.Stale, "nvmlDeviceGetUtilizationRates of GPU 0 has not returned"))
	d.order()
	w.until(10*time.Second, "recovery", shows(onprem.OK, ""))
	if n := d.called("nvmlInit_v2"); n != 1 {
		t.Errorf("the helper recovers by itself, but the library was opened %d times", n)
	}
}

func TestAHelperThatHangsTooLongIsAskedNotKilledAndNotDoubled(t *testing.T) {
	d, s := newDriver(t)
	s.GiveUp = 500 * time.Millisecond
	w := newWatch(t, s)
	w.until(10*time.Second, "a good round", shows(onprem.OK, ""))
	d.order("hang nvmlDeviceGetMemoryInfo")
	hung := time.Now()
	w.until(3*time.Second, "a long hang", func(a answer) bool { return time.Since(hung) > 2*time.Second })
	if n := d.called("nvmlInit_v2"); n != 1 {
		t.Errorf("%d clients beside a hung one", n-1)
	}
	d.order()
	w.until(10*time.Second, "the old helper's end", func(a answer) bool { return a.err != nil })
	w.until(10*time.Second, "recovery", shows(onprem.OK, ""))
	if i, e := d.called("nvmlInit_v2"), d.called("nvmlShutdown"); i != 2 || e != 1 {
		t.Errorf("opened %d times and closed %d times, want 2 and 1: the hung helper closes when it can", i, e)
	}
}

func TestEndingTheSamplerLeavesAHungHelperToItsCall(t *testing.T) {
	d, s := newDriver(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan time.Time, 1)
	go func() {
		for a := range s.Samples(ctx) {
			if len(a) > 0 && a[0].State == onprem.Stale {
				break
			}
			d.order("hang nvmlDeviceGetMemoryInfo")
		}
		ended <- time.Now()
	}()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("the sampler waits for a hung driver")
	}
	cancel()
	if n := d.called("nvmlShutdown"); n != 0 {
		t.Error("the hung helper has ended, though its call did not return")
	}
	d.order()
	for end := time.Now().Add(10 * time.Second); d.called("nvmlShutdown") == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the helper does not end when its call returns")
		}
	}
}

func TestFaultsOfOneGPUAreItsOwn(t *testing.T) {
	for _, c := range []struct {
		order, words string
		state        onprem.State
	}{
		{"lost 1", "GPU is lost (NVML 15)", onprem.Lost},
		{"fail nvmlDeviceGetUtilizationRates 3", "read utilisation: Not Supported (NVML 3)", onprem.Failed},
		{"fail nvmlDeviceGetMemoryInfo 999", "read memory: Unknown Error (NVML 999)", onprem.Failed},
		{"fail nvmlDeviceGetPowerUsage 16", "nvmlDeviceGetPowerUsage", onprem.Lost},
		{"stale", "the driver has measured nothing for", onprem.Stale},
		{"stale\nnosamples", "the energy counter has stood still for", onprem.Stale},
		{"frozenenergy", "the energy counter has stood still for", onprem.Stale},
	} {
		t.Run(strings.ReplaceAll(c.order, "\n", " and "), func(t *testing.T) {
			d, s := newDriver(t)
			w := newWatch(t, s)
			w.until(10*time.Second, "a good round", shows(onprem.OK, ""))
			d.order(c.order)
			faulty := func(a answer) bool {
				return len(a.round) == 2 && a.round[1].State == c.state && strings.Contains(a.round[1].Err, c.words)
			}
			a := w.until(5*time.Second, c.words, faulty)
			if strings.HasPrefix(c.order, "lost") && a.round[0].State != onprem.OK {
				t.Errorf("GPU 0 is not at fault: %+v", a.round[0])
			}
			d.order()
			w.until(5*time.Second, "recovery", shows(onprem.OK, ""))
		})
	}
}

func TestAnXidIsSeenOnItsGPU(t *testing.T) {
	d, s := newDriver(t)
	d.order("xid 1 " + strconv.Itoa(79))
	a := newWatch(t, s).until(10*time.Second, "the Xid", func(a answer) bool {
		return len(a.round) == 2 && a.round[1].XID == 79
	})
	if a.round[0].XID != 0 {
		t.Errorf("GPU 0 has no Xid: %+v", a.round[0])
	}
}
