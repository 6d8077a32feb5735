package perform_test

import (
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
