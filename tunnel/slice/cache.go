package slice

import (
	"container/list"
	"context"
	"sync"
)

// cacheBytes bounds the chunks a mount keeps, those being fetched aside.
const cacheBytes = 32 << 20

// ahead is how many chunks are fetched before a sequential reader asks, and
// aheadMost how many of those may be on their way in a whole mount.
const (
	ahead     = 2
	aheadMost = 4
)

// place names a chunk in a manifest.
type place struct{ file, chunk int }

// cache keeps verified chunks of one mount in memory, the least recently used
// going first. A chunk that several readers want is fetched once.
type cache struct {
	ctx   context.Context // of the mount: a reader's interruption fetches on
	fetch func(context.Context, place) ([]byte, error)
	most  int64
	early chan struct{}

	mu      sync.Mutex // guards what follows
	entries map[place]*entry
	order   *list.List // of place, newest first
	size    int64
	dropped bool
}

// entry is a chunk that is there once done is closed; until then c.mu guards it.
type entry struct {
	done chan struct{}
	at   *list.Element
	data []byte
	err  error
}

func newCache(ctx context.Context, most int64, fetch func(context.Context, place) ([]byte, error)) *cache {
	return &cache{ctx: ctx, fetch: fetch, most: most, early: make(chan struct{}, aheadMost),
		entries: map[place]*entry{}, order: list.New()}
}

// get returns a chunk, which the caller must not change.
func (c *cache) get(p place) ([]byte, error) {
	e, mine := c.claim(p)
	if mine {
		c.fill(p, e)
	}
	<-e.done
	return e.data, e.err
}

// hint fetches a chunk beside its reader, if there is room.
func (c *cache) hint(p place) {
	select {
	case c.early <- struct{}{}:
	default:
		return
	}
	e, mine := c.claim(p)
	if !mine {
		<-c.early
		return
	}
	go func() {
		defer func() { <-c.early }()
		c.fill(p, e)
	}()
}

// claim finds the entry of a chunk, or makes one that the caller must fill.
func (c *cache) claim(p place) (e *entry, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[p]; e != nil {
		c.order.MoveToFront(e.at)
		return e, false
	}
	e = &entry{done: make(chan struct{}), at: c.order.PushFront(p)}
	c.entries[p] = e
	return e, true
}

// fill fetches a chunk, makes room for it, and forgets it if it failed. Its
// readers go on once it is counted, so that what they see is within the bound.
func (c *cache) fill(p place, e *entry) {
	defer close(e.done)
	data, err := c.fetch(c.ctx, p)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.data, e.err = data, err
	if err != nil || c.dropped {
		c.forget(p, e)
		return
	}
	c.size += int64(len(data))
	for at := c.order.Back(); at != nil && c.size > c.most; {
		old := at.Value.(place)
		at = at.Prev()
		if x := c.entries[old]; x != e && x.data != nil {
			c.size -= int64(len(x.data))
			c.forget(old, x)
		}
	}
}

// forget takes an entry out; c.mu is held.
func (c *cache) forget(p place, e *entry) {
	if c.entries[p] == e {
		delete(c.entries, p)
		c.order.Remove(e.at)
	}
}

// drop empties the cache for good.
func (c *cache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped, c.size = true, 0
	clear(c.entries)
	c.order.Init()
}
