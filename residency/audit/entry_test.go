package audit

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestAnEntryHasOneSpelling(t *testing.T) {
	e := entry(7)
	e.At = e.At.In(time.FixedZone("CET", 3600))
	e.Body = json.RawMessage(` { "z" : "<&>" , "a" : [ 1 , -2 , null , true ] } `)
	b, err := e.Encode()
	check(t, err)
	want := `{"actor":"controller","at":"2026-11-23T12:00:00.000000007Z","body":{"a":[1,-2,null,true],"z":"<&>"},` +
		`"burst":"b-7","code":"0101","kind":"decided","v":1}`
	if string(b) != want {
		t.Fatalf("got\n%s\nwant\n%s", b, want)
	}
	got, err := DecodeEntry(b)
	check(t, err)
	if !got.At.Equal(e.At) || got.Actor != e.Actor || got.Burst != e.Burst {
		t.Fatalf("decoded %+v", got)
	}
	house := Entry{V: 1, Code: "0901", Kind: "heartbeat", At: noon, Actor: "controller"}
	b, err = house.Encode()
	check(t, err)
	if strings.Contains(string(b), "burst") || !strings.Contains(string(b), `"body":{}`) {
		t.Fatalf("%s", b)
	}
}

func TestAnyOtherSpellingOfAnEntryIsRefused(t *testing.T) {
	b, err := entry(1).Encode()
	check(t, err)
	good := string(b)
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for what, bad := range map[string]string{
		"space":              swap(`:1}`, `: 1}`),
		"trailing newline":   good + "\n",
		"trailing value":     good + "{}",
		"order":              swap(`{"n":1,"place":"aws/eu-central-1"}`, `{"place":"aws/eu-central-1","n":1}`),
		"unknown key":        swap(`"v":1`, `"v":1,"w":1`),
		"duplicate key":      swap(`"v":1`, `"v":1,"v":1`),
		"key in other case":  swap(`"v":1`, `"V":1`),
		"case twin":          swap(`"v":1`, `"V":1,"v":1`),
		"duplicate in body":  swap(`"n":1`, `"n":1,"n":1`),
		"case twin in body":  swap(`"n":1`, `"N":1,"n":1`),
		"float":              swap(`"n":1`, `"n":1.0`),
		"exponent":           swap(`"n":1`, `"n":1e2`),
		"minus zero":         swap(`"n":1`, `"n":-0`),
		"too large a number": swap(`"n":1`, `"n":9223372036854775808`),
		"escape":             swap("aws", `\u0061ws`),
		"lone surrogate":     swap("aws", `\ud800`),
		"not UTF-8":          swap("aws", "\xff"),
		"offset":             swap("12:00:00.000000001Z", "13:00:00.000000001+01:00"),
		"version":            swap(`"v":1`, `"v":2`),
		"code":               swap(`"0101"`, `"101"`),
		"no kind":            swap(`"decided"`, `""`),
		"null body":          swap(`{"n":1,"place":"aws/eu-central-1"}`, `null`),
		"empty burst":        swap(`"b-1"`, `""`),
		"array":              `[]`,
		"nothing":            ``,
		"deep":               swap(`"n":1`, `"n":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)),
	} {
		if e, err := DecodeEntry([]byte(bad)); err == nil {
			t.Errorf("%s: decoded %+v", what, e)
		}
	}
}

func TestWhatCannotBeAnEntryIsNotEncoded(t *testing.T) {
	change := map[string]func(*Entry){
		"version":     func(e *Entry) { e.V = 0 },
		"code":        func(e *Entry) { e.Code = "01a1" },
		"kind":        func(e *Entry) { e.Kind = "" },
		"time":        func(e *Entry) { e.At = time.Time{} },
		"actor":       func(e *Entry) { e.Actor = "" },
		"body":        func(e *Entry) { e.Body = json.RawMessage(`[]`) },
		"broken body": func(e *Entry) { e.Body = json.RawMessage(`{`) },
		"float":       func(e *Entry) { e.Body = json.RawMessage(`{"n":0.5}`) },
		"twin keys":   func(e *Entry) { e.Body = json.RawMessage(`{"n":1,"n":2}`) },
		"text":        func(e *Entry) { e.Burst = "\xff" },
		"too large":   func(e *Entry) { e.Body = json.RawMessage(`{"s":"` + strings.Repeat("x", MaxEntry) + `"}`) },
	}
	for what, f := range change {
		e := entry(1)
		if f(&e); second(e.Encode()) == nil {
			t.Errorf("%s: encoded", what)
		}
	}
	if second(Entry{}.Encode()) == nil || second(Canonical(math.Pi)) == nil {
		t.Error("encoded the zero entry, or a float")
	}
}

func TestDecodeStrictMindsNamesAndFreesOrder(t *testing.T) {
	type inner struct {
		N int `json:"n"`
	}
	type outer struct {
		inner
		List  []inner          `json:"list"`
		Named map[string]inner `json:"named"`
		Next  *inner           `json:"next"`
		At    time.Time        `json:"at"`
		Raw   json.RawMessage  `json:"raw"`
		Plain string
	}
	var v outer
	check(t, DecodeStrict([]byte(` {"raw":{"Any":1},"Plain":"p","list":[{"n":1}],"n":2,"named":{"K":{"n":3}},
		"next":{"n":4},"at":"2026-01-01T00:00:00Z"} `), &v))
	if v.N != 2 || v.List[0].N != 1 || v.Named["K"].N != 3 || v.Next.N != 4 {
		t.Fatalf("%+v", v)
	}
	for _, bad := range []string{
		`{"N":2}`, `{"list":[{"N":1}]}`, `{"named":{"k":{"x":1}}}`, `{"next":{"n":1,"m":2}}`, `{"plain":"p"}`, `{"n":1.5}`,
		`{"raw":{"a":1,"A":2}}`, `{} {}`, `{"n":1,}`, `{"n"}`, `{`, `{"n":"1"}`,
	} {
		if err := DecodeStrict([]byte(bad), &v); err == nil {
			t.Errorf("%s: decoded", bad)
		}
	}
	if DecodeStrict([]byte(`{}`), v) == nil || DecodeStrict([]byte(`{}`), nil) == nil {
		t.Error("decoded into no pointer")
	}
}

func FuzzDecodeEntry(f *testing.F) {
	b, err := entry(1).Encode()
	check(f, err)
	f.Add(b)
	f.Add([]byte(`{"v":1,"V":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || string(again) != string(b) {
			t.Fatalf("%q decoded, encodes to %q, %v", b, again, err)
		}
	})
}

func BenchmarkDecodeEntry(b *testing.B) {
	leaf, err := entry(1).Encode()
	check(b, err)
	for b.Loop() {
		if _, err := DecodeEntry(leaf); err != nil {
			b.Fatal(err)
		}
	}
}
