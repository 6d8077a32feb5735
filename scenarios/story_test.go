package scenarios

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burstctl/burstctl/pools/bus/busserver"
	"github.com/burstctl/burstctl/scenarios/cast"
)

var update = flag.Bool("update", false, "rewrite the golden journals of the stories")

func TestMain(m *testing.M) {
	cast.InMemory()
	busserver.BeforeBubbles()
	os.Exit(m.Run())
}

// Each *.txtar is a story: its comment is the script, one verb a line, and its
// files are rules and golden journals. It runs in a bubble in which only the
// clouds are simulated; verbs are in the tables [verbs] and [wants].
func TestStories(t *testing.T) {
	files, err := filepath.Glob("*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("found the stories %q, %v", files, err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(name, ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			a := parseArchive(text)
			synctest.Test(t, func(t *testing.T) { play(t, name, a) })
			if *update && !t.Failed() {
				if err := os.WriteFile(name, a.format(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// play runs a script line by line and checks the invariants at its end.
func play(t *testing.T, name string, a *archive) {
	s := newStage(t, a)
	defer s.close()
	for i, line := range strings.Split(a.script, "\n") {
		words, err := split(line)
		if err == nil && len(words) > 0 {
			err = s.do(words)
		}
		if err != nil {
			t.Errorf("%s:%d: %s: %v", name, i+1, line, err)
			return
		}
	}
}

// split cuts a line into words. A word in single quotes may hold blanks; # begins a comment.
func split(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "" || line[0] == '#':
			return words, nil
		case line[0] == '\'':
			word, rest, ok := strings.Cut(line[1:], "'")
			if !ok {
				return nil, fmt.Errorf("a quote is not closed")
			}
			words, line = append(words, word), rest
		default:
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
		}
	}
}

// do carries out one line.
func (s *stage) do(words []string) error {
	verb, args := words[0], words[1:]
	if set, ok := settings[verb]; ok && s.h == nil {
		return set(s, args)
	}
	do, ok := verbs[verb]
	if !ok {
		return fmt.Errorf("no verb %q, or not here", verb)
	}
	if s.h == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	return do(s, args)
}

// one returns the single argument of a verb.
func one(args []string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("takes one word, not %d", len(args))
	}
	return args[0], nil
}

// span reads the single argument of a verb as a duration.
func span(args []string) (time.Duration, error) {
	a, err := one(args)
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(a)
}

// options reads arguments of the form key=value.
func options(args []string) (map[string]string, error) {
	m := map[string]string{}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not key=value", a)
		}
		m[k] = v
	}
	return m, nil
}
