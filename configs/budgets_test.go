package configs_test

import (
	"slices"
	"testing"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/policy"
)

func TestEveryAmountOfTheExampleIsABudget(t *testing.T) {
	c, err := configs.ReadController("controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	usd := func(whole int64) policy.Money { return policy.Money{Micros: whole * 1e6, Currency: "USD"} }
	want := []policy.Budget{
		{Team: "actuarial", Limit: usd(25)}, {Team: "research", Limit: usd(100)},
		{Team: "research", Period: policy.Monthly, Limit: usd(40)}, {Team: "research", Period: policy.Daily, Limit: usd(10)},
		{Team: "research", Period: policy.PerBurst, Limit: usd(5)},
		{Queue: "night", Period: policy.Daily, Limit: usd(20)}, {Period: policy.Monthly, Limit: usd(120)},
	}
	if got := c.Limits(); !slices.Equal(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if got := policy.MaxPrice(c.MaxPrices(), "research"); got != usd(4) {
		t.Errorf("research may pay %v an hour", got)
	}
	if got := policy.MaxPrice(c.MaxPrices(), "actuarial"); got.Known() {
		t.Errorf("actuarial may pay %v an hour, and nobody said so", got)
	}
	if !slices.Equal(c.Spending.Alerts, []int{50, 80, 100}) {
		t.Errorf("alerts at %v", c.Spending.Alerts)
	}
}
