package policy

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Money is an amount in millionths of a currency unit. The zero Money has no
// currency and stands for "unknown": it is never a price and never a budget.
type Money struct {
	Micros   int64  `json:"micros"`
	Currency string `json:"currency"` // ISO 4217
}

// ParseMoney reads "12.50 USD". At most six decimals, no sign, no exponent.
func ParseMoney(s string) (Money, error) {
	amount, currency, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok || len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return Money{}, fmt.Errorf("parse money %q: want an amount and a currency, as in \"12.50 USD\"", s)
	}
	whole, frac, _ := strings.Cut(amount, ".")
	if len(frac) > 6 {
		return Money{}, fmt.Errorf("parse money %q: more than six decimals", s)
	}
	w, errW := strconv.ParseUint(whole, 10, 43)
	f, errF := strconv.ParseUint((frac + "000000")[:6], 10, 32)
	if err := cmp.Or(errW, errF); err != nil {
		return Money{}, fmt.Errorf("parse money %q: %w", s, err)
	}
	return Money{int64(w)*1e6 + int64(f), currency}, nil
}

// Known reports whether the amount has a currency.
func (m Money) Known() bool { return m.Currency != "" }

// String prints the amount with four decimals and its currency.
func (m Money) String() string {
	if !m.Known() {
		return "unknown"
	}
	sign, micros := "", uint64(m.Micros)
	if m.Micros < 0 {
		sign, micros = "-", -micros
	}
	return fmt.Sprintf("%s%d.%04d %s", sign, micros/1e6, micros%1e6/100, m.Currency)
}

// Plus adds two amounts. Amounts of different or unknown currency do not add.
func (m Money) Plus(n Money) (Money, error) {
	if !m.Known() || m.Currency != n.Currency {
		return Money{}, fmt.Errorf("add %v and %v: currencies differ or are unknown", m, n)
	}
	if (n.Micros > 0 && m.Micros > math.MaxInt64-n.Micros) || (n.Micros < 0 && m.Micros < math.MinInt64-n.Micros) {
		return Money{}, fmt.Errorf("add %v and %v: amount out of range", m, n)
	}
	return Money{m.Micros + n.Micros, m.Currency}, nil
}

// Minus subtracts n from m, under the rules of [Money.Plus].
func (m Money) Minus(n Money) (Money, error) {
	if n.Micros == math.MinInt64 {
		return Money{}, fmt.Errorf("subtract %v from %v: amount out of range", n, m)
	}
	return m.Plus(Money{-n.Micros, n.Currency})
}

// For is the cost of d at m per hour, rounded up to a micro. A negative d, an
// unknown price and a cost that does not fit are unknown.
func (m Money) For(d time.Duration) Money {
	if !m.Known() || d < 0 || m.Micros < 0 {
		return Money{}
	}
	n := new(big.Int).Mul(big.NewInt(m.Micros), big.NewInt(int64(d)))
	hour := big.NewInt(int64(time.Hour))
	n.Add(n, new(big.Int).Sub(hour, big.NewInt(1))).Div(n, hour)
	if !n.IsInt64() {
		return Money{}
	}
	return Money{n.Int64(), m.Currency}
}
