package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/residency/audit"
)

// wants are what a story may ask for. Each returns what is the case, as text;
// the rest of the line must be equal to it. Those in [parts] need only contain it.
var wants = map[string]func(s *stage, b burst.State) (string, error){
	"decision":    func(_ *stage, b burst.State) (string, error) { return place(b), nil },
	"phase":       func(_ *stage, b burst.State) (string, error) { return string(b.Phase), nil },
	"outcome":     func(_ *stage, b burst.State) (string, error) { return b.Outcome, nil },
	"served":      func(_ *stage, b burst.State) (string, error) { return fmt.Sprint(b.Served), nil },
	"attempt":     func(_ *stage, b burst.State) (string, error) { return fmt.Sprint(b.Attempt), nil },
	"level":       func(_ *stage, b burst.State) (string, error) { return b.Level.String(), nil },
	"alternative": func(_ *stage, b burst.State) (string, error) { return b.Decision.Alternative, nil },
	"proven":      func(_ *stage, b burst.State) (string, error) { return proven(b), nil },
	"probed":      func(_ *stage, b burst.State) (string, error) { return probes(b), nil },
	"reason":      reasons,
	"bursts": func(s *stage, _ burst.State) (string, error) {
		return s.count(func(burst.State) bool { return true })
	},
	"mounts": func(s *stage, _ burst.State) (string, error) {
		return s.count(func(b burst.State) bool { return b.Phase == burst.Running && b.Served > 0 })
	},
	"nodes":    func(s *stage, _ burst.State) (string, error) { return s.nodes(false), nil },
	"made":     func(s *stage, _ burst.State) (string, error) { return s.nodes(true), nil },
	"reserved": func(s *stage, _ burst.State) (string, error) { m, _ := s.h.Money(); return m.String(), nil },
	"spent":    func(s *stage, _ burst.State) (string, error) { return s.spent(), nil },
	"entries":  func(s *stage, _ burst.State) (string, error) { return "", nil }, // see want
	"strike":   func(s *stage, _ burst.State) (string, error) { return "", nil }, // see want
	"controller": func(s *stage, _ burst.State) (string, error) {
		_, err := s.h.Engine()
		return map[bool]string{true: "up", false: "down"}[err == nil], nil
	},
	"log":     verified,
	"restart": restart,
}

// parts are the wants that need only be contained.
var parts = map[string]bool{"reason": true, "alternative": true, "log": true, "restart": true}

func (s *stage) want(args []string) error {
	if len(args) < 2 {
		return errors.New("takes what, and how it should be")
	}
	get, ok := wants[args[0]]
	if !ok {
		return fmt.Errorf("nothing is called %q", args[0])
	}
	var b burst.State
	if s.flipped == "" {
		var err error
		if b, err = s.burst(); err != nil {
			return err
		}
	}
	want := strings.Join(args[1:], " ")
	got, err := get(s, b)
	switch args[0] {
	case "entries": // want entries KIND N
		want = args[len(args)-1]
		got, err = s.entries(args[1])
	case "strike": // want strike PLACE KIND [RULE]
		want = strings.Join(args[2:], " ")
		got = strike(b, args[1])
	}
	if err != nil {
		return err
	}
	if got != want && (!parts[args[0]] || !strings.Contains(got, want)) {
		return fmt.Errorf("it is %q", got)
	}
	return nil
}

// burst is the one looked at, as the log has it; the zero State if there is none.
func (s *stage) burst() (burst.State, error) {
	all, err := s.h.Bursts()
	if err != nil || len(all) == 0 {
		return burst.State{}, err
	}
	if s.look > 0 && s.look <= len(all) {
		return all[s.look-1], nil
	}
	return all[len(all)-1], nil
}

func place(b burst.State) string {
	if b.Decision.Plan == nil {
		return "none"
	}
	return b.Decision.Plan.Offer.At.String()
}

func proven(b burst.State) string {
	if b.Place == nil {
		return "nowhere"
	}
	return b.Place.Address.String()
}

func probes(b burst.State) string {
	if len(b.Probes) == 0 {
		return "never"
	}
	last := b.Probes[len(b.Probes)-1]
	return fmt.Sprintf("%s %t", last.By, last.Refused)
}

func strike(b burst.State, at string) string {
	for _, c := range b.Decision.Candidates {
		if c.Offer.At.String() == at && c.Strike != nil {
			return strings.TrimSpace(c.Strike.Kind + " " + c.Strike.Rule)
		}
	}
	return "none"
}

// reasons is every reason in the log of the burst, a line each.
func reasons(s *stage, b burst.State) (string, error) {
	leaves, err := s.h.Entries()
	var all []string
	for _, l := range leaves {
		if l.Entry.Burst == b.Claim {
			all = append(all, string(l.Entry.Body))
		}
	}
	return strings.NewReplacer(`\"`, `"`, `\u0026`, "&").Replace(strings.Join(all, "\n")), err
}

func (s *stage) count(is func(burst.State) bool) (string, error) {
	all, err := s.h.Bursts()
	n := 0
	for _, b := range all {
		if is(b) {
			n++
		}
	}
	return strconv.Itoa(n), err
}

// nodes counts those that live, or all there ever were.
func (s *stage) nodes(ever bool) string {
	n := 0
	for _, i := range s.cloud().Inventory() {
		if ever || i.Ended.IsZero() {
			n++
		}
	}
	return strconv.Itoa(n)
}

// spent is "nothing", "something" or, for an overrun, how much.
func (s *stage) spent() string {
	_, m := s.h.Money()
	switch {
	case m.Micros == 0:
		return "nothing"
	case m.Micros <= s.o.Budget.Micros:
		return "something"
	}
	return m.String()
}

func (s *stage) entries(kind string) (string, error) {
	leaves, err := s.h.Entries()
	n := 0
	for _, l := range leaves {
		if l.Entry.Kind == kind && (s.look == 0 || l.Entry.Burst == s.lookedAt()) {
			n++
		}
	}
	return strconv.Itoa(n), err
}

func (s *stage) lookedAt() string {
	b, err := s.burst()
	if err != nil {
		return ""
	}
	return b.Claim
}

// verified is what an auditor finds: "clean", or the first problem.
func verified(s *stage, _ burst.State) (string, error) {
	r, err := s.h.Verify()
	if err == nil {
		return "clean", nil
	}
	if !errors.Is(err, audit.ErrUnverified) {
		return "", err
	}
	return fmt.Sprintf("bad leaf %d: %v", r.FirstBad, err), nil
}

// restart is what a controller says that is started now.
func restart(s *stage, _ burst.State) (string, error) {
	err := s.h.Start()
	if err == nil {
		return "starts", nil
	}
	return err.Error(), nil
}

// facts says the stable part of an entry in a few words.
func facts(kind string, raw json.RawMessage) string {
	var b struct {
		Decision struct {
			Plan       *struct{ Offer struct{ At, Type any } }
			Refusal    string
			Candidates []struct {
				Strike *struct{ Kind, Rule string }
			}
		}
		Launch    struct{ Attempt int }
		Place     struct{ Country string }
		Moved     bool
		Level     string
		Verdict   struct{ Rules []struct{ ID string } }
		N         int
		Bytes     int64
		Name, Why string
		Confirmed bool
		Refused   bool
		By        any
		Epoch     int
		Outcome   string
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return err.Error()
	}
	switch kind {
	case "decided":
		var words []string
		for _, c := range b.Decision.Candidates {
			if c.Strike != nil {
				words = append(words, strings.TrimSpace(c.Strike.Kind+" "+c.Strike.Rule))
			} else {
				words = append(words, "ok")
			}
		}
		return fmt.Sprintf("plan=%t [%s]", b.Decision.Plan != nil, strings.Join(words, ", "))
	case "launch-intent":
		return fmt.Sprint("attempt ", b.Launch.Attempt)
	case "proven":
		return fmt.Sprintf("%s %s moved=%t", b.Place.Country, b.Level, b.Moved)
	case "denied", "cleared":
		return fmt.Sprint("rule ", b.Verdict.Rules[0].ID)
	case "serve-intent", "serve-outcome":
		return fmt.Sprintf("window %d, %d bytes", b.N, b.Bytes)
	case "artefact":
		return b.Name
	case "stop":
		return b.Why
	case "unmounted":
		return fmt.Sprintf("confirmed=%t", b.Confirmed)
	case "probed":
		return fmt.Sprintf("refused=%t by %v", b.Refused, b.By)
	case "job-progress":
		return fmt.Sprint("epoch ", b.Epoch)
	case "ended":
		return b.Outcome
	}
	return ""
}

// cmp compares the journal, without times and random names, with a file of the
// story. -update rewrites that.
func (s *stage) cmp(args []string) error {
	if len(args) != 2 || args[0] != "journal" {
		return errors.New("takes: journal FILE")
	}
	leaves, err := s.h.Entries()
	if err != nil {
		return err
	}
	var lines []string
	for _, l := range leaves {
		if l.Entry.Kind != "heartbeat" {
			actor, _, _ := strings.Cut(l.Entry.Actor, ":")
			line := fmt.Sprintf("%s %-13s %-10s %s", l.Entry.Code, l.Entry.Kind, actor, facts(l.Entry.Kind, l.Entry.Body))
			lines = append(lines, strings.TrimRight(line, " "))
		}
	}
	got := strings.Join(lines, "\n") + "\n"
	for i := range s.a.files {
		f := &s.a.files[i]
		if f.name != args[1] {
			continue
		}
		if *update {
			f.data = []byte(got)
		}
		if string(f.data) != got {
			return fmt.Errorf("the journal is\n%s", got)
		}
		return nil
	}
	return fmt.Errorf("the story has no file %q", args[1])
}
