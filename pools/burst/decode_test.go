package burst_test

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
)

func TestEveryKindHasACodeOfItsOwnAndNamesItself(t *testing.T) {
	seen := map[string]string{}
	for name, k := range burst.Kinds {
		if got := k.New().Kind(); got != name {
			t.Errorf("kind %q makes a body of kind %q", name, got)
		}
		if other, twice := seen[k.Code]; twice || !regexp.MustCompile(`^0[123468][0-9]{2}$`).MatchString(k.Code) {
			t.Errorf("code %q of %q is malformed or that of %q", k.Code, name, other)
		}
		seen[k.Code] = name
	}
	for _, b := range whole {
		if burst.Kinds[b.Kind()].New == nil {
			t.Errorf("%T has kind %q, which is in no table", b, b.Kind())
		}
	}
}

// Whatever decodes as a body encodes to the same bytes, and no body that a log
// could hold makes a step panic.
func FuzzBodies(f *testing.F) {
	for _, b := range whole {
		raw, err := audit.Canonical(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Kind(), raw)
	}
	f.Add("serve-intent", []byte(`{"grant":"c-1.1","n":1,"manifest":"","bytes":-1}`))
	f.Add("round-trip", []byte(`{"grant":"c-1.1","micros":840,"samples":5}`))
	f.Add("stop", []byte(`{"why":"","by":"0001-01-01T00:00:00Z"}`))
	var states []burst.State
	s := burst.State{}
	for _, b := range whole {
		states = append(states, s)
		s, _ = burst.Step(s, event(0, b))
	}
	states = append(states, s)
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		k, ok := burst.Kinds[kind]
		if !ok {
			return
		}
		body := k.New()
		if audit.DecodeStrict(raw, body) != nil {
			return
		}
		once, err := audit.Canonical(body)
		if err != nil {
			return // says what canonical JSON cannot, a float for instance
		}
		again := k.New()
		if err := audit.DecodeStrict(once, again); err != nil {
			t.Fatalf("%s does not read what it writes: %v", kind, err)
		}
		if twice, err := audit.Canonical(again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s encodes to %s, then to %s: %v", kind, once, twice, err)
		}
		for _, s := range states {
			next, due := burst.Step(s, event(0, body))
			if why := broken(next, due); why != "" && next.Phase != "" {
				t.Fatalf("%s in phase %q: %s", raw, s.Phase, why)
			}
		}
	})
}
