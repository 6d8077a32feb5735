package columnar_test

import (
	"encoding/csv"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

func TestAPathThatMeansAnotherValueIsRefused(t *testing.T) {
	for _, dir := range []string{"land=%62e", "land=b%65", "land=__HIVE_DEFAULT_PARTITION__"} {
		w := newWorld(t)
		w.set.Table.Columns = append(w.set.Table.Columns, residency.Column{Name: "land", Type: "text", Partition: true})
		w.set.Versions[0].Dir, w.spec.Rows, w.spec.KAnonymity = "claims/lake", `land != "be"`, nil
		w.put(t, "claims/lake/"+dir+"/part-0.csv", w.rows(0, 60))
		refused(t, w, "escaped or stands for no value")
	}
}

func TestARowOfOneEmptyValueIsARow(t *testing.T) {
	w := newWorld(t)
	w.put(t, "claims/2025-q3/part-2.csv", header+"canary,1950-01-01,30,,2,1.5\n"+row+"canary,1950-01-01,30,,2,1.5\n")
	w.spec.Files, w.spec.Rows, w.spec.KAnonymity = []string{"part-2.csv"}, "", nil
	w.spec.Columns = &residency.Columns{Drop: []string{"member", "born", "age_band", "stay_days", "amount"}}
	b := w.must(t)
	all, err := csv.NewReader(mustOpen(t, b, "part-00000.csv")).ReadAll()
	if err != nil || int64(len(all)) != b.Manifest.Made.Rows+1 {
		t.Errorf("%q of %d rows, error %v", all, b.Manifest.Made.Rows, err)
	}
}
