package frame

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Problem is an error a user can act on. Verbs make it with [Wrap], or by hand
// where they know more. The zero Problem is [Failed] with nothing to say.
type Problem struct {
	Code Code
	What string // verb and thing, "read config controller.yaml"; empty if Err says it
	Why  string // the cause; empty takes the one registered for Code
	Fix  string // the remedy; empty takes the one registered for Code
	Err  error  // what happened underneath; may be nil
}

// Error is "verb thing: cause".
func (p *Problem) Error() string {
	switch {
	case p.Err == nil && p.What == "":
		return p.entry().Cause
	case p.Err == nil:
		return p.What + ": " + p.entry().Cause
	case p.What == "":
		return p.Err.Error()
	}
	return p.What + ": " + p.Err.Error()
}

// Unwrap returns what happened underneath.
func (p *Problem) Unwrap() error { return p.Err }

// entry returns the registered meaning, overlaid with what p knows better.
func (p *Problem) entry() Entry {
	e, err := Lookup(p.Code)
	if err != nil {
		e, _ = Lookup(Failed)
	}
	if p.Why != "" {
		e.Cause = p.Why
	}
	if p.Fix != "" {
		e.Remedy = p.Fix
	}
	return e
}

// Wrap gives an error a code and a remedy; an empty fix takes the registered
// one. A nil error stays nil, and an error that already has a code keeps it.
func Wrap(code Code, err error, fix string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Problem](err); ok {
		return err
	}
	return &Problem{Code: code, Err: err, Fix: fix}
}

// problemOf finds or makes the problem behind an error.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrInterrupted) {
		return &Problem{Code: Canceled, Err: err}
	}
	return &Problem{Code: Failed, Err: err}
}

// Explain is what an error's code means, with what the error itself knows better.
func Explain(err error) Entry { return problemOf(err).entry() }

// ExitCode is the exit status for an error: 0 for nil, the status of its code,
// 2 for a cancelled context, else 1.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	return problemOf(err).entry().Exit
}

// Detailed is kept by errors that consist of several, such as every mistake in
// one file; the value is shown under "details" in JSON and YAML.
type Detailed interface {
	error
	Details() any
}

// failure is an error as JSON.
type failure struct {
	Entry
	Message string `json:"message"`
	Details any    `json:"details,omitempty"`
}

// PrintError writes an error for the format: text with code, cause and remedy,
// or the same as JSON or YAML. A nil error writes nothing. That the writer
// fails cannot be told to anyone and is ignored.
func PrintError(w io.Writer, format Format, err error) {
	if err == nil {
		return
	}
	e := problemOf(err).entry()
	if format != Table {
		f := failure{Entry: e, Message: err.Error()}
		if d, ok := errors.AsType[Detailed](err); ok {
			f.Details = d.Details()
		}
		_ = Print(w, format, "Error", f, nil)
		return
	}
	ink := InkFor(w)
	fmt.Fprintf(w, "%s %s\n", ink.Bad(string(e.Code)), cleanLines(strings.TrimSpace(err.Error())))
	fmt.Fprintf(w, "  %s  %s\n  %s    %s\n", ink.Faint("cause"), Clean(e.Cause), ink.Faint("fix"), Clean(e.Remedy))
}
