package cost

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Options says how a bill is compared. The zero Options takes every machine of
// the bill for ours and lists every difference.
type Options struct {
	Tag     string  // only rows with this tag are ours; "" is every row
	Percent float64 // differences up to this are none
}

// Violation is a machine on the bill which the log does not account for.
type Violation struct {
	Resource string       `json:"resource"`
	Region   string       `json:"region"`
	Row      int          `json:"row"` // line of the bill, the first of its kind
	Cost     policy.Money `json:"cost"`
	Claim    string       `json:"claim,omitempty"`
	Entry    *int64       `json:"entry,omitempty"` // its launch intent
	Text     string       `json:"text"`
}

// Difference is a machine that the bill counts otherwise than the log.
type Difference struct {
	Resource string        `json:"resource"`
	Claim    string        `json:"claim"`
	Billed   policy.Money  `json:"billed"`
	Ours     policy.Money  `json:"ours"`
	BilledBy time.Duration `json:"billed_time"` // negative if the bill does not say
	OursBy   time.Duration `json:"our_time"`
	Text     string        `json:"text"`
}

// Reconciled is what a bill and a log say of each other. Its lists are never nil.
type Reconciled struct {
	From       time.Time    `json:"from"` // that the bill speaks of
	To         time.Time    `json:"to"`
	Machines   int          `json:"machines"`   // on the bill, ours
	Matched    int          `json:"matched"`    // of them, with their launch in the log
	Others     int          `json:"other_rows"` // that bill no machine, or none of ours
	Billed     policy.Money `json:"billed"`
	Ours       policy.Money `json:"ours"`       // of those that matched
	Violations []Violation  `json:"violations"` // billed, and not accounted for
	Differ     []Difference `json:"differ"`     // billed otherwise
	Unbilled   []Unbilled   `json:"unbilled"`   // launched, and not billed
}

// Unbilled is a machine that the log launched in the bill's time and that is
// not on it.
type Unbilled struct {
	Resource string       `json:"resource"`
	Claim    string       `json:"claim"`
	Entry    int64        `json:"entry"` // its launch intent
	Ours     policy.Money `json:"ours"`
}

// Reconciler compares a bill with a log. Made by [Book.Reconcile].
type Reconciler struct {
	o        Options
	book     *Book
	by       map[string]Machine // by name
	out      Reconciled
	billed   map[string]*billed // by resource and region
	provider map[string]bool    // that the bill is of
}

// billed is what a bill says of one machine in one region.
type billed struct {
	first Row
	cost  policy.Money
	ran   time.Duration
	after *Row // the first row of a time after it was gone
	mixed bool // of two currencies
}

// Reconcile begins a comparison. Hand it every row of the bill, then ask for the
// result.
func (b *Book) Reconcile(o Options) *Reconciler {
	r := &Reconciler{o: o, book: b, by: map[string]Machine{}, billed: map[string]*billed{}, provider: map[string]bool{}}
	for _, m := range b.Machines() {
		if m.Node != "" {
			r.by[name(m.Node)] = m
		}
	}
	return r
}

// Add takes one row.
func (r *Reconciler) Add(row Row) {
	r.provider[row.Provider] = true
	if r.out.From.IsZero() || row.From.Before(r.out.From) {
		r.out.From = row.From
	}
	if row.To.After(r.out.To) {
		r.out.To = row.To
	}
	if !row.machine() || r.o.Tag != "" && !row.tagged(r.o.Tag) {
		r.out.Others++
		return
	}
	key := name(row.Resource) + "\x00" + row.Region
	b := r.billed[key]
	if b == nil {
		b = &billed{first: row, cost: policy.Money{Currency: row.Cost.Currency}}
		r.billed[key] = b
	}
	var err error
	if b.cost, err = b.cost.Plus(row.Cost); err != nil {
		b.mixed = true
	}
	if row.Ran < 0 || b.ran < 0 || b.ran+row.Ran < b.ran {
		b.ran = -1
	} else {
		b.ran += row.Ran
	}
	m, known := r.by[name(row.Resource)]
	if known && m.Standing == Settled && !row.From.Before(m.To) && row.Cost.Micros > 0 && b.after == nil {
		b.after = &row
	}
}

// Result is what came of it.
func (r *Reconciler) Result() Reconciled {
	out := r.out
	out.Violations, out.Differ, out.Unbilled = []Violation{}, []Difference{}, []Unbilled{}
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(r.billed)) {
		b := r.billed[key]
		out.Machines++
		out.Billed, _ = sum(out.Billed, b.cost)
		m, known := r.by[name(b.first.Resource)]
		if known && strings.EqualFold(m.Offer.At.Region, b.first.Region) {
			seen[name(m.Node)] = true
			out.Matched++
			out.Ours, _ = sum(out.Ours, r.within(m).Spent)
			r.compare(&out, m, b)
			continue
		}
		v := Violation{Resource: b.first.Resource, Region: b.first.Region, Row: b.first.Line, Cost: b.cost,
			Text: "no entry of the log launched it"}
		if known {
			v.Claim, v.Entry = m.Claim, new(m.Entry)
			v.Text = fmt.Sprintf("billed in %s, and launched in %s", b.first.Region, m.Offer.At.Region)
		}
		out.Violations = append(out.Violations, v)
	}
	for _, m := range r.by {
		ours := r.within(m)
		if provider, _ := provider(m.Offer.At.Provider); !seen[name(m.Node)] && ours.From.Before(ours.To) && r.of(provider) {
			out.Unbilled = append(out.Unbilled, Unbilled{m.Node, m.Claim, m.Entry, ours.Spent})
		}
	}
	slices.SortFunc(out.Unbilled, func(a, b Unbilled) int { return cmp.Compare(a.Entry, b.Entry) })
	return out
}

// of reports whether the bill is of a provider. Bills call it "AWS", "Amazon
// Web Services", "Microsoft" or "Microsoft Azure".
func (r *Reconciler) of(provider string) bool {
	for name := range r.provider {
		if strings.Contains(strings.ToLower(name), strings.ToLower(provider)) ||
			provider == "AWS" && strings.Contains(name, "Amazon") {
			return true
		}
	}
	return false
}

// within is the part of a machine that the bill's span covers.
func (r *Reconciler) within(m Machine) Machine {
	from, to, in := Period{r.out.From, r.out.To}.clip(m.From, m.To)
	if !in {
		m.To, m.Spent = m.From, policy.Money{Currency: m.Spent.Currency}
		return m
	}
	spent, err := m.until(to).Minus(m.until(from))
	if err == nil {
		m.From, m.To, m.Spent = from, to, spent
	}
	return m
}

// The least that counts as a difference, whatever the percentage: providers
// round to minutes and cents.
const (
	leastTime = time.Minute
	leastCost = 10_000 // micros
)

// compare holds a machine's bill to what the log says of it.
func (r *Reconciler) compare(out *Reconciled, m Machine, b *billed) {
	if b.after != nil {
		out.Violations = append(out.Violations, Violation{Resource: b.first.Resource, Region: b.first.Region,
			Row: b.after.Line, Cost: b.after.Cost, Claim: m.Claim, Entry: new(m.Entry),
			Text: fmt.Sprintf("billed for a time after %s, when it was proven gone", stamp(m.To))})
	}
	ours := r.within(m)
	d := Difference{Resource: b.first.Resource, Claim: m.Claim, Billed: b.cost, Ours: ours.Spent, BilledBy: b.ran,
		OursBy: ours.To.Sub(ours.From)}
	over, err := d.Billed.Minus(d.Ours)
	switch time := d.BilledBy - d.OursBy; {
	case b.mixed || err != nil:
		d.Text = "billed in another currency; amounts are never converted"
	case beyond(float64(over.Micros), float64(d.Ours.Micros), leastCost, r.o.Percent):
		d.Text = "cost: " + percent(float64(over.Micros), float64(d.Ours.Micros))
	case d.BilledBy >= 0 && beyond(float64(time), float64(d.OursBy), float64(leastTime), r.o.Percent):
		d.Text = "time: " + percent(float64(time), float64(d.OursBy))
	default:
		return
	}
	out.Differ = append(out.Differ, d)
}

// beyond reports whether a difference is more than least and more than so many
// percent of ours.
func beyond(over, ours, least, percent float64) bool {
	over = max(over, -over)
	return over > least && over*100 > ours*percent
}

// percent words a difference.
func percent(over, ours float64) string {
	if ours == 0 {
		return "billed, and nothing by the log"
	}
	return fmt.Sprintf("billed %+.1f %% against the log", over/ours*100)
}
