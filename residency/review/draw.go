package review

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"fmt"
	"html"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/burstctl/burstctl/residency"
)

// WriteCSV writes every question of the matrix with its answer, a line each.
func (m Matrix) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"slice", "class", "purpose", "team", "site", "level", "trust", "provider", "region", "zone",
		"country", "allowed"}) // an error stays in c
	for _, row := range m.Rows {
		q := row.Supposed
		for i, p := range m.Space.Places {
			_ = c.Write([]string{q.Ask.Slice.Name, q.Ask.Slice.Class.String(), q.Ask.Purpose, q.Ask.Team, q.Ask.Site,
				q.Level.String(), q.Trust, p.Provider, p.Region, p.Zone, p.Country, strconv.FormatBool(row.Allows(i))})
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("write matrix: %w", err)
	}
	return nil
}

// maxDrawn bounds the rows of a drawing; more are counted below it.
const maxDrawn = 300

// cell is what a drawing shows of one slice and purpose in one country: at how
// many of its places a node may be created, at which one proven at some level
// may read, and the lowest such level.
type cell struct {
	planned, of int
	read        map[int]bool // by the number of the place
	lowest      residency.Level
}

// strip is one row of a drawing.
type strip struct {
	name  string
	cells map[string]*cell
}

// strips puts the levels of each slice and purpose together.
func (m Matrix) strips() []*strip {
	var all []*strip
	by := map[string]*strip{}
	for _, l := range m.Lines() {
		parts := []string{l.Slice, l.Purpose, l.Team, l.Site}
		name := strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " · ")
		s := by[name]
		if s == nil {
			s = &strip{name, map[string]*cell{}}
			by[name], all = s, append(all, s)
		}
		for i, p := range m.Space.Places {
			c := s.cells[p.Country]
			if c == nil {
				c = &cell{read: map[int]bool{}}
				s.cells[p.Country] = c
			}
			switch allowed := l.row.Allows(i); {
			case l.Level == residency.L0:
				if c.of++; allowed {
					c.planned++
				}
			case allowed:
				if c.lowest == residency.L0 || l.Level < c.lowest {
					c.lowest = l.Level
				}
				c.read[i] = true
			}
		}
	}
	return all
}

// countries are the columns: those of the EEA first, then by code.
func (m Matrix) countries() []string {
	inside := map[string]bool{}
	for _, p := range m.Space.Places {
		inside[p.Country] = slices.Contains(p.Groups, "EEA")
	}
	var codes []string
	for c := range inside {
		codes = append(codes, c)
	}
	slices.SortFunc(codes, func(a, b string) int {
		if inside[a] != inside[b] {
			return map[bool]int{true: -1, false: 1}[inside[a]]
		}
		return cmp.Compare(a, b)
	})
	return codes
}

// WriteSVG draws the matrix: a row for each slice and purpose, a column for each
// country, those of the EEA first. A dark cell may be read, with the level it
// takes; a light one only planned; a hatched one at some places only.
func (m Matrix) WriteSVG(w io.Writer) error {
	const left, top, size = 380, 60, 18
	strips, codes := m.strips(), m.countries()
	more := max(0, len(strips)-maxDrawn)
	strips = strips[:len(strips)-more]
	b := bufio.NewWriter(w)
	width, height := left+size*len(codes)+20, top+size*len(strips)+60
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">
<style>.n{fill:#eee}.p{fill:#9ecae1}.r{fill:#08519c}.s{stroke:#e6550d;stroke-width:2}.l{fill:#fff;font-size:9px}</style>
<text x="8" y="18" font-size="14">What may be where</text>
<text x="8" y="34">rules %s, places %s</text>
`, width, height, html.EscapeString(short(m.Rules)), html.EscapeString(short(m.Places)))
	for i, code := range codes {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", left+size*i+1, top-6, html.EscapeString(code))
	}
	for y, s := range strips {
		fmt.Fprintf(b, "<text x=\"8\" y=\"%d\">%s</text>\n", top+size*y+13, html.EscapeString(s.name))
		for x, code := range codes {
			s.cells[code].draw(b, left+size*x, top+size*y, size-1, s.name+" in "+code)
		}
	}
	fmt.Fprintf(b, "<text x=\"8\" y=\"%d\">dark: may be read, from the level shown; light: may be planned; framed: at "+
		"some places of the country only; %d more rows</text>\n</svg>\n", top+size*len(strips)+24, more)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("draw matrix: %w", err)
	}
	return nil
}

// draw writes one cell.
func (c *cell) draw(w io.Writer, x, y, size int, name string) {
	class, some := "n", ""
	switch {
	case len(c.read) > 0:
		class = "r"
	case c.planned > 0:
		class = "p"
	}
	if n := max(len(c.read), c.planned); n > 0 && n < c.of {
		some = " s"
	}
	title := fmt.Sprintf("%s: planned at %d of %d places, read at %d", name, c.planned, c.of, len(c.read))
	fmt.Fprintf(w, "<rect class=\"%s%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"><title>%s</title></rect>\n", class,
		some, x, y, size, size, html.EscapeString(title))
	if len(c.read) > 0 {
		fmt.Fprintf(w, "<text class=\"l\" x=\"%d\" y=\"%d\">%v</text>\n", x+3, y+12, c.lowest)
	}
}

// short cuts a digest for people.
func short(digest string) string { return digest[:min(len(digest), 19)] }
