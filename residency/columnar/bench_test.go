package columnar_test

import "testing"

// BenchmarkBuild makes a slice of 100,000 rows: one column dropped, one
// replaced by codes, rows chosen, groups counted. Its metric is rows a second.
func BenchmarkBuild(b *testing.B) {
	const rows = 100_000
	for _, format := range []string{"csv", "parquet"} {
		b.Run(format, func(b *testing.B) {
			w := newWorld(b)
			for _, part := range []string{"0", "1"} {
				w.put(b, "claims/2025-q3/part-"+part+".csv", w.rows(0, rows/2))
			}
			w.format(b, format)
			s := w.store(b, "slices")
			for b.Loop() {
				if _, err := s.Build(w.set, w.spec); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
