package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/burstctl/burstctl/configs/frame"
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
	"launch-intent": granting, "launched": granting, "launch-failed": granting, "proven": granting, "unproven": granting,
	"cleared": granting, "denied": granting, "issue-intent": granting, "issued": granting, "serve-intent": granting,
	"job-started": working, "job-progress": working, "artefact": working,
	"serve-outcome": leaving, "stop": leaving, "unmounted": leaving, "revoke-intent": leaving, "revoked": leaving, "probed": leaving,
	"delete-intent": leaving, "gone": leaving, "settled": leaving, "ended": leaving,
}

// scene is one line of the story.
type scene struct {
	At      time.Time `json:"at"`
	Since   string    `json:"since"` // the demo's start
	Step    int       `json:"step"`
	Title   string    `json:"title"`
	Who     string    `json:"who"`
	Text    string    `json:"text"`
	More    []string  `json:"more,omitempty"`
	Entry   *int64    `json:"entry,omitempty"` // the log's leaf behind it
	chapter chapter
}

// story prints scenes as they come, each only after the one before it was on
// the screen for a while.
type story struct {
	out    io.Writer
	json   bool
	pace   time.Duration
	ink    frame.Ink
	began  time.Time
	scenes chan scene
	done   chan struct{}
	mu     sync.Mutex
	claims map[string]chapter // the chapter a whole claim belongs to
	seen   func(audit.Leaf)
}

// newStory starts to print.
func newStory(out io.Writer, json bool, pace time.Duration) *story {
	s := &story{out: out, json: json, pace: pace, ink: frame.InkFor(out), began: time.Now(), scenes: make(chan scene, 4096),
		done: make(chan struct{}), claims: map[string]chapter{}}
	go s.print()
	return s
}

// say adds a scene that no entry is behind.
func (s *story) say(c chapter, who, text string, more ...string) {
	now := time.Now()
	s.scenes <- scene{At: now.UTC(), Since: since(s.began, now), Step: int(c), Title: titles[c], Who: who, Text: text, More: more, chapter: c}
}

// entry adds the scene of one entry. It is the controller's observer and must
// not block: the channel holds more than a demo ever says.
func (s *story) entry(leaf audit.Leaf) {
	if leaf.Entry.Kind == "heartbeat" {
		return
	}
	l, c := tell(leaf), chapterOf[leaf.Entry.Kind]
	s.mu.Lock()
	if whole, ok := s.claims[leaf.Entry.Burst]; ok {
		c = whole
	}
	seen := s.seen
	s.mu.Unlock()
	s.scenes <- scene{At: l.At, Since: since(s.began, time.Now()), Step: int(c), Title: titles[c], Who: l.Actor, Text: l.Text,
		More: l.More, Entry: &l.Index, chapter: c}
	if seen != nil {
		seen(leaf)
	}
}

// end prints what is left and returns.
func (s *story) end() {
	close(s.scenes)
	<-s.done
}

func (s *story) print() {
	defer close(s.done)
	last := chapter(-1)
	for sc := range s.scenes {
		if s.json {
			_ = frame.PrintLine(s.out, "Scene", sc) // a closed pipe ends the demo by its own signal
			continue
		}
		if sc.chapter != last {
			fmt.Fprintf(s.out, "\n%s\n", s.ink.Bold(fmt.Sprintf("%d  %s", sc.chapter, sc.Title)))
			last = sc.chapter
		}
		fmt.Fprintf(s.out, "  %s  %s %s\n", s.ink.Faint(sc.Since), pad(sc.Who, 16), s.colour(frame.Clean(sc.Text)))
		for _, m := range sc.More {
			fmt.Fprintf(s.out, "          %s %s\n", strings.Repeat(" ", 16), s.colour(frame.Clean(m)))
		}
		time.Sleep(s.pace)
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

// pad fills s to n runes; claims of nodes are long, so their middle goes.
func pad(s string, n int) string {
	r := []rune(s)
	if len(r) > n {
		r = append(r[:n-1], '…')
	}
	return string(r) + strings.Repeat(" ", n-len(r))
}

func since(began, now time.Time) string { return fmt.Sprintf("+%5.1fs", now.Sub(began).Seconds()) }
