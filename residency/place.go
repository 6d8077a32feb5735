package residency

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Kind is what a row of the table is. The empty Kind is unknown and denies.
type Kind string

// The kinds of place.
const (
	Region     Kind = "region"     // a region as a whole
	AZ         Kind = "az"         // an availability zone of its region
	LocalZone  Kind = "local-zone" // AWS, often far from its region
	Wavelength Kind = "wavelength" // AWS, inside a carrier's network
	Edge       Kind = "edge"       // a provider's edge site
	Extended   Kind = "extended"   // Azure extended zone
)

var kinds = []Kind{Region, AZ, LocalZone, Wavelength, Edge, Extended}

// Place is what is known of an address. Made by a [Table] only, from its rows;
// every field but Zone is always filled.
type Place struct {
	Address
	Partition string   `json:"partition"` // "aws", "aws-cn", "aws-us-gov", "aws-eusc", else the provider
	Kind      Kind     `json:"kind"`
	Country   string   `json:"country"`  // ISO 3166-1 alpha-2, where the machines stand
	Groups    []string `json:"groups"`   // "EU", "EEA", …, sorted; ["none"] if it is in no group
	Operator  string   `json:"operator"` // country of the contracting operator
	Parent    string   `json:"parent"`   // country whose law binds the operator's ultimate parent
	Name      string   `json:"name"`     // for people
	Source    string   `json:"source"`   // where the row was read
}

// Table says which places are known, as signed and dated data. Made by
// [ParseTable] or [OpenTable]; the zero Table knows nothing.
type Table struct {
	digest string
	rows   map[Address]Place
}

// header is the first line of a table.
const header = "provider,region,zone,partition,kind,country,groups,operator,parent,name,source"

// ParseTable reads a table: CSV, the header first, one row a place. It is
// strict: an unknown kind, country or partition, a zone without its region or
// a second row for an address is an error with its line.
func ParseTable(b []byte) (*Table, error) {
	if bytes.ContainsAny(b, "\r\x00") {
		return nil, errors.New("parse places: carriage return or NUL")
	}
	r := csv.NewReader(bytes.NewReader(b))
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("parse places: %w", err)
	}
	if len(rows) == 0 || strings.Join(rows[0], ",") != header {
		return nil, fmt.Errorf("parse places: line 1 is not %q", header)
	}
	t := &Table{digest: digest(b), rows: map[Address]Place{}}
	for i, row := range rows[1:] {
		p, err := parsePlace(row)
		if _, twice := t.rows[p.Address]; err == nil && twice {
			err = errors.New("address is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("parse places: row %d: %w", i+1, err)
		}
		t.rows[p.Address] = p
	}
	for a := range t.rows {
		if _, ok := t.rows[Address{Provider: a.Provider, Region: a.Region}]; !ok {
			return nil, fmt.Errorf("parse places: %v is there without its region", a)
		}
	}
	return t, nil
}

// parsePlace reads one row; csv has already counted its columns.
func parsePlace(f []string) (Place, error) {
	p := Place{Address: Address{f[0], f[1], f[2]}, Partition: f[3], Kind: Kind(f[4]), Country: f[5],
		Groups: strings.Fields(f[6]), Operator: f[7], Parent: f[8], Name: f[9], Source: f[10]}
	if strings.Join(p.Groups, " ") != f[6] {
		return p, fmt.Errorf("groups %q are not words with single blanks", f[6])
	}
	if err := p.check(); err != nil {
		return p, fmt.Errorf("%v: %w", p.Address, err)
	}
	return p, nil
}

// check reports the first thing about p that is not known.
func (p Place) check() error {
	if err := p.Address.Check(); err != nil {
		return err
	}
	for _, c := range []string{p.Country, p.Operator, p.Parent} {
		if !isCountry(c) {
			return fmt.Errorf("%q is no ISO 3166-1 country", c)
		}
	}
	switch {
	case !slices.Contains(kinds, p.Kind):
		return fmt.Errorf("%q is no kind of place", p.Kind)
	case (p.Kind == Region) != (p.Zone == ""):
		return fmt.Errorf("kind %q with zone %q", p.Kind, p.Zone)
	case !isPartition(p.Provider, p.Partition):
		return fmt.Errorf("%q is no partition of %s", p.Partition, p.Provider)
	case !areGroups(p.Groups):
		return fmt.Errorf("groups %q are not sorted names, or \"none\" alone", p.Groups)
	case p.Source == "":
		return errors.New("source is missing")
	}
	return nil
}

// equal reports whether p and o say the same.
func (p Place) equal(o Place) bool {
	same := slices.Equal(p.Groups, o.Groups)
	p.Groups, o.Groups = nil, nil
	return same && reflect.DeepEqual(p, o)
}

// isPartition reports whether partition is a known one of provider. A provider
// without partitions is its own.
func isPartition(provider, partition string) bool {
	if provider == "aws" {
		return slices.Contains([]string{"aws", "aws-cn", "aws-us-gov", "aws-eusc"}, partition)
	}
	return partition == provider
}

// areGroups reports whether g is "none" alone or upper-case names in order.
func areGroups(g []string) bool {
	if len(g) == 1 && g[0] == "none" {
		return true
	}
	for i, s := range g {
		upper := s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
		if !upper || i > 0 && s <= g[i-1] {
			return false
		}
	}
	return len(g) > 0
}

// Lookup returns what is known of exactly this address. An address that is not
// in the table is an error; a zone never falls back to its region.
func (t *Table) Lookup(a Address) (Place, error) {
	if t != nil {
		if p, ok := t.rows[a]; ok {
			p.Groups = slices.Clone(p.Groups)
			return p, nil
		}
	}
	return Place{}, fmt.Errorf("look up place %v: not in the table", a)
}

// Digest names the table's bytes: "sha256:…". The zero Table has none.
func (t *Table) Digest() string {
	if t == nil {
		return ""
	}
	return t.digest
}

// Places returns every place, sorted by provider, region and zone.
func (t *Table) Places() []Place {
	if t == nil {
		return nil
	}
	all := slices.SortedFunc(maps.Values(t.rows), func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone))
	})
	for i := range all {
		all[i].Groups = slices.Clone(all[i].Groups)
	}
	return all
}

// tablePreamble begins a signed table, so that no other signed note is one.
const tablePreamble = "burstctl/places/v1\n"

// SignTable seals a table as a C2SP signed note. It signs only what ParseTable
// reads.
func SignTable(b []byte, signers ...note.Signer) ([]byte, error) {
	if _, err := ParseTable(b); err != nil {
		return nil, fmt.Errorf("sign places: %w", err)
	}
	if len(signers) == 0 {
		return nil, errors.New("sign places: no signer")
	}
	out, err := note.Sign(&note.Note{Text: tablePreamble + string(b)}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign places: %w", err)
	}
	return out, nil
}

// OpenTable checks the note against the keys in v and reads the table in it.
// One known signature suffices; a bad one by a known key is an error.
func OpenTable(signed []byte, v note.Verifiers) (*Table, error) {
	n, err := note.Open(signed, v)
	if err != nil {
		return nil, fmt.Errorf("open places: %w", err)
	}
	text, ok := strings.CutPrefix(n.Text, tablePreamble)
	if !ok || !oneSpelling(n.Sigs) {
		return nil, errors.New("open places: the note is not a place table")
	}
	t, err := ParseTable([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("open places: %w", err)
	}
	return t, nil
}
