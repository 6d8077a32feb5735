package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/pools/burst/review"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// auditHolds answers which datasets were under a legal hold, and who lifted it.
func auditHolds() *cobra.Command {
	c, _ := question("holds LOG", "Each legal hold: since when, why, by whom, and the entries that set and lifted it",
		"Holds lists every legal hold that the controller's catalogue had. One that is lifted by no named person, because\n"+
			"the controller was started with another catalogue, is a violation: take it out and burstctl reload.",
		0, func(_ *cobra.Command, r reading, _ []string) (asked, error) {
			all, found := r.review.Holds()
			return holds(all, found), nil
		})
	return c
}

func holds(all []review.Hold, found []review.Finding) asked {
	return asked{"HoldList", "which datasets were under a legal hold", all, found, func(w io.Writer) error {
		var rows [][]string
		for _, h := range all {
			end := h.End
			if h.EndBy != "" {
				end = fmt.Sprintf("%s in entry %d by %s", h.End, h.Until.Index, h.EndBy)
			}
			rows = append(rows, []string{h.Dataset, h.Since, h.By, h.Reason,
				fmt.Sprintf("entry %d by %s", h.Set.Index, h.SetBy), end})
		}
		return table(w, "no dataset was under a legal hold", []string{"dataset", "since", "ordered by", "reason", "set",
			"end"}, rows)
	}}
}

// tellHold tells an entry about a legal hold; "" if it is about none.
func tellHold(e audit.Entry) (string, []string) {
	if residency.HoldCodes[e.Kind] == "" {
		return "", nil
	}
	var h residency.HoldOf
	if err := audit.DecodeStrict(e.Body, &h); err != nil {
		return "cannot be read: " + err.Error(), nil
	}
	if e.Kind == residency.HoldLifted {
		return "legal hold on " + h.Dataset + " lifted", []string{h.String()}
	}
	return "legal hold on " + h.Dataset + ": nothing of it is destroyed", []string{h.String()}
}
