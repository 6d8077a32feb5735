package policy

import (
	"strings"
	"testing"
)

func TestAMachineMayCostNoMoreAnHourThanTheJobAndItsTeamAllow(t *testing.T) {
	for name, c := range map[string]struct {
		job, team Money
		plan      string
		why       string
	}{
		"no bound":               {plan: "aws/eu-a g5"},
		"exactly the price":      {job: usd(5e6), team: usd(5e6), plan: "aws/eu-a g5"},
		"the job allows less":    {job: usd(5e6 - 1), why: "the job allows 4.9999 USD"},
		"the team may pay less":  {job: usd(9e6), team: usd(4e6), why: "team fraud may pay 4.0000 USD"},
		"a bound in other money": {job: Money{Micros: 9e6, Currency: "EUR"}, why: "the job allows"},
	} {
		r, w := request(), world(offer("eu-a", 5))
		r.Job.MaxPrice, w.MaxPrice = c.job, c.team
		d := Decide(r, w)
		if c.plan != "" && (d.Plan == nil || d.Plan.Offer.Key() != c.plan) {
			t.Errorf("%s: %+v", name, d.Refusal)
		}
		if s := d.Candidates[0].Strike; c.why != "" && (s == nil || s.Kind != "price" || !strings.Contains(s.Why, c.why)) {
			t.Errorf("%s: struck out by %+v", name, s)
		}
	}
}

func TestABudgetThatDeniesIsNamed(t *testing.T) {
	r, w := request(), world(offer("eu-a", 5))
	w.Left, w.LeftOf = usd(1), "team ml, day 2026-10-03"
	s := Decide(r, w).Candidates[0].Strike
	if s == nil || !strings.Contains(s.Why, w.LeftOf+" has 0.0000 USD left") {
		t.Errorf("struck out by %+v", s)
	}
}
