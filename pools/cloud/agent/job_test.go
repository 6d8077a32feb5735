package agent_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/pools/cloud/local"
	"github.com/burstctl/burstctl/tunnel"
)

func TestHowAJobEndsIsReported(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		exit         int
		why          string // all that the report says
	}{
		{"a job that fails", `echo "claims.csv: no such column" >&2; exit 3`, 3, "claims.csv: no such column"},
		{"a job that fails without a word", `exit 4`, 4, "exit status 4"},
		{"a job that says too much", `head -c 200000 /dev/zero >&2; echo the end >&2; exit 5`, 5, "the end"},
		{"a job that paints", `printf '\033[31mred\377\n\nblue' >&2; exit 6`, 6, "[31mred  blue"},
		{"a job that is killed", `kill -KILL $$`, 137, "signal: killed"},
		{"a job that leaves no output", `true`, 1, "return outputs: the job left no model.bin"},
		{"a line without an end", `head -c 300000 /dev/zero; echo x >"$BURST_OUT/model.bin"`, 0, ""},
		{"a job that leaves someone behind", `sleep 600 >/dev/null 2>&1 & echo x >"$BURST_OUT/model.bin"`, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.script)
			ended := w.run(t)
			var f tunnel.Finished
			w.report(t, "job-finished", &f)
			if f.Exit != test.exit || f.Why != test.why {
				t.Errorf("reported %+v, want exit code %d and %q", f, test.exit, test.why)
			}
			w.end(t, ended)
			w.empty(t)
		})
	}
}

func TestAJobThatCannotBeStartedIsReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.desk.job.Command = []string{"./train"}
	ended := w.run(t)
	var f tunnel.Finished
	w.report(t, "job-finished", &f)
	if f.Exit != 1 || !strings.HasPrefix(f.Why, "run job: ") || !strings.Contains(f.Why, "no such file") {
		t.Errorf("reported %+v", f)
	}
	w.end(t, ended)
}

func TestEveryLineOfProgressIsReportedBeforeTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `echo starting
		for i in 1 2 3; do echo '{"epoch":'$i',"epochs":3,"metric":"loss","micros":'$i'00}'; done
		printf '{"epoch":0}\n{"epoch":4,"epochs":3}'; echo no luck >&2; exit 9`)
	ended := w.run(t)
	var epochs []int
	for {
		r := next(t, "a report", w.desk.reports)
		if r.Kind == "job-finished" {
			var f tunnel.Finished
			if err := json.Unmarshal(r.Body, &f); err != nil || f != (tunnel.Finished{Exit: 9, Why: "no luck"}) {
				t.Errorf("reported %s (%v)", r.Body, err)
			}
			break
		}
		var p struct {
			Grant string
			Epoch int
		}
		if err := json.Unmarshal(r.Body, &p); err != nil || p.Grant != grantID {
			t.Errorf("%s of %q (%v)", r.Kind, p.Grant, err)
		}
		if r.Kind == "job-progress" {
			epochs = append(epochs, p.Epoch)
		}
	}
	if !slices.Equal(epochs, []int{1, 2, 3, 4}) {
		t.Errorf("epochs %v were reported", epochs)
	}
	w.end(t, ended)
}

func TestAJobSeesNothingButTheDocumentedEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for the job")
	t.Setenv("VAULT_TOKEN", "nor this")
	w := newWorld(t, `cat /proc/$$/environ >"$BURST_OUT/model.bin"`)
	ended := w.run(t)
	w.report(t, "job-finished", &tunnel.Finished{})
	b, _ := w.edge.result("model.bin")
	got := strings.Split(strings.TrimSuffix(b, "\x00"), "\x00")
	slices.Sort(got)
	want := []string{
		"BURST_OUT=" + w.scratch + "/out", "BURST_REPORT=" + w.scratch + "/tmp/report",
		"BURST_SLICE=" + w.scratch + "/slice", "HOME=" + w.scratch + "/tmp",
		"PATH=/usr/local/bin:/usr/bin:/bin", "TMPDIR=" + w.scratch + "/tmp",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the job sees\n%q, want\n%q", got, want)
	}
	w.end(t, ended)
}

func TestAJobHasNoNetworkButItsOwnLoopback(t *testing.T) {
	t.Parallel()
	needs(t, os.Geteuid() == 0 && local.Isolates(), "a process that may make network namespaces")
	w := newWorld(t, `cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' >"$BURST_OUT/model.bin"
		tail -n +2 /proc/net/route >>"$BURST_OUT/model.bin"
		cat /proc/net/if_inet6 2>/dev/null | cut -c1-32 >>"$BURST_OUT/model.bin"`)
	ended := w.run(t)
	w.report(t, "job-finished", &tunnel.Finished{})
	got, _ := w.edge.result("model.bin")
	lines := strings.Fields(got)
	loopback := "00000000000000000000000000000001" // ::1, where there is IPv6 at all
	if len(lines) == 0 || lines[0] != "lo" || len(lines) > 2 || len(lines) == 2 && lines[1] != loopback {
		t.Errorf("the job sees the networks and routes %q, want lo and no route", lines)
	}
	w.end(t, ended)
}

func TestAJobReportsByItsPipe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `echo "epoch=1 loss=0.5" >>"$BURST_REPORT"
		echo "epoch=2 epochs=3 samples=2000 watts=212.5 loss=0.25" >>"$BURST_REPORT"
		echo "epoch=zwei" >>"$BURST_REPORT"; head -c 100000 /dev/zero >>"$BURST_REPORT"; echo >>"$BURST_REPORT"
		echo '{"epoch":3,"samples":3000}' >>"$BURST_REPORT"; rm "$BURST_REPORT"; echo x >"$BURST_OUT/model.bin"`)
	ended := w.run(t)
	want := []tunnel.Progress{{Grant: grantID, Epoch: 1, Metric: "loss", Micros: 500_000},
		{Grant: grantID, Epoch: 2, Epochs: 3, Metric: "loss", Micros: 250_000, Samples: 2000, Milliwatts: 212_500},
		{Grant: grantID, Epoch: 3, Samples: 3000}}
	for i := 0; ; {
		r := next(t, "a report", w.desk.reports)
		if r.Kind == "job-finished" {
			if i != len(want) {
				t.Errorf("%d reports came, want %d", i, len(want))
			}
			break
		}
		var p tunnel.Progress
		if err := json.Unmarshal(r.Body, &p); err != nil {
			t.Error(err)
		}
		if r.Kind == "job-progress" && (i >= len(want) || p != want[i]) {
			t.Errorf("report %d is %+v", i, p)
		}
		if r.Kind == "job-progress" {
			i++
		}
	}
	w.end(t, ended)
	w.empty(t)
}
