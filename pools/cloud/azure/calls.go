package azure

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"golang.org/x/time/rate"
)

// class is a kind of call. Each has a bucket and a memory of its own, so that a
// throttle of one does not hold up another; ending machines shares with nobody.
type class int

// The classes of calls.
const (
	reading class = iota
	making
	ending
)

// budgets are calls a second and at once. Azure Resource Manager refills 25
// reads, 10 writes and 10 deletes a second for each service principal and
// subscription (Microsoft Learn, "Understand how Azure Resource Manager
// throttles requests", July 2024); these are under half of that.
var budgets = map[class][2]int{reading: {10, 100}, making: {4, 40}, ending: {4, 40}}

const (
	// shortWait is a Retry-After that a call waits out itself.
	shortWait = time.Minute
	// longestWait is more than Azure has been seen to ask for: 1,200 seconds
	// (Azure/azure-rest-api-specs#270).
	longestWait = time.Hour
	// unsaid is the wait after a 429 that names none (hashicorp/terraform-provider-azurerm#19146).
	unsaid = 30 * time.Second
)

// calls are the gates before Azure.
type calls struct {
	buckets map[class]*rate.Limiter
	mu      sync.Mutex
	until   map[class]time.Time
}

func newCalls() *calls {
	c := &calls{buckets: map[class]*rate.Limiter{}, until: map[class]time.Time{}}
	for class, b := range budgets {
		c.buckets[class] = rate.NewLimiter(rate.Limit(b[0]), b[1])
	}
	return c
}

// call makes one call of a class: it waits for the bucket and for a short
// Retry-After, and refuses to go while a long one lasts. What ends machines
// never waits longer than a minute, whatever Azure asks for: the machine is
// paid for meanwhile.
func (c *calls) call(ctx context.Context, of class, what string, f func(context.Context) error) error {
	until := c.closed(of)
	if wait := time.Until(until); wait > shortWait {
		return plain(what, &throttled{until})
	} else if wait > 0 {
		if err := sleep(ctx, wait); err != nil {
			return plain(what, err)
		}
	}
	if err := c.buckets[of].Wait(ctx); err != nil {
		return plain(what, err)
	}
	err := f(ctx)
	if err == nil {
		return nil
	}
	if after := retryAfter(err); after > 0 {
		c.close(of, time.Now().Add(after))
		return errors.Join(plain(what, err), &throttled{c.closed(of)})
	}
	return plain(what, err)
}

// closed is until when a class is closed.
func (c *calls) closed(of class) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until[of]
}

// close closes a class.
func (c *calls) close(of class, until time.Time) {
	if latest := time.Now().Add(shortWait); of == ending && until.After(latest) {
		until = latest
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if until.After(c.until[of]) {
		c.until[of] = until
	}
}

// retryAfter is how long a throttled caller is to wait; 0 if it was not throttled.
func retryAfter(err error) time.Duration {
	r, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || r.StatusCode != http.StatusTooManyRequests {
		return 0
	}
	if r.RawResponse == nil {
		return unsaid
	}
	return parseRetryAfter(r.RawResponse.Header.Get("Retry-After"), time.Now())
}

// parseRetryAfter reads seconds or a date (RFC 9110, 10.2.3); what it cannot
// read, or is out of all reason, is the wait of one who was told nothing.
func parseRetryAfter(s string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		wait = at.Sub(now)
	}
	if wait <= 0 || wait > longestWait {
		return unsaid
	}
	return wait
}

// sleep waits, or ends with ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
