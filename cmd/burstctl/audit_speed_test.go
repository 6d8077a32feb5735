package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs/rules"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/residency/places"
)

// BenchmarkDecisionInTheLog decides by the shipped rules and place table and enters the verdict, durable and signed,
// from so many callers at once. Wanted: 3,000/s at 64 with a median of 25 ms at most, and 6 ms at most alone.
func BenchmarkDecisionInTheLog(b *testing.B) {
	law, err := residency.ParseRules(rules.Files())
	if err != nil {
		b.Fatal(err)
	}
	table, err := residency.ParseTable(places.CSV)
	if err != nil {
		b.Fatal(err)
	}
	ask := residency.Ask{Purpose: "model-training", Team: "actuarial", Site: "hq", Slice: residency.Slice{
		Name: "claims/2025-q3-pseudonymised", Dataset: "claims", Class: residency.Personal, Pseudonymised: true,
		Origin: "DE", Purposes: []string{"model-training"}, Basis: "contract"}}
	at := residency.Address{Provider: "aws", Region: "eu-central-1"}
	decide := func(n int) (audit.Entry, error) {
		v := law.Screen(table, ask, at)
		if !v.Allowed {
			return audit.Entry{}, fmt.Errorf("refused: %s", v.Why)
		}
		body, err := json.Marshal(burst.Cleared{Grant: fmt.Sprintf("c-%d.1", n), Verdict: v})
		return audit.Entry{V: 1, Code: "0103", Kind: "cleared", Burst: fmt.Sprintf("c-%d", n), At: time.Now(),
			Actor: "controller", Body: body}, err
	}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			l := alone(b)
			waits := make([][]time.Duration, callers)
			begun := time.Now()
			var all sync.WaitGroup
			for c := range callers {
				all.Go(func() {
					for i := c; i < b.N; i += callers {
						since := time.Now()
						e, err := decide(i)
						if err == nil {
							_, err = l.Enter(context.Background(), e)
						}
						if err != nil {
							b.Error(err)
							return
						}
						waits[c] = append(waits[c], time.Since(since))
					}
				})
			}
			all.Wait()
			took, each := time.Since(begun), slices.Concat(waits...)
			slices.Sort(each)
			b.ReportMetric(float64(b.N)/took.Seconds(), "decisions/s")
			p50 := each[len(each)/2].Seconds() * 1000
			b.ReportMetric(p50, "p50-ms")
			if callers == 1 {
				b.ReportMetric(p50/6, "of_6ms")
			} else {
				b.ReportMetric(p50/25, "of_25ms")
				b.ReportMetric(float64(b.N)/took.Seconds()/3000, "of_3000/s")
			}
			b.ReportMetric(each[len(each)*99/100].Seconds()*1000, "p99-ms")
		})
	}
}

// alone is an empty log without witnesses.
func alone(b *testing.B) *audit.Log {
	skey, _, err := audit.GenerateLogKey("speed.test/log")
	if err != nil {
		b.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		b.Fatal(err)
	}
	o := audit.Options{Dir: filepath.Join(b.TempDir(), "log"), Origin: "speed.test/log", Signer: signer,
		OnFatal: func(err error) { panic(err) }}
	if err := audit.Create(o); err != nil {
		b.Fatal(err)
	}
	l, err := audit.Open(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	return l
}
