package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/cloud/agent"
	"github.com/burstctl/burstctl/pools/cloud/local"
	"github.com/burstctl/burstctl/residency/audit"
)

// nodeCommand is the agent on a burst node. User data starts it.
func nodeCommand() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use:   "node BOOT.json",
		Short: "Run the agent of a burst node; its user data starts it",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("read boot file: %w", err), "")
			}
			var boot local.Boot
			if err := json.Unmarshal(b, &boot); err != nil {
				return frame.Wrap(frame.BadConfig, fmt.Errorf("read boot file: %w", err), "")
			}
			metadata, err := agent.OpenMetadata(kind, boot.Metadata)
			if err != nil {
				return frame.Wrap(frame.BadConfig, err, "")
			}
			err = agent.Run(c.Context(), agent.Config{UserData: boot.UserData, Metadata: metadata,
				Road: boot.Road, Scratch: boot.Scratch, FUSE: boot.Root, Strict: kind != "local",
				Logger: jsonLogger(os.Stderr)})
			if c.Context().Err() != nil {
				return nil // told to end
			}
			return err
		},
	}
	c.Flags().StringVar(&kind, "metadata", "local",
		"whose metadata service says where this machine is: aws, azure or local")
	return c
}

// nodeHostCommand is the local provider's side of a node.
func nodeHostCommand() *cobra.Command {
	return &cobra.Command{
		Use: "node-host SPEC.json", Short: "Host one node of the local driver", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return local.Host(c.Context(), args[0]) },
	}
}

// controllerCommand is the daemon that decides.
func controllerCommand() *cobra.Command {
	var path string
	var die int64
	c := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller: decide, launch, grant, revoke, and enter all of it",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return runController(c.Context(), path, die) },
	}
	c.Flags().StringVar(&path, "config", "controller.yaml", "config file; configs/controller.yaml explains it")
	c.Flags().Int64Var(&die, "die-at-entry", 0, "rehearse a crash: kill -9 itself as soon as the log has so many entries")
	_ = c.Flags().MarkHidden("die-at-entry")
	return c
}

func runController(ctx context.Context, path string, die int64) error {
	conf, err := readController(path)
	if err != nil {
		return err
	}
	lg := frame.Logger(os.Stderr, slog.LevelInfo, codeOf)
	d, err := newDaemon(ctx, conf, lg, parts{observe: dieAt(die)})
	if err != nil {
		return coded(err)
	}
	defer d.close()
	lg.InfoContext(ctx, "controller runs", "listen", d.ln.Addr().String(), "log_size", d.log.Size())
	return coded(d.run(ctx))
}

// dieAt kills this process, as nothing can be caught, once an entry is durable.
func dieAt(size int64) func(audit.Leaf) {
	if size <= 0 {
		return nil
	}
	return func(leaf audit.Leaf) {
		if leaf.Index+1 >= size {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}
}

// edgeCommand is the demo's edge: the same daemon as edge-connector, with a
// replayed day instead of NVML.
func edgeCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: "edge", Short: "Run an edge over a replayed day", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runEdge(c.Context(), path) },
	}
	c.Flags().StringVar(&path, "config", "edge.yaml", "config file")
	return c
}

// jsonLogger logs all there is, for the node's and the demo's own files.
func jsonLogger(f *os.File) *slog.Logger { return frame.Logger(f, slog.LevelDebug, codeOf) }
