package review_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency/audit"
)

// usual are the bodies of a burst that goes well.
var usual = sync.OnceValue(func() []burst.Body {
	var all []burst.Body
	for _, step := range good()[1:] {
		all = append(all, step.body)
	}
	return all
})

// bodies are what may come next in a burst, sensible or not, for the state it is in.
func bodies(s burst.State, rng *rand.Rand) []burst.Body {
	all := slices.Clone(usual())
	n, serial := 1+rng.IntN(3), fmt.Sprintf("%02d", 1+rng.IntN(3))
	return append(all,
		&burst.LaunchFailed{Attempt: max(1, s.Attempt), Offer: "o", Why: "no capacity", Final: rng.IntN(2) == 0},
		&burst.Unproven{Attempt: 1, Why: "wrong nonce"},
		&burst.Window{Grant: "c-1.1", N: s.WindowN + 1, Manifest: "sha256:s", Bytes: int64(rng.IntN(100))},
		&burst.RoundTrip{Grant: "c-1.1", Micros: int64(rng.IntN(50)), Samples: rng.IntN(6)},
		&burst.Served{Grant: "c-1.1", N: n, Bytes: int64(rng.IntN(120))},
		&burst.Issued{Grant: "c-1.1", Serial: serial}, &burst.IssueIntent{Grant: "c-1.1", CSR: "sha256:c"},
		&burst.Stop{Why: burst.WhyRevoked, By: noon.Add(time.Hour)}, &burst.Unmounted{},
		&burst.RevokeIntent{Serial: serial}, &burst.Revoked{Serial: serial, ProbeBy: noon.Add(time.Hour)},
		&burst.Probed{Serial: serial, Refused: rng.IntN(4) > 0, By: []string{"edge", "issuer"}[rng.IntN(2)]},
	)
}

// rare reports whether a body ends what could be interesting.
func rare(b burst.Body) bool {
	switch b.(type) {
	case *burst.Stop, *burst.LaunchFailed:
		return true
	}
	return false
}

// filled gives a body what Step insists on and the happy path of the other tests leaves out.
func filled(s burst.State, b burst.Body) burst.Body {
	switch b := b.(type) {
	case *burst.LaunchIntent:
		c := *b
		c.BootBy, c.Launch.Attempt = noon.Add(time.Minute), s.Attempt
		return &c
	case *burst.Launched:
		c := *b
		c.Node.Attempt = s.Attempt
		return &c
	case *burst.PlacedAt:
		c := *b
		c.Attempt = s.Attempt
		return &c
	case *burst.IssueIntent:
		c := *b
		c.CSR = "sha256:c"
		return &c
	case *burst.Stop:
		c := *b
		c.By = noon.Add(time.Hour)
		return &c
	case *burst.Revoked:
		c := *b
		c.ProbeBy = noon.Add(time.Hour)
		return &c
	}
	return b
}

// wander makes a burst of whatever is accepted next, until it has ended or has come far enough.
func wander(t *testing.T, rng *rand.Rand, far int) (*review.Review, burst.State) {
	t.Helper()
	r, s := review.New(0), burst.State{}
	add := func(i int, e audit.Entry) {
		e.V, e.At = 1, noon.Add(time.Duration(i)*time.Second)
		r.Add(audit.Leaf{Index: int64(i), Entry: e})
	}
	add(0, audit.Entry{Kind: "law", Code: "0501", Actor: "controller", Body: json.RawMessage(lawful.text)})
	for i := 1; i < far && s.Phase != burst.Ended; {
		all := bodies(s, rng)
		b := filled(s, all[rng.IntN(len(all))])
		event := burst.Event{Claim: "c-1", At: noon.Add(time.Duration(i) * time.Second), Actor: "edge:hq", Index: int64(i),
			Body: b}
		if rare(b) && rng.IntN(30) > 0 || !burst.Accepts(s, event) {
			continue
		}
		s, _ = burst.Step(s, event)
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		add(i, audit.Entry{Kind: b.Kind(), Code: burst.Kinds[b.Kind()].Code, Burst: "c-1", Actor: "edge:hq", Body: raw})
		i++
	}
	return r, s
}

// TestWhatAControllerAcceptsBreaksNoPromise holds the review against the burst's own rules: of what they let into a log
// only a window that nobody closed is a violation, and only once the burst has ended.
func TestWhatAControllerAcceptsBreaksNoPromise(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ended, granted := 0, 0
	for range 1000 {
		r, s := wander(t, rng, 5+rng.IntN(60))
		if s.Phase == burst.Ended {
			ended++
		}
		if s.Grant != nil {
			granted++
		}
		for question, text := range found(t, r) {
			for line := range strings.Lines(text) {
				open := s.Phase == burst.Ended && len(s.Windows) > 0 && strings.Contains(line, "no entry says what went out")
				good := strings.Contains(line, "was still good")
				if !open && !good {
					t.Fatalf("%s finds %q in phase %s", question, line, s.Phase)
				}
			}
		}
		if all, _ := r.Transfers(time.Time{}, time.Time{}); s.Served > 0 && len(all) == 0 {
			t.Fatal("bytes were served, and none left")
		}
	}
	if ended < 100 || granted < 100 {
		t.Fatalf("%d of 1000 ended, %d got a grant", ended, granted)
	}
	t.Logf("%d bursts ended, %d got a grant", ended, granted)
}
