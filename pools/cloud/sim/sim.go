// Package sim is a cloud in memory that misbehaves as clouds do.
//
// # What it keeps, and how it lies
//
// A [Cloud] keeps the contract of [pools.Driver] while [Faults] is zero. Set a
// fault and answers get lost after the effect, listings lag, terminates stick,
// regions go dark, capacity runs out, and a node's identity document names
// another place than the one it was bought at. The control plane's own state
// stays true all the while: [Cloud.Inventory], [Cloud.Calls],
// [Cloud.MostAlive] and [Cloud.Billed] tell a test what really happened.
//
// # Time
//
// Nothing runs in the background. Every call first brings the state up to
// time.Now, so a cloud works in a testing/synctest bubble, where a year of
// leases passes at once, and leaves no goroutine behind.
//
// # Non-goals
//
// It runs no machines: what a node does once it is running is up to the test.
package sim

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// Offering is what the cloud sells: an offer at its own price, and how many
// may live at once. The zero Offering sells nothing.
type Offering struct {
	Offer    policy.Offer
	Capacity int
}

// Options describe a well-behaved cloud. The zero value sells nothing.
type Options struct {
	Offerings   []Offering
	Quota       int           // nodes alive at once over all offerings; 0 is no limit
	Boot        time.Duration // from launch to running
	ListLag     time.Duration // how long a new node is missing from listings
	DeleteDelay time.Duration // from a delete that is heard to gone
	Latency     time.Duration // from the effect of a call to its answer
	Bucket      Bucket        // of each verb
	// Key signs identity documents. Without one there is no evidence.
	Key ed25519.PrivateKey
	// Reach is the address of a node. Nil makes one up that nobody answers.
	Reach func(id string) string
}

// Cloud is the cloud. Make one with [New]; safe for concurrent use.
type Cloud struct {
	o      Options
	mu     sync.Mutex
	faults Faults
	nodes  []*Instance // in order of launch
	calls  []Call
	counts map[string]int   // see [Cloud.Counts]
	tries  map[string]int   // rolls of the storm, by fault and whom it concerns
	levels map[string]level // of the bucket, by verb
}

var _ pools.Driver = (*Cloud)(nil)

// Instance is one node as the cloud really has it, alive or ended.
type Instance struct {
	Node     pools.Node     `json:"node"`
	Token    string         `json:"token"`
	UserData pools.UserData `json:"user_data"`
	Really   string         `json:"really"` // where it is: what its documents name
	Asked    time.Time      `json:"asked"`  // when its end was asked for; zero: never
	Ended    time.Time      `json:"ended"`  // zero: alive
	Why      string         `json:"why"`    // what ended it: "deleted", "expired" or "vanished"
	offer    policy.Offer
	really   residency.Address
}

// Call is one Launch or Delete as the cloud saw it.
type Call struct {
	At     time.Time    `json:"at"`
	Verb   string       `json:"verb"` // "launch" or "delete"
	Launch pools.Launch `json:"launch"`
	Node   string       `json:"node"` // the id concerned; "" when nothing was made
	Made   bool         `json:"made"` // the call made a node
	Err    string       `json:"err"`  // what the caller was told
}

// New makes a cloud with no nodes and no faults.
func New(o Options) *Cloud {
	o.Offerings = slices.Clone(o.Offerings)
	return &Cloud{o: o}
}

// Launch makes a node, or returns the one made for an equal launch. See
// [pools.Driver] for what its errors mean.
func (c *Cloud) Launch(ctx context.Context, l pools.Launch) (pools.Node, error) {
	if err := ctx.Err(); err != nil {
		return pools.Node{}, fmt.Errorf("launch %s: %w", l.Claim, err)
	}
	n, lost, err := c.launch(l)
	if err == nil {
		err = c.answer(ctx, lost)
	}
	if err != nil {
		return pools.Node{}, fmt.Errorf("launch %s attempt %d at %v: %w", l.Claim, l.Attempt, l.Offer.At, err)
	}
	return n, nil
}

// launch takes effect and reports whether its answer is to be lost.
func (c *Cloud) launch(l pools.Launch) (node pools.Node, lost bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := Call{At: c.now(), Verb: "launch", Launch: l}
	defer func() {
		call.Node = node.ID
		call.Err = told(err, lost)
		c.calls = append(c.calls, call)
	}()
	if c.faults.dark(l.Offer.At) || take(&c.faults.FailLaunches) {
		return pools.Node{}, false, errUnavailable
	}
	if err := c.throttled("launch", l.Claim, call.At); err != nil {
		return pools.Node{}, false, err
	}
	if i := c.find(func(i *Instance) bool { return i.Node.Claim == l.Claim && i.Node.Attempt == l.Attempt }); i != nil {
		node, err = again(i, l.Token())
		return node, c.loses(&c.faults.LoseLaunches, "launch", l.Claim), err
	}
	offer, err := c.sell(l, call.At)
	if err != nil {
		return pools.Node{}, false, err
	}
	call.Made = true
	return c.make(l, offer, call.At), c.loses(&c.faults.LoseLaunches, "launch", l.Claim), nil
}

// again answers a second launch of an attempt that has its node.
func again(i *Instance, token string) (pools.Node, error) {
	switch {
	case i.Token != token:
		return pools.Node{}, fmt.Errorf("attempt was launched with other parameters: %w", pools.ErrRefused)
	case !i.Ended.IsZero():
		return pools.Node{}, pools.ErrEnded
	}
	return i.Node, nil
}

// sell finds what is asked for and reports why it cannot be had.
func (c *Cloud) sell(l pools.Launch, now time.Time) (policy.Offer, error) {
	at := slices.IndexFunc(c.o.Offerings, func(o Offering) bool { return o.Offer.Key() == l.Offer.Key() })
	switch {
	case at < 0:
		return policy.Offer{}, fmt.Errorf("%s is not sold here: %w", l.Offer.Key(), pools.ErrRefused)
	case l.Claim == "" || l.Attempt < 1 || !l.Expires.After(now):
		return policy.Offer{}, fmt.Errorf("needs a claim, an attempt and an expiry ahead: %w", pools.ErrRefused)
	}
	alive, same := 0, 0
	for _, i := range c.nodes {
		if i.Ended.IsZero() {
			alive++
			if i.offer.Key() == l.Offer.Key() {
				same++
			}
		}
	}
	switch {
	case c.faults.NoQuota || c.o.Quota > 0 && alive >= c.o.Quota:
		return policy.Offer{}, fmt.Errorf("%d nodes are alive: %w", alive, pools.ErrQuota)
	case same >= c.o.Offerings[at].Capacity || slices.Contains(c.faults.NoCapacity, l.Offer.Key()) ||
		c.hit(c.faults.Storm.NoCapacity, "launch without capacity", l.Claim):
		return policy.Offer{}, fmt.Errorf("%s: %w", l.Offer.Key(), pools.ErrCapacity)
	}
	return c.o.Offerings[at].Offer, nil
}

// make adds the node.
func (c *Cloud) make(l pools.Launch, offer policy.Offer, now time.Time) pools.Node {
	token := l.Token()
	i := &Instance{Token: token, UserData: l.UserData, offer: offer, really: l.Offer.At, Node: pools.Node{
		ID: "i-" + token[:10], Claim: l.Claim, Attempt: l.Attempt, At: l.Offer.At, Type: l.Offer.Type,
		State: pools.Pending, Launched: now, Expires: l.Expires,
	}}
	if moved, ok := c.faults.ProveAt[l.Offer.At]; ok {
		i.really = moved
	}
	i.Really = i.really.String()
	i.Node.Reach = i.Node.ID + ".sim.invalid:7443"
	if c.o.Reach != nil {
		i.Node.Reach = c.o.Reach(i.Node.ID)
	}
	c.nodes = append(c.nodes, i)
	c.now() // a node without boot time runs at once
	return i.Node
}

// List returns the living nodes that listings show by now. A region that is
// dark makes it an error: the list would not be complete.
func (c *Cloud) List(ctx context.Context) ([]pools.Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	nodes, err := c.list()
	if err == nil {
		err = c.answer(ctx, false)
	}
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return nodes, nil
}

// list is List before its answer travels.
func (c *Cloud) list() ([]pools.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if take(&c.faults.FailLists) || len(c.faults.Dark) > 0 {
		return nil, errUnavailable
	}
	if err := c.throttled("list", "", now); err != nil {
		return nil, err
	}
	var nodes []pools.Node
	for _, i := range c.nodes {
		if i.Ended.IsZero() && !now.Before(i.Node.Launched.Add(c.o.ListLag)) {
			nodes = append(nodes, i.Node)
		}
	}
	return nodes, nil
}

// Delete asks for the end of a node; it says [pools.ErrGone] once that is so.
func (c *Cloud) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	lost, err := c.delete(id)
	if err == nil {
		err = c.answer(ctx, lost)
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	return nil
}

// delete takes effect and reports whether its answer is to be lost.
func (c *Cloud) delete(id string) (lost bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	defer func() {
		c.calls = append(c.calls, Call{At: now, Verb: "delete", Node: id, Err: told(err, lost)})
	}()
	if err := c.throttled("delete", id, now); err != nil {
		return false, err
	}
	i := c.find(func(i *Instance) bool { return i.Node.ID == id })
	switch {
	case i == nil:
		return false, pools.ErrGone
	case c.faults.dark(i.Node.At) || take(&c.faults.FailDeletes):
		return false, errUnavailable
	case !i.Ended.IsZero():
		return false, pools.ErrGone
	case c.faults.Protected:
		return false, errProtected
	}
	if i.Asked.IsZero() && !c.faults.StuckDeletes {
		i.Asked = now
	}
	i.Node.State = pools.Stopping
	c.now()
	return c.loses(&c.faults.LoseDeletes, "delete", id), nil
}

// Inventory is every node there ever was, in order of launch.
func (c *Cloud) Inventory() []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now()
	all := make([]Instance, len(c.nodes))
	for at, i := range c.nodes {
		all[at] = *i
	}
	return all
}

// Calls is every launch and delete the cloud has seen, in order.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// now brings every node up to the present and returns it. Call with the lock held.
func (c *Cloud) now() time.Time {
	now := time.Now().UTC()
	for _, i := range c.nodes {
		if !i.Ended.IsZero() {
			continue
		}
		if i.Node.State == pools.Pending && !now.Before(i.Node.Launched.Add(c.o.Boot)) {
			i.Node.State = pools.Running
		}
		end, why := i.Node.Expires, "expired"
		if heard := i.Asked.Add(c.o.DeleteDelay); !i.Asked.IsZero() && heard.Before(end) {
			end, why = heard, "deleted"
		}
		if !now.Before(end) {
			i.Ended, i.Why = end, why
		}
	}
	return now
}

// find returns the first instance that ok accepts, or nil.
func (c *Cloud) find(ok func(*Instance) bool) *Instance {
	if at := slices.IndexFunc(c.nodes, ok); at >= 0 {
		return c.nodes[at]
	}
	return nil
}

// answer is the way back: it takes Latency, and may never arrive.
func (c *Cloud) answer(ctx context.Context, lost bool) error {
	if c.o.Latency > 0 {
		t := time.NewTimer(c.o.Latency)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	if lost {
		return errLost
	}
	return nil
}

// told is what the caller of a call hears, as text.
func told(err error, lost bool) string {
	switch {
	case err != nil:
		return err.Error()
	case lost:
		return errLost.Error()
	}
	return ""
}

// Errors that leave the outcome unknown to the caller.
var (
	errUnavailable = errors.New("service unavailable")
	errLost        = errors.New("connection reset before the answer")
	errProtected   = errors.New("the node is protected")
)
