package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/agent"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel"
)

func TestASpotNoticeIsReadOnceItIsThere(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	base := mock(t, "--mock-delay-sec", "2", "--time", "2030-01-02T03:04:05Z", "--action", "stop")
	want := agent.Notice{Action: "stop", At: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	for metadata := agent.NewAWS(base); time.Since(begun) < patience; time.Sleep(100 * time.Millisecond) {
		n, err := metadata.Notice(t.Context())
		if err != nil || n != (agent.Notice{}) && n != want {
			t.Fatalf("notice %+v, %v", n, err)
		}
		if took := time.Since(begun); n == want && took < time.Second { // the mock counts whole seconds
			t.Errorf("the notice was there after %s", took)
		}
		if n == want {
			return
		}
	}
	t.Fatal("no notice came")
}

// ours takes AWS's documents for true: what makes them so is not tested here.
type ours struct{}

func (ours) Verify(e residency.Evidence, x residency.Expect) (residency.Identity, error) {
	if e.Kind != agent.AWSKind || len(e.Document) == 0 || len(e.Signature) == 0 {
		return residency.Identity{}, errors.New("no document of AWS")
	}
	return residency.Identity{Provider: "aws", Region: "eu-central-1", Instance: x.Instance,
		Level: residency.L2, Trust: "mock"}, nil
}

// quiet is AWS without a notice until the job has shown that it runs.
type quiet struct {
	*agent.AWS
	runs chan struct{}
}

func (q quiet) Notice(ctx context.Context) (agent.Notice, error) {
	select {
	case <-q.runs:
		return q.AWS.Notice(ctx)
	default:
		return agent.Notice{}, nil
	}
}

// spot starts a node on a spot instance, and sees its job run; the notice that
// the mock has is there from then on.
func spot(t *testing.T, script string, flags ...string) (w *world, ended <-chan error) {
	t.Helper()
	w = newWorld(t, script)
	w.desk.verifier = ours{}
	w.desk.job.Outputs = []string{"model.bin", "loss.csv"}
	base := mock(t, flags...)
	q := quiet{agent.NewAWS(base), make(chan struct{})}
	w.config.Metadata = q
	ended = w.run(t)
	w.report(t, "job-progress", &struct{}{})
	close(q.runs)
	return w, ended
}

func TestANodeThatIsTakenBackReturnsWhatItHasAndSaysWhy(t *testing.T) {
	t.Parallel()
	const went = "interrupted: the provider will terminate this machine at 20"
	type node struct {
		name, script, model, why string

		world *world
		ended <-chan error
	}
	nodes := []node{
		{name: "a job that heeds the signal", script: `trap 'echo late >"$BURST_OUT/model.bin"; exit 0' TERM
			echo '{"epoch":1}'; while :; do sleep 0.1; done`, model: "late\n", why: "returned: model.bin"},
		{name: "a job that knows nothing of it", script: `echo early >"$BURST_OUT/model.bin"
			echo '{"epoch":1}'; sleep 600`, model: "early\n", why: "returned: model.bin"},
		{name: "a job that has nothing yet", script: `echo '{"epoch":1}'; sleep 600`, why: "returned: nothing"},
	}
	for i, n := range nodes {
		nodes[i].world, nodes[i].ended = spot(t, n.script)
	}
	for _, n := range nodes {
		t.Run(n.name, func(t *testing.T) {
			w := n.world
			var f tunnel.Finished
			w.report(t, "job-finished", &f)
			if f.Exit != 143 || !strings.HasPrefix(f.Why, went) || !strings.HasSuffix(f.Why, n.why) {
				t.Errorf("reported %+v", f)
			}
			if got, _ := w.edge.result("model.bin"); got != n.model {
				t.Errorf("the edge got %q", got)
			}
			w.end(t, n.ended)
			w.empty(t)
		})
	}
}

func TestANodeThatNobodyHearsLetsGoBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	// its time is over when the notice comes: what it then takes for itself is short
	w, ended := spot(t, `echo '{"epoch":1}'; sleep 600`, "--time", time.Now().UTC().Format(time.RFC3339))
	w.desk.mu.Lock() // from here on the controller hears nobody
	defer w.desk.mu.Unlock()
	for until := time.Now().Add(patience); len(w.left(t)) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("scratch still holds %q", w.left(t))
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the node ended with %v; nobody told it to", err)
	default:
	}
}
