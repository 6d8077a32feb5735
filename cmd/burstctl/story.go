package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency/audit"
)

// chapter is a step of the demo's story.
type chapter int

// The chapters, in the order a burst lives through them.
const (
	opening chapter = iota
	saturation
	asking
	deciding
	granting
	working
	refusing
	leaving
	proving
)

var titles = map[chapter]string{
	opening:    "The house opens",
	saturation: "The site fills up",
	asking:     "A job that waits becomes a signed request",
	deciding:   "The controller decides: may we create there?",
	granting:   "A node proves where it is, and only then may it read",
	working:    "The job runs over the tunnel",
	refusing:   "A second job asks for more than it may have",
	leaving:    "Nothing is left behind",
	proving:    "The log is verified",
}

// chapterOf says where an entry belongs.
var chapterOf = map[string]chapter{
	"opened": opening, "law": opening, "job-submitted": saturation, "requested": asking, "decided": deciding,
	"budget-alert":  deciding,
	"launch-intent": granting, "launched": granting, "launch-failed": granting, "proven": granting, "unproven": granting,
	"cleared": granting, "denied": granting, "issue-intent": granting, "issued": granting, "serve-intent": granting,
	"job-started": working, "job-progress": working, "artefact": working, "released": leaving,
	"round-trip":       granting,
	"artefact-flagged": leaving, "artefact-cleared": leaving, "handed-out": leaving, "withheld": leaving,
	"recalled": leaving, "hold-set": leaving, "hold-lifted": leaving,
	"turned-away": leaving, "serve-outcome": leaving, "stop": leaving, "unmounted": leaving, "revoke-intent": leaving,
	"revoked": leaving, "break-glass-used": deciding,
	"probed": leaving, "delete-intent": leaving, "gone": leaving, "settled": leaving, "ended": leaving,
}

// scene is one line of the story. Index, Entry and Claim are there if an entry
// of the log is behind it; Facts are then the entry's body, else what the words
// were made of.
type scene struct {
	Time  time.Time `json:"time"`
	Since string    `json:"since"` // the demo's start
	Step  chapter   `json:"step"`
	Title string    `json:"title"`
	Who   string    `json:"who"`
	Text  string    `json:"text"`
	More  []string  `json:"more,omitempty"`
	Index *int64    `json:"index,omitempty"`
	Entry string    `json:"entry,omitempty"` // its kind
	Claim string    `json:"claim,omitempty"`
	Facts any       `json:"facts,omitempty"`
	wide  bool      // More begins at the left
}

// story prints scenes as they come, each only after the one before it was on
// the screen for a while.
type story struct {
	out    io.Writer
	format frame.Format
	pace   time.Duration
	ink    frame.Ink
	began  time.Time
	scenes chan scene
	done   chan struct{}

	mu      sync.Mutex
	teller  teller
	budgets []policy.Budget
	asked   map[string]policy.Job // by claim
	aside   string                // the job that is a chapter of its own
	seen    func(audit.Leaf)
}

// newStory starts to print. When ctx ends, what was not printed yet never is.
func newStory(ctx context.Context, out io.Writer, format frame.Format, pace time.Duration) *story {
	s := &story{out: out, format: format, pace: pace, ink: frame.InkFor(out), began: time.Now(),
		scenes: make(chan scene, 4096), done: make(chan struct{}),
		teller: teller{names: map[string]string{}}, asked: map[string]policy.Job{}}
	go s.print(ctx)
	return s
}

// say adds a scene that no entry is behind.
func (s *story) say(c chapter, who, text string, more ...string) {
	s.add(scene{Step: c, Who: who, Text: text, More: more})
}

// add adds a scene, of now unless it says when.
func (s *story) add(sc scene) {
	now := time.Now()
	if sc.Time.IsZero() {
		sc.Time = now.UTC()
	}
	sc.Since, sc.Title = fmt.Sprintf("+%5.1fs", now.Sub(s.began).Seconds()), titles[sc.Step]
	s.scenes <- sc
}

// entry adds the scene of one entry. It is the controller's observer and must
// not block: the channel holds more than a demo ever says.
func (s *story) entry(leaf audit.Leaf) {
	e := leaf.Entry
	if e.Kind == "heartbeat" {
		return
	}
	s.mu.Lock()
	s.learn(e)
	l, c := s.teller.line(leaf), s.chapter(e)
	l.More = append(l.More, s.account(e)...)
	seen := s.seen
	s.mu.Unlock()
	s.add(scene{Time: l.At, Step: c, Who: l.Actor, Text: l.Text, More: l.More,
		Index: &l.Index, Entry: l.Kind, Claim: l.Claim, Facts: e.Body})
	if seen != nil {
		seen(leaf)
	}
}

// learn notes what later entries are told with.
func (s *story) learn(e audit.Entry) {
	var b burst.Requested
	if e.Kind == b.Kind() && audit.DecodeStrict(e.Body, &b) == nil {
		s.asked[e.Burst] = b.Request.Job
		s.teller.names[b.Request.SliceDigest] = "the slice"
		s.teller.names[b.Request.PayloadDigest] = "the program"
	}
}

// chapter says where an entry belongs, which may depend on whose it is.
func (s *story) chapter(e audit.Entry) chapter {
	job := s.asked[e.Burst].Name
	var b perform.Submitted
	if e.Kind == "job-submitted" && audit.DecodeStrict(e.Body, &b) == nil {
		job = b.Job.Name
	}
	if job != "" && job == s.aside {
		return refusing
	}
	return chapterOf[e.Kind]
}

// account tells which budget a plan is reserved from.
func (s *story) account(e audit.Entry) []string {
	var b burst.Decided
	if e.Kind != b.Kind() || audit.DecodeStrict(e.Body, &b) != nil || b.Decision.Plan == nil {
		return nil
	}
	charge := policy.Request{ID: e.Burst, Job: s.asked[e.Burst]}.Charge(1, b.Day, b.Decision.Plan.Reserve)
	var more []string
	for _, budget := range s.budgets {
		if budget.Concerns(charge) {
			more = append(more, fmt.Sprintf("reserved from the budget of %s, which is %v", budget.Account(charge), budget.Limit))
		}
	}
	return more
}

// end prints what is left and returns.
func (s *story) end() {
	close(s.scenes)
	<-s.done
}

// print prints scenes until there are no more. That out is closed ends the
// demo by its own signal.
func (s *story) print(ctx context.Context) {
	defer close(s.done)
	last, told := chapter(-1), map[chapter]bool{}
	for sc := range s.scenes {
		if ctx.Err() != nil {
			continue
		}
		switch s.format {
		case frame.JSON:
			_ = frame.PrintLine(s.out, "Scene", sc)
		case frame.YAML:
			fmt.Fprintln(s.out, "---")
			_ = frame.Print(s.out, frame.YAML, "Scene", sc, nil)
		default:
			if sc.Step != last {
				s.heading(sc, told[sc.Step])
			}
			last, told[sc.Step] = sc.Step, true
			s.scene(sc)
		}
		select {
		case <-time.After(s.pace):
		case <-ctx.Done():
		}
	}
}

// heading opens a chapter, or goes on with one that was told before.
func (s *story) heading(sc scene, again bool) {
	text := fmt.Sprintf("%d  %s", sc.Step, sc.Title)
	if again {
		text += ", continued"
	}
	fmt.Fprintf(s.out, "\n%s\n", s.ink.Bold(text))
}

func (s *story) scene(sc scene) {
	fmt.Fprintf(s.out, "  %s  %s %s\n", s.ink.Faint(sc.Since), pad(sc.Who, 12), s.colour(frame.Clean(sc.Text)))
	indent, width := 24, 130
	if sc.wide {
		indent, width = 2, 1<<20 // a table or a command is not broken
	}
	for _, m := range sc.More {
		for i, part := range wrap(frame.Clean(m), width) {
			fmt.Fprintf(s.out, "%*s%s\n", indent+4*min(i, 1), "", s.colour(part))
		}
	}
}

// colour marks what a person looks for first.
func (s *story) colour(text string) string {
	switch {
	case strings.HasPrefix(text, "✗"), strings.Contains(text, "refused ("), strings.Contains(text, "STILL GOOD"):
		return s.ink.Bad(text)
	case strings.HasPrefix(text, "→"), strings.HasPrefix(text, "place proven"), strings.HasPrefix(text, "verifies"):
		return s.ink.Good(text)
	}
	return text
}

// wrap breaks s at spaces into lines of at most n bytes, where it has spaces.
func wrap(s string, n int) []string {
	var lines []string
	for len(s) > n {
		at := strings.LastIndexByte(s[:n+1], ' ')
		if at <= 0 || strings.TrimSpace(s[:at]) == "" {
			break
		}
		lines, s = append(lines, s[:at]), s[at+1:]
	}
	return append(lines, s)
}

// pad fills s to n runes; what is longer loses its end.
func pad(s string, n int) string {
	r := []rune(s)
	if len(r) > n {
		r = append(r[:n-1], '…')
	}
	return string(r) + strings.Repeat(" ", n-len(r))
}
