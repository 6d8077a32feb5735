package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/onprem/edge"
)

// digestCommand tells what job.yaml has to say of a program.
func digestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "digest DIR",
		Short: "Print what job.yaml names a program by: its directory's digest, or its images'",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := edge.ReadProgram(os.DirFS(args[0]))
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("digest %s: %w", args[0], err), "")
			}
			out := map[string]any{"dir": args[0], "payload": p.Names, "files": len(p.Manifest.Files)}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Program", out, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, strings.Join(p.Names, "\n"))
				return err
			})
		},
	}
}
