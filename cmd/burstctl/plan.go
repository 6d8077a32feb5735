package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/tunnel/control"
)

func planCommand() *cobra.Command {
	var k caller
	var site, out string
	c := &cobra.Command{
		Use:   "plan JOB.yaml",
		Short: "Say what would become of a job now, where, and what it would cost; nothing is handed in",
		Long: "Say what would become of a job if its site asked now: every candidate, what the whole burst is expected\n" +
			"to cost there, what would be reserved, and the first reason against it. --write keeps the plan as a note\n" +
			"that the controller signed; \"burstctl apply\" hands in exactly that.",
		Example: "  burstctl plan job.yaml --site hq --write plan.json && burstctl apply plan.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			job, err := configs.ReadJob(args[0])
			if err != nil {
				return frame.Wrap(frame.BadConfig, err, "")
			}
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			p, err := client.Plan(c.Context(), site, job)
			if err != nil {
				return refusal(err)
			}
			if out != "" {
				if err := os.WriteFile(out, []byte(p.Sealed), 0o600); err != nil {
					return frame.Wrap(frame.FileFailed, fmt.Errorf("write plan: %w", err), "")
				}
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Plan", p, func(w io.Writer) error {
				fmt.Fprintf(w, "%s at site %s: ", p.Job.Name, p.Site)
				if err := tellRanked(w, p.Decision); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "may be applied until %s\n", p.Expires.Format(time.RFC3339))
				return err
			})
		},
	}
	k.flags(c)
	c.Flags().StringVar(&out, "write", "", "write the signed plan to this file")
	c.Flags().StringVar(&site, "site", "", "the site whose queue it would join")
	_ = c.MarkFlagRequired("site")
	return c
}

func applyCommand() *cobra.Command {
	var k caller
	percent := 5
	c := &cobra.Command{
		Use:   "apply PLAN",
		Short: "Hand in the job of a plan, unless rules, places or the price moved, or the plan is old",
		Long: "Hand in exactly what a plan says. The controller checks its own signature and decides again: exit 3 if\n" +
			"rules, the place table or the place it would go to moved, 6 if the price did or the plan is older than an\n" +
			"hour, 7 if the plan is not as it was signed.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			sealed, err := os.ReadFile(args[0])
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("read plan: %w", err), "")
			}
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			info, err := client.Apply(c.Context(), string(sealed), percent)
			if err != nil {
				return refusal(err)
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Job", info, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s handed in for site %s by %s, as planned\n", info.ID, info.Site, info.By)
				return err
			})
		},
	}
	k.flags(c)
	c.Flags().IntVar(&percent, "max-move", percent, "percent by which what is reserved may differ from the plan")
	return c
}

// tellRanked tells a decision for people: the count, then a line a candidate,
// with what the whole burst is expected to cost and the first reason against it.
func tellRanked(w io.Writer, d policy.Decision) error {
	fmt.Fprintln(w, d.Summary())
	rows := make([][]string, len(d.Candidates))
	for i, c := range d.Candidates {
		verdict := "allowed"
		switch s := c.Strike; {
		case s != nil && s.Rule != "":
			verdict = fmt.Sprintf("%s: %s (%s)", s.Kind, s.Title, s.Rule)
		case s != nil:
			verdict = s.Kind + ": " + s.Why
		case d.Plan != nil && c.Offer.Key() == d.Plan.Offer.Key():
			verdict = "CHOSEN"
		}
		row := []string{c.Offer.Key(), "unknown", "", "", "", "", "", c.Reserve.String(), verdict}
		if p := c.Cost; p != nil {
			for j, m := range []policy.Money{p.Total, p.Machine, p.Transfer, p.Restart, p.Egress, p.Carbon} {
				if row[1+j] = ""; m.Known() {
					row[1+j] = m.String()
				}
			}
		}
		rows[i] = row
	}
	err := frame.Rows(w, []string{"offer", "expected", "machine", "way there", "restart", "way back", "carbon", "reserves",
		"verdict"}, rows)
	if err == nil && d.Considered > len(d.Candidates) {
		_, err = fmt.Fprintf(w, "the %d cheapest of %d are shown; each reason with its cheapest\n", len(d.Candidates),
			d.Considered)
	}
	if err == nil && d.Alternative != "" {
		_, err = fmt.Fprintln(w, "nearest permitted alternative: "+d.Alternative)
	}
	return err
}

var _ control.Planner = planDesk{}
