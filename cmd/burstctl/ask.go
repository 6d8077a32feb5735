package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/tunnel/control"
)

func submitCommand() *cobra.Command {
	var k caller
	var site string
	var waits bool
	c := &cobra.Command{
		Use:   "submit JOB.yaml",
		Short: "Hand in a job for a site; it bursts when the site is saturated and the rules permit",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			job, err := configs.ReadJob(args[0])
			if err != nil {
				return frame.Wrap(frame.BadConfig, err, "")
			}
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			info, err := client.Submit(c.Context(), site, job)
			if err != nil {
				return refusal(err)
			}
			if !waits {
				return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Job", info, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s handed in for site %s by %s\n", info.ID, info.Site, info.By)
					return err
				})
			}
			b, err := wait(c.Context(), client, info, c.ErrOrStderr())
			if err != nil {
				return err
			}
			err = frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Burst", b, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s ended: %s, %s spent\n", b.Job, b.Outcome, paid(b.Spent))
				return err
			})
			return errors.Join(err, ending(b))
		},
	}
	k.flags(c)
	c.Flags().BoolVar(&waits, "wait", false, "wait until its burst has ended; the exit code says how")
	c.Flags().StringVar(&site, "site", "", "the site whose queue it joins")
	_ = c.MarkFlagRequired("site")
	return c
}

func statusCommand() *cobra.Command {
	var k caller
	c := &cobra.Command{
		Use:   "status",
		Short: "Show jobs and bursts, and how far the log is witnessed",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, s, err := k.status(c.Context())
			if err != nil {
				return err
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Status", s,
				func(w io.Writer) error { return printStatus(w, s) })
		},
	}
	k.flags(c)
	return c
}

func printStatus(w io.Writer, s control.Status) error {
	asked := map[string]bool{}
	rows := [][]string{}
	for _, b := range s.Bursts {
		asked[b.Site+"/"+b.Job] = true
		rows = append(rows, []string{b.Job, b.Claim, b.Phase, b.Slice, b.Offer, b.Place,
			size(b.Served), paid(b.Spent), b.Outcome})
	}
	for _, j := range s.Jobs {
		if !asked[j.Site+"/"+j.ID] {
			rows = append(rows, []string{j.ID, "", "waits on site " + j.Site, j.Job.Slice, "", "", "", "", ""})
		}
	}
	head := []string{"job", "claim", "phase", "slice", "offer", "proven place", "served", "spent", "outcome"}
	if err := frame.Rows(w, head, rows); err != nil {
		return err
	}
	for _, a := range s.Attention {
		fmt.Fprintln(w, "attention: "+a)
	}
	_, err := fmt.Fprintf(w, "log: %d entries, %d witnessed\n", s.Size, s.Cosigned)
	return err
}

// paid is what was spent; where there was nothing to pay for, no currency is known.
func paid(m policy.Money) string {
	if !m.Known() {
		return "nothing"
	}
	return m.String()
}

// whyCommand answers the question users ask most: why does it wait, why there?
func whyCommand() *cobra.Command {
	var k caller
	c := &cobra.Command{
		Use:   "why JOB",
		Short: "Say why a job runs where it runs, or why it does not: every offer and the first reason against it",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, s, err := k.status(c.Context())
			if err != nil {
				return err
			}
			for _, b := range s.Bursts {
				if b.Job == args[0] || b.Claim == args[0] {
					return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Decision", b.Decision, func(w io.Writer) error {
						fmt.Fprintf(w, "%s: ", b.Job)
						if err := tellRanked(w, b.Decision); err != nil {
							return err
						}
						text, more := tellOffers(b.Decision)
						_, err := fmt.Fprintf(w, "%s\n  %s\n", text, strings.Join(more, "\n  "))
						return err
					})
				}
			}
			code := frame.NoSuchClaim
			if slices.ContainsFunc(s.Jobs, func(j control.JobInfo) bool { return j.ID == args[0] }) {
				code = frame.NoBurstYet
			}
			return &frame.Problem{Code: code, What: fmt.Sprintf("explain %q", args[0])}
		},
	}
	k.flags(c)
	return c
}

func revokeCommand() *cobra.Command {
	return deedCommand("revoke CLAIM", "End a burst now: its node lets go, its credentials are revoked, it is deleted",
		control.ActionRevoke, 1)
}

func reloadCommand() *cobra.Command {
	return deedCommand("reload", "Read rules, places and catalogue again; grants they no longer permit end now",
		control.ActionReload, 0)
}

// deedCommand is a verb that asks the controller for one action.
func deedCommand(use, short, action string, args int) *cobra.Command {
	var k caller
	var reason string
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			claim := strings.Join(args, " ")
			if err := client.Do(c.Context(), action, claim, reason); err != nil {
				return refusal(err)
			}
			fmt.Fprintln(c.ErrOrStderr(), "entered at", time.Now().UTC().Format(time.RFC3339))
			return nil
		},
	}
	k.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why; entered in the log, so no personal data")
	return c
}
