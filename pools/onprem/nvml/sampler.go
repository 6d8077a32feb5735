package nvml

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/burstctl/burstctl/pools/onprem"
)

// Sampler samples this host's GPUs through a helper process. It keeps
// [onprem.Sampler]; each range over it has a helper of its own. The zero Sampler has
// no command and only errs; every other zero field means its default.
type Sampler struct {
	// Command starts the helper: a path and the arguments that lead to [Helper], to
	// which the flags below are added.
	Command []string
	Library string        // path of the library; default: libnvidia-ml.so.1, where the loader looks
	Every   time.Duration // between rounds; default 1 s
	Silence time.Duration // without a round, after which samples are stale; default 5 s
	GiveUp  time.Duration // without a round, after which the helper is asked to end; default 30 s
	Frozen  time.Duration // without a new driver sample, after which a sample is stale; default 5 s
	// Patience bounds the restarts of a helper that gives no round at all; after it the
	// sequence ends. Default 10 minutes.
	Patience time.Duration
}

// filled gives s with its defaults.
func (s Sampler) filled() Sampler {
	s.Every = cmp.Or(s.Every, time.Second)
	s.Silence = cmp.Or(s.Silence, 5*time.Second)
	s.GiveUp = cmp.Or(s.GiveUp, 30*time.Second)
	s.Frozen = cmp.Or(s.Frozen, 5*time.Second)
	s.Patience = cmp.Or(s.Patience, 10*time.Minute)
	return s
}

// Samples starts a helper and gives its rounds. It answers at least once in
// Silence + Every, whatever the driver does. It ends with [ErrNoLibrary] when there
// is no library, and with an error when no helper gave a round for Patience. When it
// ends it waits a short while for the helper, and leaves one that hangs.
func (s Sampler) Samples(ctx context.Context) iter.Seq2[[]onprem.Sample, error] {
	return func(yield func([]onprem.Sample, error) bool) {
		s := s.filled()
		ctx, stop := context.WithCancel(ctx)
		reports := make(chan report)
		go keep(ctx, s, reports)
		defer func() {
			stop()
			for range reports {
				continue // until the keeper has closed it
			}
		}()
		s.answer(ctx, reports, yield)
	}
}

// answer turns reports, and their absence, into rounds.
func (s Sampler) answer(ctx context.Context, reports <-chan report, yield func([]onprem.Sample, error) bool) {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	var last []onprem.Sample
	heard, why := time.Now(), "it has not begun"
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case r, ok := <-reports:
			switch {
			case !ok:
				return
			case r.err != nil:
				why = r.err.Error()
				if !yield(nil, r.err) {
					return
				}
			case r.Kind == kindBeat:
				why = r.busy()
			case r.Kind == kindRound:
				last, heard, why = r.Round, time.Now(), "it says nothing"
				if !yield(slices.Clone(last), nil) {
					return
				}
			}
		case <-tick.C:
			quiet := time.Since(heard)
			if quiet >= s.Silence && !yield(silent(last, quiet, why)) {
				return
			}
		}
	}
}

// busy says what a heartbeat told.
func (l line) busy() string {
	if l.In == "" {
		return "it is between calls"
	}
	return fmt.Sprintf("%s has not returned for %s", l.In, l.For.Round(100*time.Millisecond))
}

// silent gives the last round again, as stale, or an error when there was none.
func silent(last []onprem.Sample, quiet time.Duration, why string) ([]onprem.Sample, error) {
	why = fmt.Sprintf("no answer from the GPU helper for %s: %s", quiet.Round(100*time.Millisecond), why)
	if len(last) == 0 {
		return nil, fmt.Errorf("sample GPUs: %s", why)
	}
	stale := slices.Clone(last)
	for i := range stale {
		stale[i].State, stale[i].Err = onprem.Stale, why
	}
	return stale, nil
}
