package review

import (
	"cmp"
	"errors"
	"maps"
	"math/bits"
	"runtime"
	"slices"
	"sync"

	"github.com/burstctl/burstctl/residency"
)

// Space is the questions that are enumerated: every slice for every purpose of
// every team and site, at every place and level. Made by [SpaceOf]; the zero
// Space has no question.
type Space struct {
	Slices   []residency.Slice
	Purposes []string
	Teams    []string
	Sites    []string
	Levels   []residency.Level // L0 is a claimed place, the others a proven one
	Trusts   []string          // what the levels above L0 rest on; "" is "supposed"
	Places   []residency.Place
}

// Other stands for every team, site, purpose or trust that no rule names.
const Other = "other"

// SpaceOf is everything in the catalogue and the table, and every team, site,
// purpose and trust that one of these rules names, or one that fits its pattern,
// with one that none names.
func SpaceOf(t *residency.Table, c *residency.Catalogue, rules ...*residency.Rules) (Space, error) {
	s := Space{Levels: []residency.Level{residency.L0, residency.L1, residency.L2, residency.L3, residency.L4},
		Places: t.Places()}
	purposes, named := map[string]bool{}, map[string]map[string]bool{}
	for _, fact := range []string{"principal", "site", "trust", "purpose"} {
		named[fact] = map[string]bool{}
	}
	for _, r := range rules {
		for _, l := range slices.Concat(r.Literals(), r.Samples()) {
			if named[l.Fact] != nil && l.Value != "claimed" {
				named[l.Fact][l.Value] = true
			}
		}
	}
	for _, name := range c.Names() {
		slice, err := c.Slice(name)
		if err != nil {
			return s, err
		}
		s.Slices = append(s.Slices, slice)
		for _, p := range slice.Purposes {
			purposes[p] = true
		}
	}
	maps.Copy(purposes, named["purpose"])
	axis := func(names map[string]bool) []string {
		names[Other] = true
		return slices.Sorted(maps.Keys(names))
	}
	s.Purposes, s.Teams, s.Sites = axis(purposes), axis(named["principal"]), axis(named["site"])
	if s.Trusts = axis(named["trust"]); len(s.Slices) == 0 || len(s.Places) == 0 {
		return s, errors.New("enumerate questions: there is no slice or no place")
	}
	return s, nil
}

// Size is how many questions there are.
func (s Space) Size() int { return len(s.rows()) * len(s.Places) }

// Row is one question at every place.
type Row struct {
	Supposed residency.Supposed // its At is not set
	at       []uint64           // a bit for each place
}

// Allows reports whether it is allowed at the place with this number.
func (r Row) Allows(place int) bool { return r.at[place/64]>>(place%64)&1 == 1 }

// Count is at how many places it is allowed.
func (r Row) Count() int {
	n := 0
	for _, w := range r.at {
		n += bits.OnesCount64(w)
	}
	return n
}

// rows are the questions, unanswered.
func (s Space) rows() []Row {
	var rows []Row
	for _, slice := range s.Slices {
		for _, purpose := range s.Purposes {
			for _, team := range s.Teams {
				for _, site := range s.Sites {
					q := residency.Supposed{Ask: residency.Ask{Slice: slice, Purpose: purpose, Team: team, Site: site}}
					for _, q.Level = range s.Levels {
						trusts := s.Trusts
						if q.Level == residency.L0 {
							trusts = []string{""}
						}
						for _, q.Trust = range trusts {
							rows = append(rows, Row{Supposed: q})
						}
					}
				}
			}
		}
	}
	return rows
}

// Matrix is what rules over a table make reachable. Made by [Reach].
type Matrix struct {
	Rules   string // digest
	Places  string // digest
	Space   Space
	Rows    []Row
	Asked   int
	Allowed int
}

// Reach asks every question of the space, on every processor.
func Reach(r *residency.Rules, t *residency.Table, s Space) Matrix {
	m := Matrix{Rules: r.Digest(), Places: t.Digest(), Space: s, Rows: s.rows()}
	ready := r.Ready(t)
	var all sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(m.Rows); i += workers {
				row := &m.Rows[i]
				row.at = make([]uint64, (len(s.Places)+63)/64)
				q := row.Supposed
				for n, p := range s.Places {
					if q.At = p.Address; ready.Allows(q) {
						row.at[n/64] |= 1 << (n % 64)
					}
				}
			}
		})
	}
	all.Wait()
	for _, row := range m.Rows {
		m.Asked += len(s.Places)
		m.Allowed += row.Count()
	}
	return m
}

// Line is several rows that are allowed at the same places, as people read
// them: one slice and purpose, the teams, sites and trusts that make no
// difference left out.
type Line struct {
	Slice     string          `json:"slice"`
	Class     residency.Class `json:"class"`
	Purpose   string          `json:"purpose"`
	Team      string          `json:"team,omitempty"`
	Site      string          `json:"site,omitempty"`
	Level     residency.Level `json:"level"`
	To        residency.Level `json:"to"` // the levels from Level to To are answered alike
	Trust     string          `json:"trust,omitempty"`
	Places    int             `json:"places"`    // how many allow it
	Countries []string        `json:"countries"` // of those places, sorted
	row       Row
}

// Lines are the rows of the matrix for people. An axis with one value is left
// out.
func (m Matrix) Lines() []Line {
	lines := make([]Line, 0, len(m.Rows))
	only := func(axis []string, v string) string {
		if len(axis) == 1 {
			return ""
		}
		return v
	}
	for _, row := range m.Rows {
		q := row.Supposed
		l := Line{Slice: q.Ask.Slice.Name, Class: q.Ask.Slice.Class, Purpose: q.Ask.Purpose, Level: q.Level, To: q.Level,
			Team: only(m.Space.Teams, q.Ask.Team), Site: only(m.Space.Sites, q.Ask.Site),
			Trust: only(m.Space.Trusts, q.Trust), Places: row.Count(), Countries: []string{}, row: row}
		seen := map[string]bool{}
		for n, p := range m.Space.Places {
			if row.Allows(n) {
				seen[p.Country] = true
			}
		}
		l.Countries = append(l.Countries, slices.Sorted(maps.Keys(seen))...)
		lines = append(lines, l)
	}
	slices.SortStableFunc(lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Slice, b.Slice), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Team, b.Team),
			cmp.Compare(a.Site, b.Site), cmp.Compare(a.Trust, b.Trust), cmp.Compare(a.Level, b.Level))
	})
	return lines
}

// Merge puts levels together that are answered alike, where they follow each
// other.
func Merge(lines []Line) []Line {
	var merged []Line
	for _, l := range lines {
		if n := len(merged); n > 0 {
			last := &merged[n-1]
			a, b := last.row.Supposed.Ask, l.row.Supposed.Ask
			if a.Slice.Name == b.Slice.Name && a.Purpose == b.Purpose && a.Team == b.Team && a.Site == b.Site &&
				last.Trust == l.Trust && last.To+1 == l.Level && slices.Equal(last.row.at, l.row.at) {
				last.To = l.To
				continue
			}
		}
		merged = append(merged, l)
	}
	return merged
}
