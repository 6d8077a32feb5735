package audit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func witnessKeys(t testing.TB, names ...string) (keys []string, sigs []note.Signature) {
	for _, n := range names {
		_, vkey, err := GenerateWitnessKey(n)
		check(t, err)
		v, err := CosignatureVerifier(vkey)
		check(t, err)
		keys, sigs = append(keys, vkey), append(sigs, note.Signature{Name: v.Name(), Hash: v.KeyHash()})
	}
	return keys, sigs
}

func TestTheQuorumIsWhatThePolicySays(t *testing.T) {
	_, log, err := GenerateLogKey("o")
	check(t, err)
	k, s := witnessKeys(t, "a", "b", "c")
	trust, err := ParseTrust(fmt.Appendf(nil, `# whom the officer trusts
log %s
witness compliance %s
witness auditor %s https://witness.example/a   # with a place
	witness council	%s
group outside any auditor council
group both all compliance outside
quorum both
`, log, k[0], k[1], k[2]))
	check(t, err)
	for _, c := range []struct {
		sigs []note.Signature
		want bool
	}{
		{nil, false}, {s[:1], false}, {s[1:], false}, {s[:2], true}, {s, true},
		{[]note.Signature{s[0], s[0]}, false}, {[]note.Signature{s[2], s[0]}, true},
	} {
		if got := trust.satisfied(c.sigs); got != c.want {
			t.Errorf("%v: %v", c.sigs, got)
		}
	}
	again, err := ParseTrust(trust.Encode())
	check(t, err)
	if string(again.Encode()) != string(trust.Encode()) || !again.satisfied(s) {
		t.Fatalf("encodes to\n%s", trust.Encode())
	}
	if len(trust.LogVerifiers("o")) != 1 || len(trust.LogVerifiers("p")) != 0 {
		t.Fatal("the log's key is not found by its origin")
	}
	if (Trust{}).satisfied(s) || (Trust{}).Encode() != nil {
		t.Fatal("the zero trust trusts")
	}
	if _, err := NewTrust(0, log, k[0]); err == nil {
		t.Fatal("a quorum of none among witnesses")
	}
	if _, err := NewTrust(0, log); err != nil {
		t.Fatal(err)
	}
}

func TestABadTrustFileIsRefusedAtItsPlace(t *testing.T) {
	_, log, err := GenerateLogKey("o")
	check(t, err)
	k, _ := witnessKeys(t, "a", "b")
	plain := strings.Replace(k[0], "+B", "+A", 1)
	for _, c := range []struct{ text, at, why string }{
		{"", "1:1", "no log"},
		{"log " + log, "1:1", "no quorum"},
		{"log " + log + "\nquorum x", "2:8", "no witness"},
		{"log " + log + "\n  quorum none extra\n", "2:15", "one name"},
		{"log " + log + "\nquorum none\nquorum none\n", "3:1", "twice"},
		{"log x\n", "1:5", "log key"},
		{"log\n", "1:4", "one verifier key"},
		{"log " + log + "\nlog " + log + "\n", "2:5", "twice"},
		{"log " + k[0] + "\n", "1:5", "log key"},
		{"lög x\n", "1:1", "unknown keyword"},
		{"witness a " + log + "\n", "1:11", "hash"},
		{"witness a " + plain + "\n", "1:11", ""},
		{"witness a\n", "1:10", "takes a name"},
		{"witness none " + k[0] + "\n", "1:9", "taken"},
		{"witness a " + k[0] + "\nwitness a " + k[1] + "\n", "2:9", "taken"},
		{"witness a " + k[0] + "\nwitness b " + k[0] + "\n", "2:11", "again"},
		{"witness a " + k[0] + "\ngroup g 0 a\n", "2:9", "threshold"},
		{"witness a " + k[0] + "\ngroup g 2 a\n", "2:9", "threshold"},
		{"witness a " + k[0] + "\ngroup g 1 a a\n", "2:13", "already"},
		{"witness a " + k[0] + "\ngroup g 1 a\ngroup h 1 a\n", "3:11", "already"},
		{"group g 1 g\n", "1:11", "above"},
		{"\xff", "1:1", "UTF-8"},
	} {
		_, err := ParseTrust([]byte(c.text))
		bad, ok := errors.AsType[*TrustError](err)
		if !ok || !strings.HasPrefix(err.Error(), c.at+": ") || !strings.Contains(bad.Why, c.why) {
			t.Errorf("%q: %v, want %s %s", c.text, err, c.at, c.why)
		}
	}
}

func FuzzParseTrust(f *testing.F) {
	_, log, err := GenerateLogKey("o")
	check(f, err)
	k, _ := witnessKeys(f, "a")
	f.Add([]byte("log " + log + "\nwitness a " + k[0] + "\ngroup g any a\nquorum g\n"))
	f.Add([]byte("log " + log + " # x\n\tquorum none"))
	f.Fuzz(func(t *testing.T, b []byte) {
		trust, err := ParseTrust(b)
		if err != nil {
			return
		}
		again, err := ParseTrust(trust.Encode())
		if err != nil || string(again.Encode()) != string(trust.Encode()) {
			t.Fatalf("%q encodes to %q: %v", b, trust.Encode(), err)
		}
	})
}
