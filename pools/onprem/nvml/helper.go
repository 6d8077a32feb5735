//go:build cgo

package nvml

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"sync"
	"syscall"
	"time"

	lib "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/burstctl/burstctl/pools/onprem"
)

// beat is the time between heartbeats.
const beat = time.Second

// patience is how many rounds in a row may come without one good sample before the
// helper ends, so that a fresh one opens the library again (after a driver was reloaded).
const patience = 300

// Helper is the child process: it loads the library and writes a line for each round
// to out, until ctx ends, a SIGTERM comes, or in does (when the connector is gone). It
// returns after the call it is in, however long that takes; nil when it was asked to.
// args are the flags that [Sampler] adds to its command.
func Helper(ctx context.Context, in io.Reader, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("nvml-helper", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("library", "", "path of the library")
	every := flags.Duration("every", time.Second, "time between rounds")
	frozen := flags.Duration("frozen", 5*time.Second, "time without a new sample after which one is stale")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("start GPU helper: %w", err)
	}
	if flags.NArg() > 0 || *every <= 0 || *frozen <= 0 {
		return fmt.Errorf("start GPU helper: bad arguments %q", args)
	}
	var opts []lib.LibraryOption
	if *path != "" {
		opts = append(opts, lib.WithLibraryPath(*path))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	h := &helper{out: json.NewEncoder(out), reader: newReader(lib.New(opts...), *frozen)}
	return h.run(ctx, *every)
}

// helper writes what its reader reads.
type helper struct {
	mu     sync.Mutex // serialises out: rounds and heartbeats
	out    *json.Encoder
	reader *reader
}

// write writes one line.
func (h *helper) write(l line) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.out.Encode(l)
}

// run opens the library, samples until ctx ends, and closes it.
func (h *helper) run(ctx context.Context, every time.Duration) error {
	var beats sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer beats.Wait()
	defer stop()
	beats.Go(func() { h.beat(ctx) })
	missing, err := h.reader.open()
	if err != nil {
		kind := kindError
		if missing {
			kind = kindMissing
		}
		_ = h.write(line{Kind: kind, Err: err.Error()})
		return err
	}
	defer h.reader.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for bad := 0; ctx.Err() == nil; {
		round := h.reader.round(time.Now())
		if bad++; anyGood(round) {
			bad = 0
		}
		if err := h.write(line{Kind: kindRound, Round: round}); err != nil {
			return fmt.Errorf("write round: %w", err)
		}
		if bad >= patience {
			err := fmt.Errorf("no GPU has answered for %d rounds: %s", patience, round[0].Err)
			_ = h.write(line{Kind: kindError, Err: err.Error()})
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// anyGood says whether a round has a sample that may be believed.
func anyGood(round []onprem.Sample) bool {
	for _, s := range round {
		if s.State == onprem.OK {
			return true
		}
	}
	return false
}

// beat says once a [beat] that the process lives, and in which call it is.
func (h *helper) beat(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			in, since := h.reader.calling()
			l := line{Kind: kindBeat, In: in}
			if in != "" {
				l.For = now.Sub(since)
			}
			if h.write(l) != nil {
				return
			}
		}
	}
}
