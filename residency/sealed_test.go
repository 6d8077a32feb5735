package residency

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// vocabulary are the fields of a sealed grant that take one of few words, each
// with an alias of what it says.
var vocabulary = map[string]string{"class": "Special", "level": "L7", "kind": "Region", "country": "Germany",
	"groups": "eea", "operator": "USA", "parent": "EU", "keys": "Germany", "partition": "AWS", "origin": "UK",
	"provider": "AWS", "region": "EU (Frankfurt)", "purpose": "Model Training", "team": "Fraud", "site": "Munich",
	"trust": "Local", "dataset": "Claims", "purposes": "Training", "slice_digest": "sha1:ab", "payload": "sha1:ab",
	"node_key": "sha1:ab", "evidence": "sha1:ab", "rules": "sha1:ab", "places": "sha1:ab", "not_before": "noon",
	"expires": "noon", "id": "Grant 1"}

// free are the fields whose text people wrote, which is any text.
var free = []string{"basis", "legal", "source", "claim", "instance"}

// spoil lists everything that is done to one value of a JSON tree, by kind of
// mutation; the key is that of the field it stands in.
func spoil(key string, v any) map[string]any {
	bad := map[string]any{"null": nil, "object": map[string]any{"": v}, "list of lists": []any{[]any{v}}}
	if _, text := v.(string); !text {
		bad["text"] = fmt.Sprint("x", v)
	} else {
		bad["number"], bad["truth"] = 1, true
	}
	switch v := v.(type) {
	case float64:
		bad["negative"], bad["huge"], bad["fraction"] = -1e9, 1e300, 1.5
		if key == "epoch" || key == "attempt" {
			delete(bad, "text")
			bad["text"] = "1"
		}
	case bool:
		bad["number"] = 1
	case string:
		if !slices.Contains(free, key) && key != "name" {
			bad["blank"], bad["unknown"], bad["not a letter"] = " ", "\u2603", v+"\u200b"
			bad["look-alike"], bad["too long"] = lookAlike(v), strings.Repeat("a", 300)
		}
		if alias, ok := vocabulary[key]; ok {
			bad["alias"] = alias
		}
	}
	return bad
}

// each calls f with every way to spoil one value of the tree, and puts the
// value back.
func each(path, key string, node any, f func(path, kind string)) {
	switch node := node.(type) {
	case map[string]any:
		for k, v := range node {
			at := path + "." + k
			for kind, bad := range spoil(k, v) {
				node[k] = bad
				f(at, kind)
			}
			delete(node, k)
			f(at, "absent")
			node[strings.ToUpper(k)] = v
			f(at, "key in other case")
			delete(node, strings.ToUpper(k))
			node[k] = v
			each(at, k, v, f)
		}
	case []any:
		for i, v := range node {
			for kind, bad := range spoil(key, v) {
				node[i] = bad
				f(path+"[]", kind)
			}
			node[i] = v
		}
	}
}

// TestNoMutantOfASealedGrantIsAllowed signs every mutant with the right key, as
// a controller gone wrong would, and asks the site's rules of what opens.
func TestNoMutantOfASealedGrantIsAllowed(t *testing.T) {
	tab, r := shipped(t)
	skey, vkey, err := note.GenerateKey(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	tried, opened := 0, 0
	for _, g := range goldens(t, tab) {
		if g.q.stage != stageRead || g.q.ask.Slice.Embargo != "" { // a site goes by the days of its own catalogue
			continue
		}
		body := grantBody{V: 1, Ask: g.q.ask, Place: g.q.place, Instance: "i-1", NodeKey: digest(nil), Evidence: digest(nil),
			Level: g.q.level, Trust: g.q.trust, Rules: r.Digest(), Places: tab.Digest(), Terms: Terms{ID: "grant-1",
				Claim: "claim-1", Attempt: 1, Payload: digest(nil), SliceDigest: digest(nil),
				NotBefore: time.Unix(2e9, 0).UTC(), Expires: time.Unix(2e9+60, 0).UTC()}}
		still := func() (opens, allowed bool, text []byte) {
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			opens, allowed = opensAndHolds(r, tab, signer, verifier, string(text))
			return opens, allowed, text
		}
		opens, allowed, text := still()
		if !opens || allowed != g.allowed {
			t.Fatalf("%s: opens %t, allowed %t", g.name, opens, allowed)
		}
		var tree map[string]any
		if err := json.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		order := map[string][]string{}
		keyOrder(json.NewDecoder(bytes.NewReader(text)), "", order)
		if inOrder(tree, "", order) != string(text) {
			t.Fatal("what is not changed is written otherwise")
		}
		each("", "", tree, func(path, kind string) {
			tried++
			opens, allowed := opensAndHolds(r, tab, signer, verifier, inOrder(tree, "", order))
			if opens {
				opened++
			}
			if allowed {
				t.Errorf("%s, %s %s: still allowed", g.name, path, kind)
			}
		})
	}
	t.Logf("%d mutants of sealed grants: %d opened, none is still allowed", tried, opened)
}

// keyOrder notes the order of the keys of every object in a text, by path.
func keyOrder(d *json.Decoder, path string, order map[string][]string) {
	switch open, _ := d.Token(); open {
	case json.Delim('{'):
		for d.More() {
			key, _ := d.Token()
			order[path] = append(order[path], key.(string))
			keyOrder(d, path+"."+key.(string), order)
		}
		_, _ = d.Token()
	case json.Delim('['):
		for d.More() {
			keyOrder(d, path, order)
		}
		_, _ = d.Token()
	}
}

// inOrder writes a mutated tree with its keys in the order that Seal writes, so
// that it is not refused for their order alone.
func inOrder(node any, path string, order map[string][]string) string {
	m, ok := node.(map[string]any)
	if !ok {
		b, _ := json.Marshal(node)
		return string(b)
	}
	var fields []string
	keys := slices.Sorted(maps.Keys(m))
	slices.SortStableFunc(keys, func(a, b string) int {
		return slices.Index(order[path], a) - slices.Index(order[path], b)
	})
	for _, k := range keys {
		fields = append(fields, strconv.Quote(k)+":"+inOrder(m[k], path+"."+k, order))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// opensAndHolds seals a body, opens it and asks the rules of it.
func opensAndHolds(r *Rules, tab *Table, s note.Signer, v note.Verifier, body string) (opens, holds bool) {
	sealed, err := note.Sign(&note.Note{Text: grantPreamble + body + "\n"}, s)
	if err != nil {
		return false, false
	}
	g, err := OpenGrant(sealed, note.VerifierList(v))
	if err != nil {
		return false, false
	}
	return true, r.Still(tab, g.b.Ask, g).Allowed
}
