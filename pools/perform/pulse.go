package perform

import (
	"context"
	"sync"
)

// pulse lets readers wait for the next change of something they can read
// again. Its number only grows.
type pulse struct {
	mu   sync.Mutex
	n    int64
	next chan struct{}
}

func newPulse() *pulse { return &pulse{next: make(chan struct{})} }

// beat moves the pulse and wakes every waiter.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	close(p.next)
	p.next = make(chan struct{})
}

// at returns the present number and a channel closed when it is passed.
func (p *pulse) at() (int64, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n, p.next
}

// wait returns once the pulse is past since, or with ctx's end.
func (p *pulse) wait(ctx context.Context, since int64) int64 {
	for {
		n, next := p.at()
		if n > since {
			return n
		}
		select {
		case <-next:
		case <-ctx.Done():
			return n
		}
	}
}
