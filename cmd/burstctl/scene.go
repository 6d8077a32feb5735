package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/configs/site"
	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/pools/onprem/replay"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/scenarios/traces"
)

// startNATS embeds the bus of the demo's house.
func startNATS(dir string, _ configs.Controller) (*busserver.Server, error) {
	nats := filepath.Join(dir, "keys", "nats")
	cert, err := keys.Certificate(filepath.Join(nats, "tls", "server.pem"), filepath.Join(nats, "tls", "server.key"))
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	s, err := busserver.Start(busserver.Options{Dir: nats, Listen: "127.0.0.1:0",
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}})
	return s, frame.Wrap(frame.NATSAway, err, "")
}

// readController reads a controller's config with its error's code.
func readController(path string) (configs.Controller, error) {
	c, err := configs.ReadController(path)
	return c, frame.Wrap(frame.BadConfig, err, "")
}

// runEdge is the demo's edge process. It ends with its parent, whose end of
// its standard input closes, however the parent ends.
func runEdge(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	conf, err := configs.ReadEdge(path)
	if err != nil {
		return frame.Wrap(frame.BadConfig, err, "")
	}
	src, day, err := site.Replay(conf)
	if err != nil {
		return frame.Wrap(frame.BadConfig, err, "")
	}
	lg := jsonLogger(os.Stdout)
	lg.InfoContext(ctx, "day", "title", traces.PhillyTitle, "describe", day, "rule", replay.Rule, "choice", traces.PhillyChoice)
	s, err := site.Open(ctx, conf, src, lg)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Edge.Run(ctx)
}

// startEdge starts the edge as a child and tells what it says. The function it
// returns waits for the child's end.
func (p *play) startEdge(ctx context.Context, nats, controller string) (func() error, error) {
	path := filepath.Join(p.dir, "edge.yaml")
	if err := address(path, "NATS_URL", nats, "CONTROL_ADDRESS", controller); err != nil {
		return nil, fmt.Errorf("start edge: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start edge: %w", err)
	}
	said, err := os.OpenFile(filepath.Join(p.dir, "edge.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start edge: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe, "edge", "--config", path)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + p.dir}
	cmd.Stderr = said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	line, err := cmd.StdinPipe() // held open until the demo ends, in whatever way
	if err != nil {
		return nil, fmt.Errorf("start edge: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start edge: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start edge: %w", err)
	}
	return func() error {
		defer said.Close()
		defer runtime.KeepAlive(line)
		p.hear(out, said)
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("edge ended: %w; see %s", err, said.Name())
		}
		return nil
	}, nil
}

// hear tells what the edge logs and a person should know.
func (p *play) hear(out io.Reader, said io.Writer) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	full := false
	for lines.Scan() {
		fmt.Fprintln(said, lines.Text())
		var l map[string]any
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		full = full || l["msg"] == "saturated"
		switch l["msg"] {
		case "day":
			p.story.say(saturation, "edge:hq", fmt.Sprint("replays a recorded day: ", l["title"]), fmt.Sprint(l["describe"]), fmt.Sprint("rule: ", l["rule"]))
		case "sampled":
			if full {
				continue // once declared, the level speaks for itself
			}
			p.story.say(saturation, "edge:hq", fmt.Sprintf("%v GPUs at %v %% (window mean), %v jobs wait: %v", l["gpus"], l["utilisation"], l["waiting"], l["reason"]))
		case "saturated":
			p.story.say(saturation, "edge:hq", fmt.Sprintf("SATURATED: %v GPUs at %v %%, %v jobs wait", l["gpus"], l["utilisation"], l["waiting"]), fmt.Sprint("rule: ", l["rule"]))
		case "receipt accepted":
			p.story.say(granting, "edge:hq", fmt.Sprintf("receipt accepted before the first byte: entry %v, in a tree of %v that this edge has cosigned", l["entry"], l["tree"]))
		}
	}
}

// review verifies the log as a stranger would, and sums up.
func (p *play) review(ctx context.Context, json bool) error {
	text, err := os.ReadFile(filepath.Join(p.dir, "trust.txt"))
	if err != nil {
		return fmt.Errorf("review demo: %w", err)
	}
	trust, err := audit.ParseTrust(text)
	if err != nil {
		return fmt.Errorf("review demo: %w", err)
	}
	root, err := openLog(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer root.Close()
	r, err := audit.Verify(ctx, root.FS(), trust)
	if err != nil {
		return frame.Wrap(frame.LogUnverified, err, "")
	}
	more := []string{"root " + r.Root}
	more = append(more, p.summary()...)
	p.story.say(proving, "auditor", fmt.Sprintf("verifies: %d entries, each signed by the log and cosigned by the edge", r.Size), more...)
	return p.leftovers()
}

// summary is the table at the end.
func (p *play) summary() []string {
	rows := []string{fmt.Sprintf("%-24s %-34s %-9s %-11s %-16s %s", "job", "ran at (proven)", "waited", "served", "spent", "outcome")}
	for _, s := range p.states {
		where, waited, spent := "nowhere", "-", "nothing"
		if s.Place != nil {
			where = s.Place.Address.String() + " (" + s.Place.Country + ", " + s.Level.String() + ")"
		}
		if s.Node != nil {
			waited = s.Node.Launched.Sub(s.Request.At.Add(-s.Request.Signal.OldestWait)).Round(100 * time.Millisecond).String()
		}
		if s.Settled != nil {
			spent = s.Settled.Spent.String()
		}
		outcome := s.Outcome
		if s.Decision.Alternative != "" {
			outcome += "; permitted: " + s.Decision.Alternative
		}
		rows = append(rows, fmt.Sprintf("%-24s %-34s %-9s %-11s %-16s %s", s.Request.Job.Name, where, waited, size(s.Served), spent, outcome))
		for _, c := range s.Decision.Candidates {
			if c.Strike != nil && c.Strike.Rule != "" {
				rows = append(rows, fmt.Sprintf("    struck out %-40s by %s", c.Offer.Key(), c.Strike.Rule))
			}
		}
	}
	return rows
}

// leftovers checks the promise of the last chapter: no node is listed.
func (p *play) leftovers() error {
	nodes, err := p.daemon.fleet.List(context.Background())
	if err != nil {
		return err
	}
	if len(nodes) > 0 {
		return errors.New("review demo: a node is left")
	}
	return nil
}

// next prints what to try.
func (p *play) next(out io.Writer) {
	bin := "burstctl"
	if exe, err := os.Executable(); err == nil && !strings.Contains(exe, "go-build") {
		bin = exe
	} else {
		bin = "go run ./cmd/burstctl"
	}
	fmt.Fprintf(out, "\nstate: %s\ntry next:\n", p.dir)
	fmt.Fprintf(out, "  %s audit verify %s --trust %s\n", bin, filepath.Join(p.dir, "log"), filepath.Join(p.dir, "trust.txt"))
	fmt.Fprintf(out, "  %s audit list %s\n", bin, filepath.Join(p.dir, "log"))
	fmt.Fprintf(out, "  %s audit draw %s\n", bin, filepath.Join(p.dir, "log"))
}

// tidy drops what is big and not evidence.
func (p *play) tidy() {
	for _, d := range []string{"data", "payloads", "nodes"} {
		os.RemoveAll(filepath.Join(p.dir, d))
	}
}
