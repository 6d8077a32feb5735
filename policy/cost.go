package policy

import (
	"math"
	"math/bits"
	"time"
)

// Weights say how the parts of what a burst costs count when offers are ranked.
// Made by configs; the zero Weights count the machine's hours alone. They order
// what is allowed and never allow anything.
type Weights struct {
	Restart  int // percent of what starting again on another spot machine is expected to cost
	Transfer int // percent of the machine's price while the slice travels
	Egress   int // percent of what results cost on their way out of the cloud
	// Returned is how many bytes come back, in percent of the slice's: an
	// assumption, since nobody knows the results before the job ran.
	Returned int
	// CarbonPerKg is what a kilogram of CO2e counts; unknown counts nothing.
	CarbonPerKg Money
}

// Facts is what is known of a place and a machine besides its price. Made by
// pools/cloud/catalog; whatever is zero is not known.
type Facts struct {
	// TakenBack is how many of a hundred such spot machines are taken back in a
	// month, at most.
	TakenBack int
	Mbps      int64 // from the site to the place
	PerGB     Money // price of 10⁹ bytes that leave the place
	Grams     int   // CO2e of a kWh there
	Watts     int   // of the machine's accelerators under load
}

// Parts is what a burst at an offer is expected to cost. It orders offers; what
// is reserved is the worst case and is another figure.
type Parts struct {
	Machine  Money `json:"machine"` // price × predicted time
	Restart  Money `json:"restart,omitzero"`
	Transfer Money `json:"transfer,omitzero"`
	Egress   Money `json:"egress,omitzero"`
	Carbon   Money `json:"carbon,omitzero"`
	Total    Money `json:"total"`
	// Unknown names the parts that nobody knows for this offer. The worst that
	// is known of any other stands in for them.
	Unknown []string `json:"unknown,omitempty"`
}

// month is the hours that an interruption frequency is counted over.
const month = 730

// rates is what an offer costs by the hour and by the gigabyte, in micros of
// its currency, weighted. Ranking computes with floats; nothing of it is ever
// paid.
type rates struct {
	hour     float64 // of the machine
	restart  float64 // × hours × hours lost
	transfer float64 // hours on the way for a GB
	egress   float64 // for a GB of the slice
	carbon   float64 // for an hour
	weigh    float64 // share of the transfer that counts
	unknown  [4]bool // restart, transfer, egress, carbon
}

var partNames = [4]string{"restart", "transfer", "egress", "carbon"}

// ratesOf works out what does not depend on the job.
func ratesOf(o Offer, f, worst Facts, w Weights) (r rates) {
	r.hour = float64(o.PerHour.Micros)
	r.weigh = float64(w.Transfer) / 100
	if o.Market.Spot() && w.Restart > 0 {
		r.unknown[0] = f.TakenBack == 0
		r.restart = float64(orWorst(f.TakenBack, worst.TakenBack)) / 100 / month * float64(w.Restart) / 100
	}
	if mbps := orWorst(f.Mbps, worst.Mbps); mbps > 0 {
		r.transfer = 8e9 / float64(mbps) / 1e6 / 3600
	}
	r.unknown[1] = f.Mbps == 0 && w.Transfer > 0
	perGB := f.PerGB
	if perGB.Currency != o.PerHour.Currency {
		perGB, r.unknown[2] = worst.PerGB, w.Egress > 0 && w.Returned > 0
	}
	if perGB.Currency == o.PerHour.Currency {
		r.egress = float64(perGB.Micros) * float64(w.Returned) / 100 * float64(w.Egress) / 100
	}
	if kg := w.CarbonPerKg; kg.Micros > 0 && kg.Currency == o.PerHour.Currency {
		r.unknown[3] = f.Grams == 0 || f.Watts == 0
		grams := float64(orWorst(f.Watts, worst.Watts)) / 1000 * float64(orWorst(f.Grams, worst.Grams))
		r.carbon = grams / 1000 * float64(kg.Micros)
	}
	return r
}

// orWorst is v, or what is worst of all where v is not known.
func orWorst[T int | int64](v, worst T) T {
	if v == 0 {
		return worst
	}
	return v
}

// worstOf is the worst that is known of each fact; zero where nothing is known.
func worstOf(all []Facts) (w Facts) {
	for _, f := range all {
		w.TakenBack, w.Grams, w.Watts = max(w.TakenBack, f.TakenBack), max(w.Grams, f.Grams), max(w.Watts, f.Watts)
		if f.Mbps > 0 && (w.Mbps == 0 || f.Mbps < w.Mbps) {
			w.Mbps = f.Mbps
		}
		if f.PerGB.Known() && (!w.PerGB.Known() || f.PerGB.Currency == w.PerGB.Currency && f.PerGB.Micros > w.PerGB.Micros) {
			w.PerGB = f.PerGB
		}
	}
	return w
}

// spend is what the parts come to for a job of so many hours that reads so many GB.
type spend struct{ machine, restart, transfer, egress, carbon float64 }

// of computes the parts. The conversions keep every machine from fusing two
// roundings into one, so that all of them order offers alike.
func (r *rates) of(hours, gb float64) (s spend) {
	way := float64(gb * r.transfer)
	s.machine = float64(r.hour * hours)
	s.transfer = float64(float64(r.hour*way) * r.weigh)
	s.restart = float64(float64(r.restart*hours) * float64(r.hour*(float64(hours/2)+way)))
	s.egress = float64(r.egress * gb)
	s.carbon = float64(r.carbon * hours)
	return s
}

// total is all of it, in whole micros, so that equal offers are equal.
func (s spend) total() int64 {
	return micros(s.machine) + micros(s.restart) + micros(s.transfer) + micros(s.egress) + micros(s.carbon)
}

// micros rounds, and caps what no one could pay.
func micros(f float64) int64 {
	const most = math.MaxInt64 / 8
	if !(f < most) {
		return most
	}
	return int64(math.Round(f))
}

// parts tells the spend in money.
func (r *rates) parts(s spend, currency string) Parts {
	in := func(f float64) Money {
		if f == 0 {
			return Money{}
		}
		return Money{micros(f), currency}
	}
	p := Parts{Machine: Money{micros(s.machine), currency}, Restart: in(s.restart), Transfer: in(s.transfer),
		Egress: in(s.egress), Carbon: in(s.carbon), Total: Money{s.total(), currency}}
	for i, name := range partNames {
		if r.unknown[i] {
			p.Unknown = append(p.Unknown, name)
		}
	}
	return p
}

// hourly is the highest price of an hour whose cost for d, rounded up, is
// within limit; -1 if none is.
func hourly(limit int64, d time.Duration) int64 {
	if limit <= 0 || d <= 0 {
		return -1
	}
	hi, lo := bits.Mul64(uint64(limit), uint64(time.Hour))
	if hi >= uint64(d) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(d))
	return int64(min(q, math.MaxInt64))
}
