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
	"github.com/burstctl/burstctl/pools/cloud/local"
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

// check refuses flags that make no sense.
func (o demoOptions) check() error {
	switch {
	case o.pace < 0:
		return usage("--pace is %v, which is no pause", o.pace)
	case o.limit <= 0:
		return usage("--limit is %v, which is no time", o.limit)
	case o.only && o.state == "":
		return usage("--prepare needs --state, the directory to prepare")
	}
	return nil
}

func usage(format string, args ...any) error {
	return &frame.Problem{Code: frame.Usage, What: "start demo", Err: fmt.Errorf(format, args...),
		Fix: "see \"burstctl demo --help\""}
}

func demoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play one burst from saturation to teardown on this machine: real log, real tunnel, real job",
		Long: "The demo starts NATS, a controller, an edge connector and the local driver, whose nodes are processes in\n" +
			"named places, and plays a retraining peak. It uses the same code and the same config files as a deployment.\n" +
			"Places and prices are real, from dated tables; the claims table is synthetic; no cloud is called.\n\n" +
			"A run that ends by itself leaves its state directory: log, trust file, keys, configs, the model and the logs\n" +
			"of its parts, some 2 MiB, for the three commands it prints last. --keep leaves data, program and node\n" +
			"directories too. A run that is interrupted leaves no file, unless --state or --keep was given.\n" +
			"However it ends, by kill -9 too, no process, mount or namespace is left.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if o.only {
				return prepare(o.state, c.ErrOrStderr())
			}
			return demo(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr(), frame.FormatOf(c))
		},
	}
	f := c.Flags()
	f.StringVar(&o.state, "state", "", "directory for the demo's files, new or empty; a new temporary one if not given")
	f.BoolVar(&o.keep, "keep", false, "keep data, program and node directories too, whatever happens")
	f.DurationVar(&o.pace, "pace", 0, "pause after each line, for a talk: 1s")
	f.BoolVar(&o.only, "prepare", false, "only write the house into --state, to be run as separate processes")
	f.DurationVar(&o.limit, "limit", 2*time.Minute, "give the burst up after so long")
	return c
}

// demo plays the story. Whatever happens, no process, mount or namespace is left.
func demo(ctx context.Context, o demoOptions, out, talk io.Writer, format frame.Format) error {
	dir, err := stateDir(o.state)
	if err != nil {
		return err
	}
	p := &play{dir: dir, story: newStory(ctx, out, format, o.pace), kinds: map[string]int{},
		begun: map[string]time.Time{}, moved: make(chan struct{}, 1)}
	limited, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("play demo: given up after %v", o.limit))
	err = p.perform(limited)
	if err == nil {
		err = p.review(limited)
	}
	if err != nil && limited.Err() != nil {
		err = context.Cause(limited)
	}
	cancel()
	if err == nil {
		p.next()
		err = p.verdict()
	}
	p.story.end()
	return p.leave(ctx, o, talk, err)
}

// verdict is an error if one of the jobs did not end as the story says.
func (p *play) verdict() error {
	for _, s := range p.states {
		if s.Request.Job.Name != p.story.aside && s.Outcome != burst.WhyFinished {
			return frame.Wrap(frame.JobFailed, fmt.Errorf("play demo: job %s ended so: %s", s.Request.Job.Name, s.Outcome), "")
		}
		if s.Request.Job.Name == p.story.aside && s.Decision.Plan != nil {
			return frame.Wrap(frame.Failed, fmt.Errorf("play demo: job %s was not refused", p.story.aside), "")
		}
	}
	return nil
}

// leave drops what need not stay, and says where to look if the demo ended early.
func (p *play) leave(ctx context.Context, o demoOptions, talk io.Writer, err error) error {
	switch interrupted := ctx.Err() != nil; {
	case interrupted && !o.keep && o.state == "":
		err = errors.Join(context.Cause(ctx), os.RemoveAll(p.dir))
		return &frame.Problem{Code: frame.Canceled, What: "play demo", Err: err,
			Fix: "nothing is left; run it again from the start"}
	case interrupted:
		err = &frame.Problem{Code: frame.Canceled, What: "play demo", Err: context.Cause(ctx),
			Fix: "nothing of it runs on; its files are in " + p.dir + "; run it again in another directory"}
	case err != nil:
		fmt.Fprintln(talk, "the logs of this run are in", p.dir)
		return err
	}
	if !o.keep {
		p.tidy()
	}
	return err
}

// prepare writes a house that is run by hand: the demo's, at fixed addresses.
func prepare(dir string, talk io.Writer) error {
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
		return "", &frame.Problem{Code: frame.FileFailed, What: "start demo", Err: fmt.Errorf("%s is not empty", dir),
			Why: "one directory holds one run", Fix: "name another directory with --state"}
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
	daemon *daemon
	states []burst.State // at the end

	mu    sync.Mutex
	heard bool                 // the edge has told which day it replays
	kinds map[string]int       // entries seen, by kind
	begun map[string]time.Time // when the job started, by claim
	moved chan struct{}
}

// perform runs the house until both jobs have ended and the log is witnessed.
func (p *play) perform(ctx context.Context) (err error) {
	if err := buildHouse(p.dir); err != nil {
		return err
	}
	conf, err := readController(filepath.Join(p.dir, "controller.yaml"))
	if err != nil {
		return err
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
	isolated := os.Geteuid() == 0 && local.Isolates() // root in a container often may not
	if !isolated {
		for i := range conf.Providers {
			conf.Providers[i].Namespaces = "off"
		}
	}
	if err := p.open(conf, isolated); err != nil {
		return err
	}
	if p.daemon, err = newDaemon(ctx, conf, lg, parts{observe: p.story.entry, lifeline: true}); err != nil {
		return err
	}
	defer p.daemon.close()
	defer func() { err = errors.Join(err, p.letGo()) }()
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
		if err = errors.Join(err, context.Cause(ctx)); err == nil {
			err = errors.New("play demo: a part ended early")
		}
	}
	p.states = p.daemon.engine.Bursts()
	return err
}

// letGo ends what nodes still run; after a burst that was played to its end,
// there are none.
func (p *play) letGo() error {
	var errs []error
	for _, d := range p.daemon.fleet {
		if c, ok := d.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// jobs hands in two jobs, the second while the first one runs, and waits for
// the end of both and of the log's witnessing.
func (p *play) jobs(ctx context.Context) error {
	k := caller{address: p.daemon.ln.Addr().String(), as: filepath.Join(p.dir, "keys", "user-demo")}
	client, err := k.client(ctx)
	if err != nil {
		return err
	}
	if err := p.until(ctx, func() bool { return p.heard && p.kinds["law"] > 0 }); err != nil {
		return err
	}
	if err := p.submit(ctx, client, "job.yaml"); err != nil {
		return err
	}
	if err := p.until(ctx, func() bool { return p.kinds["job-progress"] >= 3 || p.kinds["ended"] > 0 }); err != nil {
		return err
	}
	if err := p.submit(ctx, client, secondJob); err != nil {
		return err
	}
	if err := p.until(ctx, func() bool { return p.kinds["ended"] == 2 }); err != nil {
		return err
	}
	if err := p.daemon.log.Seal(ctx); err != nil {
		return fmt.Errorf("wait for the witness: %w", err)
	}
	return nil
}

// secondJob is the file of the job that must be refused.
const secondJob = "job-unpermitted.yaml"

func (p *play) submit(ctx context.Context, client *control.Client, file string) error {
	job, err := configs.ReadJob(filepath.Join(p.dir, file))
	if err != nil {
		return frame.Wrap(frame.BadConfig, err, "")
	}
	_, err = client.Submit(ctx, "hq", job)
	return refusal(err)
}

// see notes what the play waits for.
func (p *play) see(leaf audit.Leaf) {
	p.note(func() {
		p.kinds[leaf.Entry.Kind]++
		if leaf.Entry.Kind == "job-started" {
			p.begun[leaf.Entry.Burst] = leaf.Entry.At
		}
	})
}

// note changes what until looks at.
func (p *play) note(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
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
