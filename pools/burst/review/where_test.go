package review_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/pools/burst"
)

func TestWhereShowsTheBoundOfTheShortestRoundTrip(t *testing.T) {
	edge := func(micros int64) step {
		return step{body: &burst.RoundTrip{Grant: "c-1.1", Micros: micros, Samples: 5}, actor: "edge:hq"}
	}
	steps := good()
	i := kind(t, steps, "serve-intent", 0)
	all, f := fold(t, slices.Insert(steps, i, edge(3201), edge(2411), edge(9000))...).Where("claims")
	if len(f) != 0 || len(all) == 0 {
		t.Fatalf("%+v %s", all, texts(f))
	}
	near := all[0].Near
	if near == nil || all[0].Level != "L2" || near.Within != 242 || near.Micros != 2411 || near.Measured != 3 ||
		near.Index != int64(i+1) {
		t.Errorf("%+v: %+v", all[0], near)
	}
	if all, _ := fold(t, good()...).Where("claims"); all[0].Near != nil {
		t.Error("a bound nobody measured")
	}
	for want, odd := range map[string]step{
		"which no earlier entry grants": {body: &burst.RoundTrip{Grant: "c-9.1", Micros: 1, Samples: 1}, actor: "edge:hq"},
		"not by the edge of the site":   {body: &burst.RoundTrip{Grant: "c-1.1", Micros: 1, Samples: 1}, actor: "edge:x"},
		"of 0 µs in 5 samples":          edge(0),
	} {
		all, f := fold(t, before(t, "serve-intent", odd)...).Where("claims")
		if !strings.Contains(texts(f), want) || all[0].Near != nil {
			t.Errorf("%q, want %q; %+v", texts(f), want, all[0].Near)
		}
	}
}
