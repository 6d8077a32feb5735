package review_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

var (
	noon  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	here  = residency.Address{Provider: "aws", Region: "eu-central-1"}
	offer = policy.Offer{At: here, Type: "g5.12xlarge", GPUs: 4}
	eu    = residency.Rule{ID: "eu-only", Title: "Stays in the EEA", Basis: "GDPR Art. 44", Effect: "permit"}
)

// step is an entry to be: who says what. After is the time since the one before; zero is a second.
type step struct {
	body  burst.Body
	actor string
	claim string
	after time.Duration
	house string // kind of an entry about the house, whose body is text
	text  string
}

// lawful puts the rules r and the places p in force.
var lawful = step{house: "law", text: `{"catalogue":"c","places":"p","rules":"r"}`}

// sealed is the grant c-1.1 as the controller seals it.
func sealed(change func(map[string]any)) string {
	s := map[string]any{
		"v": 1, "terms": map[string]any{"id": "c-1.1", "claim": "c-1", "slice_digest": "sha256:s",
			"expires": noon.Add(time.Hour)},
		"ask": map[string]any{"purpose": "research", "team": "fraud", "site": "hq", "slice": map[string]any{
			"name": "claims/q3", "dataset": "claims", "class": "personal", "basis": "contract"}},
		"place": map[string]any{"provider": "aws", "region": "eu-central-1", "country": "DE"}, "instance": "i-1",
		"node_key": "k", "evidence": "e", "level": "L2", "trust": "aws",
	}
	if change != nil {
		change(s)
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return "burstctl/grant/v1\n" + string(b) + "\n\n— grants sig\n"
}

// good is a burst that goes well, entry by entry, after the law.
func good() []step {
	job := policy.Job{Name: "train", Team: "fraud", Slice: "claims/q3", Purpose: "research"}
	request := policy.Request{ID: "c-1", Site: "hq", Job: job, SliceDigest: "sha256:s", PayloadDigest: "sha256:p"}
	place := residency.Place{Address: here, Country: "DE", Groups: []string{"EEA", "EU"}, Operator: "US", Parent: "US"}
	verdict := residency.Verdict{Allowed: true, Rules: []residency.Rule{eu}, Why: "allowed", Level: residency.L2,
		RulesDigest: "r", PlacesDigest: "p"}
	node := pools.Node{ID: "i-1", Claim: "c-1", Attempt: 1, At: here, Expires: noon.Add(time.Hour)}
	edge := func(b burst.Body) step { return step{body: b, actor: "edge:hq"} }
	own := func(b burst.Body) step { return step{body: b} }
	return []step{
		lawful,
		edge(&burst.Requested{Request: request, Digest: "sha256:r"}),
		own(&burst.Decided{Decision: policy.Decision{Plan: &policy.Plan{Offer: offer}, Rules: "r", Places: "p",
			Candidates: []policy.Candidate{{Offer: offer}}}}),
		own(&burst.LaunchIntent{Launch: pools.Launch{Claim: "c-1", Attempt: 1, Offer: offer}}),
		own(&burst.Launched{Node: node}),
		own(&burst.PlacedAt{Attempt: 1, Instance: "i-1", Place: place, Level: residency.L2, Trust: "aws", NodeKey: "k",
			Evidence: "e"}),
		own(&burst.Cleared{Grant: "c-1.1", Sealed: sealed(nil), NodeKey: "k", Expires: noon.Add(time.Hour),
			Verdict: verdict}),
		own(&burst.IssueIntent{Grant: "c-1.1"}),
		own(&burst.Issued{Grant: "c-1.1", Serial: "01"}),
		edge(&burst.Window{Grant: "c-1.1", N: 1, Manifest: "sha256:s", Bytes: 100}),
		edge(&burst.Window{Grant: "c-1.1", N: 2, Manifest: "sha256:p", Bytes: 50}),
		edge(&burst.Served{Grant: "c-1.1", N: 1, Bytes: 60}),
		own(&burst.Artefact{Grant: "c-1.1", Name: "model", Digest: "sha256:m", Bytes: 5, Class: "personal"}),
		own(&burst.Stop{Why: burst.WhyFinished}),
		own(&burst.Unmounted{Confirmed: true}),
		own(&burst.RevokeIntent{Serial: "01"}),
		own(&burst.Revoked{Serial: "01"}),
		own(&burst.Probed{Serial: "01", Refused: true, By: "control"}),
		own(&burst.DeleteIntent{Node: "i-1"}),
		edge(&burst.Served{Grant: "c-1.1", N: 2, Bytes: 50}),
		own(&burst.Gone{Node: "i-1"}),
		own(&burst.Settled{Attempt: 1}),
		own(&burst.Over{Outcome: "finished"}),
	}
}

// fold reviews steps as the entries of a log.
func fold(t testing.TB, steps ...step) *review.Review {
	t.Helper()
	r, at := review.New(0), noon
	for i, s := range steps {
		if at = at.Add(s.after); s.after == 0 {
			at = at.Add(time.Second)
		}
		e := audit.Entry{V: 1, Code: "0500", Kind: s.house, At: at, Actor: "controller", Body: json.RawMessage(s.text)}
		if code, ok := glass.Codes[s.house]; ok {
			e.Code = code
		}
		if s.body != nil {
			b, err := json.Marshal(s.body)
			if err != nil {
				t.Fatal(err)
			}
			e.Kind, e.Code, e.Burst, e.Body = s.body.Kind(), burst.Kinds[s.body.Kind()].Code, "c-1", b
		}
		if s.actor != "" {
			e.Actor = s.actor
		}
		if s.claim != "" {
			e.Burst = s.claim
		}
		r.Add(audit.Leaf{Index: int64(i), Entry: e})
	}
	return r
}

// kind finds the nth entry of a kind; n counts from 0.
func kind(t testing.TB, steps []step, name string, n int) int {
	t.Helper()
	for i, s := range steps {
		if s.body != nil && s.body.Kind() == name {
			if n--; n < 0 {
				return i
			}
		}
	}
	t.Fatalf("no entry %s", name)
	return -1
}

// without leaves out the nth entry of a kind.
func without(t testing.TB, name string, n int) []step {
	steps := good()
	i := kind(t, steps, name, n)
	return slices.Delete(steps, i, i+1)
}

// before puts a step before the first entry of a kind.
func before(t testing.TB, name string, one step) []step {
	steps := good()
	return slices.Insert(steps, kind(t, steps, name, 0), one)
}

// with changes the body of the first entry of a kind.
func with[B any](t testing.TB, change func(*B)) []step {
	t.Helper()
	steps := good()
	for _, s := range steps {
		if b, ok := any(s.body).(*B); ok {
			change(b)
			return steps
		}
	}
	t.Fatal("no such entry")
	return nil
}

// texts are what findings say.
func texts(found []review.Finding) string {
	out := ""
	for _, f := range found {
		out += fmt.Sprintf("%d %s: %s\n", f.Index, f.Claim, f.Text)
	}
	return out
}
