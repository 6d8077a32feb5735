package onprem

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Window is the recent past of one pool's GPUs and the level that was last
// declared from it. Made by [NewWindow] and kept by one goroutine. It holds at
// most [MaxPoints] samples of each GPU, whatever it is fed.
type Window struct {
	site, pool string
	gpus       map[string]*track
	order      []*track // the same, as the driver counts them
	doubt      string   // why the newest round is missing
	level      level
	since      time.Time // when level began
	released   time.Time // when saturation last ended, for the cool-down
}

// level is what a window can say. The zero level is unknown.
type level int

const (
	unknown level = iota
	calm
	saturated
)

// MaxPoints bounds the samples kept of one GPU: two hours at one a second. A
// threshold that asks for more is never met, and says so.
const MaxPoints = 7200

// track is what is kept of one GPU.
type track struct {
	name   string
	index  int
	wrong  string // why the newest sample proves nothing
	points []point
}

// point is one believed sample, kept small because there are many.
type point struct {
	at           int64 // nanoseconds since 1970
	util, memory uint8 // percent
}

// NewWindow makes an empty window, whose level is unknown.
func NewWindow(site, pool string) *Window {
	return &Window{site: site, pool: pool, gpus: map[string]*track{}}
}

// Add takes a round. A sample that is not [OK] puts its GPU in doubt until a good
// one comes. A sample that is not newer than the last adds nothing, so a source
// that repeats itself goes stale; one that is older starts the GPU's window again.
func (w *Window) Add(round ...Sample) {
	if len(round) > 0 {
		w.doubt = ""
	}
	for _, s := range round {
		g := w.gpus[s.key()]
		if g == nil {
			g = w.meet(s)
		}
		if g.wrong = s.wrong(); g.wrong == "" {
			g.add(point{s.At.UnixNano(), uint8(s.Utilisation), uint8(s.memory())})
		}
	}
}

// meet begins to watch a GPU that was not seen before.
func (w *Window) meet(s Sample) *track {
	g := &track{name: s.key(), index: s.Index}
	w.gpus[g.name] = g
	w.order = append(w.order, g)
	slices.SortFunc(w.order, func(a, b *track) int { return cmp.Or(a.index-b.index, cmp.Compare(a.name, b.name)) })
	return g
}

// Doubt says that a round could not be had, and why. It holds until a round comes.
func (w *Window) Doubt(reason string) { w.doubt = cmp.Or(reason, "no answer") }

// Signal gives the pool's level at now, under th, with the queue's pressure
// beside it. It moves the window's level, and is idempotent for equal arguments.
func (w *Window) Signal(now time.Time, queue Pressure, th policy.Threshold) policy.Signal {
	s := policy.Signal{
		Site: w.site, Pool: w.pool, Rule: Rule(th), GPUs: len(w.gpus),
		Waiting: queue.Waiting, OldestWait: queue.Oldest,
	}
	util, doubt := w.fold(now, th, &s)
	doubt = cmp.Or(doubt, queue.Doubt)
	next := calm
	switch {
	case doubt != "":
		next, s.Reason, s.Stale = unknown, doubt, true
	case w.level == saturated:
		s.Reason = over(util, queue, th)
	default:
		s.Reason = w.lacks(now, util, queue, th)
	}
	if s.Reason == "" {
		next = saturated
	}
	if w.level == saturated && next != saturated {
		w.released = now
	}
	if w.level != next || w.since.IsZero() {
		w.level, w.since = next, now
	}
	s.Saturated, s.Since = next == saturated, w.since
	return s
}

// lacks says what is missing for saturation to begin; empty when nothing is.
func (w *Window) lacks(now time.Time, util int, queue Pressure, th policy.Threshold) string {
	until := w.released.Add(th.CoolDown)
	switch n := queue.longer(th.WaitedFor); {
	case !w.released.IsZero() && now.Before(until):
		return "cooling down until " + until.UTC().Format(time.RFC3339)
	case util < th.Utilisation*1000:
		return fmt.Sprintf("utilisation %d %% is below %d %%", util/1000, th.Utilisation)
	case n < th.JobsWaiting:
		return fmt.Sprintf("%d of %d jobs waiting have waited %s, fewer than %d",
			n, queue.Waiting, span(th.WaitedFor), th.JobsWaiting)
	}
	return ""
}

// over says why saturation ends; empty while it holds. Between Release and
// Utilisation it holds, so a dip does not flap.
func over(util int, queue Pressure, th policy.Threshold) string {
	release := th.Release
	if release <= 0 || release > th.Utilisation {
		release = th.Utilisation
	}
	switch {
	case util < release*1000:
		return fmt.Sprintf("utilisation %d %% fell below %d %%", util/1000, release)
	case queue.Waiting < th.JobsWaiting:
		return fmt.Sprintf("%d jobs wait, fewer than %d", queue.Waiting, th.JobsWaiting)
	}
	return ""
}

// fold means every GPU over the window into s, and gives the utilisation in
// thousandths of a percent and the first doubt, in the order of the GPUs.
func (w *Window) fold(now time.Time, th policy.Threshold, s *policy.Signal) (int, string) {
	doubt := w.doubt
	if th.Utilisation <= 0 || th.Utilisation > 100 || th.For <= 0 || th.StaleAfter <= 0 {
		doubt = "the threshold is incomplete"
	} else if len(w.gpus) == 0 {
		doubt = cmp.Or(doubt, "no GPU has been seen")
	}
	var util, memory int
	var newest int64
	for _, g := range w.order {
		u, m, why := g.mean(now, th)
		util, memory = util+u, memory+m
		newest = max(newest, g.newest())
		if why != "" && doubt == "" {
			doubt = fmt.Sprintf("GPU %d (%s) %s", g.index, g.name, why)
		}
	}
	if n := len(w.order); n > 0 {
		util, memory = util/n, memory/n
	}
	if newest > 0 {
		s.At = time.Unix(0, newest).UTC()
	}
	s.Utilisation, s.MemoryUsed = util/1000, memory/1000
	return util, doubt
}

// Rule puts a threshold into words, for people and for the log.
func Rule(th policy.Threshold) string {
	rule := fmt.Sprintf("utilisation ≥ %d %% for %s", th.Utilisation, span(th.For))
	if th.JobsWaiting <= 0 {
		return rule
	}
	jobs := "jobs"
	if th.JobsWaiting == 1 {
		jobs = "job"
	}
	return fmt.Sprintf("%s and ≥ %d %s waiting ≥ %s", rule, th.JobsWaiting, jobs, span(th.WaitedFor))
}
