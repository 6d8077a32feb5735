package cloud_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud"
)

// entry is what a log holds of one ledger call that succeeded.
type entry struct {
	charge  policy.Charge
	spent   policy.Money
	settles bool
}

// house is a controller that may die at any time: a log, and a ledger that is
// nothing but a fold of it. Its own sums, of the log, are the reference.
type house struct {
	t       *testing.T
	budgets []policy.Budget
	mu      sync.Mutex // held while entering, as a log is written by one
	log     []entry
	open    []policy.Charge // entered and not settled
	ledger  *cloud.Ledger
	life    int // counts crashes
	held    map[string]int64
	over    map[string]int64 // by account: what the cloud billed past a lease
	counts  map[string]int
}

func newHouse(t *testing.T, budgets []policy.Budget) *house {
	return &house{t: t, budgets: budgets, ledger: cloud.NewLedger(budgets), held: map[string]int64{},
		over: map[string]int64{}, counts: map[string]int{}}
}

// now is the ledger of this life, and which life it is.
func (h *house) now() (*cloud.Ledger, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ledger, h.life
}

// reserve plans a charge: reserved, then entered, unless the house died between.
func (h *house) reserve(c policy.Charge) {
	l, life := h.now()
	if err := l.Reserve(c); err != nil {
		if !errors.Is(err, cloud.ErrBudget) {
			h.t.Errorf("reserve %+v: %v", c, err)
		}
		h.count("refused")
		return
	}
	runtime.Gosched()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life != life {
		h.counts["lost"]++ // it was never entered: the next life knows nothing of it
		return
	}
	h.log, h.open = append(h.log, entry{charge: c}), append(h.open, c)
	h.counts["reserved"]++
	if err := errors.Join(l.Replay(c), l.Replay(c)); err != nil {
		h.t.Errorf("replay %+v: %v", c, err)
	}
	h.add(c, c.Amount.Micros, 0)
}

// settle ends one open charge at a share of what was reserved, in percent: above 100
// the cloud billed longer than the lease.
func (h *house) settle(pick, percent int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.open) == 0 {
		return
	}
	i := int(pick) % len(h.open)
	c := h.open[i]
	h.open = append(h.open[:i], h.open[i+1:]...)
	e := entry{charge: c, spent: usd(c.Amount.Micros * percent / 100), settles: true}
	h.log = append(h.log, e)
	h.counts["settled"]++
	if e.spent.Micros > c.Amount.Micros {
		h.counts["overrun"]++
	}
	h.add(c, e.spent.Micros-c.Amount.Micros, max(e.spent.Micros-c.Amount.Micros, 0))
	for range 2 { // and once more, as a retry would
		if err := h.ledger.Settle(c.Claim, c.Attempt, e.spent); err != nil {
			h.t.Errorf("settle %+v: %v", e, err)
		}
	}
}

// crash folds the log into a new ledger; entries may be heard twice.
func (h *house) crash() {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := cloud.NewLedger(h.budgets)
	for range 2 {
		for _, e := range h.log {
			err := next.Replay(e.charge)
			if e.settles {
				err = next.Settle(e.charge.Claim, e.charge.Attempt, e.spent)
			}
			if err != nil {
				h.t.Errorf("replay %+v: %v", e, err)
			}
		}
	}
	h.ledger = next
	h.life++
}

// add keeps the reference sums, and checks I3 on them: what is entered never
// passes a budget but by what the cloud billed too much.
func (h *house) add(c policy.Charge, held, over int64) {
	for _, b := range h.budgets {
		if !b.Concerns(c) {
			continue
		}
		a := b.Account(c)
		h.held[a] += held
		h.over[a] += over
		if h.held[a] > b.Limit.Micros+h.over[a] {
			h.t.Errorf("%s holds %d of %v, %d of it overrun", a, h.held[a], b.Limit, h.over[a])
		}
	}
}

func (h *house) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[what]++
}

// within checks I3 on the living ledger, at any instant. The overruns are read
// after what is left: they only grow.
func (h *house) within(c policy.Charge) {
	l, _ := h.now()
	left, account := l.Left(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	var worst int64
	for _, b := range h.budgets {
		if b.Concerns(c) {
			worst = max(worst, h.over[b.Account(c)])
		}
	}
	if !left.Known() || left.Micros < -worst {
		h.t.Errorf("%s has %v left, %d overrun", account, left, worst)
	}
}

// TestI3ReservedAndSpentStayWithinEveryBudget interleaves callers, repeats
// calls, moves prices and days, lets the cloud bill longer than a lease, and
// lets the controller die at random points.
func TestI3ReservedAndSpentStayWithinEveryBudget(t *testing.T) {
	budgets := []policy.Budget{
		{Limit: usd(6000)}, {Period: policy.Daily, Limit: usd(1500)},
		{Team: "ml", Limit: usd(4000)}, {Team: "ml", Period: policy.Monthly, Limit: usd(1900)},
		{Team: "ml", Period: policy.Daily, Limit: usd(700)}, {Team: "ml", Period: policy.PerBurst, Limit: usd(240)},
		{Team: "ops", Period: policy.Daily, Limit: usd(300)}, {Queue: "night", Period: policy.Daily, Limit: usd(250)},
	}
	total := map[string]int{}
	for seed := range uint64(40) {
		h := newHouse(t, budgets)
		var wg sync.WaitGroup
		for worker := range uint64(6) {
			wg.Go(func() { work(h, rand.New(rand.NewPCG(seed, worker)), worker) })
		}
		wg.Wait()
		lived := h.ledger
		h.crash()
		for _, b := range budgets { // what is left is the same after a crash
			for _, d := range days {
				c := policy.Charge{Claim: "c-new", Attempt: 1, Team: b.Team, Queue: b.Queue, Day: d, Within: usd(1e9)}
				before, _ := lived.Left(c)
				if after, _ := h.ledger.Left(c); before != after {
					t.Fatalf("seed %d: %+v had %v left and has %v after a crash", seed, c, before, after)
				}
			}
		}
		if len(h.ledger.Overruns()) != h.counts["overrun"] {
			t.Errorf("seed %d: %d overruns shown of %d", seed, len(h.ledger.Overruns()), h.counts["overrun"])
		}
		for k, n := range h.counts {
			total[k] += n
		}
	}
	t.Logf("%v", total)
	for _, k := range []string{"reserved", "refused", "settled", "overrun"} {
		if total[k] == 0 {
			t.Errorf("nothing was ever %s: the test tests nothing", k)
		}
	}
}

var days = []string{"2026-10-30", "2026-10-31", "2026-11-01"}

// work is what one caller does.
func work(h *house, r *rand.Rand, worker uint64) {
	for i := range 80 {
		c := policy.Charge{Claim: fmt.Sprintf("c-%d-%d", worker, i/3), Attempt: 1 + i%3,
			Team: []string{"ml", "ops"}[r.IntN(2)], Queue: []string{"", "night"}[r.IntN(2)],
			Day: days[r.IntN(3)], Within: usd(400), Amount: usd(1 + r.Int64N(200))} // the price of the day
		switch n := r.IntN(20); {
		case n < 11:
			h.reserve(c)
		case n < 19:
			percent := r.Int64N(101)
			if r.IntN(15) == 0 {
				percent = 101 + r.Int64N(60)
			}
			h.settle(r.Int64N(1<<30), percent)
		default:
			h.crash()
		}
		h.within(c)
	}
}
