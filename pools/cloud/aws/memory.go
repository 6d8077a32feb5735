package aws

import (
	"fmt"
	"sync"
	"time"

	"github.com/burstctl/burstctl/pools"
)

// forgetAfter is how long after its lease an attempt is remembered: as long
// as EC2 remembers the token of a terminated instance.
const forgetAfter = 24 * time.Hour

// memory is what this process has seen. Losing it costs time, never a node:
// proofs of absence begin again.
type memory struct {
	mu    *sync.Mutex
	tries map[attempt]*try
	nodes map[string]*sight // by region and instance
}

// attempt is what has one node at most.
type attempt struct {
	claim   string
	attempt int
}

// try is what became of the calls of an attempt.
type try struct {
	token   string
	unknown bool      // a call had no clear answer
	made    bool      // its instance was seen
	absent  time.Time // since when nothing was found; zero if never
	expires time.Time
}

// sight is an instance that was looked for.
type sight struct {
	ours   bool
	absent time.Time // since when it was not found; zero if it was
	last   time.Time
}

// newMemory makes an empty memory.
func newMemory() memory {
	return memory{mu: new(sync.Mutex), tries: map[attempt]*try{}, nodes: map[string]*sight{}}
}

// begin notes a launch and refuses one whose attempt has other parameters.
func (m memory) begin(l pools.Launch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for a, t := range m.tries {
		if now.After(t.expires.Add(forgetAfter)) {
			delete(m.tries, a)
		}
	}
	a := attempt{l.Claim, l.Attempt}
	if t := m.tries[a]; t != nil && t.token != l.Token() {
		return fmt.Errorf("attempt was launched with other parameters: %w", pools.ErrRefused)
	}
	if m.tries[a] == nil {
		m.tries[a] = &try{token: l.Token(), expires: l.Expires}
	}
	return nil
}

// note changes what is known of an attempt, and returns it.
func (m memory) note(l pools.Launch, change func(*try)) try {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tries[attempt{l.Claim, l.Attempt}]
	if t == nil {
		t = &try{token: l.Token(), expires: l.Expires}
		m.tries[attempt{l.Claim, l.Attempt}] = t
	}
	change(t)
	return *t
}

// saw notes that an instance is there.
func (m memory) saw(region, id string, ours bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[region+"/"+id] = &sight{ours: ours, last: time.Now()}
}

// knows reports whether an instance was seen in the region, and is ours.
func (m memory) knows(region, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.nodes[region+"/"+id]
	return s != nil && s.ours
}

// missed notes that an instance was not found by any query, and returns for
// how long that has been so.
func (m memory) missed(region, id string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for key, s := range m.nodes {
		if now.Sub(s.last) > forgetAfter {
			delete(m.nodes, key)
		}
	}
	s := m.nodes[region+"/"+id]
	if s == nil {
		s = &sight{}
		m.nodes[region+"/"+id] = s
	}
	if s.absent.IsZero() {
		s.absent = now
	}
	s.last = now
	return now.Sub(s.absent)
}
