package perform_test

import (
	"strings"
	"testing"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/scenarios/cast"
)

// lastDay is a table by which Germany leaves the EU a day after the bubble
// begins.
const lastDay = `version,dated
1,2000-01-01

group,country,from,until,source
EEA,DE,1994-01-01,,a test
EU,DE,1958-01-01,2000-01-02,a test

provider,region,zone,partition,kind,country,operator,parent,keys,legal,name,source
aws,eu-central-1,,aws,region,DE,US,US,US,A cloud,Frankfurt,a test
`

func TestAGroupThatEndsEndsWhatRunsOnItAtMidnight(t *testing.T) {
	places, err := residency.ParseTable([]byte(lastDay))
	if err != nil {
		t.Fatal(err)
	}
	change := func(o *cast.Options) { o.Law.Places, o.Job = places, time.Hour }
	in(t, change, func(t *testing.T, w *world) {
		midnight := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(midnight.Add(-10 * time.Minute)))
		w.ask()
		w.until(burst.Running)
		time.Sleep(time.Until(midnight.Add(-time.Second)))
		if s := w.state(); s.Phase != burst.Running {
			t.Fatalf("a second before the group ends the burst is %q", s.Phase)
		}
		time.Sleep(2 * time.Minute)
		if s := w.state(); s.Stopped == nil || s.Stopped.Why != burst.WhyRules {
			t.Errorf("two minutes after the group ended the burst is %q, stopped %+v", s.Phase, s.Stopped)
		}
		if s := w.until(burst.Ended); s.Outcome != burst.WhyRules {
			t.Errorf("outcome %q", s.Outcome)
		}
	})
}

func TestADatasetWhoseRetentionEndsStopsAtMidnightAndIsNotAskedForAgain(t *testing.T) {
	change := func(o *cast.Options) {
		o.Job = time.Hour
		o.Law.Catalogue = dated(t, "", "2000-01-01")
	}
	in(t, change, func(t *testing.T, w *world) {
		midnight := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(midnight.Add(-10 * time.Minute)))
		w.ask()
		w.until(burst.Running)
		time.Sleep(time.Until(midnight.Add(2 * time.Minute)))
		s := w.state()
		if s.Stopped == nil || s.Stopped.Why != burst.WhyRules || !strings.Contains(s.Stopped.Detail, "until 2000-01-01") {
			t.Fatalf("two minutes after its last day the burst is %q, stopped %+v", s.Phase, s.Stopped)
		}
		w.until(burst.Ended)
		r := cast.Request("c-late", "job-2", cast.Job(cast.Pseudonymised))
		if err := w.engine().Ask(r, cast.Digest("event")); err != nil {
			t.Fatal(err)
		}
		w.refused("c-late", "retention", "until 2000-01-01, and it is 2000-01-02")
	})
}

func TestADatasetUnderEmbargoIsRefusedByNameUntilItsDay(t *testing.T) {
	change := func(o *cast.Options) { o.Law.Catalogue = dated(t, "2000-01-02", "") }
	in(t, change, func(t *testing.T, w *world) {
		w.ask()
		w.refused(claim, "embargo", "until 2000-01-02, and it is 2000-01-01")
		time.Sleep(time.Until(time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)))
		r := cast.Request("c-late", "job-2", cast.Job(cast.Pseudonymised))
		if err := w.engine().Ask(r, cast.Digest("event")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + 30*time.Second)
		if all := w.engine().Bursts(); len(all) != 2 || all[1].Outcome != burst.WhyFinished {
			t.Errorf("on its day: %+v", all[1])
		}
	})
}

// refused waits until a claim was refused by a rule, for a reason.
func (w *world) refused(claim, rule, why string) {
	w.t.Helper()
	time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(90 * time.Second))) // between two heartbeats
	for _, s := range w.engine().Bursts() {
		if s.Claim != claim {
			continue
		}
		c := s.Decision.Candidates
		if s.Phase != burst.Ended || len(c) == 0 || c[0].Strike == nil || c[0].Strike.Rule != rule ||
			!strings.Contains(c[0].Strike.Why, why) || c[0].Strike.Basis == "" {
			w.t.Errorf("%s is %q: %+v", claim, s.Phase, s.Decision)
		}
	}
}

// dated is a catalogue of the one slice, with days.
func dated(t *testing.T, embargo, retention string) *residency.Catalogue {
	t.Helper()
	c, err := residency.NewCatalogue([]residency.Dataset{{ID: "claims", Title: "Claims", Owner: "claims department",
		Class: residency.Special, Origin: "DE", Basis: "GDPR Art. 9(2)(h)", Purposes: []string{"model-training"},
		Embargo: embargo, Retention: retention, Slices: []residency.SliceSpec{{Name: cast.Pseudonymised,
			Class: residency.Personal, Pseudonymised: true, Dir: "pseudo"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
