package columnar_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/columnar"
)

// claim is a row of the Parquet files of the tests.
type claim struct {
	Member string  `parquet:"member,dict"`
	Born   int32   `parquet:"born,date"`
	Age    int64   `parquet:"age_band"`
	Region *string `parquet:"region,optional,dict"`
	Stay   int32   `parquet:"stay_days"`
	Amount float64 `parquet:"amount"`
}

// format turns the CSV files of a world into Parquet.
func (w *world) format(t testing.TB, format string) {
	t.Helper()
	if w.set.Table = layout(format); format == "csv" {
		return
	}
	for _, name := range glob(t, w.dir, "data/claims/2025-q3/*.csv") {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		if err := errors.Join(err, f.Close(), os.Remove(name)); err != nil {
			t.Fatal(err)
		}
		var claims []claim
		for _, r := range rows[1:] {
			claims = append(claims, toClaim(t, r))
		}
		var b bytes.Buffer
		err = parquet.Write(&b, claims, parquet.KeyValueMetadata("canary-key", "canary-value"),
			parquet.CreatedBy("canary-writer", "1", "x"), parquet.MaxRowsPerRowGroup(max(25, int64(len(claims))/4)),
			parquet.BloomFilters(parquet.SplitBlockFilter(10, "member")))
		if err != nil {
			t.Fatal(err)
		}
		w.put(t, "claims/2025-q3/"+strings.TrimSuffix(filepath.Base(name), "csv")+"parquet", b.String())
	}
}

func toClaim(t testing.TB, r []string) claim {
	t.Helper()
	born, err := time.Parse(time.DateOnly, r[1])
	age, err2 := strconv.ParseInt(r[2], 10, 64)
	stay, err3 := strconv.Atoi(r[4])
	amount, err4 := strconv.ParseFloat(r[5], 64)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	c := claim{Member: r[0], Born: int32(born.Unix() / 86400), Age: age, Stay: int32(stay), Amount: amount}
	if r[3] != "" {
		c.Region = &r[3]
	}
	return c
}

func TestNothingDroppedIsLeftInAParquetFile(t *testing.T) {
	w := newWorld(t)
	w.format(t, "parquet")
	b := w.must(t)
	files := 0
	for _, f := range b.Manifest.Files {
		raw, err := io.ReadAll(mustOpen(t, b, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		p, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		deep := append(unpacked(t, p), raw...)
		for _, secret := range []string{"canary", "hidden", "born"} {
			if bytes.Contains(deep, []byte(secret)) {
				t.Errorf("%s: %q is in it", f.Name, secret)
			}
		}
		for _, own := range []string{"north", "south", "stay_days"} { // the search finds what is there
			if !bytes.Contains(deep, []byte(own)) {
				t.Errorf("%s: %q is not in it", f.Name, own)
			}
		}
		if p.NumRows() != 54 || len(p.Metadata().KeyValueMetadata) != 0 {
			t.Errorf("%s: %d rows, metadata %v", f.Name, p.NumRows(), p.Metadata().KeyValueMetadata)
		}
		ownBounds(t, p)
		files++
	}
	if files != 2 {
		t.Errorf("%d files", files)
	}
}

// unpacked is every page and dictionary of a file, decompressed.
func unpacked(t *testing.T, p *parquet.File) []byte {
	t.Helper()
	var all []byte
	for _, g := range p.RowGroups() {
		for _, c := range g.ColumnChunks() {
			pages := c.Pages()
			for {
				page, err := pages.ReadPage()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if d := page.Dictionary(); d != nil {
					data := d.Page().Data()
					bytes, _ := data.ByteArray()
					all = append(all, bytes...)
				}
				values := make([]parquet.Value, page.NumValues())
				n, err := page.Values().ReadValues(values)
				if err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				for _, v := range values[:n] {
					all = append(all, v.Bytes()...)
				}
			}
			pages.Close()
		}
	}
	return all
}

// ownBounds wants the statistics to be of the rows that are there.
func ownBounds(t *testing.T, p *parquet.File) {
	t.Helper()
	for _, g := range p.Metadata().RowGroups {
		for _, c := range g.Columns {
			if c.MetaData.PathInSchema[0] != "region" {
				continue
			}
			s := c.MetaData.Statistics
			if string(s.MinValue) != "north" || string(s.MaxValue) != "south" {
				t.Errorf("region is within %q and %q", s.MinValue, s.MaxValue)
			}
		}
	}
}

func TestAParquetFileThatIsNotAsTheCatalogueSaysIsRefused(t *testing.T) {
	type nested struct {
		Member string `parquet:"member"`
		Born   int32  `parquet:"born,date"`
		Age    struct {
			X int64 `parquet:"x"`
		} `parquet:"age_band"`
		Region []string `parquet:"region"`
		Stay   int32    `parquet:"stay_days"`
		Amount float64  `parquet:"amount"`
	}
	type optional struct {
		Member *string `parquet:"member,optional"`
		Born   int32   `parquet:"born,date"`
		Age    int64   `parquet:"age_band"`
		Region *string `parquet:"region,optional"`
		Stay   int32   `parquet:"stay_days"`
		Amount float64 `parquet:"amount"`
	}
	type other struct {
		claim
		Extra string `parquet:"extra"`
	}
	type retyped struct {
		Member int64   `parquet:"member"`
		Born   int32   `parquet:"born,date"`
		Age    int64   `parquet:"age_band"`
		Region *string `parquet:"region,optional"`
		Stay   int32   `parquet:"stay_days"`
		Amount float64 `parquet:"amount"`
	}
	for what, tc := range map[string]struct {
		write func(w io.Writer) error
		why   string
	}{
		"no parquet": {func(w io.Writer) error { _, err := io.WriteString(w, header); return err }, "no Parquet file"},
		"a new column": {func(w io.Writer) error { return parquet.Write(w, []other{{}}) },
			`column "extra" is not in the catalogue`},
		"columns inside": {func(w io.Writer) error { return parquet.Write(w, []nested{{}}) },
			`column "age_band" has columns or lists in it`},
		"empty values": {func(w io.Writer) error { return parquet.Write(w, []optional{{}}) },
			`column "member" may be empty, and the catalogue does not say nullable`},
		"another type": {func(w io.Writer) error { return parquet.Write(w, []retyped{{}}) },
			`column "member" is of type integer, and the catalogue says text`},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.format(t, "parquet")
			var b bytes.Buffer
			if err := tc.write(&b); err != nil {
				t.Fatal(err)
			}
			w.put(t, "claims/2025-q3/part-2.parquet", b.String())
			refused(t, w, tc.why)
		})
	}
}

func TestABrokenParquetFileIsAnErrorAndNoPanic(t *testing.T) {
	w := newWorld(t)
	w.format(t, "parquet")
	good, err := os.ReadFile(glob(t, w.dir, "data/claims/2025-q3/*.parquet")[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 97 {
		bad := bytes.Clone(good)
		bad[i] ^= 0xff
		w.put(t, "claims/2025-q3/part-0.parquet", string(bad))
		if b, err := w.build(t); err != nil && !errors.Is(err, columnar.ErrRefused) {
			t.Errorf("byte %d: %v, %+v", i, err, b.Manifest.Made)
		}
	}
	if w.set.Class != residency.Special {
		t.Error("the class has changed")
	}
}
