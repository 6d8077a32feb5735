package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
)

var all100 = Weights{Restart: 100, Transfer: 100, Egress: 100, Returned: 10, CarbonPerKg: usd(1e6)}

// plannedIn is the region that a job of an hour which reads a terabyte is sent to.
func plannedIn(t *testing.T, w Weights, facts map[string]Facts, offers ...Offer) (string, Decision) {
	t.Helper()
	r := request()
	r.SliceBytes = 1e12
	b := NewBook(offers, func(o Offer) Facts { return facts[o.At.Region] }, w)
	d := b.Decide(r, world())
	if d.Plan == nil {
		t.Fatalf("refused: %s", d.Refusal)
	}
	return d.Plan.Offer.At.Region, d
}

func TestEachPartOfWhatABurstCostsCanTurnTheChoice(t *testing.T) {
	spot := func(o Offer) Offer {
		o.Market, o.AtMost = Spot, usd(40e6)
		return o
	}
	for name, c := range map[string]struct {
		weights Weights
		facts   map[string]Facts
		cheap   Offer // by the hour
		fair    Offer // in all
	}{
		"the way there": {Weights{Transfer: 100}, map[string]Facts{"eu-a": {Mbps: 100}, "eu-b": {Mbps: 10_000}},
			offer("eu-a", 4), offer("eu-b", 5)},
		"the way back": {Weights{Egress: 100, Returned: 10},
			map[string]Facts{"eu-a": {PerGB: usd(90_000)}, "eu-b": {PerGB: usd(20_000)}}, offer("eu-a", 4), offer("eu-b", 5)},
		"being taken back": {Weights{Restart: 1000 * 100}, map[string]Facts{"eu-a": {TakenBack: 100}, "eu-b": {TakenBack: 5}},
			spot(offer("eu-a", 4)), spot(offer("eu-b", 5))},
		"carbon": {Weights{CarbonPerKg: usd(2e6)}, map[string]Facts{"eu-a": {Grams: 900, Watts: 1000},
			"eu-b": {Grams: 20, Watts: 1000}}, offer("eu-a", 4), offer("eu-b", 5)},
	} {
		if got, _ := plannedIn(t, Weights{}, c.facts, c.cheap, c.fair); got != c.cheap.At.Region {
			t.Errorf("%s, unweighted: planned in %s", name, got)
		}
		got, d := plannedIn(t, c.weights, c.facts, c.cheap, c.fair)
		if got != c.fair.At.Region {
			t.Errorf("%s: planned in %s: %+v and %+v", name, got, d.Candidates[0].Cost, d.Candidates[1].Cost)
		}
	}
}

func TestNoCostBuysAPlaceThatTheRulesForbid(t *testing.T) {
	facts := map[string]Facts{"us-free": {Mbps: 1e6, Grams: 1, Watts: 1, PerGB: usd(1)}, "eu-dear": {Mbps: 1, Grams: 999}}
	got, d := plannedIn(t, all100, facts, offer("us-free", 1), offer("eu-dear", 40))
	if got != "eu-dear" || d.Candidates[0].Strike == nil || d.Candidates[0].Strike.Kind != KindResidency {
		t.Errorf("planned in %s: %+v", got, d.Candidates)
	}
}

func TestWhatNobodyKnowsCountsAsTheWorstThatIsKnown(t *testing.T) {
	facts := map[string]Facts{"eu-slow": {Mbps: 500}, "eu-fast": {Mbps: 5000}}
	got, d := plannedIn(t, Weights{Transfer: 100}, facts, offer("eu-slow", 5), offer("eu-fast", 5), offer("eu-unknown", 5))
	if got != "eu-fast" {
		t.Errorf("planned in %s", got)
	}
	last := d.Candidates[2]
	slow := d.Candidates[1]
	if !slices.Equal(last.Cost.Unknown, []string{"transfer"}) || last.Cost.Transfer != slow.Cost.Transfer {
		t.Errorf("the unknown one costs %+v, the slow one %+v", last.Cost, slow.Cost)
	}
}

func TestThePartsAddUpAndTheReservationIsTheWorstCase(t *testing.T) {
	o := offer("eu-a", 4)
	o.Market, o.AtMost = Spot, usd(12e6)
	r := request()
	r.SliceBytes, r.Job.Expected = 9e9, 30*time.Minute
	facts := func(Offer) Facts { return Facts{TakenBack: 20, Mbps: 1000, PerGB: usd(90_000), Grams: 400, Watts: 300} }
	d := NewBook([]Offer{o}, facts, all100).Decide(r, world())
	c := d.Candidates[0]
	if c.Reserve != usd(12e6) || d.Plan.Reserve != usd(12e6) {
		t.Errorf("reserves %v, want an hour at the most it can cost", c.Reserve)
	}
	p := c.Cost
	sum := p.Machine.Micros + p.Restart.Micros + p.Transfer.Micros + p.Egress.Micros + p.Carbon.Micros
	if p.Machine != usd(2e6) || p.Transfer != usd(80_000) || p.Egress != usd(81_000) || p.Carbon != usd(60_000) ||
		p.Restart.Micros == 0 || p.Total.Micros != sum || len(p.Unknown) != 0 {
		t.Errorf("parts %+v sum to %d", p, sum)
	}
}

func TestAPriceThatCannotBeBoundedDenies(t *testing.T) {
	for name, most := range map[string]Money{"below the price": usd(1), "in another currency": {9e6, "EUR"}} {
		o := offer("eu-a", 4)
		o.AtMost = most
		d := Decide(request(), world(o))
		if d.Plan != nil || d.Candidates[0].Strike.Kind != KindPrice {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// many are offers in many regions, a third of them abroad.
func many(n int) []Offer {
	dice := rand.New(rand.NewPCG(7, 7))
	all := make([]Offer, n)
	for i := range all {
		o := offer(fmt.Sprintf("%s-%d", []string{"eu", "us", "ap"}[i%3], i%120), 1)
		o.Type, o.GPUs = fmt.Sprintf("g%d.%dxlarge", i%7, i), 1+i%8
		o.PerHour.Micros = 500_000 + dice.Int64N(60e6)
		all[i] = o
	}
	return all
}

func TestADecisionOnThousandsOfOffersFitsAnEntryAndCountsThemAll(t *testing.T) {
	offers := many(5000)
	d := Decide(request(), world(offers...))
	n := 0
	for _, s := range d.Struck {
		n += s.N
	}
	allowed := 0
	for _, o := range offers {
		if !strings.HasPrefix(o.At.Region, "us-") && o.GPUs >= 2 {
			allowed++
		}
	}
	if len(d.Candidates) > keepAll || d.Considered != 5000 || n != 5000-allowed || d.Plan == nil {
		t.Fatalf("%d candidates of %d, %d struck, %d allowed: %s", len(d.Candidates), d.Considered, n, allowed, d.Summary())
	}
	if want := fmt.Sprintf("5000 offers: %d allowed, ", allowed); !strings.HasPrefix(d.Summary(), want) {
		t.Errorf("summary %q, want %q", d.Summary(), want)
	}
	for _, o := range offers {
		if !strings.HasPrefix(o.At.Region, "us-") && o.GPUs >= 2 && o.PerHour.Micros < d.Plan.Offer.PerHour.Micros {
			t.Errorf("%s is cheaper than the plan", o.Key())
		}
	}
	refused := Decide(Request{Job: Job{GPUs: 99, Lease: time.Hour, Budget: usd(1e9)}}, world(offers...))
	if refused.Plan != nil || !strings.HasPrefix(refused.Refusal, "5000 offers: ") {
		t.Errorf("refusal %q", refused.Refusal)
	}
}

// Whatever is told of many offers is what would be told of few: the plan is the same.
func TestAShortAndALongListPlanTheSame(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		offers := many(1 + dice.IntN(200))
		d := Decide(request(), world(offers...))
		var best *Offer
		for _, o := range offers {
			if strings.HasPrefix(o.At.Region, "us-") || o.GPUs < 2 {
				continue
			}
			if best == nil || o.PerHour.Micros < best.PerHour.Micros {
				best = &o
			}
		}
		if (best == nil) != (d.Plan == nil) || best != nil && d.Plan.Offer != *best {
			t.Fatalf("of %d offers %+v is planned, want %+v", len(offers), d.Plan, best)
		}
	}
}

func BenchmarkDecideOnOneJobOf5000Offers(b *testing.B) {
	book, r, w := bench(5000)
	w.Screened = nil // a question nobody asked before
	for b.Loop() {
		book.Decide(r, w)
	}
}

func BenchmarkDecideOn1000JobsOf5000Offers(b *testing.B) {
	book, r, w := bench(5000)
	for b.Loop() {
		for i := range 1000 {
			r.Job.GPUs, r.SliceBytes = 1+i%8, int64(i)*1e9
			book.Decide(r, w)
		}
	}
}

func bench(n int) (*Book, Request, World) {
	facts := func(o Offer) Facts {
		return Facts{TakenBack: 20, Mbps: 4000, PerGB: usd(90_000), Grams: 300, Watts: 300 * o.GPUs}
	}
	w := world()
	w.Left, w.Unavailable = usd(1e9), map[string]string{"aws/eu-0 g0.0xlarge": "none"}
	w.Closed = map[string]Closed{"aws/eu-3": {Kind: KindCapacity, Why: "none"}}
	r := request()
	r.Job.Budget = usd(1e9)
	b := NewBook(many(n), facts, all100)
	w.Screened = b.Screen(w.Screen)
	return b, r, w
}

func TestAFamilyIsWhatSharesAQuota(t *testing.T) {
	for typ, want := range map[string]string{"g5.12xlarge": "g5", "p4d.24xlarge": "p4d",
		"Standard_NC24ads_A100_v4": "Standard_NCads_A100_v4", "Standard_NC6s_v3": "Standard_NCs_v3", "plain": "plain"} {
		o := Offer{At: residency.Address{Provider: "aws", Region: "eu-a", Zone: "eu-a-1"}, Type: typ, Market: Spot}
		if got := o.Family(); got != want {
			t.Errorf("family of %s is %s, want %s", typ, got, want)
		}
		scopes := [4]string{"aws/eu-a/eu-a-1 " + typ + " spot", "aws/eu-a " + want + "* spot", "aws/eu-a", "aws"}
		if s := o.Scopes(); s != scopes {
			t.Errorf("scopes of %s: %q", typ, s)
		}
	}
}
