package cost

import (
	"bytes"
	"encoding/csv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
)

// grouped is the groups of a log in a period.
func grouped(t *testing.T, l *log, period string, facts Facts, by ...string) []Group {
	t.Helper()
	p, err := ParsePeriod(period)
	if err != nil {
		t.Fatal(err)
	}
	gs, err := By(l.book.Lines(p), by, facts)
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

func TestDaysAndMonthsAddUpToWhatWasSettled(t *testing.T) {
	l := twoBursts(t)
	all := grouped(t, l, "", nil, "team", "queue")
	if len(all) != 2 || !slices.Equal(all[0].Of, []string{"ml", "night"}) || all[0].Cost != usd(12e6) ||
		all[0].Ran != 2*time.Hour || all[0].GPUTime != 8*time.Hour || all[0].Reserved != usd(0) {
		t.Fatalf("%+v", all)
	}
	// The one that runs counts until the last entry; the rest of its reservation may still come.
	if all[1].Cost != usd(1.5e6) || all[1].Reserved != usd(8.5e6) || !slices.Equal(all[1].Of, []string{"ops", ""}) {
		t.Errorf("%+v", all[1])
	}
	october, november := grouped(t, l, "2026-10", nil, "team"), grouped(t, l, "2026-11", nil, "team")
	if len(october) != 1 || october[0].Cost != usd(6e6) || november[0].Cost != usd(6e6) {
		t.Errorf("october %+v, november %+v", october, november)
	}
	if days := grouped(t, l, "2026", nil, "day", "claim"); len(days) != 3 {
		t.Errorf("%+v", days)
	}
}

func TestAnySplitOfTimeAddsUpExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		l := newLog(t, "2026-02-27T17:03:11.5Z")
		k := night
		k.perHour = 1 + r.Int64N(40_000_000)
		ran := time.Duration(1 + r.Int64N(int64(96*time.Hour)))
		l.launch(k)
		l.run(k)
		l.end(ran.Truncate(time.Millisecond)+time.Millisecond, k, ran)
		var sum int64
		for _, line := range l.book.Lines(Period{}) {
			sum += line.Cost.Micros
		}
		if want := usd(k.perHour).For(ran).Micros; sum != want {
			t.Fatalf("%v at %d an hour: the days are %d, settled was %d", ran, k.perHour, sum, want)
		}
	}
}

func TestTheWorkOfABurstHasAPrice(t *testing.T) {
	l := twoBursts(t)
	facts := func(o policy.Offer) policy.Facts { return policy.Facts{Watts: 150 * o.GPUs, Grams: 400} }
	all := grouped(t, l, "", facts, "team")
	u := all[0].Units
	if u.Epochs != 4 || u.Samples != 2000 || u.PerEpoch != usd(3e6) || u.Per1000 != usd(6e6) ||
		u.PerGPUHour != usd(1.5e6) {
		t.Errorf("%+v", u)
	}
	if u.EnergySource != Measured || math.Abs(u.KWh-1) > 1e-9 || math.Abs(u.Grams-400) > 1e-6 ||
		math.Abs(u.GramsPerEpoch-100) > 1e-6 {
		t.Errorf("energy %+v", u)
	}
	if v := all[1].Units; v.EnergySource != Nameplate || math.Abs(v.KWh-0.225) > 1e-9 || v.PerEpoch.Known() {
		t.Errorf("%+v", v)
	}
	// What was done before midnight belongs to October.
	o := grouped(t, l, "2026-10", facts, "team")[0].Units
	if o.Epochs != 2 || o.Samples != 1000 || o.PerEpoch != usd(3e6) {
		t.Errorf("october %+v", o)
	}
	// Without a figure nothing is guessed.
	if v := grouped(t, l, "", nil, "team")[1].Units; v.KWh != 0 || v.EnergySource != "" || v.Grams != 0 {
		t.Errorf("without facts %+v", v)
	}
	noGrid := func(policy.Offer) policy.Facts { return policy.Facts{Watts: 150} }
	if v := grouped(t, l, "", noGrid, "team")[1].Units; v.KWh == 0 || v.Grams != 0 {
		t.Errorf("without a figure of the grid %+v", v)
	}
}

func TestWhatEndedUnseenAndWhatRanTooLongIsShown(t *testing.T) {
	l := newLog(t, "2026-10-03T10:00:00Z")
	l.launch(night)
	l.run(night)
	l.end(11*time.Hour, night, 11*time.Hour)
	if g := grouped(t, l, "", nil, "claim")[0]; g.Overrun != usd(6e6) || g.Cost != usd(66e6) {
		t.Errorf("%+v", g)
	}
	o := night.offer()
	plan := &policy.Plan{Offer: o, Lease: time.Hour, Reserve: o.PerHour.For(time.Hour)}
	for _, spent := range []policy.Money{{}, usd(2e6)} {
		claim := "c-" + spent.String()
		l.enter(0, claim, &burst.Requested{Request: policy.Request{ID: claim}},
			&burst.Decided{Decision: policy.Decision{Plan: plan}}, launchOf(claim, o, l.now))
		l.enter(20*time.Minute, claim, &burst.LaunchFailed{Attempt: 1, Offer: o.Key(), Spent: spent, Final: true})
	}
	ms := l.book.Machines()
	if len(ms) != 2 || ms[1].Standing != Sunk || ms[1].Spent != usd(2e6) || ms[1].To.Sub(ms[1].From) != 20*time.Minute {
		t.Errorf("%+v", ms)
	}
}

func TestAnEstimateHasTheColumnsOfFOCUS(t *testing.T) {
	l := twoBursts(t)
	var out bytes.Buffer
	if err := WriteFOCUS(&out, "111122223333", l.book.Lines(Period{})); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(out.Bytes())).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	at := func(row int, column string) string { return rows[row][slices.Index(Columns, column)] }
	for column, want := range map[string]string{
		"BilledCost": "6.000000", "EffectiveCost": "6.000000", "BillingCurrency": "USD", "ChargeCategory": "Usage",
		"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z", "ChargeClass": "",
		"ChargePeriodStart": "2026-10-31T23:00:00Z", "ChargePeriodEnd": "2026-11-01T00:00:00Z", "ConsumedUnit": "Hours",
		"ConsumedQuantity": "1.000000000", "ProviderName": "AWS", "RegionId": "eu-central-1", "ResourceId": "i-c-1",
		"ServiceCategory": "Compute", "SkuId": "g5.12xlarge", "BillingAccountId": "111122223333", "x_Estimate": "true",
		"Tags": `{"claim":"c-1","dataset":"claims","job":"train","queue":"night","site":"hq","team":"ml"}`,
	} {
		if got := at(1, column); got != want {
			t.Errorf("%s is %q, want %q", column, got, want)
		}
	}
	if at(3, "x_Standing") != "running" {
		t.Errorf("%q", rows[3])
	}
	// What we write can be read as a bill, and agrees with the log.
	r := l.book.Reconcile(Options{})
	if err := ReadBill(&out, r.Add); err != nil {
		t.Fatal(err)
	}
	got := r.Result()
	if got.Matched != 2 || len(got.Violations)+len(got.Differ)+len(got.Unbilled) != 0 || got.Billed != got.Ours {
		t.Errorf("%+v", got)
	}
}

func TestAPeriodIsAYearAMonthOrADay(t *testing.T) {
	for s, hours := range map[string]float64{"2026": 365 * 24, "2026-02": 28 * 24, "2026-10-03": 24} {
		if p, err := ParsePeriod(s); err != nil || p.To.Sub(p.From).Hours() != hours {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"october", "2026-13", "2026-02-30", "2026-1", "26"} {
		if _, err := ParsePeriod(s); err == nil {
			t.Errorf("%q is a period", s)
		}
	}
	if _, err := By(nil, []string{"colour"}, nil); err == nil {
		t.Error("costs are grouped by colour")
	}
}
