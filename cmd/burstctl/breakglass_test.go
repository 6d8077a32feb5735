package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/train"
)

// glassRoles are who may do which step of an exception in a glass house. Rita
// may approve too, though not what she asked for.
const glassRoles = `
@id("asks") permit (principal == User::"rita",
  action in [Action::"burst.list", Action::"breakglass.request", Action::"breakglass.approve"], resource);
@id("approves") permit (principal, action in [Action::"burst.list", Action::"breakglass.approve",
  Action::"breakglass.end", Action::"breakglass.review"], resource)
when { [User::"anna", User::"ben", User::"carl"].contains(principal) };
`

// glassHouse is a house that can have machines in Virginia only, with four
// approvers, and a job that outlasts every test. The controller holds the slice
// that names people to be site-only.
func glassHouse(t *testing.T) house {
	t.Helper()
	h := deploy(t)
	h.train(t, train.Config{Epochs: 100_000, Seed: 1, Rate: 0.02, Label: "high_cost", Inputs: []string{"stay_days"}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Rename(filepath.Join(h.dir, "keys"), filepath.Join(h.dir, "keys.demo")))
	h.says(t, 0, "keys", "init", "--dir", "keys", "--domain", demoDomain, "--site", "hq", "--user", "demo",
		"--approver", "anna", "--approver", "ben", "--approver", "carl", "--approver", "rita")
	h.move(t, "keys.demo/edge-hq/pseudonym.key", "keys/edge-hq/pseudonym.key")
	h.move(t, "keys/trust.txt", "trust.txt")
	must(buildPlaces(h.dir))
	h.fill(t, []string{"127.0.0.1:4222", h.nats}, "keys/nats/nats.conf")
	h.append(t, "roles.cedar", glassRoles)
	for file, at := range map[string]string{"controller.yaml": "keys/controller", "edge.yaml": "keys/edge-hq"} {
		var vkeys []string
		for _, name := range []string{"anna", "ben", "carl", "rita"} {
			vkeys = append(vkeys, at+"/approver-"+name+".vkey")
		}
		h.append(t, file, "approvers: ["+strings.Join(vkeys, ", ")+"]\n")
	}
	offers, err := os.ReadFile(filepath.Join(h.dir, "offers.csv"))
	must(err)
	lines := slices.DeleteFunc(strings.SplitAfter(string(offers), "\n"), func(l string) bool {
		return !strings.HasPrefix(l, "provider,") && !strings.HasPrefix(l, "aws,us-east-1,,")
	})
	must(os.WriteFile(filepath.Join(h.dir, "offers.csv"), []byte(strings.Join(lines, "")), 0o600))
	catalogue, err := os.ReadFile(filepath.Join(h.dir, "catalogue.yaml"))
	must(err)
	stays := strings.Replace(string(catalogue), "claims/2025-q3, class: special", "claims/2025-q3, class: site-only", 1)
	must(os.WriteFile(filepath.Join(h.dir, "catalogue-strict.yaml"), []byte(stays), 0o600))
	h.fill(t, []string{"catalogue: catalogue.yaml", "catalogue: catalogue-strict.yaml"}, "controller.yaml")
	return h
}

// append adds text to a file of the house.
func (h house) append(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(h.dir, name), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// as runs burstctl as a person, and wants it to exit with code and to say every
// one of what.
func (h house) as(t *testing.T, person string, code int, what []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), h.bin, args...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "BURSTCTL_CONTROLLER="+h.at, "BURSTCTL_AS=keys/user-"+person)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s: %q: exit %d, want %d\n%s", person, args, got, code, out)
	}
	for _, want := range what {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: %q does not say %q:\n%s", person, args, want, out)
		}
	}
	return string(out)
}

// approve lets a person sign an exception with a key.
func (h house) approve(t *testing.T, id, person, key string, code int, what ...string) {
	t.Helper()
	h.as(t, person, code, what, "breakglass", "approve", id, "--key", "keys/"+key)
}

// plead asks for an exception for Virginia as a person.
func (h house) plead(t *testing.T, person, slice, lift string, code int, what ...string) string {
	t.Helper()
	return h.as(t, person, code, what, "breakglass", "request", "--reason-code", "patient-safety", "--reason",
		"ward 4 needs the model tonight", "--site", "hq", "--slice", slice, "--purpose", "model-training", "--team",
		"actuarial", "--at", "aws/us-east-1", "--lift", lift, "--for", "2h")
}

// pseudonymised is the slice of the demo's job.
const pseudonymised = "claims/2025-q3-pseudonymised"

func TestTwoPeopleLetAJobThroughThatARuleForbidsAndEndItAndAThirdReviewsIt(t *testing.T) {
	t.Parallel()
	h := glassHouse(t)
	nats, controller, edge := h.startNATS(t), h.startController(t), h.startEdge(t)
	h.submit(t, "job.yaml")
	h.kind(t, "ended", 1)
	h.as(t, "demo", 0, []string{"eu-only"}, "why", "job-1")

	h.plead(t, "demo", pseudonymised, "eu-only", 4, "BRS-4003")
	h.plead(t, "rita", "claims/2025-q3", "eu-only", 3, "BRS-3001", "is site-only, and no exception lifts that")
	h.plead(t, "rita", pseudonymised, "zone-follows-parent", 3, "BRS-3001", "has no @lift")
	h.plead(t, "rita", "claims/1999", "eu-only", 4, "BRS-4009", "not in the catalogue")
	out := h.plead(t, "rita", pseudonymised, "eu-only", 0, "0 of 2 approvals", "lifts   eu-only", "at      aws/us-east-1")
	id := regexp.MustCompile(`x-[a-z2-7]{10}`).FindString(out)

	h.approve(t, id, "anna", "user-anna/approver.key", 0, "why     patient-safety: ward 4", "signed with "+demoDomain)
	h.as(t, "carl", 0, []string{id, "1 of 2 approvals", "user:rita", "/approver/anna"}, "breakglass", "list")
	h.as(t, "carl", 7, []string{"BRS-7006"}, "breakglass", "show", id, "--sealed")
	h.submit(t, "job.yaml")
	h.kind(t, "ended", 2)
	if n := h.kinds()["break-glass-used"] + h.kinds()["launched"]; n != 0 {
		t.Fatalf("one approval was enough:%s", h.story())
	}
	h.wrongly(t, id)
	h.approve(t, id, "ben", "user-ben/approver.key", 0)
	h.as(t, "carl", 0, []string{"in force"}, "breakglass", "show", id)
	h.setsAside(t, id)

	h.submit(t, "job.yaml")
	h.kind(t, "job-progress", 1)
	h.as(t, "demo", 0, []string{"aws/us-east-1 (US)"}, "status")
	review := []string{"breakglass", "review", id, "--outcome", "justified", "--reason", "the ward's call is on file"}
	h.as(t, "carl", 4, []string{"BRS-4009", "has not ended yet"}, review...)
	h.as(t, "rita", 4, []string{"BRS-4003"}, "breakglass", "end", id, "--reason", "enough")
	h.as(t, "anna", 0, nil, "breakglass", "end", id, "--reason", "the ward is safe")
	h.kind(t, "ended", 3)
	h.submit(t, "job.yaml")
	h.kind(t, "ended", 4)
	if n := h.kinds()["launched"]; n != 1 {
		t.Errorf("%d machines were made, want one:%s", n, h.story())
	}
	h.sealed(t)
	h.doctored(t)
	h.answers(t, id, "ended")
	h.as(t, "anna", 4, []string{"BRS-4009", "approved it; another person must review it"}, review...)
	h.as(t, "carl", 0, nil, review...)
	h.as(t, "carl", 4, []string{"BRS-4009", "reviewed already"}, review...)
	h.sealed(t)
	h.answers(t, id, "reviewed", "user:carl", "justified")
	h.over(t, edge, controller, nats)
}

// wrongly approves in every way that does not count, after Anna did.
func (h house) wrongly(t *testing.T, id string) {
	t.Helper()
	h.approve(t, id, "rita", "user-rita/approver.key", 4, "BRS-4009", "asked for it; two other people must approve")
	h.approve(t, id, "anna", "user-anna/approver.key", 4, "BRS-4009", "has approved it already")
	h.approve(t, id, "carl", "user-ben/approver.key", 4, "BRS-4009", "is not user:carl's")
	h.approve(t, id, "carl", "controller/log.key", 4, "BRS-4009", "check approval")
	h.approve(t, id, "carl", "user-carl/tls.key", 1, "BRS-1007", "not an approver's key")
	h.approve(t, id, "demo", "user-ben/approver.key", 4, "BRS-4003")
	h.approve(t, "x-none", "ben", "user-ben/approver.key", 64, "there is none")
}

// setsAside asks a sealed exception what it does.
func (h house) setsAside(t *testing.T, id string) {
	t.Helper()
	sealed := h.as(t, "carl", 0, nil, "breakglass", "show", id, "--sealed")
	if err := os.WriteFile(filepath.Join(h.dir, "x.note"), []byte(sealed), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(code int, what []string, args ...string) {
		t.Helper()
		h.as(t, "demo", code, what, append([]string{"residency", "explain", "--catalogue", "catalogue.yaml",
			"--exception", "x.note"}, args...)...)
	}
	const anna, ben = "keys/controller/approver-anna.vkey", "keys/controller/approver-ben.vkey"
	by := []string{"--approver", anna, "--approver", ben}
	ask(0, []string{"which sets aside eu-only", "set aside is eu-only: Personal data stays", "GDPR Art. 44-46",
		"exception " + id + " is needed for this", "signed  " + demoDomain + "/approver/anna"}, by...)
	ask(0, []string{"reading", "which sets aside eu-only"}, append(by, "--level", "L2")...)
	ask(3, []string{"does not help here", "eu-only"}, append(by, "--at", "aws/us-west-2")...)
	ask(0, []string{"is not needed for this"}, append(by, "--at", "aws/eu-central-1")...)
	ask(7, []string{"BRS-7006"}, "--approver", anna)
	ask(7, []string{"BRS-7006"})
}

// answers asks the log about the exception, which nothing speaks against.
func (h house) answers(t *testing.T, id string, what ...string) {
	t.Helper()
	log := []string{"log", "--trust", "trust.txt"}
	by := []string{"--approver", "keys/controller/approver-anna.vkey", "--approver", "keys/controller/approver-ben.vkey"}
	what = append(what, id, "patient-safety", "user:rita", "user:anna user:ben", "(create)", "(read)", "clean ")
	h.as(t, "demo", 0, what, slices.Concat([]string{"audit", "breakglass"}, log, by)...)
	h.as(t, "demo", 0, []string{"were not verified again"}, append([]string{"audit", "breakglass"}, log...)...)
	claim := h.used(t)
	h.as(t, "demo", 0, []string{"exception " + id + ", which sets aside eu-only",
		"break-glass: exception " + id + " used for reading at aws/us-east-1"},
		"audit", "explain", "log", claim, "--trust", "trust.txt")
	replay := []string{"residency", "replay", "log", "--catalogue", "catalogue-strict.yaml"}
	h.as(t, "demo", 0, []string{"it rests on exception " + id, " 0 flip", "3 not known"}, replay...)
	h.as(t, "demo", 0, []string{" 0 flip", "0 not known"}, append(replay, by...)...)
}

// used is the claim that rests on the exception.
func (h house) used(t *testing.T) string {
	t.Helper()
	for leaf, err := range audit.Read(t.Context(), os.DirFS(filepath.Join(h.dir, "log"))) {
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Entry.Kind == "break-glass-used" {
			return leaf.Entry.Burst
		}
	}
	t.Fatal("the exception was not used")
	return ""
}

// doctored wants logs that an honest controller would not write to be found out.
func (h house) doctored(t *testing.T) {
	t.Helper()
	leaves, err := readLog(t.Context(), filepath.Join(h.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	nth := func(kind string, n int) func([]audit.Leaf) []audit.Leaf {
		return func(all []audit.Leaf) []audit.Leaf {
			return slices.DeleteFunc(all, func(l audit.Leaf) bool {
				if l.Entry.Kind == kind {
					n--
				}
				return l.Entry.Kind == kind && n == -1
			})
		}
	}
	late := func(after time.Duration) func([]audit.Leaf) []audit.Leaf {
		return func(all []audit.Leaf) []audit.Leaf {
			beat := audit.Entry{V: 1, Code: "0900", Kind: "heartbeat", At: all[len(all)-1].Entry.At.Add(after),
				Actor: "controller", Body: json.RawMessage(`{"n":1}`)}
			return append(all, audit.Leaf{Entry: beat})
		}
	}
	by := []string{"--approver", "keys/controller/approver-anna.vkey", "--approver", "keys/controller/approver-ben.vkey"}
	for i, tc := range []struct {
		change func([]audit.Leaf) []audit.Leaf
		by     []string
		exit   int
		want   string
	}{
		{nth("none", 0), by, 0, "clean"},
		{late(71 * time.Hour), by, 0, "clean"},
		{late(73 * time.Hour), by, 3, "was used and not reviewed within 72h0m0s of its end"},
		{nth("break-glass-approved", 1), nil, 3, "was used after 1 of 2 approvals"},
		{nth("break-glass-used", 1), by, 3, "whose use no earlier entry tells"},
		{nth("break-glass-requested", 0), by, 3, "was never asked for"},
		{nth("none", 0), []string{"--approver", "keys/controller/approver-carl.vkey"}, 3, "was used after 0 of 2 approvals"},
	} {
		dir := filepath.Join(h.dir, fmt.Sprint("doctored-", i))
		if err := relog(dir, tc.change(slices.Clone(leaves)), true); err != nil {
			t.Fatal(err)
		}
		what := []string{tc.want}
		if tc.exit == 3 {
			what = append(what, "BRS-3002")
		}
		h.as(t, "demo", tc.exit, what, append([]string{"audit", "breakglass", filepath.Join(dir, "log"), "--trust",
			filepath.Join(dir, "trust.txt")}, tc.by...)...)
	}
}
