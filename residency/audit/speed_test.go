package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mixed is an entry like those of a burst, most of them small, one in twenty a decision with its offers and one in
// twenty a sealed grant.
func mixed(i int) Entry {
	e := entry(i)
	e.Actor = "edge:hq"
	digest := fmt.Sprintf("sha256:%064x", i)
	body := fmt.Sprintf(`{"bytes":%d,"grant":"c-%d.1","manifest":%q,"n":%d}`, i*4096, i/20, digest, i%20)
	switch i % 20 {
	case 1:
		offer := `{"offer":{"as_of":"2026-06-18","at":{"provider":"aws","region":"us-east-1"},"gpu":"T4","gpus":1,` +
			`"per_hour":{"currency":"USD","micros":752000},"type":"g4dn.2xlarge"},"strike":{"basis":"GDPR Art. 44-46",` +
			`"kind":"residency","rule":"eu-only","title":"Personal data stays in the EEA","why":"utilisation ≥ 85 %"}}`
		body = `{"decision":{"candidates":[` + strings.Repeat(offer+",", 9) + offer + `],"rules":"` + digest + `"}}`
	case 2:
		sealed, _ := json.Marshal("burstctl/grant/v1\n" + strings.Repeat(`{"v":1,"k":"`+digest+`"}`, 20))
		body = fmt.Sprintf(`{"grant":"c-%d.1","sealed":%s}`, i/20, sealed)
	}
	e.Body = json.RawMessage(body)
	return e
}

// million makes and verifies a log of a million entries.
func million(b *testing.B, what string, make func(int) Entry) {
	const all, step = 1_000_000, 4000
	h := newHouse(b)
	l := h.start(b)
	bytes := 0
	for i := 0; i < all; i += step {
		var es []Entry
		for j := i; j < i+step; j++ {
			es = append(es, make(j))
		}
		if i == 0 {
			for _, e := range es {
				leaf, err := e.Encode()
				check(b, err)
				bytes += len(leaf)
			}
		}
		_, err := l.Enter(context.Background(), es...)
		check(b, err)
	}
	h.cosign(b, l)
	check(b, l.Seal(context.Background()))
	for b.Loop() {
		r, err := Verify(context.Background(), os.DirFS(h.o.Dir), h.trust)
		if err != nil || r.Entries != all {
			b.Fatalf("%d entries: %v", r.Entries, err)
		}
	}
	took := b.Elapsed() / time.Duration(b.N)
	b.Logf("verifying 1,000,000 %s entries, %d bytes on average, took %v (at most 10s is wanted)", what, bytes/step, took)
	b.ReportMetric(took.Seconds()/10, "of_10s")
}

func BenchmarkVerifyAMillion(b *testing.B) {
	b.Run("small", func(b *testing.B) { million(b, "small", entry) })
	b.Run("mixed", func(b *testing.B) { million(b, "mixed", mixed) })
}

func TestTheFastWayTakesOnlyWhatTheLongWayTakes(t *testing.T) {
	whole, err := mixed(2).Encode()
	check(t, err)
	if _, ok := fast(whole); !ok {
		t.Error("the long way for an entry of the usual kind")
	}
	taken := 0
	try := func(b []byte) {
		e, ok := fast(b)
		if !ok {
			return
		}
		taken++
		if want, err := slow(b); err != nil || !reflect.DeepEqual(e, want) {
			t.Errorf("%q: taken as %+v, not %+v, %v", b, e, want, err)
		}
	}
	for _, i := range []int{0, 2} {
		b, err := mixed(i).Encode()
		check(t, err)
		try(b)
		for at := range b {
			for _, c := range []byte("\x00 \"\\,:}0A\xff") {
				was := b[at]
				b[at] = c
				try(b)
				b[at] = was
			}
			try(slices.Concat(b[:at], b[at+1:]))
			try(slices.Insert(slices.Clone(b), at, ' '))
		}
	}
	t.Logf("%d taken", taken)
	head := `{"actor":"a","at":"2026-01-01T00:00:00Z","body":{`
	for _, body := range []string{
		"", `"a":-0`, `"a":00`, `"a":1.0`, `"a":1e3`, `"a":999999999999999999`, `"a":9999999999999999999`, `"a":-1`,
		`"a":1,"a":2`, `"b":1,"a":2`, `"A":1,"a":2`, `"a":"\u0041"`, `"a":"\/"`, `"a":"\b\f"`, `"a":"` + "\u2028" + `"`,
		`"a":"` + "\uFFFD" + `"`, `"a":"<&>"`, `"":1`, `"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40),
		`"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31), `"a":` + strings.Repeat("[", 30) + "1" +
			strings.Repeat("]", 30),
		`"é":1`, `"a":nul`, `"a":true,"b":false,"c":null,"d":[],"e":{}`, `"a":[1,2,]`, `"a":{"b":1,}`, `"a" :1`,
	} {
		for _, tail := range []string{
			`},"code":"0101","kind":"k","v":1}`, `},"burst":"b","code":"0101","kind":"k","v":1}`,
			`},"burst":"","code":"0101","kind":"k","v":1}`, `},"code":"01x1","kind":"k","v":1}`,
			`},"code":"0101","kind":"k","v":1} `, `},"code":"0101","kind":"k","v":2}`,
		} {
			try([]byte(head + body + tail))
		}
	}
	for _, at := range []string{"2026-01-01T00:00:00.0Z", "2026-01-01T00:00:00+00:00", "2026-01-01T24:00:00Z",
		"0001-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01t00:00:00z", "2026-01-01T00:00:00,5Z"} {
		try([]byte(strings.Replace(head, "2026-01-01T00:00:00Z", at, 1) + `},"code":"0101","kind":"k","v":1}`))
	}
}

func FuzzTheFastWay(f *testing.F) {
	for i := range 4 {
		b, err := mixed(i).Encode()
		check(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := fast(b)
		if !ok {
			return
		}
		if want, err := slow(b); err != nil || !reflect.DeepEqual(e, want) {
			t.Fatalf("%q: taken as %+v, not %+v, %v", b, e, want, err)
		}
	})
}

// BenchmarkReceipt makes and checks the receipt of one entry among 100,000.
func BenchmarkReceipt(b *testing.B) {
	h := newHouse(b)
	l := h.start(b)
	for i := 0; i < 100_000; i += 4000 {
		bulk(b, l, i, i+4000)
	}
	h.cosign(b, l)
	b.Run("make", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, err := l.Receipt(context.Background(), int64(i*7919%100_000))
			check(b, err)
		}
		b.ReportMetric((b.Elapsed()/time.Duration(b.N)).Seconds()*1000, "of_1ms")
	})
	r, err := l.Receipt(context.Background(), 54_321)
	check(b, err)
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			_, _, _, err := OpenReceipt(r, h.trust)
			check(b, err)
		}
		b.ReportMetric((b.Elapsed()/time.Duration(b.N)).Seconds()*1000, "of_1ms")
	})
}

// BenchmarkWriters enters signed, durable entries from so many callers at once and reports how long each waited.
func BenchmarkWriters(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			l := newHouse(b).start(b)
			waits := make([][]time.Duration, callers)
			begun := time.Now()
			var all sync.WaitGroup
			for c := range callers {
				all.Go(func() {
					for i := c; i < b.N; i += callers {
						since := time.Now()
						if _, err := l.Enter(context.Background(), mixed(i)); err != nil {
							b.Error(err)
						}
						waits[c] = append(waits[c], time.Since(since))
					}
				})
			}
			all.Wait()
			took, each := time.Since(begun), slices.Concat(waits...)
			slices.Sort(each)
			b.ReportMetric(float64(b.N)/took.Seconds(), "entries/s")
			b.ReportMetric(each[len(each)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(each[len(each)*99/100].Seconds()*1000, "p99-ms")
		})
	}
}

// BenchmarkWitness enters an entry and times what its cosignature then takes: proof, witness on this machine, and back.
func BenchmarkWitness(b *testing.B) {
	h := newHouse(b)
	l := h.start(b)
	var each []time.Duration
	for i := 0; b.Loop(); i++ {
		fill(b, l, i, i+1)
		since := time.Now()
		h.cosign(b, l)
		each = append(each, time.Since(since))
	}
	slices.Sort(each)
	b.ReportMetric(each[len(each)/2].Seconds()*1000, "p50-ms")
}

// locked takes a faulty disk's changes one at a time, whoever makes them.
func (f *faulty) locked() *disk {
	var mu sync.Mutex
	d := f.disk()
	one := func(do func(string) error) func(string) error {
		return func(name string) error {
			mu.Lock()
			defer mu.Unlock()
			return do(name)
		}
	}
	return &disk{mkdir: one(d.mkdir), syncDir: one(d.syncDir), remove: one(d.remove), together: atOnce,
		rename: func(from, to string) error {
			mu.Lock()
			defer mu.Unlock()
			return d.rename(from, to)
		},
		create: func(name string) (file, error) {
			mu.Lock()
			defer mu.Unlock()
			g, err := d.create(name)
			return lockedFile{g, &mu}, err
		}}
}

type lockedFile struct {
	file
	mu *sync.Mutex
}

func (g lockedFile) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.file.Write(b)
}

func (g lockedFile) Sync() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.file.Sync()
}

func TestAPowerCutAmongChangesMadeAtOnceLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	at, step := 0, 5
	if os.Getenv("BURST_REAL") == "1" {
		step = 1
	}
	for ; ; at += step {
		h := newHouse(t)
		check(t, Create(h.o))
		f := &faulty{real: osDisk(), at: at, err: errKilled, onward: true, torn: map[string]bool{}}
		h.o.disk = f.locked()
		l, err := Open(t.Context(), h.o)
		check(t, err)
		acked, err := live(h, l)
		check(t, l.Close())
		if err == nil {
			break
		}
		f.powerCut()
		survives(t, h, acked, fmt.Sprintf("stopped at change %d, %s", at, f.hit))
	}
	t.Logf("stopped at every change number %d of %d", step, at)
}
