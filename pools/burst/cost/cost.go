// Package cost works out of the log alone what bursts cost, for whom and for
// what, and compares it with what a provider billed.
//
// # An estimate, and of what
//
// A machine costs its price per hour from its launch until its absence was
// proven, both as the log holds them. That is what was reserved and settled; it
// is not an invoice. Discounts, disks, traffic and taxes are in the provider's
// bill only, and so everything here says that it is an estimate.
//
// # Time
//
// A machine's cost is counted by days in UTC, split in proportion to time, so
// that days and months add up to what was settled, to the last millionth. What
// still runs is counted until the log's last entry: one log has one answer for
// ever.
//
// # Non-goals
//
// No I/O, no clock. Nothing here decides: budgets are kept in pools/cloud. The
// entries must be those of a log that verified.
package cost

import (
	"fmt"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
)

// Standing is how final a cost is.
type Standing string

// The standings. The zero Standing is none.
const (
	Asked   Standing = "asked"   // a launch is entered and not answered; it may have a machine
	Running Standing = "running" // counted until the log's last entry
	Settled Standing = "settled" // its absence is proven and its account closed
	Sunk    Standing = "sunk"    // made and gone before anybody heard of it; counted at most
)

// Machine is one attempt of a burst that has or may have a machine. Made by
// [Book.Add]; the zero Machine is none.
type Machine struct {
	Claim    string
	Attempt  int
	Request  policy.Request
	Offer    policy.Offer
	Node     string // the provider's name for it; "" if it was never heard of
	Entry    int64  // the entry of its launch intent
	From, To time.Time
	Standing Standing
	Granted  bool         // it was allowed to read the slice
	Reserved policy.Money // while it is not settled
	Spent    policy.Money // as settled; else so far
	Overrun  policy.Money // past what was reserved; unknown is none
	work     work
}

// Book is a log, folded. The zero Book is of an empty log and ready to use; it
// is not safe for use by several goroutines.
type Book struct {
	lives map[string]*life
	order []*life
	now   time.Time
	err   error
}

// life is one burst and the machines it had.
type life struct {
	state    burst.State
	machines []*Machine
}

// Add folds the next entry of the log. Entries that say nothing about money are
// passed over.
func (b *Book) Add(leaf audit.Leaf) {
	e := leaf.Entry
	b.now = e.At
	kind, ok := burst.Kinds[e.Kind]
	if !ok || e.Burst == "" || b.err != nil {
		return
	}
	body := kind.New()
	if err := audit.DecodeStrict(e.Body, body); err != nil {
		b.err = fmt.Errorf("read entry %d: %w", leaf.Index, err)
		return
	}
	l := b.life(e.Burst)
	ev := burst.Event{Claim: e.Burst, At: e.At, Actor: e.Actor, Index: leaf.Index, Body: body}
	if !burst.Accepts(l.state, ev) {
		b.err = fmt.Errorf("read entry %d: %s of %s does not follow", leaf.Index, e.Kind, e.Burst)
		return
	}
	l.state, _ = burst.Step(l.state, ev)
	l.add(ev)
}

// Err is the first entry that could not be understood. What follows it was not
// counted, so there is no answer.
func (b *Book) Err() error { return b.err }

// Now is the time of the last entry: until then running machines are counted.
func (b *Book) Now() time.Time { return b.now }

func (b *Book) life(claim string) *life {
	if l := b.lives[claim]; l != nil {
		return l
	}
	if b.lives == nil {
		b.lives = map[string]*life{}
	}
	l := &life{}
	b.lives[claim], b.order = l, append(b.order, l)
	return l
}

// add takes what an event says of the burst's newest machine.
func (l *life) add(ev burst.Event) {
	s := l.state
	if in, ok := ev.Body.(*burst.LaunchIntent); ok {
		l.machines = append(l.machines, &Machine{Claim: s.Claim, Attempt: s.Attempt, Request: s.Request,
			Offer: in.Launch.Offer, Entry: ev.Index, From: ev.At, Standing: Asked, Reserved: s.Decision.Plan.Reserve})
		return
	}
	if len(l.machines) == 0 {
		return
	}
	m := l.machines[len(l.machines)-1]
	switch b := ev.Body.(type) {
	case *burst.Launched:
		m.Node, m.From, m.Standing = b.Node.ID, b.Node.Launched, Running
	case *burst.LaunchFailed:
		if b.Spent.Micros == 0 { // nothing was made
			l.machines = l.machines[:len(l.machines)-1]
			return
		}
		m.settle(Sunk, ev.At, b.Spent)
	case *burst.Cleared:
		m.Granted = true
	case *burst.Started:
		m.work.start(ev.At)
	case *burst.Progress:
		m.work.report(ev.At, *b)
	case *burst.Gone:
		m.To = ev.At
	case *burst.Settled:
		m.settle(Settled, m.To, b.Spent)
	}
}

// settle closes a machine's account.
func (m *Machine) settle(s Standing, at time.Time, spent policy.Money) {
	if over, err := spent.Minus(m.Reserved); err == nil && over.Micros > 0 {
		m.Overrun = over
	}
	m.Standing, m.To, m.Spent, m.Reserved = s, at, spent, policy.Money{Currency: spent.Currency}
}

// Machines lists every machine in the order of the log, those still running as
// of its last entry.
func (b *Book) Machines() []Machine {
	var all []Machine
	for _, l := range b.order {
		for _, m := range l.machines {
			c := *m
			if c.To.IsZero() {
				c.To = b.now
			}
			switch {
			case c.Standing == Asked:
				c.To, c.Spent = c.From, policy.Money{Currency: c.Offer.PerHour.Currency}
			case c.Standing == Running:
				c.Spent = c.Offer.PerHour.For(max(c.To.Sub(c.From), 0))
			}
			all = append(all, c)
		}
	}
	return all
}
