package review_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
)

// says is an entry about an exception.
func says(t testing.TB, actor string, body glass.Body) step {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return step{house: body.Kind(), text: string(b), actor: actor}
}

// rested is the good burst as one that rests on an exception, but for what
// change makes of its sealed grant and of the entry that holds it.
func rested(t testing.TB, change func(grant map[string]any, cleared *burst.Cleared)) []step {
	t.Helper()
	text, err := residency.ExceptionTerms{ID: "x-1", Reason: "legal-order", Words: "court order 7/26", Site: "hq",
		Slice: "claims/q3", Purpose: "research", Team: "fraud", Places: []residency.Address{here},
		Lifts: []string{"eu-only"}, NotBefore: noon, Expires: noon.Add(time.Hour)}.Text()
	if err != nil {
		t.Fatal(err)
	}
	digest := residency.ExceptionDigest(text)
	used := func(stage string) step {
		return step{body: &burst.Excepted{Exception: "x-1", Digest: digest, Stage: stage, At: here,
			Aside: []string{"eu-only"}}}
	}
	steps := good()
	cleared := steps[kind(t, steps, "cleared", 0)].body.(*burst.Cleared)
	cleared.Verdict.Exception = &residency.Excepted{ID: "x-1", Digest: digest, Reason: "legal-order",
		Expires: noon.Add(time.Hour), Aside: []residency.Rule{eu}}
	cleared.Sealed = sealed(func(g map[string]any) {
		if g["exception"] = digest; change != nil {
			change(g, cleared)
		}
	})
	steps = slices.Insert(steps, kind(t, steps, "cleared", 0), used(burst.OnRead))
	steps = slices.Insert(steps, kind(t, steps, "decided", 0), used(burst.OnCreate))
	return slices.Insert(steps, 1, says(t, "user:rita", &glass.Requested{Text: text}),
		says(t, "user:anna", &glass.Approved{Exception: "x-1", Key: "house/approver/anna", Signed: "a"}),
		says(t, "user:ben", &glass.Approved{Exception: "x-1", Key: "house/approver/ben", Signed: "b"}))
}

// drop leaves out the nth entry of a kind.
func drop(t testing.TB, steps []step, name string, n int) []step {
	i := kind(t, steps, name, n)
	return slices.Delete(steps, i, i+1)
}

func TestAGrantThatRestsOnAnExceptionIsHeldToIt(t *testing.T) {
	ended := says(t, "user:anna", &glass.Ended{Exception: "x-1", Why: "the order fell"})
	endedBefore := func(after time.Duration) []step {
		steps := rested(t, nil)
		i := kind(t, steps, "serve-intent", 0)
		steps[i].after = after
		return slices.Insert(steps, i, ended)
	}
	late := rested(t, nil)
	use, clear := kind(t, late, "break-glass-used", 1), kind(t, late, "cleared", 0)
	late[use], late[clear] = late[clear], late[use]
	for name, tc := range map[string]struct {
		steps []step
		want  string
	}{
		"all in order": {rested(t, nil), ""},
		"its use is not entered": {drop(t, rested(t, nil), "break-glass-used", 1),
			"rests on exception x-1, whose use no earlier entry tells"},
		"its use is entered afterwards": {late, "rests on exception x-1, whose use no earlier entry tells"},
		"it outlasts it": {rested(t, func(_ map[string]any, c *burst.Cleared) { c.Expires = noon.Add(2 * time.Hour) }),
			"grant c-1.1 outlasts exception x-1"},
		"it is of site-only data": {rested(t, func(g map[string]any, _ *burst.Cleared) {
			g["ask"].(map[string]any)["slice"].(map[string]any)["class"] = "site-only"
		}), "is of site-only data, which no exception lifts"},
		"its verdict names none": {rested(t, func(_ map[string]any, c *burst.Cleared) { c.Verdict.Exception = nil }),
			"rests on an exception, and its verdict names none"},
		"it is sealed with another": {rested(t, func(g map[string]any, _ *burst.Cleared) { g["exception"] = "sha256:y" }),
			"rests on another exception than its verdict names"},
		"it is sealed with none": {rested(t, func(g map[string]any, _ *burst.Cleared) { delete(g, "exception") }),
			"rests on another exception than its verdict names"},
		"it reads on a moment after an early end": {endedBefore(30 * time.Second), ""},
		"it reads on long after an early end":     {endedBefore(2 * time.Minute), "after the end of exception x-1"},
	} {
		_, f := fold(t, tc.steps...).BreakGlass(residency.Approvers{})
		if got := texts(f); !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
			t.Errorf("%s: found %q, want %q", name, got, tc.want)
		}
	}
}
