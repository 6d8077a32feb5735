package review_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

func TestALegalHoldIsToldFromItsSettingToItsLiftingAndNobodyLiftsItUnnamed(t *testing.T) {
	const set, lifted = residency.HoldSet, residency.HoldLifted
	type entry struct{ kind, code, actor, body string }
	suit := `{"dataset":"claims","since":"2026-01-01","reason":"a suit","by":"the court"}`
	appeal := strings.ReplaceAll(suit, "a suit", "the appeal")
	for name, tc := range map[string]struct {
		log   []entry
		ends  string
		finds string
	}{
		"it stands":         {[]entry{{set, "0702", "controller", suit}}, "stands", ""},
		"a person lifts it": {[]entry{{set, "0702", "controller", suit}, {lifted, "0703", "user:o", suit}}, "lifted", ""},
		"it changes": {[]entry{{set, "0702", "user:o", suit}, {set, "0702", "user:o", appeal},
			{lifted, "0703", "user:o", appeal}}, "changed lifted", ""},
		"a restart lifts it": {[]entry{{set, "0702", "user:o", suit}, {lifted, "0703", "controller", suit}}, "lifted",
			"1: the hold on claims, set in entry 0, was lifted by no named person"},
		"another is lifted": {[]entry{{set, "0702", "user:o", suit}, {lifted, "0703", "user:o", appeal}}, "stands",
			"that no earlier entry set so"},
		"none is lifted": {[]entry{{lifted, "0703", "user:o", suit}}, "", "that no earlier entry set so"},
		"lifted twice": {[]entry{{set, "0702", "user:o", suit}, {lifted, "0703", "user:o", suit},
			{lifted, "0703", "user:o", suit}}, "lifted", "that no earlier entry set so"},
		"another code":    {[]entry{{set, "0703", "user:o", suit}}, "", "its code is 0703, not 0702"},
		"no reason":       {[]entry{{set, "0702", "user:o", strings.Replace(suit, "a suit", "", 1)}}, "", "want a reason"},
		"no dataset":      {[]entry{{set, "0702", "user:o", strings.Replace(suit, "claims", "", 1)}}, "", "the dataset"},
		"something added": {[]entry{{set, "0702", "user:o", strings.Replace(suit, "{", `{"x":1,`, 1)}}, "", "cannot be read"},
	} {
		r := review.New(0)
		for i, e := range tc.log {
			r.Add(audit.Leaf{Index: int64(i), Entry: audit.Entry{V: 1, Code: e.code, Kind: e.kind, Actor: e.actor,
				At: noon.Add(time.Duration(i) * time.Second), Body: json.RawMessage(e.body)}})
		}
		all, found := r.Holds()
		var ends []string
		for _, h := range all {
			ends = append(ends, h.End)
		}
		if got := strings.Join(ends, " "); got != tc.ends {
			t.Errorf("%s: they end %q, want %q", name, got, tc.ends)
		}
		got := strings.ReplaceAll(texts(found), " :", ":")
		if (got == "") != (tc.finds == "") || !strings.Contains(got, tc.finds) {
			t.Errorf("%s: finds %q, want %q", name, got, tc.finds)
		}
	}
}
