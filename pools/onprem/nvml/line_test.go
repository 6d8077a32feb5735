package nvml

import (
	"slices"
	"strings"
	"testing"
)

func TestALineIsReadStrictly(t *testing.T) {
	for _, c := range []struct{ line, refused string }{
		{`{"kind":"beat","in":"nvmlInit","for":1}`, ""},
		{`{"kind":"round","round":[{"uuid":"a","state":"ok"}]}`, ""},
		{`{"kind":"round"}`, "a round of 0 GPUs"},
		{`{"kind":"song"}`, "unknown kind"},
		{`{"kind":"beat","colour":1}`, "unknown field"},
		{`{"kind":"beat"}{"kind":"beat"}`, "more than one value"},
		{``, "EOF"},
		{strings.Repeat(" ", maxLine+1), "more than"},
	} {
		_, err := decode([]byte(c.line))
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%.60q: %v, want %q", c.line, err, c.refused)
		}
	}
}

func TestAHelperIsGivenNoSecrets(t *testing.T) {
	got := environ([]string{
		"PATH=/bin", "VAULT_TOKEN=s.x", "NVIDIA_VISIBLE_DEVICES=all", "PATHS=x", "AWS_SECRET_ACCESS_KEY=y",
	})
	if want := []string{"PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"round","round":[{"uuid":"a","index":0,"at":"2026-01-01T00:00:00Z","state":"ok"}]}`))
	f.Add([]byte(`{"kind":"beat","in":"nvmlInit","for":12}`))
	f.Add([]byte(`{"kind":"error","err":"x"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decode(b)
		if err == nil && (l.Kind == kindRound) && len(l.Round) == 0 {
			t.Fatal("an empty round was read")
		}
	})
}
