package frame

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// Group is verbs that belong together in the help text. A group without verbs
// is not shown.
type Group struct {
	Title string
	Verbs []func() *cobra.Command
}

// Root makes the root of a command: the flags both commands have, the groups of
// verbs, version, completion, errors and the help topics. Mistakes are returned
// to [Run], never printed by cobra.
func Root(use, short string, groups ...Group) *cobra.Command {
	root := &cobra.Command{Use: use, Short: short, Long: short, SilenceErrors: true, SilenceUsage: true}
	format := Table
	if env := os.Getenv(envFormat); env != "" {
		_ = format.Set(env) // a bad one is reported by Run
	}
	flags := root.PersistentFlags()
	flags.VarP(&format, "output", "o", "how to answer; BURSTCTL_FORMAT sets it too")
	flags.Var(noColor{}, "no-color", "no colour, whatever the terminal; NO_COLOR sets it too")
	flags.Lookup("no-color").NoOptDefVal = "true"
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{string(Table), string(JSON), string(YAML)}, cobra.ShellCompDirectiveNoFileComp))
	for i, g := range groups {
		if len(g.Verbs) == 0 {
			continue
		}
		id := strconv.Itoa(i)
		root.AddGroup(&cobra.Group{ID: id, Title: g.Title + ":"})
		for _, verb := range g.Verbs {
			c := verb()
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	root.AddCommand(versionCommand(), errorsCommand(), exitCodesTopic(), environmentTopic())
	root.SetHelpCommand(helpCommand())
	return root
}

// helpCommand shows the help of a verb or a topic and refuses what is neither.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [verb or topic]",
		Short: "Show the help of a verb or a topic",
		RunE: func(c *cobra.Command, args []string) error {
			target, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return &Problem{Code: Usage, What: "show help of " + Clean(strings.Join(args, " ")),
					Err: errors.New("no such verb or topic"), Fix: "run \"" + c.Root().Name() + " help\" to see them"}
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// errorsCommand explains one code, or lists them.
func errorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "errors [CODE]",
		Short:   "Explain an error code, or list them all",
		Example: "  burstctl errors BRS-3001",
		Args:    cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, e := range Entries() {
				codes = append(codes, string(e.Code)+"\t"+e.Cause)
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listErrors(c)
			}
			e, err := Lookup(Code(strings.ToUpper(args[0])))
			if err != nil {
				return Wrap(Usage, err, "run \""+c.CommandPath()+"\" to list the codes")
			}
			return Print(c.OutOrStdout(), FormatOf(c), "ErrorCode", e, func(w io.Writer) error {
				ink := InkFor(w)
				_, err := fmt.Fprintf(w, "%s  exit %d\n  %s  %s\n  %s    %s\n", ink.Bold(string(e.Code)), e.Exit,
					ink.Faint("cause"), e.Cause, ink.Faint("fix"), e.Remedy)
				return err
			})
		},
	}
}

func listErrors(c *cobra.Command) error {
	return Print(c.OutOrStdout(), FormatOf(c), "ErrorCodeList", Entries(), func(w io.Writer) error {
		var rows [][]string
		for _, e := range Entries() {
			rows = append(rows, []string{string(e.Code), strconv.Itoa(e.Exit), e.Cause})
		}
		return Rows(w, []string{"code", "exit", "cause"}, rows)
	})
}

// exitCodesTopic is "help exit-codes".
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("What the exit status says:\n\n")
	for _, s := range []struct {
		status int
		means  string
	}{
		{ExitOK, "done"}, {ExitFailed, "failed"}, {ExitCanceled, "cancelled, or changes found where asked for"},
		{ExitDenied, "denied by a residency rule, or a violation found"}, {ExitAuth, "who asks is unknown or may not"},
		{ExitCapacity, "no capacity, or a quota is used up"}, {ExitBudget, "over budget, or the price is unknown"},
		{ExitEvidence, "a log, receipt or proof does not verify"}, {ExitUsage, "the command line is wrong"},
		{exitTwice, "interrupted twice: ended at once, run it again to clean up"},
	} {
		fmt.Fprintf(&b, "  %3d  %s\n", s.status, s.means)
	}
	b.WriteString("\nThe first digit of an error code is its exit status; 9 stands for 64.\n" +
		"\"go run\" turns every status but 0 into 1: use a built binary in scripts.")
	return &cobra.Command{Use: "exit-codes", Short: "What the exit status says", Long: b.String()}
}

// environmentTopic is "help environment".
func environmentTopic() *cobra.Command {
	return &cobra.Command{Use: "environment", Short: "Variables that are read", Long: strings.Join([]string{
		"Variables that are read; a flag wins over a variable:", "",
		"  BURSTCTL_FORMAT   table, json or yaml, as -o",
		"  NO_COLOR          not empty: no colour",
		"  CLICOLOR          0: no colour",
		"  CLICOLOR_FORCE    not empty and not 0: colour even where there is no terminal",
		"  TERM              dumb: no colour", "",
		"No variable holds a secret: keys and tokens are read from files only.",
	}, "\n")}
}
