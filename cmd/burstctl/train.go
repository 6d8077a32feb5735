package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/scenarios/train"
)

// trainCommand is the demo's job: it runs on the node, started like any other
// program, and finds its slice and its output directory in the environment.
func trainCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "train CONFIG",
		Short:  "Train the demo's model over the slice at $BURST_SLICE",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("train: %w", err), "")
			}
			var conf train.Config
			if err := json.Unmarshal(b, &conf); err != nil {
				return frame.Wrap(frame.BadConfig, fmt.Errorf("train: read %s: %w", args[0], err), "")
			}
			_, err = train.Run(c.Context(), conf, os.DirFS(os.Getenv("BURST_SLICE")), os.Getenv("BURST_OUT"), c.OutOrStdout())
			return frame.Wrap(frame.JobFailed, err, "")
		},
	}
}
