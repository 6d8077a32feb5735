// Package samplertest checks that a source of GPU samples keeps the contract of
// [onprem.Sampler]. Every sampler's own tests run it; so may a stranger's.
package samplertest

import (
	"context"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/onprem"
)

// rounds is how many rounds are looked at.
const rounds = 5

// TestSampler checks the samplers that fresh gives, one for each check. An
// answer may take up to bound of real time. The source must be in good health: at
// least one believable round is asked for.
func TestSampler(t *testing.T, bound time.Duration, fresh func(t *testing.T) onprem.Sampler) {
	t.Helper()
	t.Run("rounds are whole, in range and in order", func(t *testing.T) { inOrder(t, bound, fresh(t)) })
	t.Run("a caller that breaks is let go and may range again", func(t *testing.T) {
		s := fresh(t)
		for range 2 {
			if n := take(t, bound, s, 1, func([]onprem.Sample, error) {}); n != 1 {
				t.Fatalf("%d rounds, want 1", n)
			}
		}
	})
	t.Run("an ended context ends the sequence", func(t *testing.T) { ends(t, bound, fresh(t)) })
}

// take ranges over s until n rounds came or the bound was passed, and counts them.
func take(t *testing.T, bound time.Duration, s onprem.Sampler, n int, look func([]onprem.Sample, error)) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*bound)
	defer cancel()
	got := 0
	for round, err := range s.Samples(ctx) {
		look(round, err)
		if got++; got == n {
			break
		}
	}
	return got
}

// inOrder checks a few rounds field by field.
func inOrder(t *testing.T, bound time.Duration, s onprem.Sampler) {
	last, good := map[string]time.Time{}, 0
	n := take(t, bound, s, rounds, func(round []onprem.Sample, err error) {
		if (err == nil) == (len(round) == 0) {
			t.Errorf("a round has samples or an error, not both and not neither: %d samples, %v", len(round), err)
		}
		seen := map[string]bool{}
		for _, x := range round {
			check(t, x, last[x.UUID], seen[x.UUID])
			seen[x.UUID], last[x.UUID] = true, x.At
			if x.State == onprem.OK {
				good++
			}
		}
	})
	if n < rounds || good == 0 {
		t.Errorf("%d rounds with %d good samples, want %d rounds", n, good, rounds)
	}
}

// check checks one sample against the one before it.
func check(t *testing.T, x onprem.Sample, before time.Time, twice bool) {
	t.Helper()
	switch {
	case x.UUID == "" || twice:
		t.Errorf("a GPU has no name or comes twice in a round: %+v", x)
	case x.State == "":
		t.Errorf("a sample has no state: %+v", x)
	case x.State != onprem.OK && x.Err == "":
		t.Errorf("a sample is %s and does not say why: %+v", x.State, x)
	case x.State == onprem.OK && (x.At.IsZero() || x.At.Before(before)):
		t.Errorf("a sample is good but its time does not advance: %v after %v", x.At, before)
	case x.Utilisation < 0 || x.Utilisation > 100 || x.MemoryUsedMiB > x.MemoryTotalMiB:
		t.Errorf("a reading is out of range: %+v", x)
	}
}

// ends checks that the sequence ends within bound of its context.
func ends(t *testing.T, bound time.Duration, s onprem.Sampler) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	first := make(chan struct{}, 1)
	go func() {
		defer close(done)
		for range s.Samples(ctx) {
			select {
			case first <- struct{}{}:
			default:
			}
		}
	}()
	select {
	case <-first:
	case <-time.After(bound):
		t.Fatal("no answer within the bound")
	}
	cancel()
	select {
	case <-done:
	case <-time.After(bound):
		t.Fatal("the sequence goes on after its context ended")
	}
}
