// Package frame is the frame both commands share: how they are called, how
// they answer, how they refuse and how they end.
//
// # Calling
//
// [Main] runs a tree of verbs made by [Root]. A verb is a function that returns
// a *cobra.Command; the commands list their verbs in [Group]s. Standard output
// carries data, standard error carries talk.
//
// # Answering
//
// [Print] writes a value as a table, as JSON or as YAML, chosen by -o or by
// BURSTCTL_FORMAT. No escape byte leaves the process unless the output is a
// terminal that wants colour ([Color]), and no text from elsewhere can smuggle
// one in ([Clean]).
//
// # Refusing
//
// Every error that reaches the user has a [Code], a cause and a remedy
// ([Problem], [Wrap]). The first digit of a code is its exit status; 9 is a
// mistake in the call.
//
// *Non-goals*: configuration files (package configs) and logging.
package frame

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// ErrInterrupted is the cause of a context that a signal has cancelled. A verb
// that sees it stops waiting, tears down, and says how to resume.
var ErrInterrupted = errors.New("interrupted")

// echo is how long a signal may repeat itself: timeout(1) and some shells send
// one to the process and to its group.
const echo = 300 * time.Millisecond

// exitTwice is the status after a second Ctrl-C: 128 + SIGINT.
const exitTwice = 130

// Main runs the tree that root makes with the arguments, signals and streams of
// the process, and returns the exit status. The first SIGINT, SIGTERM or SIGHUP
// cancels the verb's context, so that it can clean up; a second one ends the
// process at once with 130.
func Main(root func() *cobra.Command) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel(ErrInterrupted)
		for first := time.Now(); ; {
			<-signals
			if time.Since(first) > echo {
				os.Exit(exitTwice)
			}
		}
	}()
	return Run(ctx, root(), os.Args[1:], os.Stdout, os.Stderr)
}

// Run runs one command line and returns its exit status. The error, if any, is
// on stderr in the format the caller asked for.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.InitDefaultCompletionCmd(args...)
	started := false
	prepare(root, &started)
	err := formatFromEnv()
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return ExitOK
	}
	if _, coded := errors.AsType[*Problem](err); !started && !coded {
		err = Wrap(Usage, err, "run \""+root.Name()+" help\" to see how it is called")
	}
	PrintError(stderr, FormatOf(root), err)
	return ExitCode(err)
}

// prepare walks the tree: a verb marks that it started, so that every earlier
// error is known as a mistake in the call, and a bare group of verbs refuses a
// verb it does not have.
func prepare(c *cobra.Command, started *bool) {
	for _, sub := range c.Commands() {
		prepare(sub, started)
	}
	switch run := c.RunE; {
	case run != nil:
		c.RunE = func(c *cobra.Command, args []string) error {
			*started = true
			return run(c, args)
		}
	case c.Run == nil && c.HasSubCommands():
		c.Args = cobra.ArbitraryArgs
		c.RunE = unknownVerb
	}
}

// unknownVerb answers a group that was called without one of its verbs.
func unknownVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	c.SuggestionsMinimumDistance = 2
	p := &Problem{Code: Usage, What: "run " + c.CommandPath() + " " + Clean(args[0]), Err: errors.New("no such verb")}
	p.Fix = "run \"" + c.CommandPath() + " --help\" to see the verbs"
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		p.Fix = "did you mean \"" + c.CommandPath() + " " + near[0] + "\"?"
	}
	return p
}
