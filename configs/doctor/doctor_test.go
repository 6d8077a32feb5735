package doctor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestACheckThatRestsOnABrokenOneIsNotAsked(t *testing.T) {
	asked := []string{}
	note := func(name string, f []Finding) func(context.Context) []Finding {
		return func(context.Context) []Finding { asked = append(asked, name); return f }
	}
	never := note("never", Good("well"))
	found := Examine(t.Context(), []Check{
		{Name: "cause", Ask: note("cause", Bad(errors.New("gone"), "bring it back"))},
		{Name: "symptom", Needs: []string{"cause"}, Ask: never},
		{Name: "symptom of that", Needs: []string{"symptom"}, Ask: never},
	})
	want := []Finding{{"cause", Fail, "gone", "bring it back"}, {"symptom", NotAsked, "it rests on cause", ""},
		{"symptom of that", NotAsked, "it rests on symptom", ""}}
	if !slices.Equal(found, want) || !slices.Equal(asked, []string{"cause"}) {
		t.Errorf("asked %v, found %v", asked, found)
	}
}

func TestAWarningKeepsNothingFromBeingAsked(t *testing.T) {
	found := Examine(t.Context(), []Check{
		{Name: "a", Ask: func(context.Context) []Finding { return Warned("mend it", "old") }},
		{Name: "b", Needs: []string{"a"}, Ask: func(context.Context) []Finding { return Good("well") }},
	})
	if len(found) != 2 || found[1].Standing != OK || failed(found) != nil {
		t.Errorf("found %v", found)
	}
}

func TestACheckThatHangsHasFailedAtItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over)
		began := time.Now()
		found := Examine(t.Context(), []Check{
			{Name: "hangs", Bound: 3 * time.Second, Ask: func(context.Context) []Finding { <-over; return nil }},
			{Name: "heeds", Bound: 5 * time.Second, Ask: func(ctx context.Context) []Finding {
				<-ctx.Done()
				return Warned("", "gave up by itself")
			}},
			{Name: "well", Ask: func(context.Context) []Finding { return Good("well") }},
		})
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
		if found[0].Standing != Fail || found[0].What != "no answer within 3s" || found[1].Standing != Warn ||
			found[2].Standing != OK {
			t.Errorf("found %v", found)
		}
	})
}

func TestAClockIsHeldAgainstAnother(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		off  time.Duration // of what is held against, from this clock
		age  bool
		want Standing
	}{
		{"an answer of now", 0, false, OK},
		{"an answer a little off", 4 * time.Second, false, OK},
		{"an answer from later", 30 * time.Second, false, Warn},
		{"an answer from before", -30 * time.Second, false, Warn},
		{"an answer from far off", -2 * time.Minute, false, Fail},
		{"an old cosignature", -48 * time.Hour, true, OK},
		{"a cosignature from later", 30 * time.Second, true, Warn},
		{"a cosignature from far later", time.Hour, true, Fail},
	} {
		if got := Clock("another", now.Add(tt.off), now, tt.age); got[0].Standing != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
