package frame

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Color reports whether escape bytes may be written to w. NO_COLOR (set by
// --no-color) always wins; CLICOLOR_FORCE asks for colour anywhere; else w must
// be a terminal that is not dumb, and CLICOLOR must not be 0.
func Color(w io.Writer) bool {
	if os.Getenv("NO_COLOR") != "" {
		return false
	}
	if force := os.Getenv("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	return os.Getenv("CLICOLOR") != "0" && os.Getenv("TERM") != "dumb" && Terminal(w)
}

// Terminal reports whether w is a terminal: the only place for a spinner, a
// redrawn line or a question.
func Terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Ink paints words, or leaves them as they are. The zero Ink leaves them.
type Ink struct{ on bool }

// InkFor returns the ink that suits w.
func InkFor(w io.Writer) Ink { return Ink{Color(w)} }

// Bold is for names and headings.
func (k Ink) Bold(s string) string { return k.paint(s, "1") }

// Faint is for what may be skipped.
func (k Ink) Faint(s string) string { return k.paint(s, "2") }

// Good is for what was allowed and what is done.
func (k Ink) Good(s string) string { return k.paint(s, "32") }

// Bad is for refusals and errors.
func (k Ink) Bad(s string) string { return k.paint(s, "31") }

// Warn is for what waits or is doubtful.
func (k Ink) Warn(s string) string { return k.paint(s, "33") }

func (k Ink) paint(s, sgr string) string {
	if !k.on {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

// noColor is the value of --no-color: it sets NO_COLOR, which child processes
// inherit.
type noColor struct{}

func (noColor) String() string { return "false" }
func (noColor) Type() string   { return "bool" }

// IsBoolFlag lets the flag stand without a value.
func (noColor) IsBoolFlag() bool { return true }

// Set turns colour off for this process and those it starts.
func (noColor) Set(s string) error {
	on, err := strconv.ParseBool(s)
	if err == nil && on {
		err = os.Setenv("NO_COLOR", "1")
	}
	return err
}
