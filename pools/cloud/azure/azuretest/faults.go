package azuretest

import (
	"fmt"
	"strings"
	"time"
)

// Faults is what is wrong with the state of the cloud. The zero Faults is a
// cloud that does what is asked of it.
type Faults struct {
	Stuck     bool          // deletes are heard and nothing ends
	HideNew   bool          // what is made from now on is in no listing
	BlindGets int           // so many GETs of machines say 404 though they are there
	BlindDels int           // so many DELETEs of machines find nothing though they are there
	Fails     *Answer       // how every machine's provisioning ends from now on
	Reserve   time.Duration // for how long a card is kept for a machine that failed
	KeepDisks bool          // a disk outlives its machine, whatever its deleteOption
	Elsewhere string        // the region that machines are made in, whatever was asked for
}

// Set replaces the faults of state. Machines that were made under earlier ones
// keep them.
func (c *Cloud) Set(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now()
	c.faults = f
}

// Spoil is what becomes of some calls. The zero Spoil spoils nothing.
type Spoil struct {
	Action string // that it spoils; "*/write" is every write, "*" every call
	Page   bool   // only pages after the first
	Times  int    // so many calls
	Lose   bool   // it takes effect, and its answer is lost
	Answer *Answer
	// Without Lose and Answer the call never arrives.
}

// Spoil spoils the next calls of a kind. Spoils are asked in order.
func (c *Cloud) Spoil(s Spoil) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoils = append(c.spoils, s)
}

// Calm ends spoils and cuts, and all faults of state but those that last. Locks
// are taken off.
func (c *Cloud) Calm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now()
	c.faults, c.spoils, c.cut = Faults{}, nil, nil
	for _, m := range c.machines {
		m.protected, m.hidden = false, false
	}
	for _, n := range c.nics {
		n.lost = false
	}
}

// cut lets so many calls through, the next with its effect or not, and no more.
type cut struct {
	left   int
	effect bool
}

// Cut is what a process leaves behind that dies at its nth call from here: that
// call takes effect or not, and is not answered, and none comes after it.
func (c *Cloud) Cut(n int, effect bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = &cut{n, effect}
}

// Protect puts a lock on every machine.
func (c *Cloud) Protect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		m.protected = true
	}
}

// Vanish ends every machine behind everybody's back, as an eviction with policy
// Delete or a person does.
func (c *Cloud) Vanish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, m := range c.machines {
		if m.ended.IsZero() {
			c.end(m, now, "vanished")
		}
	}
}

// PowerOff stops every machine from inside: it is there, and is billed.
func (c *Cloud) PowerOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		m.stopped = "stopped"
	}
}

// Untag takes the tags off a machine, as a person with a script does.
func (c *Cloud) Untag(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.find(name)
	if m == nil {
		return fmt.Errorf("untag %s: there is no such machine", name)
	}
	m.vm.Tags = nil
	return nil
}

// spoiled takes one spoil of a call, if there is any. Call with the lock held.
func (c *Cloud) spoiled(action string, page bool) (Spoil, bool) {
	if c.cut != nil {
		if c.cut.left > 0 {
			c.cut.left--
			return Spoil{}, false
		}
		lose := c.cut.effect
		c.cut.effect = false
		return Spoil{Lose: lose}, true
	}
	for i := range c.spoils {
		s := &c.spoils[i]
		if s.Times > 0 && (page || !s.Page) && matches(s.Action, action) {
			s.Times--
			return *s, true
		}
	}
	return Spoil{}, false
}

// matches reports whether an action is of a kind.
func matches(kind, action string) bool {
	if rest, ok := strings.CutPrefix(kind, "*"); ok {
		return strings.HasSuffix(action, rest)
	}
	return kind == action
}
