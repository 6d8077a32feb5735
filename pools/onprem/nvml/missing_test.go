//go:build cgo

package nvml_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/nvml"
)

func TestNoLibraryIsOneClearError(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	s := nvml.Sampler{Command: []string{os.Args[0], "nvml-helper"}, Library: missing}
	var errs []error
	for round, err := range s.Samples(t.Context()) {
		if err == nil {
			t.Fatalf("a round without a library: %+v", round)
		}
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], nvml.ErrNoLibrary) {
		t.Errorf("got %q, want one ErrNoLibrary", errs)
	}
}

func TestADriverThatIsNotLoadedYetIsTriedAgain(t *testing.T) {
	d, s := newDriver(t)
	d.order("fail nvmlInit_v2 9")
	w := newWatch(t, s)
	w.until(10*time.Second, "the cause", func(a answer) bool {
		return a.err != nil && strings.Contains(a.err.Error(), "Driver Not Loaded (NVML 9)")
	})
	d.order()
	w.until(10*time.Second, "a good round", shows(onprem.OK, ""))
}

func TestRestartsAreBounded(t *testing.T) {
	s := nvml.Sampler{Command: []string{filepath.Join(t.TempDir(), "nothing")}, Patience: 300 * time.Millisecond}
	n := 0
	for _, err := range s.Samples(t.Context()) {
		if n++; err == nil || !strings.Contains(err.Error(), "start GPU helper") {
			t.Fatalf("got %v", err)
		}
	}
	if n == 0 || n > 10 {
		t.Errorf("%d errors before it ended", n)
	}
}

func TestAHelperThatSpeaksNonsenseIsNotBelieved(t *testing.T) {
	nonsense := `echo '{"kind":"round"}'; echo hello; exec cat`
	s := nvml.Sampler{Command: []string{"/bin/sh", "-c", nonsense}, Patience: time.Second}
	for round, err := range s.Samples(t.Context()) {
		if err == nil || !strings.Contains(err.Error(), "read helper's line") {
			t.Fatalf("got %v, %v", round, err)
		}
		break
	}
}

// The whole way: a lost GPU, seen through dlopen and a pipe, ends saturation.
func TestALostGPUEndsSaturation(t *testing.T) {
	d, s := newDriver(t)
	d.order("util 98")
	th := policy.Threshold{Utilisation: 90, For: 200 * time.Millisecond, StaleAfter: 3 * time.Second}
	win := onprem.NewWindow("berlin", "a100")
	var sig policy.Signal
	fold := func(want bool) func(answer) bool {
		return func(a answer) bool {
			if a.err != nil {
				t.Fatal(a.err)
			}
			win.Add(a.round...)
			sig = win.Signal(time.Now(), onprem.Pressure{}, th)
			return sig.Saturated == want
		}
	}
	w := newWatch(t, s)
	w.until(10*time.Second, "saturation", fold(true))
	d.order("util 98", "lost 1")
	w.until(10*time.Second, "its end", fold(false))
	if !sig.Stale || !strings.Contains(sig.Reason, "GPU 1 (GPU-standin-1) is lost") {
		t.Errorf("got %+v", sig)
	}
}
