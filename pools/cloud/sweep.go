package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// Life is what the log knows of one attempt of a claim.
type Life int

// The lives of an attempt. The zero Life is Unknown: the log has no intent.
const (
	Unknown Life = iota
	Alive        // entered, and not yet at its end
	Over         // at its end: nobody needs the node
)

// ErrListing says that a listing cannot be believed: nothing may be concluded
// from it and nothing deleted.
var ErrListing = errors.New("listing cannot be believed")

// SweepOptions are the brakes of a sweep. The zero value sweeps nothing.
type SweepOptions struct {
	// Grace is how long after its launch (a node that is over or unknown) or its
	// expiry a node is left to those who should end it. It must be positive.
	Grace time.Duration
	// Expected is how many nodes the last complete listing showed that nobody
	// has since proved gone. An empty listing is an error while it is not 0.
	Expected int
}

// Sweep says which of the listed nodes to delete now, oldest first. It takes
// only nodes that carry our claim and attempt, and of those only what is over,
// expired or unknown to the log, each past its grace; a node that is alive and
// not expired is never taken. At most a fifth of the listing goes at a time,
// but three may always go. The listing must be complete.
func Sweep(listed []pools.Node, known func(claim string, attempt int) Life, now time.Time,
	opts SweepOptions) ([]pools.Node, error) {
	if opts.Grace <= 0 || now.IsZero() || known == nil {
		return nil, errors.New("sweep: needs a grace, the time and what the log knows")
	}
	if len(listed) == 0 && opts.Expected > 0 {
		return nil, fmt.Errorf("sweep: empty, but %d nodes are not proved gone: %w", opts.Expected, ErrListing)
	}
	var doomed []pools.Node
	for _, n := range listed {
		if n.Claim != "" && n.Attempt > 0 && ended(n, known(n.Claim, n.Attempt), now, opts.Grace) {
			doomed = append(doomed, n)
		}
	}
	slices.SortFunc(doomed, func(a, b pools.Node) int {
		return cmp.Or(a.Launched.Compare(b.Launched), cmp.Compare(a.ID, b.ID))
	})
	return doomed[:min(len(doomed), max(3, len(listed)/5))], nil
}

// ended reports whether nobody should pay for n any more.
func ended(n pools.Node, life Life, now time.Time, grace time.Duration) bool {
	if !n.Expires.IsZero() && now.After(n.Expires.Add(grace)) {
		return true
	}
	return life != Alive && !n.Launched.IsZero() && now.After(n.Launched.Add(grace))
}
