package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/tunnel/control"
)

// breakGlassCommand groups what people do with exceptions.
func breakGlassCommand() *cobra.Command {
	c := &cobra.Command{Use: "breakglass", Short: "Ask for, approve, end and review an exception to the rules"}
	c.AddCommand(glassRequest(), glassApprove(), glassShow(), glassList(), glassEnd(), glassReview())
	return c
}

func glassRequest() *cobra.Command {
	var k caller
	var t residency.ExceptionTerms
	var at []string
	var lasts time.Duration
	c := &cobra.Command{
		Use:   "request",
		Short: "Ask for an exception: one slice, purpose and team, exact places, at most four hours from now",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			t.ID = "x-" + strings.ToLower(rand.Text()[:10])
			t.NotBefore = time.Now().UTC().Truncate(time.Second)
			t.Expires = t.NotBefore.Add(lasts).Truncate(time.Second)
			for _, place := range at {
				a, err := residency.ParseAddress(place)
				if err != nil {
					return frame.Wrap(frame.Usage, err, "")
				}
				t.Places = append(t.Places, a)
			}
			text, err := t.Text()
			if err != nil {
				return frame.Wrap(frame.Usage, err, "")
			}
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			if err := client.Do(c.Context(), control.ActionGlassRequest, t.ID, text); err != nil {
				return refusal(err)
			}
			return printGlass(c, control.ExceptionInfo{ID: t.ID, Text: text, State: "0 of 2 approvals"})
		},
	}
	k.flags(c)
	f := c.Flags()
	f.StringVar(&t.Reason, "reason-code", "", "one of "+strings.Join(residency.ExceptionReasons[:], ", "))
	f.StringVar(&t.Words, "reason", "", "why, for approvers and reviewers; no personal data")
	f.StringVar(&t.Site, "site", "", "site that holds the slice")
	f.StringVar(&t.Slice, "slice", "", "slice, by its exact name")
	f.StringVar(&t.Purpose, "purpose", "", "what it is to be read for")
	f.StringVar(&t.Team, "team", "", "team of the job")
	f.StringSliceVar(&at, "at", nil, "exact place, such as aws/us-east-1; repeat for more")
	f.StringSliceVar(&t.Lifts, "lift", nil, "rule to set aside, by its @id; without any it stands for a missing permit")
	f.DurationVar(&lasts, "for", time.Hour, "how long, at most 4h")
	return c
}

// exception asks the controller for one exception.
func (k *caller) exception(c *cobra.Command, id string) (*control.Client, control.ExceptionInfo, error) {
	client, s, err := k.status(c.Context())
	if err != nil {
		return nil, control.ExceptionInfo{}, err
	}
	i := slices.IndexFunc(s.Exceptions, func(x control.ExceptionInfo) bool { return x.ID == id })
	if i < 0 {
		return nil, control.ExceptionInfo{}, frame.Wrap(frame.Usage, fmt.Errorf("find exception %q: there is none", id),
			"\"burstctl breakglass list\" shows them")
	}
	return client, s.Exceptions[i], nil
}

func glassApprove() *cobra.Command {
	var k caller
	var key string
	c := &cobra.Command{
		Use:   "approve ID",
		Short: "Print the whole exception and sign it here, with your own key",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, x, err := k.exception(c, args[0])
			if err != nil {
				return err
			}
			skey, err := keys.Text(key)
			if err != nil {
				return frame.Wrap(frame.KeyMissing, err, "")
			}
			signer, err := note.NewSigner(skey)
			if err != nil { // the cause could quote the key
				return frame.Wrap(frame.KeyMissing, fmt.Errorf("read key %s: not an approver's key", key), "")
			}
			if err := printGlass(c, x); err != nil {
				return err
			}
			t, err := residency.ReadException(x.Text)
			if err == nil && t.ID != args[0] {
				err = fmt.Errorf("approve exception %s: the controller sent %s", args[0], t.ID)
			}
			if err != nil {
				return err
			}
			signed, err := residency.SignException(x.Text, signer)
			if err != nil {
				return err
			}
			if err := client.Do(c.Context(), control.ActionGlassApprove, args[0], string(signed)); err != nil {
				return refusal(err)
			}
			fmt.Fprintln(c.ErrOrStderr(), "signed with", signer.Name())
			return nil
		},
	}
	k.flags(c)
	c.Flags().StringVar(&key, "key", "", "your approver's key; it stays here")
	_ = c.MarkFlagRequired("key")
	return c
}

func glassShow() *cobra.Command {
	var k caller
	var sealed bool
	c := &cobra.Command{Use: "show ID", Short: "Print an exception and what became of it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, x, err := k.exception(c, args[0])
			if err != nil {
				return err
			}
			if !sealed {
				return printGlass(c, x)
			}
			if x.Sealed == "" {
				return frame.Wrap(frame.SealUnproven, fmt.Errorf("show exception %s: fewer than two approvers signed it", x.ID), "")
			}
			_, err = io.WriteString(c.OutOrStdout(), x.Sealed)
			return err
		}}
	k.flags(c)
	c.Flags().BoolVar(&sealed, "sealed", false, "print only what was signed, with its signatures, for a file")
	return c
}

func glassList() *cobra.Command {
	var k caller
	c := &cobra.Command{Use: "list", Short: "List the exceptions the log knows", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, s, err := k.status(c.Context())
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, x := range s.Exceptions {
				rows = append(rows, []string{x.ID, x.State, x.By, strings.Join(x.Approved, " "), fmt.Sprint(x.Uses)})
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "ExceptionList", s.Exceptions, func(w io.Writer) error {
				return frame.Rows(w, []string{"exception", "state", "asked by", "approved with", "uses"}, rows)
			})
		}}
	k.flags(c)
	return c
}

func glassEnd() *cobra.Command {
	c := deedCommand("end ID", "End an exception now, and every grant that rests on it", control.ActionGlassEnd, 1)
	_ = c.MarkFlagRequired("reason")
	return c
}

func glassReview() *cobra.Command {
	var k caller
	var outcome, words string
	c := &cobra.Command{
		Use:   "review ID",
		Short: "Enter what you found of an exception afterwards; you neither asked for nor approved it",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			return refusal(client.Do(c.Context(), control.ActionGlassReview, args[0]+" "+outcome, words))
		},
	}
	k.flags(c)
	c.Flags().StringVar(&outcome, "outcome", "", glass.Justified+" or "+glass.Misuse)
	c.Flags().StringVar(&words, "reason", "", "what the review found, in words")
	_ = c.MarkFlagRequired("outcome")
	_ = c.MarkFlagRequired("reason")
	return c
}

// printGlass prints a whole exception.
func printGlass(c *cobra.Command, x control.ExceptionInfo) error {
	t, err := residency.ReadException(x.Text)
	if err != nil {
		return err
	}
	return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Exception", x, func(w io.Writer) error {
		fmt.Fprintf(w, "exception %s: %s\n", frame.Clean(t.ID), frame.Clean(x.State))
		for _, l := range exceptionLines(t) {
			fmt.Fprintln(w, "  "+frame.Clean(l))
		}
		_, err := fmt.Fprintf(w, "the text that is signed:\n%s", x.Text)
		return err
	})
}
