package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/burstctl/burstctl/tunnel/control"
)

// exceptions tells every exception of the log.
func (d desk) exceptions() []control.ExceptionInfo {
	all := []control.ExceptionInfo{}
	for _, x := range d.engine.Exceptions() {
		i := control.ExceptionInfo{ID: x.Terms.ID, State: x.State(time.Now()), Text: x.Text, By: x.Asked.By,
			Uses: len(x.Uses)}
		for _, a := range x.Counted() {
			i.Approved = append(i.Approved, a.Key)
		}
		if sealed, err := x.Sealed(d.engine.Approvers); err == nil {
			if _, err := d.engine.Approvers.Open(sealed); err == nil {
				i.Sealed = string(sealed)
			}
		}
		all = append(all, i)
	}
	return all
}

// breakGlass carries out a step of an exception's life.
func (d desk) breakGlass(actor, action, claim, reason string) error {
	switch action {
	case control.ActionGlassRequest:
		return d.engine.RequestException(actor, reason)
	case control.ActionGlassApprove:
		return d.engine.ApproveException(actor, claim, []byte(reason))
	case control.ActionGlassEnd:
		return d.engine.EndException(actor, claim, reason)
	case control.ActionGlassReview:
		id, outcome, _ := strings.Cut(claim, " ")
		return d.engine.ReviewException(actor, id, outcome, reason)
	}
	return fmt.Errorf("do %q: no such action", action)
}
