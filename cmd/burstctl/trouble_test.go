package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burstctl/burstctl/scenarios/train"
	"github.com/burstctl/burstctl/tunnel/vault/vaulttest"
)

// What may go wrong around a deployment, each with separate processes: it is one
// clear error, nothing is lost, and when it is over the burst ends well. A bad
// config is in testdata/badconfig.txtar.

// clearly wants an error that a person is shown to be one: a line that begins
// with the code and holds what was said, its cause and its remedy, and no more.
func clearly(t *testing.T, text, code string, said ...string) {
	t.Helper()
	var shown []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "{") { // those are the log's
			shown = append(shown, line)
		}
	}
	if len(shown) != 3 || !strings.HasPrefix(shown[0], code+" ") || !strings.HasPrefix(shown[1], "  cause  ") ||
		!strings.HasPrefix(shown[2], "  fix    ") {
		t.Errorf("want one error %s with cause and fix, got:\n%s", code, text)
	}
	for _, want := range said {
		if !strings.Contains(text, want) {
			t.Errorf("the error does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "PRIVATE KEY") {
		t.Errorf("more than an error:\n%s", text)
	}
}

// fails wants a program to end with 1 and one clear error.
func (h house) fails(t *testing.T, p *process, code string, said ...string) {
	t.Helper()
	if state := p.end(0); state != "exit status 1" {
		t.Errorf("%s ended with %s", p.cmd.Args, state)
	}
	name := filepath.Base(p.cmd.Path)
	if p.cmd.Path == h.bin {
		name = p.cmd.Args[1]
	}
	path := filepath.Join(h.dir, name+".log")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clearly(t, string(text), code, said...)
	if err := os.Rename(path, path+".failed"); err != nil { // what follows has a log of its own
		t.Fatal(err)
	}
}

// slowly makes the job long enough for trouble to happen in it.
func (h house) slowly(t *testing.T) {
	t.Helper()
	h.train(t, train.Config{Epochs: 6, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"},
		Pause: time.Second})
}

// has waits until the log holds an entry of the kind.
func (h house) has(t *testing.T, kind string) {
	t.Helper()
	h.until(t, "entered "+kind, func() error {
		if h.kinds()[kind] == 0 {
			return errors.New("not yet")
		}
		return nil
	})
}

// tells waits until a program's log has a line with all of what.
func (h house) tells(t *testing.T, program string, what ...string) {
	t.Helper()
	h.until(t, fmt.Sprint(program, " said ", what), func() error {
		if len(h.logged(t, program, what...)) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
}

// once wants each of n bursts to have been asked for, launched and ended once.
func (h house) once(t *testing.T, n int) {
	t.Helper()
	kinds := h.kinds()
	for _, kind := range []string{"requested", "launched", "gone", "settled", "ended"} {
		if kinds[kind] != n {
			t.Errorf("%d entries of kind %s, want %d: %s", kinds[kind], kind, n, h.story())
		}
	}
}

// over ends the processes, newest first, and wants nothing left.
func (h house) over(t *testing.T, running ...*process) {
	t.Helper()
	for _, p := range running {
		if state := p.end(syscall.SIGTERM); state != "exit status 0" {
			t.Errorf("%s ended with %s", p.cmd.Args, state)
		}
	}
	h.gone(t)
}

func TestABadRuleFileIsNamedAndTheRulesInForceStay(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	const file = "rules/10-never.cedar"
	good, bad := "\nunless { context.place", "\nunles { context.place"
	h.fill(t, []string{"Action::\"burst.revoke\"", "Action::\"burst.revoke\", Action::\"rules.reload\""}, "roles.cedar")
	nats := h.startNATS(t)
	h.fill(t, []string{good, bad}, file)
	h.fails(t, h.startController(t), "BRS-1101", "10-never.cedar:18:7: ")
	h.fails(t, h.startEdge(t), "BRS-1101", "10-never.cedar:18:7: ")
	h.fill(t, []string{bad, good}, file)
	controller, edge := h.startController(t), h.startEdge(t)
	if _, errs, code := h.call(t, "reload"); code != 0 {
		t.Fatalf("reload good rules: exit %d: %s", code, errs)
	}
	h.tells(t, "edge-connector", `"msg":"holds"`) // it has read its rules
	laws := h.kinds()["law"]
	h.fill(t, []string{good, bad}, file)
	_, errs, code := h.call(t, "reload")
	if code != 1 || h.kinds()["law"] != laws {
		t.Errorf("reload bad rules: exit %d, %d entries about the law, want 1 and %d", code, h.kinds()["law"], laws)
	}
	clearly(t, errs, "BRS-1101", "10-never.cedar:18:7: ")
	h.submit(t, "job.yaml")
	h.wells(t, 1)
	h.once(t, 1)
	h.over(t, edge, controller, nats)
}

func TestAMissingSliceIsNamedAndItsJobWaits(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	nats, controller := h.startNATS(t), h.startController(t)
	job, err := os.ReadFile(filepath.Join(h.dir, "job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	unknown := strings.Replace(string(job), "claims/2025-q3-pseudonymised", "claims/2031-q1", 1)
	if err := os.WriteFile(filepath.Join(h.dir, "unknown.yaml"), []byte(unknown), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, code := h.call(t, "submit", "--site", "hq", "unknown.yaml")
	if code != 1 || h.kinds()["job-submitted"] != 0 {
		t.Errorf("a job for a slice nobody knows: exit %d, %d jobs entered", code, h.kinds()["job-submitted"])
	}
	clearly(t, errs, "BRS-1104", `"claims/2031-q1"`)
	if _, errs, code = h.call(t, "submit", "--site", "nowhere", "job.yaml"); code != 4 {
		t.Errorf("a job for a site nobody has: exit %d", code)
	}
	clearly(t, errs, "BRS-4005", `site "nowhere" has no edge here; there is hq`)
	if _, errs, code = h.call(t, "why", "job-9"); code != 4 {
		t.Errorf("why of a job nobody handed in: exit %d", code)
	}
	clearly(t, errs, "BRS-4004", `explain "job-9"`)
	held, away := filepath.Join(h.dir, "data/claims/2025-q3"), filepath.Join(h.dir, "away")
	if err := os.Rename(held, away); err != nil {
		t.Fatal(err)
	}
	h.fails(t, h.startEdge(t), "BRS-1104", "hold slice claims/2025-q3: ")
	if err := os.Rename(away, held); err != nil {
		t.Fatal(err)
	}

	// The edge's own catalogue does not name it: the job waits, and the edge says so once.
	h.fill(t, []string{"catalogue: catalogue.yaml", "catalogue: mine.yaml"}, "edge.yaml")
	h.catalogueWithout(t, "mine.yaml", "claims/2025-q3-pseudonymised")
	edge := h.startEdge(t)
	h.submit(t, "job.yaml")
	h.tells(t, "edge-connector", `"job":"job-1"`, "BRS-1104", "2025-q3-pseudonymised", `"fix":`)
	if state := edge.end(syscall.SIGTERM); state != "exit status 0" {
		t.Errorf("the edge ended with %s", state)
	}
	if n := len(h.logged(t, "edge-connector", "BRS-")); n != 1 {
		t.Errorf("the edge said it %d times", n)
	}
	h.fill(t, []string{"catalogue: mine.yaml", "catalogue: catalogue.yaml"}, "edge.yaml")
	edge = h.startEdge(t)
	h.wells(t, 1)
	h.once(t, 1)
	h.over(t, edge, controller, nats)
}

// catalogueWithout writes the house's catalogue without a slice.
func (h house) catalogueWithout(t *testing.T, file, slice string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "catalogue.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	without := regexp.MustCompile(`(?m)^ *- \{name: `+regexp.QuoteMeta(slice)+`,.*\n`).ReplaceAll(text, nil)
	if len(without) == len(text) {
		t.Fatalf("no slice %s in the catalogue:\n%s", slice, text)
	}
	if err := os.WriteFile(filepath.Join(h.dir, file), without, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAStoppedNATSLosesNothingThoughItsStoreIsWiped(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	h.slowly(t)
	nats, controller, edge := h.startNATS(t), h.startController(t), h.startEdge(t)
	h.submit(t, "job.yaml")
	h.has(t, "requested")
	nats.end(syscall.SIGKILL)
	h.submit(t, "job.yaml") // while nobody can be told of it
	for _, program := range []string{"controller", "edge-connector"} {
		h.tells(t, program, "NATS is away", "BRS-1202", `"fix":`)
	}
	if err := os.RemoveAll(filepath.Join(h.dir, "keys", "nats", "jetstream")); err != nil {
		t.Fatal(err)
	}
	if n := h.kinds()["requested"]; n != 1 {
		t.Errorf("%d bursts asked for without a bus", n-1)
	}
	nats = h.startNATS(t)
	h.wells(t, 2)
	h.once(t, 2)
	h.over(t, edge, controller, nats)
	if n := len(h.logged(t, "controller", "BRS-1202")); n != 1 {
		t.Errorf("the controller said %d times that NATS is away", n)
	}
}

func TestWithoutNATSNothingStarts(t *testing.T) {
	t.Parallel()
	h := deploy(t)
	controller, edge := h.startController(t), h.startEdge(t)
	h.fails(t, controller, "BRS-1202", "connect to NATS at tls://"+h.nats)
	h.fails(t, edge, "BRS-1202", "connect to NATS at tls://"+h.nats)
}

func TestASealedVaultMakesBurstsWait(t *testing.T) {
	t.Parallel()
	v := vaulttest.Start(t)
	h := deploy(t)
	h.useVault(t, v)
	nats, controller, edge := h.startNATS(t), h.startController(t), h.startEdge(t)
	if _, errs, code := h.call(t, "status"); code != 0 { // it has read Vault's CA
		t.Fatal(errs)
	}
	v.Seal(t)
	h.submit(t, "job.yaml")
	h.tells(t, "controller", "BRS-1204", "is sealed (503)", `"fix":"unseal it`)
	if kinds := h.kinds(); kinds["issued"] != 0 || kinds["stop"] != 0 {
		t.Errorf("with Vault sealed: %s", h.story())
	}
	v.Unseal(t)
	h.wells(t, 1)
	h.once(t, 1)
	h.over(t, edge, controller, nats)
	if bad := h.logged(t, "controller", h.secret(t)); len(bad) > 0 {
		t.Error("the controller's log holds the secret ID")
	}
}

func TestAFullDiskEndsTheControllerAndNothingElse(t *testing.T) {
	t.Parallel()
	small := t.TempDir()
	if err := syscall.Mount("burst-test", small, "tmpfs", 0, "size=4m,mode=700"); err != nil {
		if os.Getenv("BURST_REAL") != "" {
			t.Fatal("needs root, to mount a small disk: ", err)
		}
		t.Skip("needs root, to mount a small disk: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	h := deploy(t)
	h.slowly(t)
	h.fill(t, []string{"state: .", "state: " + small}, "controller.yaml")
	if err := os.Symlink(filepath.Join(small, "log"), filepath.Join(h.dir, "log")); err != nil {
		t.Fatal(err)
	}
	nats, controller, edge := h.startNATS(t), h.startController(t), h.startEdge(t)
	h.submit(t, "job.yaml")
	h.has(t, "job-progress")
	filler := filepath.Join(small, "filler")
	if err := fillUp(filler); err != nil {
		t.Fatal(err)
	}
	h.fails(t, controller, "BRS-1004", "no space left on device")
	h.fails(t, h.startController(t), "BRS-1004", "no space left on device")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	controller = h.startController(t)
	h.wells(t, 1)
	h.once(t, 1)
	h.over(t, edge, controller, nats)
}

// fillUp writes a file until there is no room for more.
func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10} { // the last page too
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill %s: %w", path, err)
		}
	}
	return nil
}
