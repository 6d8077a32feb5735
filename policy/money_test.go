package policy

import (
	"math"
	"strings"
	"testing"
	"time"
)

func usd(micros int64) Money { return Money{micros, "USD"} }

func TestMoneyIsReadExactlyOrNotAtAll(t *testing.T) {
	for text, want := range map[string]int64{
		"12.50 USD": 12_500_000, "0 USD": 0, "0.000001 USD": 1, " 7 USD ": 7_000_000, "1. USD": 1_000_000,
		"8796093022207.999999 USD": 8_796_093_022_207_999_999,
	} {
		if m, err := ParseMoney(text); err != nil || m != usd(want) {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
	for _, text := range []string{
		"", "12.50", "USD", "12.50USD", "-1 USD", "+1 USD", "1e3 USD", "1,50 USD", ".5 USD", "1.0000001 USD", "1 usd",
		"1 Usd", "1 EURO", "1 345", "1 U$D", "1 \u00c4X", "0x10 USD", "1_0 USD", "1.-1 USD", "NaN USD", "Inf USD",
		"8796093022208 USD", "99999999999999999999 USD",
	} {
		if m, err := ParseMoney(text); err == nil || m.Known() {
			t.Errorf("%q was read as %v", text, m)
		}
	}
}

func FuzzParseMoney(f *testing.F) {
	for _, s := range []string{"12.50 USD", "0.000001 EUR", "-1 USD", "1 345", "99999999999999 USD"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMoney(s)
		if err != nil {
			return
		}
		if m.Micros < 0 || len(m.Currency) != 3 {
			t.Fatalf("%q was read as %+v", s, m)
		}
		if m.Micros%100 == 0 { // what String shows
			if again, err := ParseMoney(m.String()); err != nil || again != m {
				t.Fatalf("%q is %v, which is read as %+v, %v", s, m, again, err)
			}
		}
	})
}

func TestMoneyOfTwoCurrenciesNeverMeets(t *testing.T) {
	eur := Money{1, "EUR"}
	none := Money{5, ""}
	for _, pair := range [][2]Money{{usd(1), eur}, {eur, usd(1)}, {{}, usd(1)}, {usd(1), {}}, {{}, {}}, {none, none}} {
		if m, err := pair[0].Plus(pair[1]); err == nil {
			t.Errorf("%v + %v = %v", pair[0], pair[1], m)
		}
		if m, err := pair[0].Minus(pair[1]); err == nil {
			t.Errorf("%v - %v = %v", pair[0], pair[1], m)
		}
	}
}

func TestMoneyDoesNotWrapAround(t *testing.T) {
	for _, pair := range [][2]int64{{math.MaxInt64, 1}, {1, math.MaxInt64}, {math.MinInt64, -1}, {-2, math.MinInt64}} {
		if m, err := usd(pair[0]).Plus(usd(pair[1])); err == nil {
			t.Errorf("%d + %d = %v", pair[0], pair[1], m.Micros)
		}
	}
	for _, pair := range [][2]int64{{math.MinInt64, 1}, {0, math.MinInt64}, {-1, math.MinInt64}} {
		if m, err := usd(pair[0]).Minus(usd(pair[1])); err == nil {
			t.Errorf("%d - %d = %v", pair[0], pair[1], m.Micros)
		}
	}
	if m := usd(math.MaxInt64).For(2 * time.Hour); m.Known() {
		t.Errorf("twice the most there is: %v", m)
	}
}

func TestWhatTimeCostsIsNeverRoundedDown(t *testing.T) {
	for _, tc := range []struct {
		perHour Money
		d       time.Duration
		want    Money
	}{
		{usd(3_600_000_000), time.Second, usd(1_000_000)},
		{usd(1), time.Nanosecond, usd(1)},
		{usd(1), time.Hour, usd(1)},
		{usd(1), time.Hour + 1, usd(2)},
		{usd(5), 0, usd(0)},
		{usd(5), -1, Money{}},
		{usd(-5), time.Hour, Money{}},
		{Money{5, ""}, time.Hour, Money{}},
	} {
		if got := tc.perHour.For(tc.d); got != tc.want {
			t.Errorf("%v for %v: %+v, want %+v", tc.perHour, tc.d, got, tc.want)
		}
	}
}

func TestMoneyIsPrintedWithItsCurrency(t *testing.T) {
	for want, m := range map[string]Money{"12.5000 USD": usd(12_500_000), "-0.0001 USD": usd(-100), "unknown": {}} {
		if m.String() != want {
			t.Errorf("%+v prints %q, want %q", m, m, want)
		}
	}
	if s := usd(math.MinInt64).String(); !strings.HasPrefix(s, "-9223372036854.7758") {
		t.Errorf("the least there is prints %q", s)
	}
}
