package cast

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
)

// Entries reads the log as it lies on disk.
func (h *House) Entries() ([]audit.Leaf, error) {
	var all []audit.Leaf
	for leaf, err := range audit.Read(context.Background(), os.DirFS(h.LogDir())) {
		if err != nil {
			return all, err
		}
		all = append(all, leaf)
	}
	return all, nil
}

// Bursts folds what the log holds with no engine at all.
func (h *House) Bursts() ([]burst.State, error) {
	leaves, err := h.Entries()
	if err != nil {
		return nil, err
	}
	var order []string
	states := map[string]burst.State{}
	for _, l := range leaves {
		if l.Entry.Burst == "" {
			continue
		}
		if _, seen := states[l.Entry.Burst]; !seen {
			order = append(order, l.Entry.Burst)
		}
		body := burst.Kinds[l.Entry.Kind].New()
		if err := audit.DecodeStrict(l.Entry.Body, body); err != nil {
			return nil, err
		}
		ev := burst.Event{Claim: l.Entry.Burst, At: l.Entry.At, Actor: l.Entry.Actor, Index: l.Index, Body: body}
		if s := states[l.Entry.Burst]; !burst.Accepts(s, ev) {
			return nil, fmt.Errorf("entry %d, %s, does not follow in phase %q", l.Index, l.Entry.Kind, s.Phase)
		}
		states[l.Entry.Burst], _ = burst.Step(states[l.Entry.Burst], ev)
	}
	all := make([]burst.State, len(order))
	for i, c := range order {
		all[i] = states[c]
	}
	return all, nil
}

// Verify checks the log as an auditor does, with the site's memory.
func (h *House) Verify() (audit.Report, error) {
	var remembered [][]byte
	if m := h.Site.Remembers(); m != nil {
		remembered = append(remembered, m)
	}
	return audit.Verify(context.Background(), os.DirFS(h.LogDir()), h.Trust, remembered...)
}

// Close waits until the site has cosigned all there is, ends the controller's
// life and reports every invariant that does not hold.
func (h *House) Close() (broken []string) {
	if e, err := h.Engine(); err == nil {
		time.Sleep(time.Millisecond) // a heartbeat that is due right now comes before the seal
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Log.Seal(ctx); err != nil {
			broken = append(broken, fmt.Sprintf("the log was not sealed: %v", err))
		}
	}
	if err := h.Kill(); err != nil {
		broken = append(broken, fmt.Sprintf("the controller ended with %v", err))
	}
	h.mu.Lock()
	broken = append(broken, h.broken...)
	h.mu.Unlock()
	if _, err := h.Verify(); err != nil {
		broken = append(broken, err.Error())
	}
	leaves, err := h.Entries()
	if err != nil {
		return append(broken, err.Error())
	}
	states, err := h.Bursts()
	if err != nil {
		return append(broken, err.Error())
	}
	broken = append(broken, h.nodes(leaves, states)...)
	return append(broken, h.bytes(leaves, states)...)
}

// nodes checks what the cloud knows against what the log says.
func (h *House) nodes(leaves []audit.Leaf, states []burst.State) (broken []string) {
	for _, i := range h.Cloud.Inventory() {
		if i.Ended.IsZero() {
			broken = append(broken, fmt.Sprintf("node %s of %s is left", i.Node.ID, i.Node.Claim))
		}
		intent := slices.ContainsFunc(leaves, func(l audit.Leaf) bool {
			return l.Entry.Kind == "launch-intent" && bytes.Contains(l.Entry.Body, []byte(i.Token))
		})
		if !intent {
			broken = append(broken, fmt.Sprintf("node %s has no intent in the log", i.Node.ID))
		}
	}
	for _, s := range states {
		if n := h.Cloud.MostAlive(s.Claim); n > 1 {
			broken = append(broken, fmt.Sprintf("%d nodes of %s lived at once", n, s.Claim))
		}
		if s.Phase != burst.Ended {
			broken = append(broken, fmt.Sprintf("burst %s is left in phase %q", s.Claim, s.Phase))
		}
		if billed := h.Cloud.Billed(s.Claim); s.Spent().Micros < billed.Micros-second(s) {
			broken = append(broken, fmt.Sprintf("%s settled at %v, the cloud bills %v", s.Claim, s.Spent(), billed))
		}
	}
	return broken
}

// second is the price of one second, by which clouds round up.
func second(s burst.State) int64 {
	if s.Launch == nil {
		return 0
	}
	return s.Launch.Offer.PerHour.For(time.Second).Micros
}

// bytes checks that nothing went out but under an entered window.
func (h *House) bytes(leaves []audit.Leaf, states []burst.State) (broken []string) {
	h.Site.mu.Lock()
	defer h.Site.mu.Unlock()
	for _, s := range states {
		if s.Grant == nil {
			continue
		}
		if sent := h.Site.Sent[s.Grant.ID]; sent > s.Served+s.Allowed {
			broken = append(broken, fmt.Sprintf("%s: %d bytes went out, the log accounts for %d",
				s.Grant.ID, sent, s.Served+s.Allowed))
		}
	}
	for grant, sent := range h.Site.Sent {
		known := func(s burst.State) bool { return s.Grant != nil && s.Grant.ID == grant }
		if sent > 0 && !slices.ContainsFunc(states, known) {
			broken = append(broken, fmt.Sprintf("%d bytes went out under %s, which is in no log", sent, grant))
		}
	}
	return append(broken, ordered(leaves)...)
}

// ordered checks the promise of the log: cleared before issued before served.
func ordered(leaves []audit.Leaf) (broken []string) {
	had := map[string]bool{}
	for _, l := range leaves {
		before := map[string]string{"launched": "launch-intent", "proven": "launched", "cleared": "proven",
			"issue-intent": "cleared", "issued": "issue-intent", "serve-intent": "issued",
			"round-trip": "issued", "serve-outcome": "serve-intent",
			"revoked": "revoke-intent", "gone": "delete-intent", "settled": "gone", "delete-intent": "launched"}[l.Entry.Kind]
		if before != "" && !had[l.Entry.Burst+" "+before] {
			broken = append(broken, fmt.Sprintf("entry %d: %s without an earlier %s", l.Index, l.Entry.Kind, before))
		}
		had[l.Entry.Burst+" "+l.Entry.Kind] = true
	}
	return broken
}

// Spent is what the log says was spent by all that is settled.
func Spent(states []burst.State) policy.Money {
	sum := policy.Money{Currency: "USD"}
	for _, s := range states {
		if more, err := sum.Plus(s.Spent()); err == nil {
			sum = more
		}
	}
	return sum
}
