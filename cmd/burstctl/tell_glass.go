package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/burstctl/burstctl/pools/burst"
	"github.com/burstctl/burstctl/pools/burst/glass"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/audit"
)

// tellGlass tells an entry about an exception; "" if it is about none.
func tellGlass(e audit.Entry) (string, []string) {
	body := glass.New(e.Kind)
	if body == nil {
		return "", nil
	}
	if err := audit.DecodeStrict(e.Body, body); err != nil {
		return "cannot be read: " + err.Error(), nil
	}
	switch b := body.(type) {
	case *glass.Requested:
		t, err := residency.ReadException(b.Text)
		if err != nil {
			return "cannot be read: " + err.Error(), nil
		}
		return "break-glass: exception " + t.ID + " asked for, " + t.Reason, exceptionLines(t)
	case *glass.Approved:
		return "break-glass: exception " + b.Exception + " approved", []string{"signed with key " + b.Key}
	case *glass.Reviewed:
		return "break-glass: exception " + b.Exception + " reviewed: " + b.Outcome, []string{b.Words}
	case *glass.Ended:
		return "break-glass: exception " + b.Exception + " ended early", []string{b.Why}
	}
	return "", nil
}

// tellExcepted tells that a decision rests on an exception.
func tellExcepted(b *burst.Excepted) (string, []string) {
	what := "creating a node at "
	if b.Stage == burst.OnRead {
		what = "reading at "
	}
	aside := "it stands for a missing permit"
	if len(b.Aside) > 0 {
		aside = "it sets aside " + strings.Join(b.Aside, ", ")
	}
	return "break-glass: exception " + b.Exception + " used for " + what + b.At.String(),
		[]string{aside, "text " + short(b.Digest)}
}

// exceptionLines is everything an exception says, for people who sign it.
func exceptionLines(t residency.ExceptionTerms) []string {
	places := make([]string, 0, len(t.Places))
	for _, a := range t.Places {
		places = append(places, a.String())
	}
	lifts := "nothing: it stands for a missing permit"
	if len(t.Lifts) > 0 {
		lifts = strings.Join(t.Lifts, ", ")
	}
	return []string{
		"why     " + t.Reason + ": " + t.Words,
		"slice   " + t.Slice + " of site " + t.Site,
		"for     " + t.Purpose + ", team " + t.Team,
		"at      " + strings.Join(places, ", "),
		"lifts   " + lifts,
		fmt.Sprintf("holds   %s to %s (%s)", t.NotBefore.Format(time.RFC3339), t.Expires.Format(time.RFC3339),
			t.Expires.Sub(t.NotBefore)),
	}
}
