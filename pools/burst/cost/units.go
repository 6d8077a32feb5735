package cost

import (
	"math/big"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
)

// work is what a machine's job reported of itself.
type work struct {
	steps []step
	epoch int
	seen  int64 // samples
	heard time.Time
}

// step is what happened between two reports.
type step struct {
	from, to   time.Time
	epochs     int
	samples    int64
	milliwatts int64 // drawn meanwhile; 0 is not said
}

// start is when the job began.
func (w *work) start(at time.Time) { w.heard = at }

// report takes one report. A job may go on where an earlier burst stopped, so
// its first epoch counts as one, whatever its number; what goes back counts
// nothing.
func (w *work) report(at time.Time, p burst.Progress) {
	s := step{from: w.heard, to: at, milliwatts: max(p.Milliwatts, 0)}
	if s.from.IsZero() || s.from.After(at) {
		s.from = at
	}
	switch {
	case w.epoch == 0 && p.Epoch > 0:
		s.epochs = 1
	case p.Epoch > w.epoch:
		s.epochs = p.Epoch - w.epoch
	}
	s.samples = max(p.Samples-w.seen, 0)
	w.steps = append(w.steps, s)
	w.heard, w.epoch, w.seen = at, max(p.Epoch, w.epoch), max(p.Samples, w.seen)
}

// Sources of a figure of energy.
const (
	Measured  = "measured" // the job reported the power it drew, all the time
	Nameplate = "estimate" // what the machine's GPUs draw at most, by their maker
	Mixed     = "mixed"    // measured where it was reported, an estimate elsewhere
)

// joulesPerKWh turns watt-seconds into kilowatt-hours.
const joulesPerKWh = 3.6e6

// Units is what the work of some machines came to. An unknown amount of money
// is a figure that nobody can work out, such as the cost of an epoch if none was
// reported.
type Units struct {
	Epochs     int          `json:"epochs"`
	Samples    int64        `json:"samples"`
	PerGPUHour policy.Money `json:"per_gpu_hour,omitzero"`
	PerEpoch   policy.Money `json:"per_epoch,omitzero"`
	Per1000    policy.Money `json:"per_1000_samples,omitzero"`

	// Energy of the GPUs, where it is known of every machine, and what it emitted.
	KWh           float64 `json:"kwh,omitempty"`
	EnergySource  string  `json:"energy_source,omitempty"` // "measured", "estimate", "mixed"
	Grams         float64 `json:"gco2e,omitempty"`
	GramsPerEpoch float64 `json:"gco2e_per_epoch,omitempty"`
}

// Facts says what is known of an offer besides its price; nil knows nothing.
type Facts func(policy.Offer) policy.Facts

// tally adds up the work of lines.
type tally struct {
	units                   Units
	measured, guessed       float64 // joules
	energyLacks, gramsLacks bool
	grams                   float64
}

// add counts the part of a machine's work that falls into a line.
func (t *tally) add(l Line, f policy.Facts) {
	within := Period{l.From, l.To}
	ran, joules := l.To.Sub(l.From), 0.0
	for _, s := range l.work.steps {
		if s.to.After(l.From) && !s.to.After(l.To) {
			t.units.Epochs += s.epochs
			t.units.Samples += s.samples
		}
		if from, to, in := within.clip(s.from, s.to); in && s.milliwatts > 0 {
			joules += float64(s.milliwatts) / 1000 * to.Sub(from).Seconds()
			ran -= to.Sub(from)
		}
	}
	guess := float64(f.Watts) * max(ran, 0).Seconds()
	t.energyLacks = t.energyLacks || ran > 0 && f.Watts == 0
	t.gramsLacks = t.gramsLacks || l.From.Before(l.To) && f.Grams == 0
	t.measured, t.guessed = t.measured+joules, t.guessed+guess
	t.grams += (joules + guess) / joulesPerKWh * float64(f.Grams)
}

// of is what the work came to at a cost, in so many GPU-hours.
func (t tally) of(cost policy.Money, gpuTime time.Duration) Units {
	u := t.units
	u.PerGPUHour = per(cost, int64(gpuTime), int64(time.Hour))
	u.PerEpoch = per(cost, int64(u.Epochs), 1)
	u.Per1000 = per(cost, u.Samples, 1000)
	if t.energyLacks || t.measured+t.guessed == 0 {
		return u
	}
	u.KWh = (t.measured + t.guessed) / joulesPerKWh
	switch {
	case t.guessed == 0:
		u.EnergySource = Measured
	case t.measured == 0:
		u.EnergySource = Nameplate
	default:
		u.EnergySource = Mixed
	}
	if t.gramsLacks {
		return u
	}
	if u.Grams = t.grams; u.Epochs > 0 {
		u.GramsPerEpoch = u.Grams / float64(u.Epochs)
	}
	return u
}

// per is cost × each / n, rounded to the nearest millionth; unknown for n of 0.
func per(cost policy.Money, n, each int64) policy.Money {
	if n <= 0 || !cost.Known() {
		return policy.Money{}
	}
	x := new(big.Int).Mul(big.NewInt(cost.Micros), big.NewInt(each))
	x.Add(x, big.NewInt(n/2)).Div(x, big.NewInt(n))
	if !x.IsInt64() {
		return policy.Money{}
	}
	return policy.Money{Micros: x.Int64(), Currency: cost.Currency}
}
