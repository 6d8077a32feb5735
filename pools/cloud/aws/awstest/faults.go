package awstest

import (
	"net/http"
	"time"

	"github.com/burstctl/burstctl/pools/cloud/cloudtest"
)

// throttles is how many calls Throttle refuses: more than an SDK tries once.
const throttles = 4

// cut is where calls stop coming through.
type cut struct {
	on, effect bool
	left       int
}

// verdict is what becomes of a call.
type verdict int

const (
	passes  verdict = iota
	drops           // it never arrives
	loses           // it takes effect and its answer is lost
	refuses         // it is answered with an error
)

// Cause begins a fault or, with Calm, ends all of them.
func (c *Cloud) Cause(f cloudtest.Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.fault, c.left, c.cut = f, 1, cut{}
	switch f {
	case cloudtest.Throttle:
		c.left = throttles
	case cloudtest.Calm:
		for _, i := range c.instances {
			i.hidden, i.Protected = false, false
		}
	case cloudtest.Protected:
		for _, i := range c.instances {
			i.Protected = i.Ended.IsZero()
		}
	case cloudtest.Vanished:
		for _, i := range c.instances {
			c.end(i, time.Now())
		}
	}
}

// Cut lets n more calls through. The next one is lost, with its effect or
// without, and all after it, until Calm.
func (c *Cloud) Cut(n int, effect bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut{on: true, effect: effect, left: n}
}

// Mark says that EC2 will take a spot instance back, as it does two minutes ahead.
func (c *Cloud) Mark(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.instances {
		i.Marked = i.Marked || i.ID == id
	}
}

// Retag changes or, with an empty value, takes away a tag behind everybody's back.
func (c *Cloud) Retag(id, key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.instances {
		if i.ID != id {
			continue
		}
		c.retag(i, map[string]string{key: value})
	}
}

// spoils says what becomes of a call under the present fault.
func (c *Cloud) spoils(call Call) (verdict, answer) {
	switch {
	case c.cut.on && c.cut.left > 0:
		c.cut.left--
		return passes, answer{}
	case c.cut.on && c.cut.effect:
		c.cut.effect = false
		return loses, answer{}
	case c.cut.on:
		return drops, answer{}
	case c.fault == cloudtest.LostList && call.Form.Get("NextToken") != "":
		return drops, answer{}
	case c.left == 0:
		return passes, answer{}
	}
	hit := func(f cloudtest.Fault, action string) bool {
		if c.fault != f || action != "" && action != call.Action {
			return false
		}
		c.left--
		return true
	}
	switch {
	case hit(cloudtest.LostCall, "RunInstances"):
		return drops, answer{}
	case hit(cloudtest.LostAnswer, "RunInstances"), hit(cloudtest.LostDelete, "TerminateInstances"):
		return loses, answer{}
	case hit(cloudtest.Throttle, ""):
		return refuses, no(http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded.")
	}
	return passes, answer{}
}
