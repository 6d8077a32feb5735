package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/onprem/edge"
	"github.com/burstctl/burstctl/residency"
)

// digestCommand tells what job.yaml has to say of a program.
func digestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "digest DIR", Short: "Print the digest of a program's directory, for job.yaml", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := residency.BuildManifest(edge.PayloadName, os.DirFS(args[0]))
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("digest %s: %w", args[0], err), "")
			}
			out := map[string]any{"dir": args[0], "digest": m.Digest(), "files": len(m.Files)}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Digest", out, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, m.Digest())
				return err
			})
		},
	}
}
