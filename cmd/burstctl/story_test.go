package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud/local"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// checkOrder wants the steps of a burst, each after the one before it.
func checkOrder(t *testing.T, scenes []told) {
	t.Helper()
	var first string // the claim that is granted
	for _, s := range scenes {
		if s.Entry == "cleared" {
			first = s.Claim
		}
	}
	want := []string{"opened", "law", "job-submitted", "requested", "decided", "launch-intent", "launched", "proven",
		"cleared", "issue-intent", "issued", "round-trip", "serve-intent",
		"job-started", "job-progress", "artefact", "stop", "unmounted",
		"revoke-intent", "revoked", "probed", "delete-intent", "gone", "settled", "ended"}
	next, step := 0, 0
	last := int64(-1)
	for _, s := range scenes {
		if s.Index != nil {
			if *s.Index <= last {
				t.Errorf("entry %d is told after entry %d", *s.Index, last)
			}
			last = *s.Index
		}
		if next < len(want) && s.Entry == want[next] && (s.Claim == "" || s.Claim == first) {
			next++
		}
		if s.Step == step+1 {
			step++
		}
	}
	if next != len(want) || step != 8 {
		t.Errorf("the story stops before %q, at step %d", want[min(next, len(want)-1)], step)
	}
	for i := 1; i < len(scenes); i++ {
		if scenes[i].Claim == first && scenes[i].Step < scenes[i-1].Step && scenes[i-1].Step != int(refusing) {
			t.Errorf("step %d is told after step %d: %s", scenes[i].Step, scenes[i-1].Step, scenes[i].Text)
		}
	}
}

// body decodes the facts of the first entry of a kind that suits.
func body[B burst.Body](t *testing.T, scenes []told, suits func(B) bool) B {
	t.Helper()
	var none B
	for _, s := range scenes {
		var b B
		if s.Entry == b.Kind() && json.Unmarshal(s.Facts, &b) == nil && suits(b) {
			return b
		}
	}
	t.Errorf("no entry %s as it should be", none.Kind())
	return none
}

// checkFacts wants what the words promise from the entries behind them.
func checkFacts(t *testing.T, scenes []told) {
	t.Helper()
	d := body(t, scenes, func(d burst.Decided) bool { return d.Decision.Plan != nil }).Decision
	strikes := map[string]string{}
	for _, c := range d.Candidates {
		if c.Strike != nil {
			strikes[c.Offer.At.String()] = c.Strike.Rule
			if c.Strike.Rule == "" || c.Strike.Title == "" || c.Strike.Basis == "" {
				t.Errorf("%s is struck out without rule, title or basis: %+v", c.Offer.Key(), c.Strike)
			}
		}
	}
	if cheapest := d.Candidates[0].Offer.At.String(); cheapest != "aws/us-east-1" || strikes[cheapest] != "eu-only" {
		t.Errorf("the cheapest offer is %s, struck out by %q", cheapest, strikes[cheapest])
	}
	if rule := strikes["aws/eu-central-1/eu-central-1-waw-1"]; rule != "zone-follows-parent" {
		t.Errorf("the Local Zone in another country is struck out by %q", rule)
	}
	if at := d.Plan.Offer.At.String(); strikes[at] != "" || !d.Plan.Reserve.Known() || d.Plan.Why == "" {
		t.Errorf("chosen is %s, reserved %v, because %q", at, d.Plan.Reserve, d.Plan.Why)
	}
	if p := body(t, scenes, func(burst.PlacedAt) bool { return true }); p.Place.Address != d.Plan.Offer.At || p.Moved {
		t.Errorf("planned for %v, proven at %v", d.Plan.Offer.At, p.Place.Address)
	}
	body(t, scenes, func(s burst.Served) bool { return s.Bytes > 0 && s.Chunks > 0 })
	body(t, scenes, func(a burst.Artefact) bool { return strings.HasPrefix(a.Digest, "sha256:") && a.Bytes > 0 })
	body(t, scenes, func(p burst.Progress) bool { return p.Epoch == 10 && p.Epochs == 10 })
	body(t, scenes, func(p burst.Probed) bool { return p.Refused })
	body(t, scenes, func(s burst.Settled) bool { return s.Spent.Known() && s.Spent.Micros > 0 })
	refused := body(t, scenes, func(d burst.Decided) bool { return d.Decision.Plan == nil }).Decision
	if !strings.HasPrefix(refused.Alternative, "claims/2025-q3-pseudonymised at ") {
		t.Errorf("the alternative to the second job is %q", refused.Alternative)
	}
	mount := "copy"
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err == nil && os.Geteuid() == 0 && local.Isolates() {
		f.Close()
		mount = "fuse"
	}
	body(t, scenes, func(s burst.Started) bool { return s.Mount == mount })
	checkSummary(t, scenes)
}

// checkSummary wants the last table to say what the entries say.
func checkSummary(t *testing.T, scenes []told) {
	t.Helper()
	var rows []outcome
	for _, s := range scenes {
		if s.Text == summaryTitle {
			if err := json.Unmarshal(s.Facts, &rows); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(rows) != 2 {
		t.Fatalf("%d rows in the last table, want 2", len(rows))
	}
	ran, not := rows[0], rows[1]
	if ran.Place == "" || ran.Country != "DE" || ran.Served <= 0 || ran.Spent == "" || ran.Waited == "" ||
		ran.Outcome != "finished" || ran.Refused["eu-only"] == 0 || ran.Refused["zone-follows-parent"] == 0 {
		t.Errorf("the job that ran: %+v", ran)
	}
	if not.Place != "" || not.Served != 0 || not.Spent != "" || not.Refused["special-needs-pseudonyms"] == 0 ||
		not.Alternative == "" {
		t.Errorf("the job that was refused: %+v", not)
	}
}

func TestTheDemoReadsAsAStory(t *testing.T) {
	th := newTheater(t)
	out := th.status(t, 0, "demo")
	if strings.Contains(out, "\x1b") {
		t.Error("an escape byte, and no terminal")
	}
	rest := out
	for _, want := range []string{
		"0  The house opens", "no cloud is called", "the claims table is synthetic",
		"slice claims/2025-q3-pseudonymised is made on site: ",
		"1  The site fills up", "Friday 2017-10-20", "from jobs to utilisation: ", "SATURATED",
		"by the rule: utilisation ≥ 85 %",
		"2  A job that waits", `signed request of site hq for job "high-cost-model"`, "CloudEvent over JetStream",
		"3  The controller decides", "✗ aws/us-east-1 ", "rule eu-only: Personal data stays", "[GDPR Art. 44-46]", "→ ",
		"in PL, its region in DE: struck out by zone-follows-parent", "rule zone-follows-parent: ",
		"reason: the cheapest of the 5 allowed", "reserved ", "budget of team actuarial",
		"4  A node proves where it is", "place proven: ", "DE (L2", "the proven place may read the slice",
		"for a key born on the node", "receipt accepted, before the first byte",
		"5  The job runs over the tunnel", "the job runs", "epoch 1 of 10", "epoch 3 of 10",
		"6  A second job", "first decision: refused", "special-needs-pseudonyms",
		"nearest permitted alternative: claims/2025-q3-pseudonymised",
		"5  The job runs over the tunnel, continued", "model.json returned by the tunnel", "digest sha256:",
		"7  Nothing is left behind", "slice unmounted", " revoked", "the old credential is refused",
		"is gone, proven", "settled: ", "no provider lists a node",
		"8  The log is verified", "verifies: ", summaryTitle, "4 eu-only, 1 zone-follows-parent",
		"the state is in ", "audit verify", "audit list", "audit draw",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is missing, or in the wrong place, in\n%s", want, out)
		}
		rest = after
	}
	states, err := filepath.Glob(filepath.Join(th.dir, "tmp", "*"))
	if err != nil || len(states) != 1 {
		t.Fatalf("states: %v, %v", states, err)
	}
	for _, dropped := range []string{"data", "slices", "payloads", "nodes"} {
		if _, err := os.Stat(filepath.Join(states[0], dropped)); !os.IsNotExist(err) {
			t.Errorf("%s is left without --keep: %v", dropped, err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	th.tryNext(t, told{More: lines[len(lines)-3:]}, 3)
}

// entries are what a story is told of: one of each kind there is.
func entries(t *testing.T) []audit.Leaf {
	t.Helper()
	var leaves []audit.Leaf
	for i, kind := range slices.Sorted(maps.Keys(burst.Kinds)) {
		b, err := json.Marshal(burst.Kinds[kind].New())
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, audit.Leaf{Index: int64(i), Entry: audit.Entry{Code: burst.Kinds[kind].Code, Kind: kind,
			Burst: "c-1", Actor: "controller", At: time.Now(), Body: b}})
	}
	return leaves
}

func TestEveryKindOfEntryHasItsWordsAndItsPlaceInStoryAndDrawing(t *testing.T) {
	for _, leaf := range entries(t) {
		kind := leaf.Entry.Kind
		if l := tell(leaf); l.Text == kind || l.Text == "" || strings.HasPrefix(l.Text, "cannot be read") {
			t.Errorf("%s is told as %q", kind, l.Text)
		}
		if _, ok := chapterOf[kind]; !ok {
			t.Errorf("%s is in no chapter", kind)
		}
		if _, ok := arrows[kind]; !ok {
			t.Errorf("%s is not drawn", kind)
		}
	}
}

func TestEveryKindOfEntryAboutTheHouseHasItsWordsAndItsPlaceInTheStory(t *testing.T) {
	hold := residency.HoldOf{Dataset: "claims",
		Hold: residency.Hold{Since: "2026-01-01", Reason: "a suit", By: "the court"}}
	for kind, body := range map[string]any{
		"budget-alert": perform.Alert{Threshold: 80}, "job-submitted": perform.Submitted{Site: "hq"},
		"recalled":        perform.Recall{Data: "claims", Reason: "consent withdrawn"},
		residency.HoldSet: hold, residency.HoldLifted: hold,
	} {
		raw, err := audit.Canonical(body)
		if err != nil {
			t.Fatal(err)
		}
		l := tell(audit.Leaf{Entry: audit.Entry{Kind: kind, Body: raw}})
		if l.Text == kind || l.Text == "" || strings.HasPrefix(l.Text, "cannot be read") {
			t.Errorf("%s is told as %q", kind, l.Text)
		}
		if _, ok := chapterOf[kind]; !ok {
			t.Errorf("%s is in no chapter", kind)
		}
	}
	raw, err := audit.Canonical(hold)
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]string{residency.HoldSet: "legal hold on claims: nothing of it is destroyed",
		residency.HoldLifted: "legal hold on claims lifted"} {
		l := tell(audit.Leaf{Entry: audit.Entry{Kind: kind, Body: raw}})
		if l.Text != want || strings.Join(l.More, "") != "since 2026-01-01, ordered by the court: a suit" {
			t.Errorf("%s is told as %q, %q", kind, l.Text, l.More)
		}
	}
}

func TestTableJSONAndYAMLTellTheSame(t *testing.T) {
	var tables [3]string
	for i, format := range []frame.Format{frame.Table, frame.JSON, frame.YAML} {
		var out bytes.Buffer
		s := newStory(t.Context(), &out, format, 0)
		s.say(saturation, "edge:hq", "SATURATED: quite", "by the rule")
		for _, leaf := range entries(t) {
			s.entry(leaf)
		}
		s.end()
		tables[i] = out.String()
	}
	var scenes []told
	for _, s := range listen(t, strings.NewReader(tables[1]), nil) {
		scenes = append(scenes, s)
		for _, words := range append([]string{s.Text, s.Who}, s.More...) {
			if !strings.Contains(tables[0], words) {
				t.Errorf("the table lacks %q", words)
			}
		}
	}
	if n := strings.Count(tables[2], "---\n"); n != len(scenes) || n != len(burst.Kinds)+1 {
		t.Errorf("%d scenes in JSON, %d in YAML, want %d", len(scenes), n, len(burst.Kinds)+1)
	}
}

func TestThePaceSlowsTheStoryUntilItIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out bytes.Buffer
		begun := time.Now()
		s := newStory(ctx, &out, frame.Table, time.Second)
		for range 5 {
			s.say(opening, "demo", "a line")
		}
		time.Sleep(2500 * time.Millisecond)
		cancel()
		s.end()
		if n, took := strings.Count(out.String(), "a line"), time.Since(begun); n != 3 || took != 2500*time.Millisecond {
			t.Errorf("%d lines in %v, want 3 in 2.5s", n, took)
		}
	})
}

func TestLongLinesAreBrokenAtSpaces(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"short", []string{"short"}},
		{"one two three", []string{"one two", "three"}},
		{"    indented text", []string{"    indented", "text"}},
		{"unbreakable-word", []string{"unbreakable-word"}},
	} {
		if got := wrap(tt.text, 12); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestTheDemoRefusesWhatMakesNoSense(t *testing.T) {
	th := newTheater(t)
	for _, args := range [][]string{{"--pace", "-1s"}, {"--pace", "soon"}, {"--limit", "0s"}, {"--nonsense"}, {"extra"},
		{"--prepare"}, {"-o", "xml"}} {
		out := th.status(t, 64, append([]string{"demo"}, args...)...)
		if !strings.Contains(out, "BRS-9001") {
			t.Errorf("demo %v says %s", args, out)
		}
	}
	left, err := os.ReadDir(filepath.Join(th.dir, "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestTheDemoGivesUpInTime(t *testing.T) {
	th := newTheater(t)
	out := th.status(t, 1, "demo", "--limit", "1s")
	if !strings.Contains(out, "given up after 1s") || !strings.Contains(out, "the logs of this run are in") {
		t.Errorf("it says %s", out)
	}
	th.gone(t, "a limit")
}

// flip flips one bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	for _, err := range []error{os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
