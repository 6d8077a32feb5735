package cloud_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud"
)

const day = "2026-10-03"

func usd(micros int64) policy.Money { return policy.Money{Micros: micros, Currency: "USD"} }

// charge is what a claim's first attempt costs a team.
func charge(claim, team string, m policy.Money) policy.Charge {
	return policy.Charge{Claim: claim, Attempt: 1, Team: team, Day: day, Within: usd(1e9), Amount: m}
}

// teams are budgets all told.
func teams(limits map[string]policy.Money) *cloud.Ledger {
	var bs []policy.Budget
	for team, limit := range limits {
		bs = append(bs, policy.Budget{Team: team, Limit: limit})
	}
	return cloud.NewLedger(bs)
}

func left(l *cloud.Ledger, c policy.Charge) policy.Money {
	m, _ := l.Left(c)
	return m
}

func TestTheLedgerDeniesOnAnyDoubt(t *testing.T) {
	l := teams(map[string]policy.Money{"ml": usd(100), "none": {}})
	if err := l.Reserve(charge("c-1", "ml", usd(60))); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*policy.Charge)) policy.Charge {
		c := charge("c-2", "ml", usd(1))
		change(&c)
		return c
	}
	for name, c := range map[string]policy.Charge{
		"more than is left":       charge("c-2", "ml", usd(41)),
		"an unknown price":        charge("c-2", "ml", policy.Money{}),
		"nothing":                 charge("c-2", "ml", usd(0)),
		"a negative amount":       charge("c-2", "ml", usd(-5)),
		"another currency":        charge("c-2", "ml", policy.Money{Micros: 1, Currency: "EUR"}),
		"a team nobody knows":     charge("c-2", "ops", usd(1)),
		"a team without a limit":  charge("c-2", "none", usd(1)),
		"no claim":                charge("", "ml", usd(1)),
		"no team":                 charge("c-2", "", usd(1)),
		"no attempt":              with(func(c *policy.Charge) { c.Attempt = 0 }),
		"no day":                  with(func(c *policy.Charge) { c.Day = "" }),
		"no such day":             with(func(c *policy.Charge) { c.Day = "2026-02-30" }),
		"a job without a budget":  with(func(c *policy.Charge) { c.Within = policy.Money{} }),
		"a job's other currency":  with(func(c *policy.Charge) { c.Within = policy.Money{Micros: 9, Currency: "EUR"} }),
		"more than the job wants": with(func(c *policy.Charge) { c.Amount, c.Within = usd(2), usd(1) }),
	} {
		if err := l.Reserve(c); !errors.Is(err, cloud.ErrBudget) {
			t.Errorf("%s: %v, want %v", name, err, cloud.ErrBudget)
		}
	}
	if err := new(cloud.Ledger).Reserve(charge("c-1", "ml", usd(1))); !errors.Is(err, cloud.ErrBudget) {
		t.Errorf("the zero ledger reserves: %v", err)
	}
	twice := cloud.NewLedger([]policy.Budget{{Team: "ml", Limit: usd(9)}, {Team: "ml", Limit: usd(9)}})
	if err := twice.Reserve(charge("c-1", "ml", usd(1))); !errors.Is(err, cloud.ErrBudget) {
		t.Errorf("a budget that is there twice: %v", err)
	}
	if got := left(l, charge("c-9", "ml", usd(1))); got != usd(40) {
		t.Errorf("left %v after refusals, want 40 micros", got)
	}
	if got := left(l, charge("c-9", "ops", usd(1))); got.Known() {
		t.Errorf("a team without a budget has %v left", got)
	}
}

func TestWhatIsRepeatedCountsOnce(t *testing.T) {
	l := teams(map[string]policy.Money{"ml": usd(100)})
	c := charge("c-1", "ml", usd(60))
	for range 3 {
		if err := errors.Join(l.Reserve(c), l.Replay(c)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := l.Settle("c-1", 1, usd(10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Reserve(c), l.Replay(c)); err != nil { // a replayed entry
		t.Error(err)
	}
	rest := left(l, charge("c-2", "ml", usd(1)))
	if reserved, spent := l.Totals(); reserved != usd(0) || spent != usd(10) || rest != usd(90) {
		t.Errorf("reserved %v, spent %v, left %v", reserved, spent, rest)
	}
	for name, err := range map[string]error{
		"another amount":           l.Reserve(charge("c-1", "ml", usd(61))),
		"another team":             l.Reserve(charge("c-1", "ops", usd(60))),
		"settling twice":           l.Settle("c-1", 1, usd(11)),
		"settling a stranger":      l.Settle("c-9", 1, usd(1)),
		"settling another attempt": l.Settle("c-1", 2, usd(1)),
		"settling below nothing":   l.Settle("c-1", 1, usd(-1)),
		"settling at the unknown":  l.Settle("c-1", 1, policy.Money{}),
		"settling in other money":  l.Settle("c-1", 1, policy.Money{Micros: 10, Currency: "EUR"}),
		"replaying another amount": l.Replay(charge("c-1", "ml", usd(1))),
	} {
		if err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestWhatWasNeverEnteredGivesWayToTheNextTry(t *testing.T) {
	l := teams(map[string]policy.Money{"ml": usd(100)})
	tomorrow := charge("c-1", "ml", usd(70))
	tomorrow.Day = "2026-10-04"
	if err := errors.Join(l.Reserve(charge("c-1", "ml", usd(60))), l.Reserve(tomorrow)); err != nil {
		t.Fatal(err)
	}
	if got := left(l, charge("c-2", "ml", usd(1))); got != usd(30) {
		t.Errorf("%v left, want 30 micros", got)
	}
}

func TestAReservationFitsEveryBudgetItConcernsOrCountsAgainstNone(t *testing.T) {
	l := cloud.NewLedger([]policy.Budget{
		{Limit: usd(1000)}, {Team: "ml", Limit: usd(500)}, {Team: "ml", Period: policy.Monthly, Limit: usd(300)},
		{Team: "ml", Period: policy.Daily, Limit: usd(100)}, {Team: "ml", Period: policy.PerBurst, Limit: usd(80)},
		{Queue: "night", Period: policy.Daily, Limit: usd(50)},
	})
	at := func(claim, day, queue string, attempt int, m int64) policy.Charge {
		return policy.Charge{Claim: claim, Attempt: attempt, Team: "ml", Queue: queue, Day: day, Within: usd(90),
			Amount: usd(m)}
	}
	for _, c := range []struct {
		charge policy.Charge
		denies string // the account that does, "" if none
	}{
		{at("c-1", "2026-10-03", "", 1, 81), "team ml, burst c-1"},
		{at("c-1", "2026-10-03", "", 1, 70), ""},
		{at("c-1", "2026-10-03", "", 2, 11), "team ml, burst c-1"}, // of both attempts
		{at("c-2", "2026-10-03", "", 1, 31), "team ml, day 2026-10-03"},
		{at("c-2", "2026-10-04", "night", 1, 51), "queue night, day 2026-10-04"},
		{at("c-2", "2026-10-04", "night", 1, 50), ""},
		{at("c-3", "2026-10-04", "night", 1, 1), "queue night, day 2026-10-04"},
		{at("c-3", "2026-10-04", "", 1, 50), ""},
		{at("c-4", "2026-10-05", "", 1, 80), ""},
		{at("c-5", "2026-10-06", "", 1, 51), "team ml, month 2026-10"},
		{at("c-5", "2026-11-01", "", 1, 51), ""},
	} {
		err := l.Reserve(c.charge)
		if c.denies == "" && err != nil {
			t.Errorf("%+v: %v", c.charge, err)
		}
		if c.denies != "" && (!errors.Is(err, cloud.ErrBudget) || !strings.Contains(err.Error(), c.denies)) {
			t.Errorf("%+v: %v, want a refusal by %s", c.charge, err, c.denies)
		}
	}
	if reserved, _ := l.Totals(); reserved != usd(301) {
		t.Errorf("reserved %v, want 301 micros", reserved)
	}
	// It is settled where it was reserved, however late.
	if err := l.Settle("c-1", 1, usd(10)); err != nil {
		t.Fatal(err)
	}
	if got, of := l.Left(at("c-9", "2026-10-03", "", 1, 1)); got != usd(80) || of != "team ml, burst c-9" {
		t.Errorf("%v left of %s", got, of)
	}
	if got := l.Levels("2026-10-03"); len(got) != 4 || got[0].Account != "team ml, month 2026-10" || got[0].Percent != 63 {
		t.Errorf("levels %+v", got)
	}
}

func TestAnOverrunIsRecordedAndDeniesWhatFollows(t *testing.T) {
	l := teams(map[string]policy.Money{"ml": usd(100)})
	if err := errors.Join(l.Reserve(charge("c-1", "ml", usd(90))), l.Settle("c-1", 1, usd(120))); err != nil {
		t.Fatal(err)
	}
	want := cloud.Overrun{Claim: "c-1", Attempt: 1, Team: "ml", By: usd(30)}
	if got := l.Overruns(); len(got) != 1 || got[0] != want {
		t.Errorf("overruns %+v", got)
	}
	next := charge("c-2", "ml", usd(1))
	if err := l.Reserve(next); !errors.Is(err, cloud.ErrBudget) || left(l, next) != usd(-20) {
		t.Errorf("after an overrun: %v, %v left", err, left(l, next))
	}
}

func TestReplayCountsWhatABudgetCutNoLongerAllows(t *testing.T) {
	l := teams(map[string]policy.Money{"ml": usd(10)})
	if err := l.Replay(charge("c-1", "ml", usd(60))); err != nil {
		t.Fatal(err)
	}
	if reserved, _ := l.Totals(); reserved != usd(60) {
		t.Errorf("reserved %v", reserved)
	}
	if err := l.Reserve(charge("c-2", "ml", usd(1))); !errors.Is(err, cloud.ErrBudget) {
		t.Errorf("reserve over a cut budget: %v", err)
	}
}

func TestRacingReservationsShareWhatIsLeft(t *testing.T) {
	l := teams(map[string]policy.Money{"ml": usd(100)})
	var (
		wg sync.WaitGroup
		ok = make([]bool, 40)
	)
	for i := range ok {
		wg.Go(func() { ok[i] = l.Reserve(charge(fmt.Sprint("c-", i), "ml", usd(30))) == nil })
	}
	wg.Wait()
	won := 0
	for _, o := range ok {
		if o {
			won++
		}
	}
	if got := left(l, charge("c-x", "ml", usd(1))); won != 3 || got != usd(10) {
		t.Errorf("%d reservations of 30 out of 100, %v left", won, got)
	}
}
