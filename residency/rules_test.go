package residency_test

import (
	"strings"
	"testing"

	"github.com/burstctl/burstctl/residency"
)

func TestABadRuleFileSaysWhereItIsBad(t *testing.T) {
	const notes = `@id("r") @title("t") @basis("b") `
	const all = `(principal, action, resource)`
	for what, tc := range map[string]struct{ text, want string }{
		"no id":       {`@title("t") @basis("b") permit ` + all + `;`, "a.cedar:1:1: @id is missing"},
		"no title":    {`@id("r") @basis("b") permit ` + all + `;`, "a.cedar:1:1: rule r: @title is missing"},
		"blank basis": {`@id("r") @title("t") @basis(" ") permit ` + all + `;`, "rule r: @basis is missing"},
		"odd id":      {`@id("R 1") @title("t") @basis("b") permit ` + all + `;`, `@id "R 1" is not`},
		"two of one id": {notes + "permit " + all + ";\n" + notes + "forbid " + all + ";",
			"a.cedar:2:1: rule r: @id is already that of a.cedar:1"},
		"unknown fact":       {"\n  " + notes + "forbid " + all + " when { context.attested };", "a.cedar:2:3: rule r: "},
		"unknown place":      {notes + "forbid " + all + ` when { context.place.city == "x" };`, "a.cedar:1:1: rule r: "},
		"wrong type":         {notes + "forbid " + all + ` when { context.class == "special" };`, "a.cedar:1:1: rule r: "},
		"set for string":     {notes + "forbid " + all + ` when { context.place.groups == "EU" };`, "a.cedar:1:1: rule r: "},
		"unknown action":     {notes + `permit (principal, action == Action::"copy", resource);`, "a.cedar:1:1: rule r: "},
		"unknown entity":     {notes + `permit (principal == User::"x", action, resource);`, "a.cedar:1:1: rule r: "},
		"not Cedar":          {"\nallow all;", "a.cedar:2:"},
		"unfinished":         {notes + "permit (principal", "a.cedar:1:"},
		"unclosed string":    {notes + `permit ` + all + ` when { "x };`, "a.cedar:1:"},
		"nothing":            {"", "there are none"},
		"only a comment":     {"// nothing", "there are none"},
		"too long":           {notes + "permit " + all + " when {" + strings.Repeat("!", 70_000) + "true};", "more than"},
		"too deep":           {notes + "permit " + all + " when {" + strings.Repeat("(", 60_000) + "true};", "a.cedar:1:"},
		"template":           {notes + "permit (principal == ?principal, action, resource);", "a.cedar:1:"},
		"doubled annotation": {`@id("q") ` + notes + "permit " + all + ";", "a.cedar:1:"},
	} {
		_, err := residency.ParseRules(map[string][]byte{"a.cedar": []byte(tc.text)})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", what, err, tc.want)
		}
	}
	for _, name := range []string{"", "a", ".cedar", "../a.cedar", "A.cedar", "a.cedar.txt"} {
		if _, err := residency.ParseRules(map[string][]byte{name: []byte(permits)}); err == nil {
			t.Errorf("a file named %q is read", name)
		}
	}
}

func TestRulesAreListedByFileAndLineAndNamedByTheirBytes(t *testing.T) {
	r := rules(t, permits)
	var ids []string
	for _, rule := range r.List() {
		ids = append(ids, rule.ID+" "+rule.Effect)
	}
	if got := strings.Join(ids, ", "); got != "eu-only forbid, plan permit, read permit" {
		t.Errorf("listed %s", got)
	}
	if r.List()[1].Line != 4 || r.List()[1].File != "rules.cedar" {
		t.Errorf("the second rule is at %+v", r.List()[1])
	}
	if other := rules(t, permits+"\n"); other.Digest() == r.Digest() || len(r.Digest()) != 71 {
		t.Errorf("digests %s and %s", other.Digest(), r.Digest())
	}
}

func TestARefusalCitesItsRule(t *testing.T) {
	v := rules(t, permits).Screen(table(t), ask, virginia)
	want := `creating a node for "claims/2025-q3-pseudonymised" for "model-training" at aws/us-east-1 (US)` +
		` is refused: Personal data stays in the EEA (eu-only; GDPR Art. 44)`
	if v.Allowed || v.Why != want || v.RulesDigest == "" || v.PlacesDigest != table(t).Digest() {
		t.Errorf("%+v, want %s", v, want)
	}
	unknown := residency.Address{Provider: "aws", Region: "eu-central-1", Zone: "eu-central-1a"}
	v = rules(t, permits).Screen(table(t), ask, unknown)
	if v.Allowed || len(v.Missing) != 1 || v.Missing[0] != "place" || !strings.Contains(v.Why, "eu-central-1a") {
		t.Errorf("at a zone nobody knows: %+v", v)
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(permits))
	f.Add([]byte(`@id("r") permit (principal in Team::"x", action, resource) unless { if true then 1 else [2] };`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := residency.ParseRules(map[string][]byte{"a.cedar": text})
		if err != nil {
			return
		}
		if len(r.List()) == 0 {
			t.Error("no rules and no error")
		}
		if v := r.Screen(table(t), ask, frankf); v.Allowed != (len(v.Rules) > 0 && v.Rules[0].Effect == "permit") {
			t.Errorf("%+v", v)
		}
	})
}
