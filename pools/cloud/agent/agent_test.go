package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/agent"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel"
)

// copySlice is a job that leaves its slice as its model.
const copySlice = `cp "$BURST_SLICE/claims.csv" "$BURST_OUT/model.bin"`

func TestANodeReadsItsSliceAndReturnsWhatItsJobLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, copySlice)
	ended := w.run(t)
	var f tunnel.Finished
	w.report(t, "job-finished", &f)
	if f != (tunnel.Finished{}) {
		t.Errorf("the job finished with %+v", f)
	}
	if got, _ := w.edge.result("model.bin"); got != "id,paid\n1,2\n" {
		t.Errorf("the edge got %q", got)
	}
	w.end(t, ended)
	w.empty(t)
}

// empty wants nothing to lie or to be mounted below scratch.
func (w *world) empty(t *testing.T) {
	t.Helper()
	if left := w.left(t); len(left) > 0 {
		t.Errorf("scratch still holds %q", left)
	}
}

// left is what lies or is mounted below scratch.
func (w *world) left(t *testing.T) []string {
	t.Helper()
	left := w.mounts(t)
	entries, err := os.ReadDir(w.scratch)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	return left
}

func TestARefusedPleaEndsTheNodeWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, copySlice)
	w.desk.say = func(int) *tunnel.Answer {
		return &tunnel.Answer{Standing: tunnel.Refused, Why: "the place is not permitted"}
	}
	err := next(t, "the node to end", w.run(t))
	if err == nil || !strings.Contains(err.Error(), "refused: the place is not permitted") {
		t.Errorf("the node ended with %v", err)
	}
	if w.desk.heard != 1 {
		t.Errorf("it pleaded %d times", w.desk.heard)
	}
	w.empty(t)
}

func TestANodeToldToWaitAsksAgainWithAFreshNonce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, copySlice)
	w.desk.say = func(n int) *tunnel.Answer {
		if n <= 3 {
			return &tunnel.Answer{Standing: tunnel.Wait, Why: "not cosigned yet"}
		}
		return nil
	}
	ended := w.run(t)
	if p := next(t, "a grant", w.desk.pleas); p.nonce != "nonce-1-4" {
		t.Errorf("granted with %s, want the fourth nonce of attempt 1", p.nonce)
	}
	w.report(t, "job-finished", &tunnel.Finished{})
	w.end(t, ended)
}

// runUntilDenied runs the node until it has tried in vain a few times.
func (w *world) runUntilDenied(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.config.Logger = slog.New(slog.NewTextHandler(watcher(func(line string) {
		if strings.Contains(line, "not granted yet") {
			time.AfterFunc(200*time.Millisecond, cancel)
		}
	}), nil))
	return agent.Run(ctx, w.config)
}

// watcher is told of every line of a log.
type watcher func(string)

func (w watcher) Write(b []byte) (int, error) { w(string(b)); return len(b), nil }

func TestANodeDoesNotPleadWithACallerThatIsNotItsController(t *testing.T) {
	t.Parallel()
	other := newCA(t)
	for name, change := range map[string]func(*agent.Config){
		"another CA":     func(c *agent.Config) { c.UserData.CA = other.pin() },
		"no CA":          func(c *agent.Config) { c.UserData.CA = "" },
		"another domain": func(c *agent.Config) { c.UserData.Domain = "elsewhere.test" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, copySlice)
			change(&w.config)
			err := w.runUntilDenied(t)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "verify peer") {
				t.Errorf("the node ended with %v", err)
			}
			if len(w.calls) > 0 {
				t.Errorf("%s was called", <-w.calls)
			}
			w.empty(t)
		})
	}
}

func TestARenewalAtHalfLifeHasAFreshNonceAndTheSameKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `sleep 600`)
	w.desk.ttl = 6 * time.Second
	ended := w.run(t)
	first := next(t, "a grant", w.desk.pleas)
	at := time.Now()
	second := next(t, "a renewal", w.desk.pleas)
	if took := time.Since(at); took > w.desk.ttl {
		t.Errorf("renewed after %s of %s", took, w.desk.ttl)
	}
	if first.key != second.key || first.nonce == second.nonce || first.serial == second.serial {
		t.Errorf("first %+v, then %+v", first, second)
	}
	w.end(t, ended)
}

func TestAnOrderToUnmountLetsGoOfEverything(t *testing.T) {
	t.Parallel()
	for name, fuse := range map[string]bool{"copied": false, "mounted where that can be": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			// the job, a child of it that heeds no signal, and one that lost its parent
			w := newWorld(t, `(trap "" TERM INT HUP; echo data >"$TMPDIR/spill"; sleep 600) &
				(sleep 600 & echo $! >>`+pids+`)
				echo $! $$ >>`+pids+`
				echo '{"epoch":1,"epochs":9}'
				cat "$BURST_SLICE/claims.csv" >/dev/null; sleep 600`)
			w.config.FUSE = fuse
			ended := w.run(t)
			var started struct{ Mount string }
			w.report(t, "job-started", &started)
			w.report(t, "job-progress", &struct{}{})
			if dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err == nil && fuse && os.Geteuid() == 0 {
				dev.Close()
				if started.Mount != "fuse" || len(w.mounts(t)) != 1 {
					t.Errorf("the slice came as %q, mounts %q", started.Mount, w.mounts(t))
				}
			}
			b, err := os.ReadFile(pids)
			if err != nil || len(strings.Fields(string(b))) != 3 {
				t.Fatalf("pids: %q, %v", b, err)
			}
			w.desk.give(tunnel.OrderUnmount)
			w.report(t, "unmounted", &struct{}{})
			w.empty(t)
			for _, pid := range strings.Fields(string(b)) {
				if alive(t, pid) {
					t.Errorf("process %s lives on", pid)
				}
			}
			w.desk.revoke()
			if err := next(t, "the node to end", ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// alive reports whether the process runs; one that nobody has buried does not.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	for range 100 { // a killed process takes a moment to die
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return false
		}
		if f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])); f[0] == "Z" || f[0] == "X" {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true
}

// deaf is a provider that says nothing.
type deaf struct{ agent.Metadata }

func (deaf) Evidence(context.Context, string, string) (residency.Evidence, error) {
	return residency.Evidence{}, errors.New("ask metadata service: it is deaf")
}

func TestANodeWithoutEvidenceSaysSoAndDoesNotPlead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, copySlice)
	w.config.Metadata = deaf{w.config.Metadata}
	if err := w.runUntilDenied(t); err == nil || !strings.Contains(err.Error(), "it is deaf") {
		t.Errorf("the node ended with %v", err)
	}
	if w.desk.heard != 0 {
		t.Errorf("it pleaded %d times", w.desk.heard)
	}
}
