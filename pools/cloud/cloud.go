// Package cloud keeps many clouds in order: which driver, how much money, what to sweep.
//
// # Three small things
//
// A [Fleet] sends each call to the driver of its provider and looks like one
// driver itself. A [Ledger] holds every team's budget and reserves the worst
// case before anything is launched. [Sweep] says which listed nodes nobody
// should be paying for any more. None of them does I/O of its own: the fleet
// calls the drivers it was given, the ledger is a fold of the log, and the
// sweep is a pure function.
//
// # Non-goals
//
// No shared base for drivers, no retries and no throttling: each driver knows
// its own cloud. The ledger does not persist anything; replay the log into a
// new one.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/burstctl/burstctl/pools"
)

// Fleet is several clouds by provider name ("aws", "azure"). It keeps the
// contract of [pools.Driver]. One driver may stand under several names; it then
// answers under each for the nodes of that provider. The zero Fleet refuses
// every launch and lists nothing.
type Fleet map[string]pools.Driver

var _ pools.Driver = Fleet(nil)

// Launch routes by the provider that the offer names. A provider without a
// driver is [pools.ErrRefused].
func (f Fleet) Launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	d, ok := f[l.Offer.At.Provider]
	if !ok {
		return pools.Node{}, fmt.Errorf("launch at %v: no driver for provider %q: %w",
			l.Offer.At, l.Offer.At.Provider, pools.ErrRefused)
	}
	return d.Launch(ctx, l)
}

// List is the nodes of every provider, or the error of the first one that
// cannot be listed: half a list reads as "gone" and is worse than none. A node
// at a provider the fleet does not have is an error too.
func (f Fleet) List(ctx context.Context) ([]pools.Node, error) {
	var all []pools.Node
	for _, provider := range slices.Sorted(maps.Keys(f)) {
		nodes, err := f[provider].List(ctx)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", provider, err)
		}
		for _, n := range nodes {
			switch _, ok := f[n.At.Provider]; {
			case !ok:
				return nil, fmt.Errorf("list %s: node %s is at provider %q, which has no driver here",
					provider, n.ID, n.At.Provider)
			case n.At.Provider == provider:
				all = append(all, n)
			}
		}
	}
	return all, nil
}

// Delete ends a node. The id "aws/i-0123" goes to one provider; a bare id is
// asked of every provider, and is gone only when all of them say so.
func (f Fleet) Delete(ctx context.Context, id string) error {
	if provider, bare, ok := strings.Cut(id, "/"); ok && f[provider] != nil {
		return f[provider].Delete(ctx, bare)
	}
	heard, doubts := false, []error(nil)
	for _, provider := range slices.Sorted(maps.Keys(f)) {
		switch err := f[provider].Delete(ctx, id); {
		case err == nil:
			heard = true
		case !errors.Is(err, pools.ErrGone):
			doubts = append(doubts, fmt.Errorf("delete %s at %s: %w", id, provider, err))
		}
	}
	switch {
	case heard:
		return nil
	case len(doubts) > 0:
		return errors.Join(doubts...)
	}
	return fmt.Errorf("delete %s: %w", id, pools.ErrGone)
}
