package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/review"
)

// exempted is what the help of explain says of exceptions.
const exempted = "With --exception it asks with that exception, as long as it holds; without a question of its own,\n" +
	"the one the exception is for, at the first of its places."

// exempt is the exception that a question is asked with.
type exempt struct {
	file      string
	approvers []string
}

func (x *exempt) flags(c *cobra.Command) {
	c.Flags().StringVar(&x.file, "exception", "", "file with a sealed exception, as breakglass show ID --sealed prints it")
	c.Flags().StringSliceVar(&x.approvers, "approver", nil, "verifier key of an approver; repeat for more")
}

// excepting is an exception that was opened. A nil one is none.
type excepting struct {
	residency.ExceptionTerms
	Signed []string  `json:"signed"` // names of the approvers' keys
	Asked  time.Time `json:"asked"`  // when the question was
	Holds  bool      `json:"holds"`  // then

	opened residency.Exception
}

// open opens the exception with the approvers' keys that the caller names.
func (x exempt) open() (*excepting, error) {
	if x.file == "" {
		return nil, nil
	}
	known, err := keys.Approvers(x.approvers...)
	if err != nil {
		return nil, frame.Wrap(frame.KeyMissing, err, "")
	}
	sealed, err := os.ReadFile(x.file)
	if err != nil {
		return nil, frame.Wrap(frame.FileMissing, fmt.Errorf("read exception: %w", err), "")
	}
	opened, err := known.Open(sealed)
	if err != nil {
		return nil, frame.Wrap(frame.SealUnproven, err, "")
	}
	now := time.Now().UTC().Truncate(time.Second)
	return &excepting{opened.Terms(), opened.Signed(), now, opened.Valid(now), opened}, nil
}

// request is what the exception is for.
func (x *excepting) request() review.Case {
	if x == nil {
		return review.Case{}
	}
	return review.Case{Slice: x.Slice, Purpose: x.Purpose, Team: x.Team, Site: x.Site, At: x.Places[0].String()}
}

// rules are r that know the exception.
func (x *excepting) rules(r *residency.Rules) *residency.Rules {
	if x == nil {
		return r
	}
	return r.With(x.Asked, x.opened)
}

// lines say what the exception is, and what it did to this answer.
func (x *excepting) lines(v residency.Verdict) []string {
	if x == nil {
		return nil
	}
	does := "stands for a permit"
	switch {
	case v.Exception != nil && len(v.Exception.Aside) > 0:
		does = "is needed for this"
	case v.Exception == nil && !x.Holds:
		does = "does not hold now and sets nothing aside"
	case v.Exception == nil && v.Allowed:
		does = "is not needed for this"
	case v.Exception == nil:
		does = "does not help here"
	}
	all := []string{"", "exception " + x.ID + " " + does}
	signed := "signed  " + strings.Join(x.Signed, ", ")
	for _, line := range append(exceptionLines(x.ExceptionTerms), signed) {
		all = append(all, "  "+line)
	}
	return all
}
