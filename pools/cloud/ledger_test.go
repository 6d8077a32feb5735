package cloud_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud"
)

func usd(micros int64) policy.Money { return policy.Money{Micros: micros, Currency: "USD"} }

func TestTheLedgerDeniesOnAnyDoubt(t *testing.T) {
	l := cloud.NewLedger(map[string]policy.Money{"ml": usd(100), "none": {}})
	if err := l.Reserve("c-1", "ml", usd(60)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, claim, team string
		m                 policy.Money
	}{
		{"more than is left", "c-2", "ml", usd(41)},
		{"an unknown price", "c-2", "ml", policy.Money{}},
		{"nothing", "c-2", "ml", usd(0)},
		{"a negative amount", "c-2", "ml", usd(-5)},
		{"another currency", "c-2", "ml", policy.Money{Micros: 1, Currency: "EUR"}},
		{"a team nobody knows", "c-2", "ops", usd(1)},
		{"a team without a budget", "c-2", "none", usd(1)},
		{"no claim", "", "ml", usd(1)},
	} {
		if err := l.Reserve(c.claim, c.team, c.m); !errors.Is(err, cloud.ErrBudget) {
			t.Errorf("%s: %v, want %v", c.name, err, cloud.ErrBudget)
		}
	}
	if err := new(cloud.Ledger).Reserve("c-1", "ml", usd(1)); !errors.Is(err, cloud.ErrBudget) {
		t.Errorf("the zero ledger reserves: %v", err)
	}
	if got := l.Left("ml"); got != usd(40) {
		t.Errorf("left %v after refusals, want 40 micros", got)
	}
	if got := l.Left("ops"); got.Known() {
		t.Errorf("a team without a budget has %v left", got)
	}
}

func TestWhatIsRepeatedCountsOnce(t *testing.T) {
	l := cloud.NewLedger(map[string]policy.Money{"ml": usd(100)})
	for range 3 {
		if err := l.Reserve("c-1", "ml", usd(60)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := l.Settle("c-1", usd(10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Reserve("c-1", "ml", usd(60)); err != nil { // a replayed entry
		t.Error(err)
	}
	if reserved, spent := l.Totals(); reserved != usd(0) || spent != usd(10) || l.Left("ml") != usd(90) {
		t.Errorf("reserved %v, spent %v, left %v", reserved, spent, l.Left("ml"))
	}
	for name, err := range map[string]error{
		"another amount":           l.Reserve("c-1", "ml", usd(61)),
		"another team":             l.Reserve("c-1", "ops", usd(60)),
		"settling twice":           l.Settle("c-1", usd(11)),
		"settling a stranger":      l.Settle("c-9", usd(1)),
		"settling below nothing":   l.Settle("c-1", usd(-1)),
		"settling at the unknown":  l.Settle("c-1", policy.Money{}),
		"settling in other money":  l.Settle("c-1", policy.Money{Micros: 10, Currency: "EUR"}),
		"replaying another amount": l.Replay("c-1", "ml", usd(1)),
	} {
		if err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestAnOverrunIsRecordedAndDeniesWhatFollows(t *testing.T) {
	l := cloud.NewLedger(map[string]policy.Money{"ml": usd(100)})
	if err := errors.Join(l.Reserve("c-1", "ml", usd(90)), l.Settle("c-1", usd(120))); err != nil {
		t.Fatal(err)
	}
	if got := l.Overruns(); len(got) != 1 || got[0] != (cloud.Overrun{Claim: "c-1", Team: "ml", By: usd(30)}) {
		t.Errorf("overruns %+v", got)
	}
	if err := l.Reserve("c-2", "ml", usd(1)); !errors.Is(err, cloud.ErrBudget) || l.Left("ml") != usd(-20) {
		t.Errorf("after an overrun: %v, %v left", err, l.Left("ml"))
	}
}

func TestReplayCountsWhatABudgetCutNoLongerAllows(t *testing.T) {
	l := cloud.NewLedger(map[string]policy.Money{"ml": usd(10)})
	if err := l.Replay("c-1", "ml", usd(60)); err != nil {
		t.Fatal(err)
	}
	if reserved, _ := l.Totals(); reserved != usd(60) {
		t.Errorf("reserved %v", reserved)
	}
	if err := l.Reserve("c-2", "ml", usd(1)); !errors.Is(err, cloud.ErrBudget) {
		t.Errorf("reserve over a cut budget: %v", err)
	}
}

// entry is what a log would hold of one ledger call that succeeded.
type entry struct {
	claim, team string
	m           policy.Money
	settle      bool
}

// TestI3ReservedAndSpentStayWithinTheBudget interleaves callers, repeats calls,
// and rebuilds the ledger from its log at random points, as a crash does.
func TestI3ReservedAndSpentStayWithinTheBudget(t *testing.T) {
	budgets := map[string]policy.Money{"ml": usd(1000), "ops": usd(300)}
	for seed := range uint64(60) {
		var (
			mu  sync.Mutex
			log []entry
			wg  sync.WaitGroup
		)
		l := cloud.NewLedger(budgets)
		for worker := range uint64(4) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, worker))
				for range 60 {
					e := entry{claim: fmt.Sprint("c-", r.IntN(30)), settle: r.IntN(2) == 0}
					e.team = []string{"ml", "ops"}[r.IntN(2)]
					e.m = usd(1 + r.Int64N(200))
					if e.settle {
						e.m = usd(r.Int64N(40)) // within every reservation that is ever made below
					} else {
						e.m.Micros += 40
					}
					mu.Lock() // one log, as in the controller; the ledger itself is also raced below
					if apply(l, e) == nil {
						log = append(log, e)
					}
					mu.Unlock()
					within(t, l, budgets)
				}
			})
		}
		wg.Wait()
		again := cloud.NewLedger(budgets)
		for _, e := range append(log, log...) { // a replay, and every entry heard twice
			if err := apply(again, e); err != nil {
				t.Fatalf("seed %d: replay %+v: %v", seed, e, err)
			}
			within(t, again, budgets)
		}
		r1, s1 := l.Totals()
		r2, s2 := again.Totals()
		if r1 != r2 || s1 != s2 {
			t.Fatalf("seed %d: crashed and replayed to %v, %v; ran to %v, %v", seed, r2, s2, r1, s1)
		}
	}
}

// apply makes the call that e records.
func apply(l *cloud.Ledger, e entry) error {
	if e.settle {
		return l.Settle(e.claim, e.m)
	}
	return l.Reserve(e.claim, e.team, e.m)
}

// within checks invariant I3 over all teams.
func within(t *testing.T, l *cloud.Ledger, budgets map[string]policy.Money) {
	t.Helper()
	for team := range budgets {
		if left := l.Left(team); !left.Known() || left.Micros < 0 {
			t.Errorf("team %s has %v left", team, left)
		}
	}
	reserved, spent := l.Totals()
	if sum, err := reserved.Plus(spent); err != nil || sum.Micros > 1300 {
		t.Errorf("reserved %v + spent %v exceed the budgets, %v", reserved, spent, err)
	}
}

func TestRacingReservationsShareWhatIsLeft(t *testing.T) {
	l := cloud.NewLedger(map[string]policy.Money{"ml": usd(100)})
	var (
		wg sync.WaitGroup
		ok = make([]bool, 40)
	)
	for i := range ok {
		wg.Go(func() { ok[i] = l.Reserve(fmt.Sprint("c-", i), "ml", usd(30)) == nil })
	}
	wg.Wait()
	won := 0
	for _, o := range ok {
		if o {
			won++
		}
	}
	if won != 3 || l.Left("ml") != usd(10) {
		t.Errorf("%d reservations of 30 out of 100, %v left", won, l.Left("ml"))
	}
}
