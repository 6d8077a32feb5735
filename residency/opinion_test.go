package residency_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// refPlaces reads the table as plain text, by its last section and its groups
// on the day; where that is "", those without an end.
func refPlaces(t *testing.T, day string) map[string]map[string]any {
	t.Helper()
	b, err := os.ReadFile("places/table.csv")
	if err != nil {
		t.Fatal(err)
	}
	groups, all, section := map[string][]any{}, map[string]map[string]any{}, ""
	var dated string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		f := strings.Split(line, ",") // the columns that are read hold no comma
		switch {
		case line == "":
			section = ""
		case section == "":
			section = line
		case strings.HasPrefix(section, "version,dated"):
			dated = f[1]
		case strings.HasPrefix(section, "group,country,from,until"):
			if day == "" && (f[2] > dated || f[3] != "") || day != "" && (f[2] > day || f[3] != "" && f[3] <= day) {
				continue
			}
			groups[f[1]] = append(groups[f[1]], f[0])
		case strings.HasPrefix(section, "provider,region,zone,partition,kind"):
			in := groups[f[5]]
			if in == nil {
				in = []any{"none"}
			}
			all[f[0]+"/"+f[1]+"/"+f[2]] = map[string]any{"place.provider": f[0], "place.region": f[1],
				"place.zone": f[2], "place.partition": f[3], "place.kind": f[4], "place.country": f[5], "place.operator": f[6],
				"place.parent": f[7], "place.keys": f[8], "place.groups": in}
		}
	}
	for name, p := range all {
		region := all[name[:strings.LastIndex(name, "/")+1]]
		p["place.region_country"] = region["place.country"]
	}
	return all
}

var (
	refName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$`)
	refPart    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	refCountry = regexp.MustCompile(`^(DE|US|FR|PL|GB|CN)$`) // those the questions below use, and no other
)

// refClosed says by which of its days a slice is closed on a day, and whether
// all of the days are known.
func refClosed(s residency.Slice, day string) (by string, known bool) {
	for _, d := range []string{s.Embargo, s.Retention} {
		if d == "" {
			continue
		}
		if y, m := refDay.FindStringSubmatch(d), refDay.FindStringSubmatch(day); y == nil || m == nil {
			return "", false
		}
	}
	number := func(d string) int { n, _ := strconv.Atoi(strings.ReplaceAll(d, "-", "")); return n }
	switch {
	case s.Embargo != "" && number(day) < number(s.Embargo):
		return "embargo", true
	case s.Retention != "" && number(day) > number(s.Retention):
		return "retention", true
	}
	return "", true
}

// refDay is a day of those the questions below use, and no other.
var refDay = regexp.MustCompile(`^(1999|2026)-06-(0[1-9]|1[0-9])$`)

// refFacts are the facts of a question, or nil if one is not known.
func refFacts(s residency.Supposed, at map[string]map[string]any) map[string]any {
	sl := s.Ask.Slice
	dataset, name, ok := strings.Cut(sl.Name, "/")
	ok = ok && len(dataset) < 64 && len(sl.Dataset) < 64 && refPart.MatchString(dataset) &&
		refName.MatchString(name) && refPart.MatchString(sl.Dataset) &&
		refName.MatchString(s.Ask.Team) && refName.MatchString(s.Ask.Site) && refName.MatchString(s.Ask.Purpose) &&
		sl.Class >= 1 && sl.Class <= 6 && refCountry.MatchString(sl.Origin) && sl.Basis != "" && len(sl.Purposes) > 0 &&
		s.Level >= 0 && s.Level <= 4
	purposes := []any{}
	for _, p := range sl.Purposes {
		ok = ok && refName.MatchString(p) && !slices.Contains(purposes, any(p))
		purposes = append(purposes, p)
	}
	proven, trust := s.Level > 0, s.Trust
	if trust == "" {
		trust = map[bool]string{true: "supposed", false: "claimed"}[proven]
	}
	ok = ok && refName.MatchString(trust) && (trust != "claimed") == proven
	place := at[s.At.Provider+"/"+s.At.Region+"/"+s.At.Zone]
	if !ok || place == nil {
		return nil
	}
	f := map[string]any{"principal": s.Ask.Team, "resource": sl.Name, "site": s.Ask.Site, "purpose": s.Ask.Purpose,
		"action": map[bool]string{true: "read", false: "create"}[proven], "purposes": purposes, "dataset": sl.Dataset,
		"class": int(sl.Class), "pseudonymised": sl.Pseudonymised, "origin": sl.Origin, "basis": sl.Basis,
		"proven": proven, "level": int(s.Level), "trust": trust}
	maps.Copy(f, place)
	return f
}

// refAnswer answers a question: whether all of it is known, whether it is
// allowed, and what decided.
func refAnswer(policies []refPolicy, s residency.Supposed, at map[string]map[string]any, day string,
) (known, allowed bool, by []string) {
	facts := refFacts(s, at)
	closed, known := refClosed(s.Ask.Slice, day)
	switch {
	case facts == nil || !known:
		return false, false, nil
	case closed != "":
		return true, false, []string{closed}
	}
	allowed, by = refDecide(policies, facts)
	return true, allowed, by
}

// dice make random rules and questions, the same ones for the same seed.
type dice struct {
	*rand.Rand
	at []residency.Place
}

func one[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// condition is a random expression that is true or false.
func (d dice) condition(depth int) string {
	if depth > 0 && d.IntN(2) == 0 {
		a, b := d.condition(depth-1), d.condition(depth-1)
		return one(d, a+" && "+b, "("+a+" || "+b+")", "!("+a+")", "("+a+") && "+b, "!("+a+" || "+b+")")
	}
	p := d.at[d.IntN(len(d.at))]
	return one(d,
		fmt.Sprintf("context.class %s %d", one(d, "==", "!=", "<", "<=", ">", ">="), d.IntN(8)),
		fmt.Sprintf("context.level %s %d", one(d, "==", "!=", "<", "<=", ">", ">="), d.IntN(6)),
		fmt.Sprintf("context.dataset %s %q", one(d, "==", "!="), one(d, "claims", "roads", "ds-1")),
		fmt.Sprintf("%q == context.place.country", p.Country),
		fmt.Sprintf("context.place.region == %q", p.Region),
		fmt.Sprintf("context.place.groups.contains(%q)", one(d, "EU", "EEA", "ADEQUATE", "none")),
		fmt.Sprintf("[%q, %q].contains(context.purpose)", one(d, "research", "billing"), one(d, "training", "x")),
		"context.purposes.contains(context.purpose)", "context.pseudonymised", "!context.pseudonymised", "context.proven",
		"context.place.country == context.place.region_country", `context.trust == "local"`,
		fmt.Sprintf("context.origin == %q", one(d, "DE", "US")), `context.place.zone != ""`,
		fmt.Sprintf("context.place.keys == %q", one(d, "DE", "US")), fmt.Sprint(d.IntN(2) == 0))
}

// rules are n random policies.
func (d dice) rules(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "@id(\"r-%d\") @title(\"t\") @basis(\"b\") // a comment; with { words }\n%s (%s, %s, %s)", i,
			one(d, "permit", "permit", "forbid"), one(d, "principal", "principal", `principal == Team::"fraud"`),
			one(d, "action", `action == Action::"create"`, `action == Action::"read"`),
			one(d, "resource", "resource", `resource == Slice::"claims/q3"`))
		for range d.IntN(3) {
			fmt.Fprintf(&b, "\n%s { %s }", one(d, "when", "when", "unless"), d.condition(3))
		}
		b.WriteString(";\n")
	}
	return b.String()
}

// odd is mostly a good name, now and then a bad one.
func (d dice) odd(good ...string) string {
	if d.IntN(40) == 0 {
		return one(d, "", " ", "Fraud", "a/b", "ümlaut", "x-", strings.Repeat("a", 129), "a b", "-")
	}
	return one(d, good...)
}

func (d dice) question() residency.Supposed {
	dataset := d.odd("claims", "roads", "ds-1")
	p := d.at[d.IntN(len(d.at))]
	s := residency.Slice{Name: dataset + "/" + d.odd("q3", "all"), Dataset: dataset, Class: residency.Class(1 + d.IntN(6)),
		Pseudonymised: d.IntN(2) == 0, Origin: d.odd("DE", "US", "FR"), Basis: one(d, "contract", "consent", "contract"),
		Purposes: []string{d.odd("research"), d.odd("training", "billing")}}
	if d.IntN(4) == 0 {
		s.Embargo = d.odd("", "1999-06-05", "2026-06-09", "2026-06-10", "2026-06-11")
		s.Retention = d.odd("", "1999-06-06", "2026-06-09", "2026-06-10", "2026-06-11")
	}
	q := residency.Supposed{Ask: residency.Ask{Slice: s, Purpose: d.odd("research", "training", "billing"),
		Team: d.odd("fraud", "other"), Site: d.odd("hq")}, At: p.Address, Level: residency.Level(d.IntN(5))}
	switch d.IntN(50) {
	case 0:
		q.Ask.Slice.Class = residency.Class(one(d, -1, 0, 7, 100))
	case 1:
		q.Level = residency.Level(one(d, -1, 5))
	case 2:
		q.At = one(d, residency.Address{}, residency.Address{Provider: p.Provider, Region: strings.ToUpper(p.Region)},
			residency.Address{Provider: p.Provider, Region: p.Region, Zone: "a"}, residency.Address{Provider: "aws"})
	case 3:
		q.Ask.Slice.Purposes = one(d, nil, []string{}, []string{"research", "research"})
	case 4:
		q.Ask.Slice.Basis = ""
	case 5, 6, 7:
		q.Trust = d.odd("local", "claimed", "aws-iid")
	}
	return q
}

// TestANaiveSecondOpinionAgreesOnRandomQuestions asks 10^5 questions, 10^6 if
// BURST_REAL is 1, of the shipped rules and of random ones.
func TestANaiveSecondOpinionAgreesOnRandomQuestions(t *testing.T) {
	b, err := os.ReadFile("places/table.csv")
	if err != nil {
		t.Fatal(err)
	}
	tab, err := residency.ParseTable(b)
	if err != nil {
		t.Fatal(err)
	}
	d := dice{rand.New(rand.NewPCG(1, 2)), tab.Places()}
	days := []string{"", "1999-06-06", "2026-06-10"} // none is said, and two
	tabs, ats := []*residency.Table{tab}, []map[string]map[string]any{}
	for i, day := range days {
		if ats = append(ats, refPlaces(t, day)); len(ats[i]) != len(d.at) {
			t.Fatalf("the naive reader finds %d places, want %d", len(ats[i]), len(d.at))
		}
		if on, err := time.Parse(time.DateOnly, day); err == nil {
			tabs = append(tabs, tab.At(on))
		}
	}
	sets := []string{""}
	for _, name := range []string{"10-never.cedar", "20-may.cedar"} {
		b, err := os.ReadFile("../configs/rules/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sets[0] += string(b) + "\n"
	}
	for range 200 {
		sets = append(sets, d.rules(1+d.IntN(12)))
	}
	asked, total, allowed := 0, 100_000, 0
	if os.Getenv("BURST_REAL") == "1" {
		total = 1_000_000
	}
	for asked < total {
		for i, text := range sets {
			day, at, tab := days[i%len(days)], ats[i%len(days)], tabs[i%len(days)]
			r := rules(t, text)
			ready, second := r.Ready(tab), refParse(text)
			for range 500 {
				s := d.question()
				v := r.Suppose(tab, s)
				known, want, by := refAnswer(second, s, at, day)
				var got []string
				for _, rule := range v.Rules {
					got = append(got, rule.ID)
				}
				slices.Sort(by)
				slices.Sort(got)
				if v.Allowed != want || (len(v.Missing) > 0) == known || !slices.Equal(got, by) ||
					ready.Allows(s) != want {
					t.Fatalf("%+v under\n%s\nallowed %t by %v, missing %v; second opinion %t by %v", s, text, v.Allowed, got,
						v.Missing, want, by)
				}
				if asked++; want {
					allowed++
				}
			}
		}
	}
	t.Logf("%d random questions of %d sets of rules: agreed on each, %d allowed", asked, len(sets), allowed)
}

// TestOrderNeverMattersAndARuleOnlyAddsItsOwnEffect shuffles rules, and adds
// one: a permit never takes away, a forbid never gives.
func TestOrderNeverMattersAndARuleOnlyAddsItsOwnEffect(t *testing.T) {
	b, err := os.ReadFile("places/table.csv")
	if err != nil {
		t.Fatal(err)
	}
	tab, err := residency.ParseTable(b)
	if err != nil {
		t.Fatal(err)
	}
	d := dice{rand.New(rand.NewPCG(3, 4)), tab.Places()}
	for range 100 {
		list := strings.SplitAfter(strings.TrimSuffix(d.rules(2+d.IntN(8)), "\n"), ";\n")
		list[len(list)-1] += "\n"
		shuffled := slices.Clone(list)
		d.Shuffle(len(list), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		fewer := list[:len(list)-1]
		whole, other := rules(t, strings.Join(list, "")), rules(t, strings.Join(shuffled, ""))
		before, last := rules(t, strings.Join(fewer, "")), whole.List()[len(list)-1]
		for range 100 {
			s := d.question()
			is, was := whole.Suppose(tab, s).Allowed, before.Suppose(tab, s).Allowed
			if other.Suppose(tab, s).Allowed != is {
				t.Fatalf("%+v: allowed %t, not so in another order:\n%s", s, is, list)
			}
			if last.Effect == "permit" && was && !is || last.Effect == "forbid" && !was && is {
				t.Fatalf("%+v: allowed %t, with one %s more %t:\n%s", s, was, last.Effect, is, list)
			}
		}
	}
}
