package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/tunnel/control"
)

// recallCommand ends every burst that reads, or may yet read, what is called
// back: consent that was withdrawn, an embargo, a legal hold.
func recallCommand() *cobra.Command {
	var k caller
	var reason string
	c := &cobra.Command{
		Use:   "recall DATASET[/SLICE]",
		Short: "Call data back: end every burst that reads it or was granted it, each with its revocation and probe",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, s, err := k.status(c.Context())
			if err != nil {
				return err
			}
			var claims []string
			for _, b := range s.Bursts {
				if b.Phase != string(burst.Ended) && covers(args[0], b.Slice) {
					claims = append(claims, b.Claim)
				}
			}
			var failed []error
			for _, claim := range claims {
				err := client.Do(c.Context(), control.ActionRevoke, claim, reason)
				if err != nil {
					failed = append(failed, fmt.Errorf("recall %s: %w", claim, refusal(err)))
				}
			}
			if err := errors.Join(failed...); err != nil {
				return err
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Recall", map[string]any{"claims": claims},
				func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%d bursts called back: %s\n", len(claims), strings.Join(claims, " "))
					return err
				})
		},
	}
	k.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why, for the log")
	_ = c.MarkFlagRequired("reason")
	return c
}

// covers reports whether a slice is what is named, or of the dataset that is.
func covers(named, slice string) bool {
	return slice == named || strings.HasPrefix(slice, named+"/")
}
