package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// How many candidates a decision names: all of a short list, and of a long one
// the cheapest that are allowed and the cheapest that each reason struck out.
// A decision must fit an entry of the log.
const (
	keepAll     = 48
	keepAllowed = 12
	keepStruck  = 3
	keepMost    = 40
)

// The reasons that follow residency's, in the order they are asked.
const (
	noReason = iota
	tooSmall
	noPrice
	noMarket
	tooDear
	overJob
	overTeam
	tried
	closed
	reasons // how many
)

// weighing is one job before every line of a book.
type weighing struct {
	*Book
	r        Request
	w        World
	screened *Screened
	lease    time.Duration
	hours    float64 // predicted
	gb       float64
	job      int64 // the most an hour may cost for the job's budget, in micros
	team     int64 // and for what the team has left
	dear     Money // and at all; unknown is no bound
	totals   []int64
	heaps    [][]int // cheapest lines of each reason
	counts   []int
}

// Decide weighs every offer of the book, cheapest whole burst first, and plans
// the first one nothing speaks against.
func (b *Book) Decide(r Request, w World) Decision {
	x := weighing{Book: b, r: r, w: w, screened: w.Screened, lease: min(r.Job.Lease, w.MaxLease),
		totals: make([]int64, len(b.lines)), gb: float64(max(r.SliceBytes, 0)) / 1e9}
	if x.screened == nil {
		x.screened = b.Screen(w.Screen)
	}
	x.hours = min(cmp.Or(r.Job.Expected, x.lease), x.lease).Hours()
	x.job, x.team = hourly(r.Job.Budget.Micros, x.lease), hourly(w.Left.Micros, x.lease)
	x.dear = lower(r.Job.MaxPrice, w.MaxPrice)
	x.heaps, x.counts = make([][]int, x.screened.reasons+reasons), make([]int, x.screened.reasons+reasons)
	for i := range b.lines {
		x.weigh(i)
	}
	return x.decision()
}

// weigh ranks one line and finds the first reason against it.
func (x *weighing) weigh(i int) {
	l := &x.lines[i]
	if l.most > 0 {
		x.totals[i] = l.rates.of(x.hours, x.gb).total()
	} else {
		x.totals[i] = micros(1e30) // what nobody knows is never cheap
	}
	reason := x.reason(l)
	x.counts[reason]++
	keep := keepStruck
	switch {
	case len(x.lines) <= keepAll:
		keep = keepAll
	case reason == noReason:
		keep = keepAllowed
	}
	heap := x.heaps[reason]
	if len(heap) == keep {
		if x.compare(i, heap[keep-1]) >= 0 {
			return
		}
		heap = heap[:keep-1]
	}
	at, _ := slices.BinarySearchFunc(heap, i, x.compare)
	x.heaps[reason] = slices.Insert(heap, at, i)
}

// compare orders lines by what the whole burst costs there, then by what must
// be reserved, then by name: the order of offers is nobody's choice.
func (x *weighing) compare(i, j int) int {
	a, b := &x.lines[i], &x.lines[j]
	if c := cmp.Compare(x.totals[i], x.totals[j]); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.most, b.most), strings.Compare(a.key, b.key), cmp.Compare(i, j))
}

// reason is the first one against a line: 0 for none, then those of residency,
// then the others.
func (x *weighing) reason(l *line) int {
	if class := x.screened.class[l.place]; class > 0 {
		return class
	}
	after := func(reason int) int { return x.screened.reasons + reason }
	switch {
	case l.GPUs < x.r.Job.GPUs:
		return after(tooSmall)
	case l.most <= 0 || l.AsOf == "" || x.lease <= 0:
		return after(noPrice)
	case !l.Market.Known():
		return after(noMarket)
	case x.dear.Known() && (l.most > x.dear.Micros || l.PerHour.Currency != x.dear.Currency):
		return after(tooDear)
	case l.most > x.job || l.PerHour.Currency != x.r.Job.Budget.Currency:
		return after(overJob)
	case l.most > x.team || l.PerHour.Currency != x.w.Left.Currency:
		return after(overTeam)
	}
	if len(x.w.Unavailable) > 0 {
		if _, gone := x.w.Unavailable[l.key]; gone {
			return after(tried)
		}
	}
	if _, shut := x.shut(l); shut {
		return after(closed)
	}
	return noReason
}

// shut finds the widest scope of a line in which nothing is asked for now.
func (x *weighing) shut(l *line) (Closed, bool) {
	if len(x.w.Closed) == 0 {
		return Closed{}, false
	}
	for i := range l.scopes {
		if c, ok := x.w.Closed[l.scopes[len(l.scopes)-1-i]]; ok {
			return c, true
		}
	}
	return Closed{}, false
}

// decision tells what was found.
func (x *weighing) decision() Decision {
	d := Decision{Candidates: make([]Candidate, 0, min(len(x.lines), keepAll))}
	for _, v := range x.screened.verdicts {
		d.Rules, d.Places = cmp.Or(v.RulesDigest, d.Rules), cmp.Or(v.PlacesDigest, d.Places)
	}
	var kept []int
	for reason, heap := range x.heaps {
		kept = append(kept, heap...)
		if x.counts[reason] > len(heap) {
			d.Considered = len(x.lines)
		}
	}
	slices.SortFunc(kept, x.compare)
	kept = x.cut(kept)
	if len(kept) < len(x.lines) {
		d.Considered = len(x.lines)
		d.Struck = x.struck()
	}
	for _, i := range kept {
		d.Candidates = append(d.Candidates, x.candidate(i))
	}
	if len(d.Candidates) == 0 {
		d.Candidates = nil
	}
	if best := x.heaps[noReason]; len(best) > 0 {
		c := x.candidate(best[0])
		d.Plan = &Plan{Offer: c.Offer, Lease: x.lease, Reserve: c.Reserve,
			Why: fmt.Sprintf("cheapest of %d offers that nothing speaks against", x.counts[noReason])}
	} else {
		d.Refusal = d.Summary()
	}
	return d
}

// cut drops what an entry has no room for, never the plan nor the cheapest of a reason.
func (x *weighing) cut(kept []int) []int {
	if len(kept) <= keepAll {
		return kept
	}
	first := map[int]bool{}
	for _, heap := range x.heaps {
		if len(heap) > 0 {
			first[heap[0]] = true
		}
	}
	room := keepMost - len(first)
	return slices.DeleteFunc(kept, func(i int) bool {
		if first[i] {
			return len(first) > keepAll && i != x.planned()
		}
		room--
		return room < 0
	})
}

// planned is the line that is planned; -1 if none is.
func (x *weighing) planned() int {
	if len(x.heaps[noReason]) == 0 {
		return -1
	}
	return x.heaps[noReason][0]
}

// struck counts every line that something speaks against, by reason.
func (x *weighing) struck() []Tally {
	var all []Tally
	for reason, heap := range x.heaps {
		if reason != noReason && len(heap) > 0 {
			all = count(all, *x.strike(heap[0]), x.counts[reason])
		}
	}
	return sorted(all)
}

// candidate tells one line in full.
func (x *weighing) candidate(i int) Candidate {
	l := &x.lines[i]
	c := Candidate{Offer: l.Offer, Reserve: l.Offer.Most().For(x.lease), Strike: x.strike(i)}
	if l.most > 0 && x.lease > 0 {
		p := l.rates.parts(l.rates.of(x.hours, x.gb), l.PerHour.Currency)
		c.Cost = &p
	}
	return c
}

// strike says the reason in words.
func (x *weighing) strike(i int) *Strike {
	l := &x.lines[i]
	reason := x.reason(l)
	if reason != noReason && reason <= x.screened.reasons {
		return x.screened.strike(l.place)
	}
	reserve := l.Offer.Most().For(x.lease)
	switch reason - x.screened.reasons {
	case tooSmall:
		if l.GPUs < 1 {
			return &Strike{Kind: KindSize, Why: "nobody says how many whole GPUs it has"}
		}
		return &Strike{Kind: KindSize, Why: fmt.Sprintf("has %d GPUs, the job needs %d", l.GPUs, x.r.Job.GPUs)}
	case noPrice:
		return &Strike{Kind: KindPrice, Why: "its price or the date of its price is unknown"}
	case noMarket:
		return &Strike{Kind: KindPrice, Why: fmt.Sprintf("nobody knows how a machine is sold at market %q", l.Market)}
	case tooDear:
		return &Strike{Kind: KindPrice, Why: fmt.Sprintf("may cost %v an hour, %s", l.Offer.Most(), maxPriceOf(x.r.Job, x.w))}
	case overJob:
		return &Strike{Kind: KindBudget, Why: fmt.Sprintf("would reserve %v, the job allows %v", reserve, x.r.Job.Budget)}
	case overTeam:
		why := fmt.Sprintf("would reserve %v, %s has %v left", reserve, cmp.Or(x.w.LeftOf, "team "+x.r.Job.Team), x.w.Left)
		return &Strike{Kind: KindBudget, Why: why}
	case tried:
		return &Strike{Kind: KindCapacity, Why: x.w.Unavailable[l.key]}
	case closed:
		c, _ := x.shut(l)
		return &Strike{Kind: c.Kind, Why: c.Why}
	}
	return nil
}
