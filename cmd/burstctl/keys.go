package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/bus/busserver"
)

// keysCommand makes, rotates and revokes the keys of a house.
func keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "Make, rotate and revoke the keys of a house"}
	c.AddCommand(keysInit(), keysRotate(), keysRevoke(), keysPublic())
	return c
}

func keysInit() *cobra.Command {
	var dir string
	var p keys.Plan
	c := &cobra.Command{
		Use:   "init",
		Short: "Make every key: one folder for each machine, secrets with mode 0600",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if p.Origin == "" {
				p.Origin = p.Domain + "/log"
			}
			if err := initKeys(dir, p); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "made keys in %s: give each machine its own folder, and keep office offline\n", dir)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "dir", "keys", "directory to make them in")
	f.StringVar(&p.Domain, "domain", "", "trust domain, such as burst.example.org")
	f.StringVar(&p.Origin, "origin", "", "name of the log; the domain with /log if not given")
	f.StringSliceVar(&p.Sites, "site", nil, "a site with an edge connector; repeat for more")
	f.StringSliceVar(&p.Users, "user", nil, "a person or program that calls the controller; repeat for more")
	f.StringSliceVar(&p.Approvers, "approver", nil, "a person who may approve exceptions, with a key for it; two at least")
	return c
}

// initKeys makes the house's keys and the bus's beside them.
func initKeys(dir string, p keys.Plan) error {
	err := keys.Init(dir, p)
	if errors.Is(err, keys.ErrExists) {
		return frame.Wrap(frame.FileFailed, err, "name another directory; keys are never overwritten")
	}
	if err != nil {
		return frame.Wrap(frame.Usage, err, "name --domain and at least one --site")
	}
	if err := busserver.Init(filepath.Join(dir, "nats"), p.Sites); err != nil {
		return fmt.Errorf("make keys of the bus: %w", err)
	}
	return nil
}
