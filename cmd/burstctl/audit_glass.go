package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/pools/burst/review"
)

// auditBreakGlass answers which exceptions were made, and what became of them.
func auditBreakGlass() *cobra.Command {
	var approvers []string
	c, _ := question("breakglass LOG", "Each exception to the rules: who asked, approved, used and reviewed it",
		"Breakglass lists every exception. A use with fewer than two approvals before it, outside its time or its scope,\n"+
			"or not reviewed within 72 hours of its end, is a violation. With --approver the approvals' signatures are\n"+
			"verified again; without, they are taken as entered, and that is said.",
		0, func(_ *cobra.Command, r reading, _ []string) (asked, error) {
			known, err := keys.Approvers(approvers...)
			if err != nil {
				return asked{}, frame.Wrap(frame.KeyMissing, err, "")
			}
			all, found := r.review.BreakGlass(known)
			return exceptions(all, found, len(approvers) > 0), nil
		})
	c.Flags().StringSliceVar(&approvers, "approver", nil, "verifier key of an approver; repeat for more")
	return c
}

func exceptions(all []review.Exception, found []review.Finding, verified bool) asked {
	return asked{"BreakGlassList", "which exceptions were made, and by whom", all, found, func(w io.Writer) error {
		rows := [][]string{}
		for _, x := range all {
			var by, claims []string
			for _, a := range x.Counted() {
				by = append(by, a.By)
			}
			for _, u := range x.Uses {
				claims = append(claims, fmt.Sprintf("%s (%s)", u.Claim, u.Stage))
			}
			rows = append(rows, []string{x.Terms.ID, x.State, x.Terms.Reason, x.Terms.Slice, x.Asked.By, strings.Join(by, " "),
				strings.Join(claims, " "), x.Reviewed.By, x.Outcome})
		}
		err := frame.Rows(w, []string{"exception", "state", "reason", "slice", "asked by", "approved by", "used by",
			"reviewed by", "outcome"}, rows)
		if !verified {
			fmt.Fprintln(w, "signatures of approvers were not verified again: name their keys with --approver")
		}
		return err
	}}
}
