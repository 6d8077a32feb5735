package residency

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The sections of a table, by the line each begins with. The short form of the
// places has its groups in the row, without days, for tables written by hand.
const (
	editionHeader = "version,dated"
	groupHeader   = "group,country,from,until,source"
	prefixHeader  = "provider,prefix,region,source"
	aliasHeader   = "provider,alias,place,source"
	calledHeader  = "country,called,source"
	placeHeader   = "provider,region,zone,partition,kind,country,operator,parent,keys,legal,name,source"
	shortHeader   = "provider,region,zone,partition,kind,country,groups,operator,parent,name,source"
)

// ParseTable reads a table: CSV, a section after another, each begun by its
// header. It is strict: an unknown kind, country, group or partition, a zone
// without its region, an alias that could mean two places or a second row for
// an address is an error with its line.
func ParseTable(b []byte) (*Table, error) {
	if bytes.ContainsAny(b, "\r\x00") || !utf8.Valid(b) {
		return nil, errors.New("parse places: carriage return, NUL or bytes that are not UTF-8")
	}
	p := tableParser{table: &Table{digest: digest(b), rows: map[Address]Place{}, members: map[string][]Membership{},
		aliases: map[alias]Address{}, prefixes: map[alias]string{}, called: map[string]string{}}}
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("parse places: %w", err)
		}
		if err := p.row(row); err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("parse places: line %d: %w", line, err)
		}
	}
	if err := p.whole(); err != nil {
		return nil, fmt.Errorf("parse places: %w", err)
	}
	return p.table, nil
}

// tableParser is a table half read.
type tableParser struct {
	table  *Table
	begun  []string // headers
	fields int      // of the section
	add    func(f []string) error
}

// row takes a header or a row of the section that is open.
func (p *tableParser) row(f []string) error {
	if add, header := p.section(strings.Join(f, ",")); header {
		p.add, p.fields = add, len(f)
		if slices.Contains(p.begun, strings.Join(f, ",")) {
			return errors.New("the section is there twice")
		}
		p.begun = append(p.begun, strings.Join(f, ","))
		return nil
	}
	switch {
	case p.add == nil:
		return fmt.Errorf("%q is not the header of a section", strings.Join(f, ","))
	case len(f) != p.fields:
		return fmt.Errorf("%d fields, the header has %d", len(f), p.fields)
	}
	return p.add(f)
}

// section returns what takes the rows under a header.
func (p *tableParser) section(header string) (func(f []string) error, bool) {
	switch header {
	case editionHeader:
		return p.edition, true
	case groupHeader:
		return p.membership, true
	case prefixHeader:
		return p.prefix, true
	case aliasHeader:
		return p.alias, true
	case calledHeader:
		return p.country, true
	case placeHeader, shortHeader:
		return p.place, true
	}
	return nil, false
}

// edition takes the version and day of the table.
func (p *tableParser) edition(f []string) error {
	v, err := strconv.Atoi(f[0])
	if err != nil || v < 1 || strconv.Itoa(v) != f[0] || !isDay(f[1]) || p.table.version != 0 {
		return fmt.Errorf("version %q of day %q: want one row, a number from 1 and a day such as 2006-01-02", f[0], f[1])
	}
	p.table.version, p.table.dated = v, f[1]
	return nil
}

// membership takes one row of a group.
func (p *tableParser) membership(f []string) error {
	m := Membership{Group: f[0], Country: f[1], From: f[2], Until: f[3], Source: f[4]}
	if err := m.check(); err != nil {
		return fmt.Errorf("%s in %s: %w", m.Country, m.Group, err)
	}
	if slices.ContainsFunc(p.table.members[m.Country], m.meets) {
		return fmt.Errorf("%s is in %s twice on one day", m.Country, m.Group)
	}
	p.table.members[m.Country] = append(p.table.members[m.Country], m)
	return nil
}

// country takes a name that a provider calls a country by.
func (p *tableParser) country(f []string) error {
	switch _, twice := p.table.called[f[1]]; {
	case !isCountry(f[0]):
		return fmt.Errorf("%q is no ISO 3166-1 country", f[0])
	case !isText(f[1]) || !isText(f[2]):
		return fmt.Errorf("%s: its name or source is missing", f[0])
	case twice:
		return fmt.Errorf("%q is there twice", f[1])
	}
	p.table.called[f[1]] = f[0]
	return nil
}

// place takes a place, in the form of its section.
func (p *tableParser) place(f []string) error {
	var q Place
	if p.fields == strings.Count(shortHeader, ",")+1 {
		q = Place{Groups: strings.Fields(f[6]), Operator: f[7], Parent: f[8], Keys: f[8],
			Legal: "not said", Name: f[9], Source: f[10]}
		if strings.Join(q.Groups, " ") != f[6] || f[6] == "" {
			return fmt.Errorf("groups %q are not words with single blanks", f[6])
		}
	} else {
		q = Place{Operator: f[6], Parent: f[7], Keys: f[8], Legal: f[9], Name: f[10], Source: f[11]}
	}
	q.Address, q.Partition, q.Kind, q.Country = Address{f[0], f[1], f[2]}, f[3], Kind(f[4]), f[5]
	whole := q
	if whole.Groups == nil {
		whole.Groups = []string{noGroup} // the table says them, by country
	}
	if err := whole.check(); err != nil {
		return fmt.Errorf("%v: %w", q.Address, err)
	}
	if _, twice := p.table.rows[q.Address]; twice {
		return fmt.Errorf("%v: address is there twice", q.Address)
	}
	p.table.rows[q.Address] = q
	return nil
}

// whole checks what no row shows by itself.
func (p *tableParser) whole() error {
	t := p.table
	full, short := slices.Contains(p.begun, placeHeader), slices.Contains(p.begun, shortHeader)
	switch {
	case full == short:
		return errors.New("want one section of places")
	case short && len(p.begun) > 1:
		return errors.New("a table in the short form has no other section")
	case full && t.version == 0:
		return errors.New("version and day are missing")
	}
	for a := range t.rows {
		if _, ok := t.rows[Address{Provider: a.Provider, Region: a.Region}]; !ok {
			return fmt.Errorf("%v is there without its region", a)
		}
	}
	for c, ms := range t.members {
		slices.SortFunc(ms, func(a, b Membership) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.From, b.From))
		})
		t.members[c] = ms
	}
	return t.checkNames()
}
