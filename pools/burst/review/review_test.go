package review_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// found asks every question but weak, and returns what was found by question.
func found(t testing.TB, r *review.Review) map[string]string {
	t.Helper()
	all := map[string]string{}
	_, f := r.Transfers(time.Time{}, time.Time{})
	all["transfers"] = texts(f)
	_, f = r.Serves()
	all["serves"] = texts(f)
	_, f = r.Where("claims")
	all["where"] = texts(f)
	_, f = r.Teardowns("")
	all["teardown"] = texts(f)
	_, f = r.Denials()
	all["denials"] = texts(f)
	for _, claim := range r.Claims() {
		_, f, err := r.Explain(claim)
		if err != nil {
			t.Fatal(err)
		}
		all["explain"] += texts(f)
	}
	_, f = r.Weak(residency.L2, 1)
	all["weak"] = texts(f)
	return all
}

func TestABurstThatGoesWellIsCleanAfterEveryEntry(t *testing.T) {
	for n := range len(good()) + 1 {
		for question, text := range found(t, fold(t, good()[:n]...)) {
			if text != "" {
				t.Errorf("after %d entries %s finds %s", n, question, text)
			}
		}
	}
}

func TestWhatLeftTheSiteIsToldWithPlaceRulesAndBytes(t *testing.T) {
	r := fold(t, good()...)
	all, _ := r.Transfers(time.Time{}, time.Time{})
	if len(all) != 2 {
		t.Fatalf("%d transfers: %+v", len(all), all)
	}
	s, p := all[0], all[1]
	if s.What != "claims/q3" || s.Place != "aws/eu-central-1" || s.Country != "DE" || s.Level != residency.L2 ||
		s.Bytes != 60 || s.Upto != 0 || s.Class != "personal" || s.Basis != "contract" || s.Instance != "i-1" ||
		s.Granted == nil || s.Granted.Index != 6 || len(s.Rules) != 1 || s.Rules[0].Basis != "GDPR Art. 44" ||
		s.First.Index != 9 || s.Last.Index != 11 {
		t.Errorf("slice: %+v", s)
	}
	if p.What != "program" || p.Bytes != 50 || p.Class != "" {
		t.Errorf("program: %+v", p)
	}
	if all, _ := r.Transfers(noon.Add(13*time.Second), time.Time{}); len(all) != 1 || all[0].What != "program" {
		t.Errorf("from a time on: %+v", all)
	}
	if all, _ := r.Transfers(time.Time{}, noon.Add(time.Second)); len(all) != 0 {
		t.Errorf("before a time: %+v", all)
	}
	live, _ := fold(t, good()[:11]...).Transfers(time.Time{}, time.Time{})
	if live[0].Bytes != 0 || live[0].Upto != 100 {
		t.Errorf("while a window is open: %+v", live[0])
	}
}

func TestADatasetIsWhereverAByteOfItWent(t *testing.T) {
	r := fold(t, good()...)
	stays, _ := r.Where("claims")
	if len(stays) != 2 || stays[0].Bytes != 60 || stays[0].Country != "DE" || stays[0].Gone == nil ||
		stays[0].Gone.Index != 20 || stays[1].Place != "site hq" || stays[1].Note == "" {
		t.Errorf("%+v", stays)
	}
	for _, name := range []string{"claim", "claims/", "claims/q", "other", ""} {
		if stays, _ := r.Where(name); len(stays) != 0 {
			t.Errorf("%q: %+v", name, stays)
		}
	}
	stays, _ = fold(t, good()[:19]...).Where("claims/q3")
	if stays[0].Gone != nil {
		t.Errorf("gone before it was: %+v", stays)
	}
	if got := r.Slices(); !slices.Equal(got, []string{"claims", "claims/q3"}) {
		t.Error(got)
	}
}

func TestAReleaseIsToldWithItsPersonAndAReleaseOfNothingIsFound(t *testing.T) {
	release := step{body: &burst.Release{Name: "model", Digest: "sha256:m", Reason: "reviewed"}, actor: "user:dpo"}
	stays, f := fold(t, append(good(), release)...).Where("claims")
	if len(f) != 0 || !strings.Contains(stays[1].Note, "released by user:dpo in entry 23 (reviewed)") {
		t.Error(stays, texts(f))
	}
	flag := step{body: &burst.Flag{Name: "model", Digest: "sha256:m", Reason: "consent", Recall: 7}, actor: "user:oscar"}
	clear := step{body: &burst.Unflag{Name: "model", Digest: "sha256:m", Reason: "not of them"}, actor: "user:dpo"}
	out := step{body: &burst.HandedOut{Name: "model", Digest: "sha256:m", Release: 25}, actor: "edge:hq"}
	stays, f = fold(t, append(good(), flag)...).Where("claims")
	if len(f) != 0 || !strings.Contains(stays[1].Note, "flagged in entry 23 (consent)") {
		t.Error(stays, texts(f))
	}
	stays, f = fold(t, append(good(), flag, clear, release, out)...).Where("claims")
	if len(f) != 0 || !strings.Contains(stays[1].Note, "moved out in entry 26") {
		t.Error(stays, texts(f))
	}
	hold(t, map[string]broken{
		"a release twice":       {append(good(), release, release), "where", "which no earlier entry shows in quarantine"},
		"flagged":               {append(good(), flag, release), "where", "released model, which entry 23 flags (consent)"},
		"flagged and asked for": {append(good(), flag, release), "serves", "and nobody cleared"},
		"moved unreleased":      {append(good(), out), "where", "edge:hq moved model, sha256:m, out of quarantine"},
		"never came back":       {append(without(t, "artefact", 0), release), "serves", "user:dpo released model, sha256:m"},
	})
}

func TestTeardownIsToldStepByStep(t *testing.T) {
	all, _ := fold(t, good()...).Teardowns("c-1")
	if len(all) != 1 {
		t.Fatal(all)
	}
	d := all[0]
	if d.State != review.TornDown || !d.Confirmed || d.By != "control" || d.Issued != 1 || len(d.Took) != 5 ||
		d.Took[0] != (review.Span{From: "stopped", To: "unmounted", Took: "1s"}) {
		t.Errorf("%+v", d)
	}
	if all, _ := fold(t, good()...).Teardowns("c-2"); len(all) != 0 {
		t.Error(all)
	}
}

// broken is a log that breaks a promise, and what must be found by a question.
type broken struct {
	steps          []step
	question, want string
}

// hold wants every broken promise to be found.
func hold(t *testing.T, cases map[string]broken) {
	t.Helper()
	for name, c := range cases {
		if got := found(t, fold(t, c.steps...))[c.question]; !strings.Contains(got, c.want) {
			t.Errorf("%s: %s finds %q, want %q", name, c.question, got, c.want)
		}
	}
}

func TestEveryByteWithoutItsEntriesIsFoundByName(t *testing.T) {
	window := func(change func(*burst.Window)) []step { return with(t, change) }
	served := func(change func(*burst.Served)) []step { return with(t, change) }
	after := step{body: &burst.Window{Grant: "c-1.1", N: 3, Manifest: "sha256:s", Bytes: 1}, actor: "edge:hq"}
	late, stranger := good(), good()
	late[9].after, stranger[9].actor = 2*time.Hour, "edge:other"
	hold(t, map[string]broken{
		"bytes before the grant":  {without(t, "cleared", 0), "serves", "no earlier entry grants it"},
		"bytes without a window":  {without(t, "serve-intent", 0), "serves", "bytes without an entry that allowed them"},
		"a window never closed":   {without(t, "serve-outcome", 1), "serves", "no entry says what went out"},
		"a window closed twice":   {before(t, "artefact", good()[11]), "serves", "already closed by entry 11"},
		"a window after the stop": {before(t, "unmounted", after), "serves", "opened after the burst was stopped by entry"},
		"a window after the end":  {late, "serves", "opened after its grant ended"},
		"a window of a stranger":  {stranger, "serves", "opened by edge:other, not by the edge of the site"},
		"no credential":           {without(t, "issued", 0), "serves", "before any credential was issued"},
		"more than allowed":       {served(func(b *burst.Served) { b.Bytes = 101 }), "serves", "101 bytes went out, 100"},
		"fewer than none":         {served(func(b *burst.Served) { b.Bytes = -1 }), "serves", "-1 bytes went out"},
		"a window of nothing":     {window(func(b *burst.Window) { b.Bytes = 0 }), "serves", "it allows 0 bytes"},
		"another manifest":        {window(func(b *burst.Window) { b.Manifest = "x" }), "where", "neither the slice that"},
		"a number left out":       {window(func(b *burst.Window) { b.N = 7 }), "serves", "number 7 does not follow 0"},
		"another grant":           {window(func(b *burst.Window) { b.Grant = "c-2.1" }), "transfers", "no earlier entry"},
	})
}

func TestEveryGrantThatIsNotWhatWasDecidedIsFoundByName(t *testing.T) {
	us := map[string]any{"provider": "aws", "region": "us-east-1"}
	cleared := func(change func(*burst.Cleared)) []step { return with(t, change) }
	hold(t, map[string]broken{
		"another place":         {resealed(t, "place", us), "serves", "its sealed place is not"},
		"another machine":       {resealed(t, "instance", "i-2"), "transfers", "its sealed machine is not"},
		"another key":           {resealed(t, "node_key", "x"), "explain", "its sealed node key is not"},
		"another proof":         {resealed(t, "evidence", "x"), "where", "its sealed evidence is not"},
		"no proof":              {without(t, "proven", 0), "serves", "its sealed place is not"},
		"against its verdict":   {cleared(func(b *burst.Cleared) { b.Verdict.Allowed = false }), "serves", "verdict is no"},
		"another end":           {cleared(func(b *burst.Cleared) { b.Expires = noon }), "serves", "its sealed end is not"},
		"places never in force": {cleared(func(b *burst.Cleared) { b.Verdict.PlacesDigest = "x" }), "weak", "under places x"},
		"rules never in force": {with(t, func(b *burst.Decided) { b.Decision.Rules = "x" }), "explain",
			"decided under rules x, which no earlier entry put in force"},
		"no law at all": {good()[1:], "explain", "decided under rules r and places p"},
	})
}

func TestEveryStepOfTeardownThatIsMissingIsFoundByName(t *testing.T) {
	overdue := append(good()[:13], step{house: "heartbeat", text: `{"n":1}`, after: 2 * time.Hour})
	early := without(t, "probed", 0)
	early = slices.Insert(early, kind(t, early, "revoked", 0), good()[17])
	probed := func(change func(*burst.Probed)) []step { return with(t, change) }
	hold(t, map[string]broken{
		"never unmounted":       {without(t, "unmounted", 0), "teardown", "unmounted or the node given up"},
		"never revoked":         {without(t, "revoked", 0), "teardown", "credential 01 was not revoked"},
		"never probed":          {without(t, "probed", 0), "teardown", "no probe saw the newest credential refused"},
		"probed before revoked": {early, "teardown", "no probe saw"},
		"the edge's word alone": {probed(func(b *burst.Probed) { b.By = "edge" }), "teardown", "no probe saw"},
		"still good":            {probed(func(b *burst.Probed) { b.Refused = false }), "teardown", "still good in entry 17"},
		"never deleted":         {without(t, "gone", 0), "teardown", "node i-1 is not proven gone"},
		"another node deleted":  {with(t, func(b *burst.Gone) { b.Node = "i-2" }), "teardown", "node i-1 is not proven gone"},
		"alive past its lease":  {overdue, "teardown", "node i-1 is not proven gone"},
	})
}

// resealed seals another value into the grant.
func resealed(t testing.TB, key string, value any) []step {
	return with(t, func(b *burst.Cleared) { b.Sealed = sealed(func(s map[string]any) { s[key] = value }) })
}

func TestAnEntryThatCannotBeReadIsFoundByEveryQuestion(t *testing.T) {
	unread := step{house: "serve-outcome", text: `{"bytes":"many"}`}
	for question, text := range found(t, fold(t, append(good(), unread)...)) {
		if !strings.Contains(text, `"serve-outcome" cannot be read`) {
			t.Errorf("%s: %q", question, text)
		}
	}
}

// Of thousands of offers an entry names a few and counts all.
func TestARefusalOfVeryManyOffersIsCountedByItsTally(t *testing.T) {
	strike := &policy.Strike{Kind: "residency", Rule: "eu-only", Why: "no"}
	refused := policy.Decision{Refusal: "5000 offers", Rules: "r", Places: "p", Considered: 5000,
		Candidates: []policy.Candidate{{Strike: strike}},
		Struck:     []policy.Tally{{Kind: "residency", Rule: "eu-only", N: 4990}, {Kind: "price", Why: "unknown", N: 10}}}
	all, _ := fold(t, lawful, step{body: &burst.Requested{Request: policy.Request{ID: "c-8", Site: "hq"}}, claim: "c-8"},
		step{body: &burst.Decided{Decision: refused}, claim: "c-8"}).Denials()
	if len(all) != 2 || all[0].Name != "eu-only" || all[0].Offers != 4990 || all[1].Offers != 10 {
		t.Errorf("denials %+v", all)
	}
}

func TestARefusalIsCountedByItsRuleAndNoViolation(t *testing.T) {
	job := policy.Job{Name: "train", Team: "fraud", Slice: "claims/q3", Purpose: "research"}
	strike := &policy.Strike{Kind: "residency", Rule: "eu-only", Title: "In the EEA", Basis: "GDPR Art. 44", Why: "no"}
	price := &policy.Strike{Kind: "price", Why: "unknown"}
	refused := policy.Decision{Refusal: "3 offers", Alternative: "elsewhere", Rules: "r", Places: "p",
		Candidates: []policy.Candidate{{Strike: strike}, {Strike: strike}, {Strike: price}}}
	asked := func(claim string) []step {
		return []step{
			{body: &burst.Requested{Request: policy.Request{ID: claim, Site: "hq", Job: job}}, claim: claim},
			{body: &burst.Decided{Decision: refused}, claim: claim},
			{body: &burst.Over{Outcome: "refused"}, claim: claim},
		}
	}
	steps := slices.Concat([]step{lawful}, asked("c-8"), asked("c-9"), good()[1:5], []step{
		{body: &burst.Unproven{Attempt: 1, Why: "wrong nonce"}},
		{body: &burst.Turned{Reason: "receipt", Why: "not in the tree"}},
		good()[5],
		{body: &burst.Denied{Verdict: residency.Verdict{Missing: []string{"class"}, RulesDigest: "r", PlacesDigest: "p"}}}},
		good()[6:])
	all, f := fold(t, steps...).Denials()
	if len(f) != 0 {
		t.Error(texts(f))
	}
	want := map[string][2]int{"create/rule/eu-only": {2, 4}, "create/price/unknown": {2, 2},
		"evidence/evidence/wrong nonce": {1, 1}, "read/missing fact/class": {1, 1},
		"serve/turned away/receipt": {1, 1}}
	for _, d := range all {
		key := d.Stage + "/" + d.Kind + "/" + d.Name
		if got := [2]int{d.Refusals, d.Offers}; got != want[key] {
			t.Errorf("%s: %v, want %v", key, got, want[key])
		}
		delete(want, key)
	}
	if len(want) != 0 {
		t.Errorf("not told: %v", want)
	}
	if q := all[0].Requests; len(q) != 2 || q[0].Claim != "c-8" || q[0].Alternative != "elsewhere" || q[0].Later == nil {
		t.Errorf("%+v", q)
	}
}

func TestAClaimIsExplainedByItsFactsAndTheLawInForce(t *testing.T) {
	again := slices.Concat([]step{{house: "law", text: `{"rules":"r","places":"old"}`}},
		[]step{{house: "law", text: `{"rules":"q","places":"p"}`}}, good())
	x, f, err := fold(t, again...).Explain("c-1")
	if err != nil || len(f) != 0 {
		t.Fatal(err, texts(f))
	}
	if len(x.Decisions) != 2 || x.Decisions[1].RulesSince.Index != 2 || x.Decisions[1].PlacesSince.Index != 1 {
		t.Errorf("%+v", x.Decisions)
	}
	if !slices.Contains(x.Facts, review.Fact{Name: "class", Value: "personal"}) || x.Team != "fraud" {
		t.Errorf("%+v", x)
	}
	if _, _, err := fold(t, good()...).Explain("c-7"); err == nil {
		t.Error("a claim nobody made is explained")
	}
}

func TestWhatIsWeakIsListed(t *testing.T) {
	soft := with(t, func(b *burst.PlacedAt) { b.Level, b.Trust = residency.L1, "test" })
	silent := good()
	silent[3].after = 2 * time.Minute
	back := good()
	back[4].after = -3 * time.Second
	for name, c := range map[string]struct {
		steps     []step
		below     residency.Level
		cosigners int
		want      string
	}{
		"level":      {soft, residency.L2, 1, "was known at L1, below L2"},
		"no higher":  {good(), residency.L3, 1, "was known at L2, below L3"},
		"trust":      {soft, residency.L0, 1, `rests on trust "test"`},
		"silence":    {silent, residency.L2, 1, "the log is silent for 2m0s"},
		"clock":      {back, residency.L2, 1, "the time goes back by 3s"},
		"heartbeat":  {append(good(), step{house: "heartbeat", text: `{"n":2}`}), residency.L2, 1, "heartbeat 2 follows 0"},
		"uncosigned": {good(), residency.L2, 0, "no witness has cosigned entries 0 to 22"},
		"seal":       {with(t, func(b *burst.Cleared) { b.Sealed = "paper" }), residency.L2, 1, "its seal cannot be read"},
	} {
		all, f := fold(t, c.steps...).Weak(c.below, c.cosigners)
		if !strings.Contains(texts(f), c.want) || len(all) == 0 {
			t.Errorf("%s: %q, want %q", name, texts(f), c.want)
		}
	}
	beats := append(good(), step{house: "heartbeat", text: `{"n":1}`}, step{house: "heartbeat", text: `{"n":2}`},
		step{house: "opened", text: `{}`}, step{house: "heartbeat", text: `{"n":1}`})
	if _, f := fold(t, beats...).Weak(residency.L2, 1); len(f) != 0 {
		t.Error(texts(f))
	}
}

func TestAnEmptyLogHasCleanAnswers(t *testing.T) {
	for question, text := range found(t, fold(t)) {
		if text != "" {
			t.Errorf("%s: %s", question, text)
		}
	}
}

// BenchmarkAMillionEntries folds the entries of some 43,000 bursts and asks every question once.
func BenchmarkAMillionEntries(b *testing.B) {
	steps := good()[1:]
	var leaves []audit.Leaf
	for i, s := range steps {
		body, err := json.Marshal(s.body)
		if err != nil {
			b.Fatal(err)
		}
		leaves = append(leaves, audit.Leaf{Entry: audit.Entry{V: 1, Code: burst.Kinds[s.body.Kind()].Code, Actor: s.actor,
			Kind: s.body.Kind(), At: noon.Add(time.Duration(i) * time.Second), Body: body}})
	}
	for b.Loop() {
		r := review.New(0)
		for i := range 1_000_000 {
			leaf := leaves[i%len(leaves)]
			leaf.Index, leaf.Entry.Burst = int64(i), fmt.Sprintf("c-%d", i/len(leaves))
			r.Add(leaf)
		}
		asked := time.Now()
		if all, _ := r.Transfers(time.Time{}, time.Time{}); len(all) < 80_000 {
			b.Fatal(len(all))
		}
		r.Serves()
		r.Where("claims")
		r.Teardowns("")
		r.Denials()
		r.Weak(residency.L2, 1)
		b.ReportMetric(time.Since(asked).Seconds(), "s-to-ask")
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s-in-all")
}
