package perform

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency/audit"
)

// ErrBudgetAlert is logged with a budget that passed one of its thresholds. It
// stops nothing.
var ErrBudgetAlert = errors.New("a budget has passed a threshold")

// Alert says that reserved and spent money of an account reached a threshold,
// the highest one reached; lower ones are not said any more. Entered as kind
// "budget-alert", code 0108, once a threshold and period.
type Alert struct {
	Threshold int `json:"threshold"` // percent
	policy.Level
}

// raised is the highest threshold that was entered for each account.
type raised struct {
	mu sync.Mutex
	at map[string]int
}

// alert enters every threshold that accounts of these days have reached since
// it was last asked. What was missed by a crash is entered by the next start.
func (e *Engine) alert(days ...string) {
	e.raised.mu.Lock()
	defer e.raised.mu.Unlock()
	for _, day := range days {
		for _, l := range e.Ledger.Levels(day) {
			at := reached(e.Alerts, l.Percent)
			if at <= e.raised.at[l.Account] {
				continue
			}
			if err := e.house("0108", "budget-alert", controller, Alert{at, l}); err != nil {
				e.Logger.Error("budget alert not entered", "account", l.Account, "error", err)
				return
			}
			e.raised.set(l.Account, at)
			e.Logger.Warn("budget alert", "account", l.Account, "percent", l.Percent, "threshold", at,
				"held", l.Held.String(), "limit", l.Limit.String(), "error", ErrBudgetAlert)
		}
	}
}

// set remembers a threshold, with the lock held or before anybody else runs.
func (r *raised) set(account string, at int) {
	if r.at == nil {
		r.at = map[string]int{}
	}
	r.at[account] = max(at, r.at[account])
}

// reached is the highest threshold that percent has reached; 0 is none.
func reached(thresholds []int, percent int64) int {
	highest := 0
	for _, t := range slices.Sorted(slices.Values(thresholds)) {
		if t > 0 && int64(t) <= percent {
			highest = t
		}
	}
	return highest
}

// foldAlert remembers what was said before.
func (e *Engine) foldAlert(leaf audit.Leaf) error {
	var a Alert
	if err := audit.DecodeStrict(leaf.Entry.Body, &a); err != nil {
		return fmt.Errorf("fold entry %d: %w", leaf.Index, err)
	}
	e.raised.set(a.Account, a.Threshold)
	return nil
}

// missedAlerts enters those that the crash of a controller may have lost.
func (e *Engine) missedAlerts() {
	now := time.Now()
	e.alert(policy.Day(now.AddDate(0, 0, -1)), policy.Day(now))
}
