package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/cloud"
	"github.com/burstctl/burstctl/residency/audit"
)

// sweepCommand does once, by hand, what the controller does every few seconds.
// It needs the log and the clouds, and no controller.
func sweepCommand() *cobra.Command {
	var path string
	var dry bool
	grace := sweepGrace
	c := &cobra.Command{
		Use:   "sweep",
		Short: "List nodes that nobody should be paying for, and delete them",
		Long: "sweep asks every cloud for our nodes and the log for what each is for. A node that is over, expired or\n" +
			"unknown to the log, and past its grace, is deleted. A cloud that cannot be asked is a row of the answer and\n" +
			"exit code 1, and the others are swept all the same.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := readController(path)
			if err != nil {
				return err
			}
			states, err := logged(c.Context(), conf.State)
			if err != nil {
				return err
			}
			d := &daemon{conf: conf, lg: frame.Logger(os.Stderr, slog.LevelWarn, codeOf)}
			if err := d.openFleet(c.Context()); err != nil {
				return err
			}
			s := listed(c.Context(), d.fleet)
			doomed, err := cloud.Sweep(s.nodes, life(states), time.Now(), cloud.SweepOptions{Grace: grace})
			if err != nil {
				s.Stopped = err.Error()
			}
			return s.end(c, d.fleet, doomed, dry)
		},
	}
	c.Flags().StringVar(&path, "config", "controller.yaml", "the controller's config file")
	c.Flags().BoolVar(&dry, "dry-run", false, "only list them")
	c.Flags().DurationVar(&grace, "grace", grace, "how long after launch or expiry a node is left alone")
	return c
}

// reapCommand is the last layer of the dead-man switch: it runs in the cloud's
// account, on a schedule, and knows neither log nor controller.
func reapCommand() *cobra.Command {
	var path string
	var account, dry bool
	c := &cobra.Command{
		Use:   "reap --account",
		Short: "Delete every node of ours in the account whose lease is over",
		Long: "reap goes by the expiry that each node carries since its birth and by nothing else, with credentials of\n" +
			"its own. docs/clouds.md says how to have it run every five minutes in the account itself.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !account {
				return &frame.Problem{Code: frame.Usage, What: "reap", Err: errors.New("it takes all of an account"),
					Fix: "say --account if that is what you want, or \"burstctl sweep\" to go by the log"}
			}
			conf, err := configs.ReadReaper(path)
			if err != nil {
				return frame.Wrap(frame.BadConfig, err, "")
			}
			d := &daemon{lg: frame.Logger(os.Stderr, slog.LevelWarn, codeOf)}
			d.conf.Providers, d.conf.Domain = conf.Providers, conf.Domain
			if err := d.openFleet(c.Context()); err != nil {
				return err
			}
			s := listed(c.Context(), d.fleet)
			doomed, err := cloud.Reap(s.nodes, time.Now(), conf.Grace)
			if err != nil {
				return err
			}
			return s.end(c, d.fleet, doomed, dry)
		},
	}
	c.Flags().StringVar(&path, "config", "reaper.yaml", "which clouds; configs/reaper.yaml explains it")
	c.Flags().BoolVar(&account, "account", false, "yes, every expired node of ours in the account")
	c.Flags().BoolVar(&dry, "dry-run", false, "only list them")
	return c
}

// swept is what a sweep found and did.
type swept struct {
	Clouds  []sweptCloud `json:"clouds"`
	Doomed  []sweptNode  `json:"doomed"`
	Stopped string       `json:"stopped,omitempty"` // why some, or all, are left alone

	nodes []pools.Node
}

// sweptCloud is one cloud and whether it could be asked.
type sweptCloud struct {
	Name  string `json:"name"`
	Nodes int    `json:"nodes"`
	Error string `json:"error,omitempty"`
}

// sweptNode is one node that nobody should pay for, and what became of it.
type sweptNode struct {
	cloud.Doomed
	Cloud string `json:"cloud"`
	Did   string `json:"did"` // "listed", "asked to end", "gone" or an error
}

// listed asks each cloud for our nodes. One that does not answer is a row too.
func listed(ctx context.Context, fleet cloud.Fleet) *swept {
	s := &swept{Doomed: []sweptNode{}}
	for name, driver := range fleet {
		nodes, err := driver.List(ctx)
		row := sweptCloud{Name: name, Nodes: len(nodes)}
		if err != nil {
			row.Nodes, row.Error, nodes = 0, err.Error(), nil
		}
		s.Clouds = append(s.Clouds, row)
		s.nodes = append(s.nodes, nodes...)
	}
	slices.SortFunc(s.Clouds, func(a, b sweptCloud) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// end deletes what is doomed, unless it is only to be listed, and prints all of it.
func (s *swept) end(c *cobra.Command, fleet cloud.Fleet, doomed []cloud.Doomed, dry bool) error {
	failed := s.Stopped != ""
	for _, n := range doomed {
		row := sweptNode{Doomed: n, Cloud: n.At.Provider, Did: "listed"}
		if !dry {
			row.Did = "asked to end"
			err := fleet.Delete(c.Context(), n.ID)
			switch {
			case errors.Is(err, pools.ErrGone):
				row.Did = "gone"
			case err != nil:
				row.Did, failed = err.Error(), true
			}
		}
		s.Doomed = append(s.Doomed, row)
	}
	for _, one := range s.Clouds {
		failed = failed || one.Error != ""
	}
	if err := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Sweep", s, s.print); err != nil || !failed {
		return err
	}
	return &frame.Problem{Code: frame.NotSwept, What: "sweep", Err: errors.New("not all of it could be done"),
		Fix: "look at the rows with an error; what expires ends by itself meanwhile"}
}

func (s *swept) print(w io.Writer) error {
	rows := make([][]string, 0, len(s.Clouds))
	for _, one := range s.Clouds {
		rows = append(rows, []string{one.Name, fmt.Sprint(one.Nodes), one.Error})
	}
	if err := frame.Rows(w, []string{"cloud", "nodes of ours", "error"}, rows); err != nil {
		return err
	}
	rows = rows[:0]
	for _, n := range s.Doomed {
		rows = append(rows, []string{n.ID, n.Claim, n.At.String(), n.Why, stamp(n.Launched), stamp(n.Expires), n.Did})
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, "nothing to sweep", s.Stopped)
		return err
	}
	if s.Stopped != "" {
		fmt.Fprintln(w, s.Stopped)
	}
	return frame.Rows(w, []string{"node", "claim", "place", "why", "launched", "expires", "done"}, rows)
}

// logged folds a log directory into its bursts, as the controller does at its
// start. It proves nothing; audit verify does.
func logged(ctx context.Context, dir string) ([]burst.State, error) {
	leaves, err := readLog(ctx, dir)
	if err != nil {
		return nil, err
	}
	var order []string
	states := map[string]burst.State{}
	for _, leaf := range leaves {
		claim := leaf.Entry.Burst
		kind, known := burst.Kinds[leaf.Entry.Kind]
		if claim == "" || !known {
			continue
		}
		body := kind.New()
		if err := audit.DecodeStrict(leaf.Entry.Body, body); err != nil {
			return nil, frame.Wrap(frame.LogUnverified, fmt.Errorf("read entry %d: %w", leaf.Index, err), "")
		}
		if _, seen := states[claim]; !seen {
			order = append(order, claim)
		}
		states[claim], _ = burst.Step(states[claim], burst.Event{Claim: claim, At: leaf.Entry.At,
			Actor: leaf.Entry.Actor, Index: leaf.Index, Body: body})
	}
	all := make([]burst.State, len(order))
	for i, claim := range order {
		all[i] = states[claim]
	}
	return all, nil
}
