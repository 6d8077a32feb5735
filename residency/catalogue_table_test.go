package residency_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

// tabled is a dataset with a table and one slice of it.
func tabled() residency.Dataset {
	d := claims()
	d.Location, d.Versions = "lake", []residency.Version{{Name: "2025-q3", Dir: "lake/q3"}}
	d.Table = &residency.Layout{Format: "csv", Columns: []residency.Column{
		{Name: "member", Type: "text", Identifies: true}, {Name: "Born", Type: "date"}, {Name: "age", Type: "integer"},
		{Name: "scan", Type: "other"}, {Name: "dt", Type: "text", Partition: true}}}
	d.Slices = []residency.SliceSpec{{Name: "claims/adults", Class: residency.Personal, Pseudonymised: true,
		Version: "2025-q3", Rows: "age > 17", Partitions: []string{"dt=1"},
		Columns:    &residency.Columns{Drop: []string{"Born"}, Pseudonymise: []string{"member"}},
		KAnonymity: &residency.KAnonymity{Columns: []string{"age", "dt"}, K: 5}}}
	return d
}

func TestASliceOfATableAsksOnlyForWhatTheTableHas(t *testing.T) {
	d := tabled()
	if _, err := residency.NewCatalogue([]residency.Dataset{d}); err != nil {
		t.Fatal(err)
	}
	if v := d.Source(d.Slices[0]); v.Dir != "lake/q3" || !d.Slices[0].Derived() || len(d.Kept(d.Slices[0])) != 4 {
		t.Errorf("of %+v, %d columns kept", v, len(d.Kept(d.Slices[0])))
	}
	type set = *residency.Dataset
	for what, tc := range map[string]struct {
		change func(set)
		path   string // from the dataset on
	}{
		"no table":               {func(d set) { d.Table = nil }, "slices 0"},
		"no such version":        {func(d set) { d.Slices[0].Version = "2024" }, "slices 0 version"},
		"a version and a dir":    {func(d set) { d.Slices[0].Dir = "lake/q3" }, "slices 0 dir"},
		"a dir elsewhere":        {func(d set) { d.Slices[0].Version, d.Slices[0].Dir = "", "roads" }, "slices 0 dir"},
		"a dir like it":          {func(d set) { d.Slices[0].Version, d.Slices[0].Dir = "", "lake2" }, "slices 0 dir"},
		"a version elsewhere":    {func(d set) { d.Versions[0].Dir = "roads" }, "versions 0 dir"},
		"a version outside":      {func(d set) { d.Versions[0].Dir = "../x" }, "versions 0 dir"},
		"a version twice":        {func(d set) { d.Versions = append(d.Versions, d.Versions[0]) }, "versions 1 name"},
		"a digest that is none":  {func(d set) { d.Versions[0].Digest = "sha256:ff" }, "versions 0 digest"},
		"an odd day":             {func(d set) { d.Embargo = "2026-02-30" }, "embargo"},
		"an embargo without end": {func(d set) { d.Embargo, d.Retention = "2026-03-03", "2026-03-02" }, "embargo"},
		"a day as text":          {func(d set) { d.Retention = "next year" }, "retention"},
		"no format":              {func(d set) { d.Table.Format = "" }, "table format"},
		"no columns":             {func(d set) { d.Table.Columns = nil }, "table columns"},
		"a column without type":  {func(d set) { d.Table.Columns[2].Type = "" }, "table columns 2 type"},
		"a column but for case":  {func(d set) { d.Table.Columns[2].Name = "born" }, "table columns 2 name"},
		"a path in between":      {func(d set) { d.Table.Columns[1].Partition = true }, "table columns 1"},
		"an untyped path":        {func(d set) { d.Table.Columns[4].Type = "other" }, "table columns 4"},
		"an unknown column":      {func(d set) { d.Slices[0].Columns.Drop[0] = "born" }, "slices 0 columns drop 0"},
		"a column twice": {func(d set) { d.Slices[0].Columns.Drop[0] = "member" },
			"slices 0 columns pseudonymise 0"},
		"a name that stays": {func(d set) { d.Slices[0].Columns.Pseudonymise = nil }, "slices 0 columns"},
		"all columns": {func(d set) {
			d.Slices[0].Columns = &residency.Columns{Drop: []string{"Born", "age", "scan", "member"}}
		}, "slices 0 columns drop"},
		"a column of a path": {func(d set) { d.Slices[0].Columns.Drop[0] = "dt" }, "slices 0 columns drop 0"},
		"an untyped code": {func(d set) { d.Slices[0].Columns.Pseudonymise[0] = "scan" },
			"slices 0 columns pseudonymise 0"},
		"a partition outside": {func(d set) { d.Slices[0].Partitions[0] = "../dt=1" },
			"slices 0 partitions 0"},
		"k of one":        {func(d set) { d.Slices[0].KAnonymity.K = 1 }, "slices 0 k_anonymity k"},
		"k of no columns": {func(d set) { d.Slices[0].KAnonymity.Columns = nil }, "slices 0 k_anonymity columns"},
		"k of a dropped":  {func(d set) { d.Slices[0].KAnonymity.Columns[0] = "Born" }, "slices 0 k_anonymity columns 0"},
		"k of a code": {func(d set) { d.Slices[0].KAnonymity.Columns[0] = "member" },
			"slices 0 k_anonymity columns 0"},
		"k of what is none": {func(d set) { d.Slices[0].KAnonymity.Columns[0] = "sex" }, "slices 0 k_anonymity columns 0"},
		"k of an untyped":   {func(d set) { d.Slices[0].KAnonymity.Columns[0] = "scan" }, "slices 0 k_anonymity columns 0"},
		"small groups kept": {func(d set) { d.Slices[0].KAnonymity.SmallGroups = "keep" },
			"slices 0 k_anonymity small_groups"},
		"not pseudonymised": {func(d set) { d.Slices[0].Pseudonymised = false }, "slices 0"},
		"less than personal": {func(d set) { d.Slices[0].Class = residency.Internal },
			"slices 0"},
	} {
		d := tabled()
		tc.change(&d)
		_, err := residency.NewCatalogue([]residency.Dataset{d})
		e, ok := errors.AsType[*residency.SpecError](err)
		if !ok {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got := strings.Join(e.Path, " ")
		if want := "datasets 0 " + tc.path; got != want {
			t.Errorf("%s: the mistake is at %s, want %s: %v", what, got, want, err)
		}
	}
}

func TestOldCataloguesKeepTheirDigest(t *testing.T) {
	c, err := residency.NewCatalogue([]residency.Dataset{claims()})
	if err != nil {
		t.Fatal(err)
	}
	const was = "sha256:97608d623ae6de0690368d682ed967228d3c17d068052b5c1832d01f12de6e21"
	if c.Digest() != was {
		t.Errorf("digest %s, was %s", c.Digest(), was)
	}
}

// made is what a derived slice says of itself.
func made() residency.Made {
	commitment := "hmac-sha256:" + strings.Repeat("a", 64)
	return residency.Made{Dataset: "claims", Version: "2025-q3", Source: commitment, Spec: commitment, Derived: true,
		Format: "csv", Columns: []string{"member", "age"}, Pseudonymised: []string{"member"}, Key: strings.Repeat("b", 16),
		Rows: 10, K: 5, Groups: []string{"age"}, SmallestGroup: 5}
}

func TestAManifestOfVersionTwoSaysWhatItWasMadeOf(t *testing.T) {
	m, err := manifest("a", "b").With(made())
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := residency.DecodeManifest(b)
	if err != nil || back.Digest() != m.Digest() || back.Made.SmallestGroup != 5 || back.V != 2 {
		t.Errorf("%+v: %v", back, err)
	}
	if v1, err := manifest("a", "b").Encode(); err != nil || strings.Contains(string(v1), "root") {
		t.Errorf("version 1 has a root: %s, %v", v1, err)
	}
	other := manifest("a", "b")
	other.Files[1].Chunks = []string{strings.Repeat("1", 64), strings.Repeat("0", 64)}
	if n, err := other.With(made()); err != nil || n.Root == m.Root {
		t.Errorf("another chunk, the same root: %v", err)
	}
	for what, change := range map[string]func(*residency.Manifest){
		"version 1 with a root": func(m *residency.Manifest) { m.V = 1 },
		"no root":               func(m *residency.Manifest) { m.Root = "" },
		"another root":          func(m *residency.Manifest) { m.Root = "sha256:" + strings.Repeat("0", 64) },
		"made of nothing":       func(m *residency.Manifest) { m.Made = nil },
		"another dataset":       func(m *residency.Manifest) { m.Made.Dataset = "roads" },
		"no version":            func(m *residency.Manifest) { m.Made.Version = "" },
		"an open commitment":    func(m *residency.Manifest) { m.Made.Source = "sha256:" + strings.Repeat("a", 64) },
		"no commitment":         func(m *residency.Manifest) { m.Made.Spec = "" },
		"columns as they lie":   func(m *residency.Manifest) { m.Made.Derived = false },
		"no format":             func(m *residency.Manifest) { m.Made.Format = "" },
		"no key":                func(m *residency.Manifest) { m.Made.Key = "" },
		"no rows":               func(m *residency.Manifest) { m.Made.Rows = 0 },
		"no columns":            func(m *residency.Manifest) { m.Made.Columns = nil },
		"a column twice":        func(m *residency.Manifest) { m.Made.Columns[1] = "member" },
		"a code of no column":   func(m *residency.Manifest) { m.Made.Pseudonymised[0] = "born" },
		"groups of no column":   func(m *residency.Manifest) { m.Made.Groups[0] = "sex" },
		"a group too small":     func(m *residency.Manifest) { m.Made.SmallestGroup = 4 },
		"a group too large":     func(m *residency.Manifest) { m.Made.SmallestGroup = 11 },
		"k without groups":      func(m *residency.Manifest) { m.Made.Groups = nil },
		"k of one":              func(m *residency.Manifest) { m.Made.K = 1 },
	} {
		m, err := manifest("a", "b").With(made())
		if err != nil {
			t.Fatal(err)
		}
		again := made()
		again.Columns, again.Groups = slices.Clone(again.Columns), slices.Clone(again.Groups)
		m.Made = &again
		change(&m)
		if m.Digest() != "" {
			t.Errorf("%s: has a digest", what)
		}
	}
}

func TestTheRootIsThatOfRFC6962(t *testing.T) {
	// One chunk: the hash of a zero byte and the digest. Four: two pairs.
	one, err := (residency.Manifest{V: 1, Slice: "claims/x", Hash: "sha256", ChunkSize: 4, Bytes: 1,
		Files: []residency.File{{Name: "a", Size: 1, Mode: residency.ModeData,
			Chunks: []string{strings.Repeat("0", 64)}}}}).With(made())
	if err != nil {
		t.Fatal(err)
	}
	if one.Root != "sha256:7f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce9" {
		t.Errorf("root of one: %s", one.Root)
	}
	four, err := manifest("a", "b").With(made())
	if err != nil {
		t.Fatal(err)
	}
	if four.Root != "sha256:b46fd516fa6c7dcddd52ac2be2a014d8a8de4eaa059f79ccfcff4b8afc4e7ddc" {
		t.Errorf("root of four: %s", four.Root)
	}
}
