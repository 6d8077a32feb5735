package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"time"
)

// Storm spoils calls by chance, each in so many of a thousand. Which call is
// hit follows from Seed, the verb, whom it concerns and how often that was
// tried, so that it does not matter which of two goroutines was faster. The
// zero Storm is calm.
type Storm struct {
	Seed       uint64
	Throttle   int // calls that are refused as too many, before any effect
	NoCapacity int // launches for which there is nothing just now
	Lose       int // launches and deletes whose effect stays and whose answer does not come
}

// Bucket limits calls of one verb, as EC2's request buckets do: it holds Burst
// calls and takes up PerSecond new ones. The zero Bucket is no limit.
type Bucket struct {
	Burst     int
	PerSecond float64
}

// level is how many calls a bucket has left, as of a time.
type level struct {
	left float64
	at   time.Time
}

// errThrottled leaves nothing unknown: the call had no effect. Callers cannot rely on that.
var errThrottled = errors.New("request limit exceeded")

// Counts is how many calls there were of each verb, "launch", "list" and
// "delete", and what became of those that went wrong by the storm or by the
// bucket, as in "delete throttled".
func (c *Cloud) Counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// count counts what happened. Call with the lock held.
func (c *Cloud) count(what string) {
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[what]++
}

// throttled takes one call of a verb out of its bucket and reports why it is
// refused, if it is. Call with the lock held.
func (c *Cloud) throttled(verb, whom string, now time.Time) error {
	c.count(verb)
	if b := c.o.Bucket; b.Burst > 0 {
		if c.levels == nil {
			c.levels = map[string]level{}
		}
		l, ok := c.levels[verb]
		if !ok {
			l = level{float64(b.Burst), now}
		}
		l.left, l.at = min(float64(b.Burst), l.left+now.Sub(l.at).Seconds()*b.PerSecond), now
		empty := l.left < 1
		if !empty {
			l.left--
		}
		c.levels[verb] = l
		if empty {
			c.count(verb + " beyond the bucket")
			return errThrottled
		}
	}
	if c.hit(c.faults.Storm.Throttle, verb+" throttled", whom) {
		return errThrottled
	}
	return nil
}

// hit rolls for one fault of one call, and counts it. Call with the lock held.
func (c *Cloud) hit(perMille int, what, whom string) bool {
	if perMille <= 0 {
		return false
	}
	if c.tries == nil {
		c.tries = map[string]int{}
	}
	try := what + " " + whom
	c.tries[try]++
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s %d", c.faults.Storm.Seed, try, c.tries[try])
	x := h.Sum64() // FNV's last bytes hardly move its high bits: mix
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	if (x^x>>33)%1000 >= uint64(perMille) {
		return false
	}
	c.count(what)
	return true
}

// loses reports whether the answer to a call gets lost. Call with the lock held.
func (c *Cloud) loses(n *int, verb, whom string) bool {
	return take(n) || c.hit(c.faults.Storm.Lose, verb+" lost", whom)
}

// Alive reports whether the node lives. One that never was does not.
func (c *Cloud) Alive(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now()
	i := c.find(func(i *Instance) bool { return i.Node.ID == id })
	return i != nil && i.Ended.IsZero()
}
