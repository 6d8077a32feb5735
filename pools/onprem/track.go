package onprem

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// add keeps p if it is newer than the last point. An older one means that a clock
// was set back: nothing kept before it can be compared, so it starts again.
func (g *track) add(p point) {
	switch last := g.newest(); {
	case p.at == last:
		return
	case p.at < last:
		g.points = g.points[:0]
	case len(g.points) >= MaxPoints:
		g.points = slices.Delete(g.points, 0, MaxPoints/8)
	}
	g.points = append(g.points, p)
}

// newest gives the time of the last believed sample, 0 for none.
func (g *track) newest() int64 {
	if len(g.points) == 0 {
		return 0
	}
	return g.points[len(g.points)-1].at
}

// mean gives utilisation and memory over the window that ends at now, in
// thousandths of a percent, and why they prove nothing (empty when they do): the
// GPU must have been watched for the whole window without a gap of StaleAfter.
func (g *track) mean(now time.Time, th policy.Threshold) (util, memory int, why string) {
	end := now.UnixNano()
	start := end - int64(th.For)
	g.forget(start)
	n, gap := 0, time.Duration(0)
	for i, p := range g.points {
		if i > 0 {
			gap = max(gap, time.Duration(p.at-g.points[i-1].at))
		}
		if p.at > start {
			util, memory, n = util+int(p.util), memory+int(p.memory), n+1
		}
	}
	if n > 0 {
		util, memory = util*1000/n, memory*1000/n
	}
	age := time.Duration(end - g.newest())
	switch {
	case g.wrong != "":
		why = "is " + g.wrong
	case len(g.points) == 0:
		why = "has not been measured"
	case age > th.StaleAfter:
		why = fmt.Sprintf("was last measured %s ago, more than %s", span(age), span(th.StaleAfter))
	case age < -th.StaleAfter:
		why = fmt.Sprintf("was measured %s from now", span(-age))
	case g.points[0].at > start:
		why = fmt.Sprintf("has been watched for %s of %s", span(time.Duration(end-g.points[0].at)), span(th.For))
	case gap > th.StaleAfter:
		why = fmt.Sprintf("was not measured for %s of the last %s", span(gap), span(th.For))
	}
	return util, memory, why
}

// forget drops what lies before start, but for the one point that proves that
// the watch had begun by then.
func (g *track) forget(start int64) {
	i := 0
	for i+1 < len(g.points) && g.points[i+1].at <= start {
		i++
	}
	if i > 0 {
		g.points = slices.Delete(g.points, 0, i)
	}
}

// span writes a duration as people do: 5m, not 5m0s, and no more than milliseconds.
func span(d time.Duration) string {
	s := d.Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
