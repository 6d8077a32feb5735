package cloud_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// node is launched and expires so many minutes from noon; negative is before.
func node(id, claim string, launched, expires int) pools.Node {
	at := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	return pools.Node{ID: id, Claim: claim, Attempt: 1, State: pools.Running,
		Launched: at(launched), Expires: at(expires)}
}

func life(claim string, _ int) cloud.Life {
	return map[string]cloud.Life{"alive": cloud.Alive, "over": cloud.Over}[claim]
}

// hourAgo is a node of claim without expiry.
func hourAgo(claim string, attempt int) pools.Node {
	return pools.Node{ID: "i-1", Claim: claim, Attempt: attempt, Launched: noon.Add(-time.Hour)}
}

func TestSweepTakesOnlyWhatNobodyShouldPayFor(t *testing.T) {
	for _, c := range []struct {
		name string
		node pools.Node
		take bool
	}{
		{"an alive node", node("i-1", "alive", -60, 60), false},
		{"an alive node whose lease ended within grace", node("i-1", "alive", -60, -4), false},
		{"an alive node whose lease ended past grace", node("i-1", "alive", -60, -6), true},
		{"a node that is over", node("i-1", "over", -60, 60), true},
		{"a node that is over and new", node("i-1", "over", -4, 60), false},
		{"a node the log does not know", node("i-1", "stranger", -60, 60), true},
		{"a new node the log does not know yet", node("i-1", "stranger", -4, 60), false},
		{"a node that is not ours", node("i-1", "", -60, -50), false},
		{"a node without an attempt", hourAgo("over", 0), false},
		{"a node from the future", node("i-1", "over", 10, 60), false},
		{"an alive node without expiry", hourAgo("alive", 1), false},
		{"a node without launch time", pools.Node{Claim: "over", Attempt: 1, Expires: noon.Add(time.Hour)}, false},
	} {
		got, err := cloud.Sweep([]pools.Node{c.node}, life, noon, cloud.SweepOptions{Grace: 5 * time.Minute})
		if err != nil || len(got) == 1 != c.take {
			t.Errorf("%s: swept %v, %v, want %v", c.name, got, err, c.take)
		}
	}
}

func TestSweepGoesSlowlyAndOldestFirst(t *testing.T) {
	for _, c := range []struct{ listed, want int }{{0, 0}, {2, 2}, {3, 3}, {10, 3}, {16, 3}, {20, 4}, {100, 20}} {
		var nodes []pools.Node
		for i := range c.listed {
			nodes = append(nodes, node(fmt.Sprintf("i-%03d", i), "over", -200+i, 60))
		}
		slices.Reverse(nodes)
		got, err := cloud.Sweep(nodes, life, noon, cloud.SweepOptions{Grace: time.Minute})
		if err != nil || len(got) != c.want {
			t.Errorf("of %d: swept %d, %v, want %d", c.listed, len(got), err, c.want)
		}
		for i, n := range got {
			if n.ID != fmt.Sprintf("i-%03d", i) {
				t.Errorf("of %d: swept %s at position %d", c.listed, n.ID, i)
			}
		}
	}
}

func TestAnEmptyListingAfterNodesIsNotBelieved(t *testing.T) {
	o := cloud.SweepOptions{Grace: time.Minute, Expected: 2}
	if _, err := cloud.Sweep(nil, life, noon, o); !errors.Is(err, cloud.ErrListing) {
		t.Errorf("empty after non-empty: %v, want %v", err, cloud.ErrListing)
	}
	o.Expected = 0
	if got, err := cloud.Sweep(nil, life, noon, o); err != nil || len(got) != 0 {
		t.Errorf("empty as expected: %v, %v", got, err)
	}
	if _, err := cloud.Sweep(nil, life, noon, cloud.SweepOptions{}); err == nil {
		t.Error("swept without a grace")
	}
}

func TestALogThatWasLostDoesNotEndAFleet(t *testing.T) {
	nodes := []pools.Node{node("i-old", "over", -90, 60), node("i-late", "alive", -80, -6)}
	for i := range 8 {
		nodes = append(nodes, node(fmt.Sprintf("i-%d", i), fmt.Sprintf("stranger-%d", i), -60, 60))
	}
	got, err := cloud.Sweep(nodes, life, noon, cloud.SweepOptions{Grace: 5 * time.Minute})
	if !errors.Is(err, cloud.ErrStrangers) || len(got) != 2 || got[0].Why != "over" || got[1].Why != "expired" {
		t.Errorf("swept %v, %v, want what is known to be over, and %v", got, err, cloud.ErrStrangers)
	}
	got, err = cloud.Sweep(nodes[:5], life, noon, cloud.SweepOptions{Grace: 5 * time.Minute})
	if err != nil || len(got) != 3 {
		t.Errorf("three strangers of five: swept %v, %v", got, err)
	}
}

func TestTheReaperGoesByTheExpiryAlone(t *testing.T) {
	nodes := []pools.Node{
		node("i-1", "alive", -60, -6), node("i-2", "stranger", -90, -6), node("i-3", "over", -60, 60),
		node("i-4", "alive", -60, -4), hourAgo("over", 1), {ID: "i-5", Expires: noon.Add(-time.Hour)},
	}
	got, err := cloud.Reap(nodes, noon, 5*time.Minute)
	var ids []string
	for _, d := range got {
		ids = append(ids, d.ID)
	}
	if err != nil || !slices.Equal(ids, []string{"i-5", "i-2", "i-1"}) {
		t.Errorf("reaped %v, %v", ids, err)
	}
	if _, err := cloud.Reap(nodes, noon, 0); err == nil {
		t.Error("reaped without a grace")
	}
}
