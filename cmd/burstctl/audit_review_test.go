package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
)

// relog enters leaves into a new log with keys of its own, cosigned by one witness or by none, and writes its trust
// file. It is how a log comes to be that an honest controller would not write.
func relog(dir string, leaves []audit.Leaf, witnessed bool) (err error) {
	must := func(e error) bool { err = errors.Join(err, e); return e == nil }
	skey, vkey, e := audit.GenerateLogKey("relog.test/log")
	must(e)
	wskey, wvkey, e := audit.GenerateWitnessKey("relog.test/edge")
	must(e)
	signer, e := note.NewSigner(skey)
	must(e)
	cosigner, e := audit.NewWitnessSigner(wskey)
	must(e)
	cv, e := audit.CosignatureVerifier(wvkey)
	must(e)
	lv, e := note.NewVerifier(vkey)
	if !must(e) || err != nil || !must(os.MkdirAll(dir, 0o700)) {
		return err
	}
	o := audit.Options{Dir: filepath.Join(dir, "log"), Origin: "relog.test/log", Signer: signer, Reserve: 4096,
		OnFatal: func(e error) { panic(e) }}
	trust, e := audit.NewTrust(0, vkey)
	if witnessed {
		o.Witnesses, o.Quorum = []note.Verifier{cv}, 1
		trust, e = audit.NewTrust(1, vkey, wvkey)
	}
	must(e)
	must(audit.Create(o))
	l, e := audit.Open(context.Background(), o)
	if !must(e) {
		return err
	}
	defer l.Close()
	var es []audit.Entry
	for _, leaf := range leaves {
		es = append(es, leaf.Entry)
	}
	_, e = l.Enter(context.Background(), es...)
	must(e)
	if witnessed {
		w, e := audit.OpenWitness(filepath.Join(dir, "witness"), cosigner, lv)
		if !must(e) {
			return err
		}
		c, e := w.Cosign(time.Now(), l.Checkpoint(), 0, nil)
		must(e)
		must(l.AddCosignature(c))
	}
	must(os.WriteFile(filepath.Join(dir, "trust.txt"), trust.Encode(), 0o600))
	return err
}

// relogMain is "relog LOG DIR [KIND...]" for scripts: LOG again, without the entries of these kinds. The kind "witness"
// leaves out the cosignature.
func relogMain() {
	leaves, err := readLog(context.Background(), os.Args[1])
	leaves = slices.DeleteFunc(leaves, func(l audit.Leaf) bool { return slices.Contains(os.Args[3:], l.Entry.Kind) })
	if err = errors.Join(err, relog(os.Args[2], leaves, !slices.Contains(os.Args[3:], "witness"))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// played is a demo's state directory: a real log of real parts.
func played(t *testing.T) (theater, string) {
	t.Helper()
	th := newTheater(t)
	state := filepath.Join(th.dir, "state")
	th.play(t, th.command(t, "demo", "--state", state, "-o", "json"), nil)
	return th, state
}

// replied is an answer as a program reads it.
type replied struct {
	APIVersion, Kind, Question string
	Log                        evidence
	Clean                      bool
	Violations                 []struct{ Text string }
	Items                      json.RawMessage
}

// asks runs a question about a log and returns the answer.
func (th theater) asks(t *testing.T, want int, dir, verb string, args ...string) replied {
	t.Helper()
	line := append(append([]string{"audit"}, strings.Fields(verb)...), filepath.Join(dir, "log"))
	line = append(append(line, args...), "--trust", filepath.Join(dir, "trust.txt"), "-o", "json")
	cmd := th.command(t, line...)
	out, _ := cmd.Output()
	var h replied
	if err := json.Unmarshal(out, &h); err != nil {
		t.Fatalf("%s: %v: %s", verb, err, out)
	}
	if got := cmd.ProcessState.ExitCode(); got != want || h.Clean != (want == 0) {
		t.Errorf("%s: exit %d, want %d, clean %v: %+v", verb, got, want, h.Clean, h.Violations)
	}
	if want != 7 && (h.Log.First == nil || h.Log.Last.Index != h.Log.Size-1 || h.Log.Verifier != "verifies" ||
		h.Log.Root == "" || len(h.Items) == 0) {
		t.Errorf("%s: says too little: %+v", verb, h)
	}
	return h
}

func TestAnOfficerGetsEveryAnswerFromARealLog(t *testing.T) {
	th, state := played(t)
	leaves, err := readLog(t.Context(), filepath.Join(state, "log"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(leaves, func(l audit.Leaf) bool { return l.Entry.Kind == "cleared" })
	claim := leaves[i].Entry.Burst
	for verb, want := range map[string]string{
		"transfers":          `"country": "DE"`,
		"denials":            `"name": "special-needs-pseudonyms"`,
		"serves":             `"state": "matched"`,
		"serves --unmatched": "[]",
		"teardown":           `"state": "torn down"`,
	} {
		if h := th.asks(t, 0, state, verb); !strings.Contains(string(h.Items), want) || len(h.Log.Cosigners) != 1 {
			t.Errorf("%s: want %s in %s", verb, want, h.Items)
		}
	}
	if h := th.asks(t, 0, state, "explain", claim); !strings.Contains(string(h.Items), `"place.country"`) {
		t.Errorf("explain: %s", h.Items)
	}
	if h := th.asks(t, 0, state, "where", "claims"); !strings.Contains(string(h.Items), "in quarantine") {
		t.Errorf("where: %s", h.Items)
	}
	if h := th.asks(t, 3, state, "weak"); !strings.Contains(string(h.Items), `trust \"local\"`) {
		t.Errorf("weak: %s", h.Items)
	}
	for _, c := range []struct {
		without, verb, want string
	}{
		{"cleared", "serves --unmatched", "no earlier entry grants it"},
		{"cleared", "transfers", "no earlier entry grants it"},
		{"serve-intent", "serves", "bytes without an entry that allowed them"},
		{"serve-outcome", "serves --unmatched", "no entry says what went out"},
		{"probed", "teardown", "no probe saw the newest credential refused"},
		{"gone", "teardown", "is not proven gone"},
		{"law", "explain", "which no earlier entry put in force"},
	} {
		dir := filepath.Join(th.dir, "without-"+c.without+"-"+strings.Fields(c.verb)[0])
		kept := slices.DeleteFunc(slices.Clone(leaves), func(l audit.Leaf) bool { return l.Entry.Kind == c.without })
		if err := relog(dir, kept, true); err != nil {
			t.Fatal(err)
		}
		var args []string
		if c.verb == "explain" {
			args = []string{claim}
		}
		h := th.asks(t, 3, dir, c.verb, args...)
		if !strings.Contains(h.Violations[0].Text, c.want) {
			t.Errorf("without %s %s finds %v, want %s", c.without, c.verb, h.Violations, c.want)
		}
	}
}

func TestALogThatDoesNotVerifyAnswersNothing(t *testing.T) {
	th, state := played(t)
	flip(t, filepath.Join(state, "log", "checkpoint"))
	for _, verb := range []string{"transfers", "denials", "serves", "teardown", "weak", "where claims", "explain c-1"} {
		words := strings.Fields(verb)
		h := th.asks(t, 7, state, words[0], words[1:]...)
		if string(h.Items) != "null" || h.Log.Verifier != "does not verify" || h.Log.First != nil ||
			len(h.Log.Problems) == 0 {
			t.Errorf("%s answers all the same: %+v", verb, h)
		}
	}
	log, trust := filepath.Join(state, "log"), filepath.Join(state, "trust.txt")
	th.status(t, 7, "audit", "bundle", log, "--trust", trust, "-o", "e.zip")
	if _, err := os.Stat(filepath.Join(th.dir, "e.zip")); err == nil {
		t.Error("a log that does not verify was bundled")
	}
}

// small is a log of one burst without machines, bundled: its zip, its trust file, and the trust.
func small(t *testing.T) (zip string, trust []byte, parsed audit.Trust) {
	t.Helper()
	dir := t.TempDir()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	var leaves []audit.Leaf
	for i, b := range []burst.Body{&burst.Requested{}, &burst.Decided{}, &burst.Over{Outcome: "refused"}} {
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, audit.Leaf{Index: int64(i), Entry: audit.Entry{V: 1, Code: burst.Kinds[b.Kind()].Code,
			Kind: b.Kind(), Burst: "c-1", At: at.Add(time.Duration(i) * time.Second), Actor: "controller", Body: raw}})
	}
	if err := relog(dir, leaves, true); err != nil {
		t.Fatal(err)
	}
	zip = filepath.Join(dir, "e.zip")
	c := auditBundle()
	c.SetArgs([]string{filepath.Join(dir, "log"), "--trust", filepath.Join(dir, "trust.txt"), "--output", zip})
	c.SetErr(&bytes.Buffer{})
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	trust, err := os.ReadFile(filepath.Join(dir, "trust.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err = audit.ParseTrust(trust); err != nil {
		t.Fatal(err)
	}
	return zip, trust, parsed
}

// behind is a tree whose checkpoint is an older one the first few times it is read.
type behind struct {
	fs.FS
	old  []byte
	left *int
}

// ReadFile reads a file of the tree.
func (b behind) ReadFile(name string) ([]byte, error) {
	if name == "checkpoint" && *b.left > 0 {
		*b.left--
		return b.old, nil
	}
	return fs.ReadFile(b.FS, name)
}

func TestALogThatGoesOnWhileItIsReadIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	leaf := audit.Leaf{Entry: audit.Entry{V: 1, Code: "0900", Kind: "heartbeat", At: at, Actor: "controller",
		Body: json.RawMessage(`{"n":1}`)}}
	if err := relog(dir, []audit.Leaf{leaf}, true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "trust.txt"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := audit.ParseTrust(text)
	if err != nil {
		t.Fatal(err)
	}
	tree := os.DirFS(filepath.Join(dir, "log"))
	for left, want := range map[int]bool{0: true, 1: true, 100: false} {
		r, _, err := officer{}.settled(t.Context(), behind{tree, []byte("not yet\n"), &left}, trust)
		if verifies := err == nil; verifies != want {
			t.Errorf("%v: %v", want, err)
		}
		if first, _ := r.review.Range(); want && first.Index != 0 {
			t.Error("entries are folded twice")
		}
	}
}
