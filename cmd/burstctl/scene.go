package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/configs/site"
	"github.com/burstctl/burstctl/pools/burst"
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
	lg.InfoContext(ctx, "day", "title", traces.PhillyTitle, "describe", day, "rule", replay.Rule,
		"choice", traces.PhillyChoice)
	s, err := site.Open(ctx, conf, src, lg)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Run(ctx)
}

// open says what is about to be played, and gives the story what it is told with.
func (p *play) open(conf configs.Controller, isolated bool) error {
	places, err := readPlaces(conf.Places)
	if err != nil {
		return err
	}
	second, err := configs.ReadJob(filepath.Join(p.dir, secondJob))
	if err != nil {
		return frame.Wrap(frame.BadConfig, err, "")
	}
	p.story.teller.place, p.story.budgets = places.Lookup, conf.Limits()
	p.story.aside, p.story.seen = second.Name, p.see
	nodes := "plain ones, as this user may not make namespaces"
	if isolated {
		nodes = "each with network, mounts and process numbers of its own"
	}
	p.story.say(opening, "demo", "one burst, from a site that is full to the last trace of the cloud",
		"places, prices and the load of the GPUs are real, from dated tables",
		"no cloud is called: its machines are processes of this one's, "+nodes,
		fmt.Sprintf("the claims table is synthetic, made from seed %d: no person is in it", demoSeed))
	made, err := madeOf(p.dir)
	if err != nil {
		return err
	}
	for _, line := range made {
		p.story.say(opening, "edge:hq", line)
	}
	p.story.say(opening, "demo", "NATS with JetStream runs at "+conf.NATS.URL+", TLS, one user per edge")
	return nil
}

// startEdge starts the edge as a child and tells what it says. The function it
// returns waits for the child's end.
func (p *play) startEdge(ctx context.Context, nats, controller string) (func() error, error) {
	path := filepath.Join(p.dir, "edge.yaml")
	if err := address(path, "NATS_URL", nats, "CONTROL_ADDRESS", controller); err != nil {
		return nil, fmt.Errorf("start edge: %w", err)
	}
	conf, err := configs.ReadEdge(path)
	if err != nil {
		return nil, frame.Wrap(frame.BadConfig, err, "")
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the demo, which ends its edge in order
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
		p.hear(out, said, conf)
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("edge ended: %w; see %s", err, said.Name())
		}
		return nil
	}, nil
}

// remark is a line of the edge's log that the story may tell.
type remark struct {
	Msg         string `json:"msg"`
	Title       string `json:"title"`
	Describe    string `json:"describe"`
	Rule        string `json:"rule"`
	GPUs        int    `json:"gpus"`
	Utilisation int    `json:"utilisation"`
	Waiting     int    `json:"waiting"`
	Reason      string `json:"reason"`
	Entry       int64  `json:"entry"`
}

// hear tells what the edge logs and a person should know.
func (p *play) hear(out io.Reader, said io.Writer, conf configs.Edge) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	full := false
	for lines.Scan() {
		fmt.Fprintln(said, lines.Text())
		var h remark
		if json.Unmarshal(lines.Bytes(), &h) != nil {
			continue
		}
		if full = full || h.Msg == "saturated"; full && h.Msg == "sampled" {
			continue // once declared, the level speaks for itself
		}
		if sc, ok := h.scene(conf); ok {
			sc.Who, sc.Facts = "edge:"+conf.Site, json.RawMessage(bytes.Clone(lines.Bytes()))
			p.story.add(sc)
		}
		if h.Msg == "day" {
			p.note(func() { p.heard = true })
		}
	}
}

// scene puts a line into words, if it is one to be told.
func (h remark) scene(conf configs.Edge) (scene, bool) {
	t := conf.Threshold
	busy := fmt.Sprintf("%d GPUs are %d %% busy, waiting jobs: %d", h.GPUs, h.Utilisation, h.Waiting)
	switch h.Msg {
	case "day":
		return scene{Step: saturation, Text: "replays a recorded day: " + h.Title, More: []string{h.Describe,
			fmt.Sprintf("played %d times as fast as it was: what took %v then takes %v now", conf.Sampler.Speed, t.For,
				t.For/time.Duration(conf.Sampler.Speed)),
			"from jobs to utilisation: " + h.Rule}}, true
	case "sampled":
		return scene{Step: saturation, Text: busy, More: []string{"not saturated: " + h.Reason}}, true
	case "saturated":
		return scene{Step: saturation, Text: "SATURATED: " + busy, More: []string{"by the rule: " + h.Rule,
			fmt.Sprintf("in the day's own time: for %v, waiting ≥ %v", t.For, t.WaitedFor)}}, true
	case "receipt accepted":
		return scene{Step: granting, Text: "receipt accepted, before the first byte is sent",
			More: []string{fmt.Sprintf("it proves entry %d, under a checkpoint that this edge has cosigned", h.Entry)}}, true
	}
	return scene{}, false
}

// review verifies the log as a stranger would, looks for what is left, and
// sums up.
func (p *play) review(ctx context.Context) error {
	if err := p.leftovers(ctx); err != nil {
		return err
	}
	p.story.say(leaving, "demo", "no provider lists a node, and nothing is mounted below the state directory")
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
	p.story.say(proving, "auditor", fmt.Sprintf("verifies: %d entries, signed by the log, cosigned by the edge", r.Size),
		"root "+r.Root)
	p.summarise()
	return nil
}

// leftovers checks the promise of the chapter before.
func (p *play) leftovers(ctx context.Context) error {
	nodes, err := p.daemon.fleet.List(ctx)
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/thread-self/mounts") // the first thread may be apart: local.Isolates
	if err != nil {
		return fmt.Errorf("review demo: %w", err)
	}
	if len(nodes) > 0 || strings.Contains(string(mounts), " "+p.dir+"/") {
		return errors.New("review demo: a node or a mount is left")
	}
	return nil
}

// outcome is what became of one job: a row of the last table.
type outcome struct {
	Job         string         `json:"job"`
	Outcome     string         `json:"outcome"`
	Place       string         `json:"place,omitempty"`
	Country     string         `json:"country,omitempty"`
	Level       string         `json:"level,omitempty"` // how well the place was proven
	Waited      string         `json:"waited,omitempty"`
	Served      int64          `json:"served"` // bytes
	Spent       string         `json:"spent,omitempty"`
	Refused     map[string]int `json:"refused"` // offers struck out, by rule
	Alternative string         `json:"alternative,omitempty"`
}

// outcome looks at a burst from its end.
func (p *play) outcome(s burst.State) outcome {
	o := outcome{Job: s.Request.Job.Name, Outcome: s.Outcome, Served: s.Served, Refused: map[string]int{},
		Alternative: s.Decision.Alternative}
	if s.Place != nil {
		o.Place, o.Country, o.Level = s.Place.Address.String(), s.Place.Country, s.Level.String()
	}
	for _, j := range p.daemon.engine.Jobs() {
		if begun, ok := p.begun[s.Claim]; ok && j.ID == s.Request.JobID {
			o.Waited = begun.Sub(j.At).Round(100 * time.Millisecond).String()
		}
	}
	if s.Settled != nil {
		o.Spent = s.Settled.Spent.String()
	}
	for _, t := range s.Decision.Reasons() {
		o.Refused[cmp.Or(t.Rule, t.Kind)] += t.N
	}
	return o
}

const summaryTitle = "what ran where, and what it took"

// summarise tells the table at the end.
func (p *play) summarise() {
	var outcomes []outcome
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "JOB\tRAN AT, PROVEN\tWAITED\tSERVED\tCOST\tOFFERS REFUSED, BY RULE\tEND")
	for _, s := range p.states {
		o := p.outcome(s)
		outcomes = append(outcomes, o)
		where, end, refused := "nowhere", o.Outcome, []string{}
		if o.Place != "" {
			where = fmt.Sprintf("%s (%s, %s)", o.Place, o.Country, o.Level)
		}
		if o.Alternative != "" {
			end = "refused"
		}
		for _, rule := range slices.Sorted(maps.Keys(o.Refused)) {
			refused = append(refused, fmt.Sprintf("%d %s", o.Refused[rule], rule))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.Job, where, cmp.Or(o.Waited, "-"), size(o.Served),
			cmp.Or(o.Spent, "nothing"), strings.Join(refused, ", "), end)
	}
	_ = w.Flush() // a builder takes everything
	rows := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for _, o := range outcomes {
		if o.Alternative != "" {
			rows = append(rows, fmt.Sprintf("%s would be permitted as %s", o.Job, o.Alternative))
		}
	}
	p.story.add(scene{Step: proving, Who: "demo", Text: summaryTitle, More: rows, Facts: outcomes, wide: true})
}

// next tells what to try, as the caller would call it.
func (p *play) next() {
	bin := quoted(os.Args[0])
	if exe, err := os.Executable(); err != nil || strings.Contains(exe, "go-build") {
		bin = "go run github.com/burstctl/burstctl/cmd/burstctl" // go run's own copy does not stay
	}
	log, trust := quoted(filepath.Join(p.dir, "log")), quoted(filepath.Join(p.dir, "trust.txt"))
	try := []string{
		fmt.Sprintf("%s audit verify %s --trust %s", bin, log, trust),
		fmt.Sprintf("%s audit list %s", bin, log),
		fmt.Sprintf("%s audit draw %s", bin, log),
	}
	p.story.add(scene{Step: proving, Who: "demo", Text: "the state is in " + p.dir + "; try next:", More: try, wide: true,
		Facts: map[string]any{"state": p.dir, "try": try}})
}

// quoted quotes s for a shell, if it must be.
func quoted(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+=:,@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// tidy drops what is big and not evidence.
func (p *play) tidy() {
	for _, d := range []string{"data", "slices", "payloads", "nodes"} {
		os.RemoveAll(filepath.Join(p.dir, d))
	}
}
