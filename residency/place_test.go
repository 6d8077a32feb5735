package residency_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
	"golang.org/x/mod/sumdb/note"
)

func TestAnAddressHasOneSpelling(t *testing.T) {
	for _, s := range []string{"aws/eu-central-1", "aws/us-east-1/us-east-1-bue-1", "azure/germanywestcentral"} {
		if a, err := residency.ParseAddress(s); err != nil || a.String() != s || a.Check() != nil {
			t.Errorf("%s: %v, %v", s, a, err)
		}
	}
	for _, s := range []string{"", "aws", "aws/", "/eu-central-1", "aws/eu-central-1/", "AWS/eu-central-1",
		"aws/EU-Central-1",
		"aws/East US", "aws/eu_central_1", "aws/eu-central-1/a/b", " aws/eu-central-1", "aws/eu-central-1\n", "aws/eu--1",
		"aws/-eu", "aws/eu-", "aws/1eu", "aws/\u0435u-central-1", "aws/eu-central-1\x00", "aws/" + strings.Repeat("a", 64)} {
		if a, err := residency.ParseAddress(s); err == nil {
			t.Errorf("%q is read as %v", s, a)
		}
	}
	if (residency.Address{Provider: "aws", Region: "eu-central-1/x"}).Check() == nil {
		t.Error("an address with a slash in its region passes")
	}
}

func TestATableThatIsNotSureIsRefused(t *testing.T) {
	first, rest, _ := strings.Cut(places, "\n")
	for what, text := range map[string]string{
		"nothing":             "",
		"no header":           rest,
		"other header":        strings.Replace(first, "zone", "az", 1) + "\n" + rest,
		"unknown kind":        strings.Replace(places, "local-zone", "pilot-or-las", 1),
		"blank country":       strings.Replace(places, "region,DE", "region,", 1),
		"alias country":       strings.Replace(places, "region,DE", "region,EU", 1),
		"blank operator":      strings.Replace(places, "EU,US,US", "EU,,US", 1),
		"foreign partition":   strings.Replace(places, ",,azure,", ",,aws,", 1),
		"blank groups":        strings.Replace(places, ",none,", ",,", 1),
		"groups out of order": strings.Replace(places, "EEA EU", "EU EEA", 1),
		"none and EU":         strings.Replace(places, ",none,", ",EU none,", 1),
		"no source":           strings.Replace(places, "Frankfurt,test", "Frankfurt,", 1),
		"twice":               places + strings.SplitAfter(rest, "\n")[0],
		"zone of no region":   places + "aws,eu-north-1,eu-north-1-osl-1,aws,local-zone,NO,EEA,US,US,Oslo,test\n",
		"region with zone":    strings.Replace(places, "local-zone", "region", 1),
		"zone without zone":   strings.Replace(places, "aws,region", "aws,az", 1),
		"alias region":        strings.Replace(places, "us-east-1,,", "US East,,", 1),
		"short row":           places + "aws,eu-west-1\n",
		"carriage returns":    strings.ReplaceAll(places, "\n", "\r\n"),
	} {
		if _, err := residency.ParseTable([]byte(text)); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}

func TestAZoneNeverFallsBackToItsRegion(t *testing.T) {
	tab := table(t)
	for _, zone := range []string{"eu-central-1a", "euc1-az1", "eu-central-1-waw-1a", "eu-central-1"} {
		if p, err := tab.Lookup(residency.Address{Provider: "aws", Region: "eu-central-1", Zone: zone}); err == nil {
			t.Errorf("%s is %+v", zone, p)
		}
	}
	if _, err := tab.Lookup(residency.Address{Provider: "azure", Region: "eu-central-1"}); err == nil {
		t.Error("a region of another provider is found")
	}
	p, err := tab.Lookup(frankf)
	if err != nil {
		t.Fatal(err)
	}
	p.Groups[0] = "changed"
	if q, _ := tab.Lookup(frankf); q.Groups[0] != "EEA" {
		t.Error("a caller can change the table")
	}
}

func TestOnlyASignedTableOpens(t *testing.T) {
	s, v := keys(t, "places")
	_, other := keys(t, "places")
	signed, err := residency.SignTable([]byte(places), s)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := residency.OpenTable(signed, note.VerifierList(v))
	if err != nil || tab.Digest() != table(t).Digest() || len(tab.Places()) != 4 {
		t.Errorf("opened %v, error %v", tab.Digest(), err)
	}
	if _, err := residency.OpenTable(signed, note.VerifierList(other)); err == nil {
		t.Error("opened with another key")
	}
	moved := strings.Replace(string(signed), ",PL,", ",DE,", 1)
	if _, err := residency.OpenTable([]byte(moved), note.VerifierList(v)); err == nil {
		t.Error("opened after Warsaw moved to Germany")
	}
	if _, err := residency.OpenTable([]byte(places), note.VerifierList(v)); err == nil {
		t.Error("opened without a signature")
	}
	sealed, err := grant(t).Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := residency.OpenTable(sealed, note.VerifierList(v)); err == nil {
		t.Error("a grant opened as a table")
	}
	if _, err := residency.SignTable([]byte("x"), s); err == nil {
		t.Error("nonsense is signed")
	}
	if _, err := residency.SignTable([]byte(places)); err == nil {
		t.Error("signed by nobody")
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("aws/us-east-1/us-east-1-bue-1")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := residency.ParseAddress(s)
		if err == nil && (a.String() != s || a.Check() != nil || strings.ToLower(s) != s) {
			t.Errorf("%q is read as %v", s, a)
		}
	})
}

func FuzzParseTable(f *testing.F) {
	f.Add([]byte(places))
	f.Add([]byte(edition))
	f.Fuzz(func(t *testing.T, b []byte) {
		tab, err := residency.ParseTable(b)
		if err != nil {
			return
		}
		for _, p := range tab.Places() {
			q, err := tab.Lookup(p.Address)
			if err != nil || q.Country != p.Country || len(q.Country) != 2 {
				t.Errorf("%v: %+v, %v", p.Address, q, err)
			}
		}
	})
}

func FuzzOpenGrant(f *testing.F) {
	s, v := keys(f, "grants")
	sealed, err := grant(f).Seal(s)
	if err != nil {
		f.Fatal(err)
	}
	text, _, _ := strings.Cut(string(sealed), "\n\n")
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		signed, err := note.Sign(&note.Note{Text: text + "\n"}, s)
		if err != nil {
			return
		}
		g, err := residency.OpenGrant(signed, note.VerifierList(v))
		if err != nil {
			return
		}
		again, err := g.Seal(s)
		if err != nil || string(again) != string(signed) || g.Level() == residency.L0 {
			t.Errorf("%q opened as %q (error %v)", signed, again, err)
		}
	})
}
