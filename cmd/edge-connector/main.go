// Command edge-connector watches a site's GPUs and reports when they are full,
// serves granted slices of the site's data, and witnesses the log.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/doctor"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/site"
	"github.com/burstctl/burstctl/pools/onprem"
	"github.com/burstctl/burstctl/pools/onprem/nvml"
)

func main() { os.Exit(frame.Main(root)) }

func root() *cobra.Command {
	return frame.Root("edge-connector", "Watch GPUs, serve granted slices, witness the log",
		frame.Group{Title: "Run it", Verbs: []func() *cobra.Command{runCommand, helperCommand,
			doctor.Command("edge.yaml", checkEdge)}},
		frame.Group{Title: "Ask", Verbs: []func() *cobra.Command{gpusCommand, digestCommand, slicesCommand}})
}

func runCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: "run", Short: "Run the connector", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), path) },
	}
	c.Flags().StringVar(&path, "config", "edge.yaml", "config file; configs/edge.yaml explains it")
	return c
}

func run(ctx context.Context, path string) error {
	conf, err := configs.ReadEdge(path)
	if err != nil {
		return frame.Wrap(frame.BadConfig, err, "")
	}
	src, err := source(conf)
	if err != nil {
		return err
	}
	lg := frame.Logger(os.Stderr, slog.LevelInfo, codeOf)
	s, err := site.Open(ctx, conf, src, lg)
	if err != nil {
		return coded(err)
	}
	defer s.Close()
	for name, digest := range s.Edge.Held() {
		lg.InfoContext(ctx, "holds", "name", name, "digest", digest)
	}
	return coded(s.Run(ctx))
}

// source is where samples come from: the driver's library, in a child that may
// hang, or a recorded day.
func source(c configs.Edge) (site.Source, error) {
	switch c.Sampler.Kind {
	case "replay":
		src, _, err := site.Replay(c)
		return src, frame.Wrap(frame.BadConfig, err, "")
	case "nvml":
		s, err := sampler(c.Sampler.Library, c.Sampler.Every)
		return site.Source{Sampler: s, Threshold: site.Threshold(c)}, err
	}
	err := fmt.Errorf("open sampler: kind is %q, want nvml or replay", c.Sampler.Kind)
	return site.Source{}, frame.Wrap(frame.BadConfig, err, "")
}

func sampler(library string, every time.Duration) (*nvml.Sampler, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	return &nvml.Sampler{Command: []string{exe, "nvml-helper"}, Library: library, Every: every}, nil
}

// helperCommand is the child that talks to the driver.
func helperCommand() *cobra.Command {
	return &cobra.Command{
		Use: "nvml-helper", Short: "Sample GPUs for a parent process", Hidden: true, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			return frame.Wrap(frame.NoNVML, nvml.Helper(c.Context(), os.Stdin, c.OutOrStdout(), args), "")
		},
	}
}

// gpusCommand shows what the sampler sees.
func gpusCommand() *cobra.Command {
	var library string
	var once bool
	c := &cobra.Command{
		Use: "gpus", Short: "Show this host's GPUs, live", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := sampler(library, time.Second)
			if err != nil {
				return err
			}
			for round, err := range s.Samples(c.Context()) {
				if errors.Is(err, nvml.ErrNoLibrary) {
					return frame.Wrap(frame.NoNVML, err, "")
				}
				if err != nil {
					fmt.Fprintln(c.ErrOrStderr(), err)
					continue
				}
				if err := show(c, round); err != nil || once {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&library, "library", "", "path of libnvidia-ml.so.1; the system's if not given")
	c.Flags().BoolVar(&once, "once", false, "one table, then end")
	return c
}

func show(c *cobra.Command, round []onprem.Sample) error {
	if frame.FormatOf(c) != frame.Table {
		return frame.PrintLine(c.OutOrStdout(), "GPUs", map[string]any{"gpus": round})
	}
	rows := onprem.Rows(round, time.Now())
	return frame.Rows(c.OutOrStdout(), rows[0], rows[1:])
}
