package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// offer is a machine at aws/NAME for so many dollars an hour.
func offer(name string, dollars int64) Offer {
	return Offer{At: residency.Address{Provider: "aws", Region: name}, Type: "g5", GPUs: 4,
		PerHour: usd(dollars * 1e6), AsOf: "2026-11-01"}
}

func request() Request {
	return Request{Job: Job{Team: "fraud", GPUs: 2, Budget: usd(100e6), Lease: time.Hour}}
}

// world offers these, clears all but places called us-…, and has 100 dollars left.
func world(offers ...Offer) World {
	return World{Offers: offers, Left: usd(100e6), MaxLease: 2 * time.Hour,
		Screen: func(a residency.Address) residency.Verdict {
			v := residency.Verdict{Allowed: !strings.HasPrefix(a.Region, "us-"), RulesDigest: "r", PlacesDigest: "p"}
			if !v.Allowed {
				v.Why, v.Rules = "not there", []residency.Rule{{ID: "eu-only", Title: "Stays", Basis: "GDPR Art. 44"}}
			}
			return v
		}}
}

func TestTheCheapestOfferThatNothingSpeaksAgainstIsPlanned(t *testing.T) {
	d := Decide(request(), world(offer("eu-dear", 9), offer("us-cheap", 1), offer("eu-fair", 5), offer("eu-alike", 5)))
	if d.Plan == nil || d.Plan.Offer.At.Region != "eu-alike" || d.Plan.Reserve != usd(5e6) || d.Plan.Lease != time.Hour {
		t.Fatalf("planned %+v", d.Plan)
	}
	if d.Plan.Why != "cheapest of 3 offers that nothing speaks against" || d.Rules != "r" || d.Places != "p" {
		t.Errorf("why %q, rules %q, places %q", d.Plan.Why, d.Rules, d.Places)
	}
	first := d.Candidates[0]
	if s := first.Strike; first.Offer.At.Region != "us-cheap" || s == nil || s.Kind != "residency" ||
		s.Rule != "eu-only" || s.Basis != "GDPR Art. 44" {
		t.Errorf("the cheapest of all: %+v, struck out by %+v", first.Offer, first.Strike)
	}
}

func TestEachDoubtStrikesAnOfferOut(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Request, *World)
		kind   string
	}{
		"no rules are loaded":           {func(_ *Request, w *World) { w.Screen = nil }, "residency"},
		"a rule forbids":                {func(_ *Request, w *World) { w.Offers[0].At.Region = "us-east" }, "residency"},
		"too few GPUs":                  {func(r *Request, _ *World) { r.Job.GPUs = 5 }, "size"},
		"no price":                      {func(_ *Request, w *World) { w.Offers[0].PerHour = Money{} }, "price"},
		"a price of nothing":            {func(_ *Request, w *World) { w.Offers[0].PerHour.Micros = 0 }, "price"},
		"a price below nothing":         {func(_ *Request, w *World) { w.Offers[0].PerHour.Micros = -1 }, "price"},
		"a price without its date":      {func(_ *Request, w *World) { w.Offers[0].AsOf = "" }, "price"},
		"a market nobody knows":         {func(_ *Request, w *World) { w.Offers[0].Market = "auction" }, "price"},
		"no lease":                      {func(r *Request, _ *World) { r.Job.Lease = 0 }, "price"},
		"no longest lease":              {func(_ *Request, w *World) { w.MaxLease = 0 }, "price"},
		"more than the job allows":      {func(r *Request, _ *World) { r.Job.Budget = usd(1) }, "budget"},
		"another currency than allowed": {func(r *Request, _ *World) { r.Job.Budget.Currency = "EUR" }, "budget"},
		"more than the team has":        {func(_ *Request, w *World) { w.Left = usd(5e6 - 1) }, "budget"},
		"a team without a budget":       {func(_ *Request, w *World) { w.Left = Money{} }, "budget"},
		"none to be had": {func(_ *Request, w *World) {
			w.Unavailable = map[string]string{w.Offers[0].Key(): "no capacity"}
		}, "capacity"},
	} {
		r, w := request(), world(offer("eu-fair", 5))
		tc.change(&r, &w)
		d := Decide(r, w)
		if d.Plan != nil || len(d.Candidates) != 1 || d.Candidates[0].Strike == nil {
			t.Errorf("%s: planned %+v", name, d)
			continue
		}
		if got := d.Candidates[0].Strike; got.Kind != tc.kind || got.Why == "" || d.Refusal != "1 offers: 1 "+tc.kind {
			t.Errorf("%s: struck out by %+v, refused for %q", name, got, d.Refusal)
		}
	}
}

func TestSpotAndOnDemandAreTwoOffersOfOneType(t *testing.T) {
	plain, named, spot := offer("eu-a", 5), offer("eu-a", 5), offer("eu-a", 2)
	named.Market, spot.Market = OnDemand, Spot
	if plain.Key() != "aws/eu-a g5" || named.Key() != plain.Key() || spot.Key() != "aws/eu-a g5 spot" {
		t.Errorf("keys %q, %q and %q", plain.Key(), named.Key(), spot.Key())
	}
	w := world(plain, spot)
	w.Unavailable = map[string]string{spot.Key(): "no spot capacity"}
	if d := Decide(request(), w); d.Plan == nil || d.Plan.Offer.Market.Spot() {
		t.Errorf("without spot capacity %+v is planned", d.Plan)
	}
}

func TestExactlyWhatIsLeftMayBeReserved(t *testing.T) {
	r, w := request(), world(offer("eu-fair", 5))
	r.Job.Budget, w.Left = usd(5e6), usd(5e6)
	if d := Decide(r, w); d.Plan == nil {
		t.Errorf("refused: %s", d.Refusal)
	}
}

func TestNoOffersIsARefusalAndSoIsNothing(t *testing.T) {
	if d := Decide(Request{}, World{}); d.Plan != nil || d.Refusal != "no offers" {
		t.Errorf("got %+v", d)
	}
	d := Decide(Request{}, world(offer("us-a", 1), offer("us-b", 1)))
	if d.Plan != nil || d.Refusal != "2 offers: 2 residency" {
		t.Errorf("got %+v", d)
	}
}

// The order of offers is nobody's choice: a decision can be replayed.
func TestTheOrderOfOffersChangesNothing(t *testing.T) {
	offers := []Offer{offer("eu-a", 5), offer("eu-b", 5), offer("us-c", 1), offer("eu-d", 7), offer("eu-e", 5)}
	want := Decide(request(), world(slices.Clone(offers)...))
	dice := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		dice.Shuffle(len(offers), func(i, j int) { offers[i], offers[j] = offers[j], offers[i] })
		got := Decide(request(), world(slices.Clone(offers)...))
		if *got.Plan != *want.Plan {
			t.Fatalf("planned %+v, and before %+v", got.Plan, want.Plan)
		}
		for i := range got.Candidates {
			if got.Candidates[i].Offer != want.Candidates[i].Offer {
				t.Fatalf("candidate %d is %s, and was %s", i, got.Candidates[i].Offer.Key(), want.Candidates[i].Offer.Key())
			}
		}
	}
}

func TestARequestLacksNothing(t *testing.T) {
	whole := Request{ID: "c-1", Site: "hq", JobID: "job-1", SliceDigest: "sha256:aa",
		Signal: Signal{Site: "hq", Saturated: true},
		Job: Job{Name: "n", Team: "t", Slice: "d/s", Purpose: "p", GPUs: 1, Command: []string{"x"},
			Budget: usd(1), Lease: time.Second}}
	if err := whole.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Request){
		"claim": func(r *Request) { r.ID = "" }, "site": func(r *Request) { r.Site = "" },
		"job": func(r *Request) { r.JobID = "" }, "slice digest": func(r *Request) { r.SliceDigest = "" },
		"saturation": func(r *Request) { r.Signal.Saturated = false },
		"freshness":  func(r *Request) { r.Signal.Stale = true },
		"one site":   func(r *Request) { r.Signal.Site = "other" }, "name": func(r *Request) { r.Job.Name = "" },
		"team": func(r *Request) { r.Job.Team = "" }, "slice": func(r *Request) { r.Job.Slice = "" },
		"purpose": func(r *Request) { r.Job.Purpose = "" }, "gpus": func(r *Request) { r.Job.GPUs = 0 },
		"command": func(r *Request) { r.Job.Command = nil }, "budget": func(r *Request) { r.Job.Budget = Money{} },
		"a budget above nothing": func(r *Request) { r.Job.Budget.Micros = 0 }, "lease": func(r *Request) { r.Job.Lease = 0 },
	} {
		r := whole
		spoil(&r)
		if err := r.Check(); err == nil {
			t.Errorf("a request without its %s was found whole", name)
		}
	}
}
