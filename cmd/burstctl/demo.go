package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/control"
)

// demoOptions are the demo's flags.
type demoOptions struct {
	state string
	keep  bool
	pace  time.Duration
	limit time.Duration
	only  bool
}

func demoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play one burst from saturation to teardown on this machine: real log, real tunnel, real job",
		Long: "The demo starts NATS, a controller, an edge connector and the local driver, whose nodes are processes in\n" +
			"named places, and plays a retraining peak. It uses the same code and the same config files as a deployment.\n" +
			"Places and prices are real, from dated tables; the claims table is synthetic; no cloud is called.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.only {
				return prepare(o.state, c.ErrOrStderr())
			}
			return demo(c.Context(), o, c.OutOrStdout(), frame.FormatOf(c) == frame.JSON)
		},
	}
	f := c.Flags()
	f.StringVar(&o.state, "state", "", "directory for the demo's files; a new temporary one if not given")
	f.BoolVar(&o.keep, "keep", false, "keep data, payload and node directories too, not only log, keys and configs")
	f.DurationVar(&o.pace, "pace", 0, "pause after each line, for a talk")
	f.BoolVar(&o.only, "prepare", false, "only write the house into --state, to be run as separate processes")
	f.DurationVar(&o.limit, "limit", 2*time.Minute, "give up after so long")
	return c
}

// demo plays the story. Whatever happens, no process, mount or namespace is left.
func demo(ctx context.Context, o demoOptions, out io.Writer, json bool) error {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	dir, err := stateDir(o.state)
	if err != nil {
		return err
	}
	s := newStory(out, json, o.pace)
	p := &play{dir: dir, story: s, ended: map[string]burst.Over{}, moved: make(chan struct{}, 1)}
	err = p.perform(ctx)
	if err != nil {
		s.end()
		fmt.Fprintln(out, "\nthe logs of this run are in", dir)
		return err
	}
	err = p.review(ctx, json)
	s.end()
	if err == nil && !json {
		p.next(out)
	}
	if !o.keep {
		p.tidy()
	}
	return err
}

// prepare writes a house that is run by hand: the demo's, at fixed addresses.
func prepare(dir string, talk io.Writer) error {
	if dir == "" {
		return &frame.Problem{Code: frame.Usage, What: "prepare house", Err: errors.New("no directory is named"), Fix: "name it with --state"}
	}
	dir, err := stateDir(dir)
	if err != nil {
		return err
	}
	if err := buildHouse(dir); err != nil {
		return err
	}
	if err := address(filepath.Join(dir, "controller.yaml"), "127.0.0.1:0", "127.0.0.1:8443"); err != nil {
		return err
	}
	err = address(filepath.Join(dir, "edge.yaml"), "CONTROL_ADDRESS", "127.0.0.1:8443", "NATS_URL", "tls://127.0.0.1:4222")
	fmt.Fprintln(talk, "wrote keys, configs, rules and data to", dir)
	return err
}

// address fills addresses into a config file.
func address(path string, pairs ...string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	return os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(b))), 0o600)
}

// stateDir makes the demo's directory, which must be new or empty.
func stateDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "burstctl-demo-")
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return "", frame.Wrap(frame.FileOpen, fmt.Errorf("start demo: %s is not empty", dir), "name another directory with --state")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("start demo: %w", err)
	}
	return abs, os.MkdirAll(abs, 0o700)
}

// play is one run of the demo.
type play struct {
	dir    string
	story  *story
	mu     sync.Mutex
	ended  map[string]burst.Over // by claim
	moved  chan struct{}
	epochs int
	daemon *daemon
	states []burst.State // at the end
}

// perform runs the house until both jobs have ended and the log is witnessed.
func (p *play) perform(ctx context.Context) (err error) {
	if err := buildHouse(p.dir); err != nil {
		return err
	}
	conf, err := configs.ReadController(filepath.Join(p.dir, "controller.yaml"))
	if err != nil {
		return frame.Wrap(frame.BadConfig, err, "")
	}
	lg, logs, err := fileLogger(filepath.Join(p.dir, "controller.log"))
	if err != nil {
		return err
	}
	defer logs.Close()
	nats, err := startNATS(p.dir, conf)
	if err != nil {
		return err
	}
	defer nats.Shutdown()
	conf.NATS.URL = nats.URL()
	p.story.seen = p.see
	p.story.say(opening, "demo", "NATS with JetStream runs at "+nats.URL()+", TLS, one user per edge")
	if p.daemon, err = newDaemon(ctx, conf, lg, parts{observe: p.story.entry, lifeline: true}); err != nil {
		return err
	}
	defer p.daemon.close()
	running, stop := context.WithCancel(ctx)
	crashed := make(chan error, 2)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { crashed <- p.daemon.run(running) })
	connector, err := p.startEdge(running, nats.URL(), p.daemon.ln.Addr().String())
	if err != nil {
		return err
	}
	all.Go(func() { crashed <- connector() })
	played := make(chan error, 1)
	all.Go(func() { played <- p.jobs(running) })
	select {
	case err = <-played:
	case err = <-crashed:
		err = errors.Join(err, context.Cause(ctx))
		if err == nil {
			err = errors.New("play demo: a part ended early")
		}
	}
	p.states = p.daemon.engine.Bursts()
	return err
}

// jobs hands in two jobs, the second while the first one runs, and waits for
// the end of both and of the log's witnessing.
func (p *play) jobs(ctx context.Context) error {
	k := caller{address: p.daemon.ln.Addr().String(), as: filepath.Join(p.dir, "keys", "user-demo")}
	client, err := k.client(ctx)
	if err != nil {
		return err
	}
	first, err := p.submit(ctx, client, "job.yaml")
	if err != nil {
		return err
	}
	if err := p.until(ctx, func() bool { return p.epochs > 0 || len(p.ended) > 0 }); err != nil {
		return err
	}
	p.story.mu.Lock()
	p.story.claims[edge.ClaimID("hq", "job-2")] = refusing
	p.story.mu.Unlock()
	second, err := p.submit(ctx, client, "job-unpermitted.yaml")
	if err != nil {
		return err
	}
	if err := p.until(ctx, func() bool { return len(p.ended) == 2 }); err != nil {
		return err
	}
	if err := p.daemon.log.Seal(ctx); err != nil {
		return fmt.Errorf("wait for the witness: %w", err)
	}
	_, _ = first, second
	return nil
}

func (p *play) submit(ctx context.Context, client *control.Client, file string) (control.JobInfo, error) {
	job, err := configs.ReadJob(filepath.Join(p.dir, file))
	if err != nil {
		return control.JobInfo{}, frame.Wrap(frame.BadConfig, err, "")
	}
	info, err := client.Submit(ctx, "hq", job)
	return info, refusal(err)
}

// see notes what the play waits for.
func (p *play) see(leaf audit.Leaf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch leaf.Entry.Kind {
	case "job-progress":
		p.epochs++
	case "ended":
		p.ended[leaf.Entry.Burst] = burst.Over{}
	default:
		return
	}
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// until waits for a condition on what was seen.
func (p *play) until(ctx context.Context, ok func() bool) error {
	for {
		p.mu.Lock()
		met := ok()
		p.mu.Unlock()
		if met {
			return nil
		}
		select {
		case <-p.moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fileLogger logs JSON lines to a file.
func fileLogger(path string) (*slog.Logger, io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open log file: %w", err)
	}
	return slog.New(slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})), f, nil
}
