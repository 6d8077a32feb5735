package azure

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, s := range []string{"", "0", "17", "1200", "3600", "3601", "-5", "1e3", "17 ", "99999999999999999999",
		now.Add(90 * time.Second).Format(http.TimeFormat), now.Add(-time.Hour).Format(http.TimeFormat)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if wait := parseRetryAfter(s, now); wait <= 0 || wait > longestWait {
			t.Errorf("Retry-After %q is a wait of %v", s, wait)
		}
	})
}

func TestARetryAfterIsSecondsOrADateAndAnythingElseIsAWaitAllTheSame(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Duration{"17": 17 * time.Second, "1200": 20 * time.Minute, "": unsaid,
		"soon": unsaid, "-1": unsaid, "86400": unsaid, now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second} {
		if got := parseRetryAfter(s, now); got != want {
			t.Errorf("Retry-After %q is %v, want %v", s, got, want)
		}
	}
}

func FuzzNodeID(f *testing.F) {
	d := Driver{o: Options{Owner: "claims.example"}}
	for _, s := range []string{d.nameOf("c-1", 1), idOf(d.nameOf("c-1", 2), "66666666-7777-8888-9999-AAAAAAAAAAAA"),
		"", ".", "burst-", "burst-aaaaaaaaaaaaaaaaaaaaaaaaa1", "burst-AAAAAAAAAAAAAAAAAAAAAAAAAA", "../../etc/passwd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		name, ok := parseID(id)
		if ok && (len(name) != len(namePrefix)+nameDigits || !strings.HasPrefix(id, name) ||
			strings.ContainsAny(name, "/.%?#")) {
			t.Errorf("ID %q is of a node %q", id, name)
		}
	})
}

func TestTheNameOfAnAttemptIsNobodyElses(t *testing.T) {
	seen := map[string]bool{}
	for _, owner := range []string{"a", "b", `a","b`} {
		for _, claim := range []string{"c", "c-1", "", `c",1`, "c/1"} {
			for attempt := range 12 {
				d := Driver{o: Options{Owner: owner}}
				name := d.nameOf(claim, attempt)
				if got, ok := parseID(idOf(name, "X")); seen[name] || !ok || got != name {
					t.Errorf("attempt %d of %q of %q has the name %q", attempt, claim, owner, name)
				}
				seen[name] = true
			}
		}
	}
}
