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

// ErrStrangers says that more nodes carry our tags than the log could have
// forgotten: it is the log that is not believed then, and they are left alone.
var ErrStrangers = errors.New("too many nodes are unknown to the log")

// SweepOptions are the brakes of a sweep. The zero value sweeps nothing.
type SweepOptions struct {
	// Grace is how long after its launch (a node that is over or unknown) or its
	// expiry a node is left to those who should end it. It must be positive.
	Grace time.Duration
	// Expected is how many nodes the last complete listing showed that nobody
	// has since proved gone. An empty listing is an error while it is not 0.
	Expected int
}

// Doomed is a node that nobody should pay for, and why. Made by [Sweep] and
// [Reap].
type Doomed struct {
	pools.Node
	Why string `json:"why"` // "expired", "over" or "unknown"
}

// Sweep says which of the listed nodes to delete now, oldest first. It takes
// only nodes that carry our claim and attempt, and of those only what is over,
// expired or unknown to the log, each past its grace; a node that is alive and
// not expired is never taken. At most a fifth of the listing goes at a time,
// but three may always go; if more than that are unknown, none of the unknown
// does ([ErrStrangers], and the others go all the same): a log that was lost
// must not end a fleet. The listing must be complete.
func Sweep(listed []pools.Node, known func(claim string, attempt int) Life, now time.Time,
	opts SweepOptions) ([]Doomed, error) {
	if opts.Grace <= 0 || now.IsZero() || known == nil {
		return nil, errors.New("sweep: needs a grace, the time and what the log knows")
	}
	if len(listed) == 0 && opts.Expected > 0 {
		return nil, fmt.Errorf("sweep: empty, but %d nodes are not proved gone: %w", opts.Expected, ErrListing)
	}
	var doomed, strangers []Doomed
	for _, n := range listed {
		switch why := ended(n, known, now, opts.Grace); why {
		case "":
		case "unknown":
			strangers = append(strangers, Doomed{n, why})
		default:
			doomed = append(doomed, Doomed{n, why})
		}
	}
	most := max(3, len(listed)/5)
	var err error
	if len(strangers) > most {
		err = fmt.Errorf("sweep: %d of %d nodes: %w", len(strangers), len(listed), ErrStrangers)
		strangers = nil
	}
	doomed = append(doomed, strangers...)
	oldestFirst(doomed)
	return doomed[:min(len(doomed), most)], err
}

// ended says why nobody should pay for n any more, or "".
func ended(n pools.Node, known func(string, int) Life, now time.Time, grace time.Duration) string {
	if n.Claim == "" || n.Attempt <= 0 {
		return "" // not ours
	}
	if expired(n, now, grace) {
		return "expired"
	}
	life := known(n.Claim, n.Attempt)
	if life == Alive || n.Launched.IsZero() || !now.After(n.Launched.Add(grace)) {
		return ""
	}
	if life == Over {
		return "over"
	}
	return "unknown"
}

// expired reports whether n's lease ended longer ago than grace.
func expired(n pools.Node, now time.Time, grace time.Duration) bool {
	return !n.Expires.IsZero() && now.After(n.Expires.Add(grace))
}

// Reap says which of the listed nodes to delete, going by the expiry they carry
// and nothing else: it is the last layer, for whoever has the account and no log.
// A node without an expiry is none of its business. Grace must be positive.
func Reap(listed []pools.Node, now time.Time, grace time.Duration) ([]Doomed, error) {
	if grace <= 0 || now.IsZero() {
		return nil, errors.New("reap: needs a grace and the time")
	}
	var doomed []Doomed
	for _, n := range listed {
		if expired(n, now, grace) {
			doomed = append(doomed, Doomed{n, "expired"})
		}
	}
	oldestFirst(doomed)
	return doomed, nil
}

func oldestFirst(d []Doomed) {
	slices.SortFunc(d, func(a, b Doomed) int {
		return cmp.Or(a.Launched.Compare(b.Launched), cmp.Compare(a.ID, b.ID))
	})
}
