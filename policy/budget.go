package policy

import (
	"fmt"
	"time"
)

// Period is how long a budget lasts: by the calendar, in UTC.
type Period string

// The periods. What a burst reserves counts for the day and the month in which
// it was reserved, however long it runs and whenever it is settled.
const (
	Always   Period = "" // all told
	Monthly  Period = "month"
	Daily    Period = "day"
	PerBurst Period = "burst" // of one claim, all its attempts together
)

// Budget is an amount that reserved and spent money may never pass together.
// Made from the controller's file; the zero Budget allows nothing to anybody.
type Budget struct {
	Team   string `json:"team,omitempty"`  // "" is every team
	Queue  string `json:"queue,omitempty"` // "" is every queue
	Period Period `json:"period,omitempty"`
	Limit  Money  `json:"limit"`
}

// Charge is the worst case of one attempt of a claim, and who pays for it.
// Made by [Request.Charge]; the zero Charge is refused.
type Charge struct {
	Claim   string `json:"claim"`
	Attempt int    `json:"attempt"`
	Team    string `json:"team"`
	Queue   string `json:"queue"`
	Day     string `json:"day"`    // that it counts for, "2026-10-03"
	Within  Money  `json:"within"` // the job's own budget, for all attempts
	Amount  Money  `json:"amount"`
}

// Charge is what m costs whoever asked, counted on a day that [Day] made.
func (r Request) Charge(attempt int, day string, m Money) Charge {
	return Charge{Claim: r.ID, Attempt: attempt, Team: r.Job.Team, Queue: r.Job.Queue, Day: day,
		Within: r.Job.Budget, Amount: m}
}

// Day is the day of a time as budgets count it: UTC.
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Concerns reports whether c counts against b.
func (b Budget) Concerns(c Charge) bool {
	return (b.Team == "" || b.Team == c.Team) && (b.Queue == "" || b.Queue == c.Queue)
}

// Account names what b is kept for: one account a period. "team ml, day
// 2026-10-03" and "team ml, day 2026-10-04" are two accounts of one budget.
func (b Budget) Account(c Charge) string {
	name := "all teams"
	switch {
	case b.Team != "" && b.Queue != "":
		name = "team " + b.Team + " in queue " + b.Queue
	case b.Team != "":
		name = "team " + b.Team
	case b.Queue != "":
		name = "queue " + b.Queue
	}
	switch b.Period {
	case Always:
		return name
	case PerBurst:
		return name + ", burst " + c.Claim
	case Monthly:
		return name + ", month " + c.Day[:min(len("2026-10"), len(c.Day))]
	}
	return fmt.Sprintf("%s, %s %s", name, b.Period, c.Day)
}

// Level is how much of one account is reserved and spent.
type Level struct {
	Account string `json:"account"`
	Limit   Money  `json:"limit"`
	Held    Money  `json:"held"`    // reserved and spent together
	Percent int64  `json:"percent"` // of the limit, rounded down
}

// lower is the lesser of two bounds, of which an unknown one is none. Two that
// cannot be compared allow nothing.
func lower(a, b Money) Money {
	switch over, err := a.Minus(b); {
	case !a.Known():
		return b
	case !b.Known():
		return a
	case err != nil:
		return Money{Currency: a.Currency}
	case over.Micros > 0:
		return b
	}
	return a
}

// maxPriceOf says what a machine may cost per hour, and who says so.
func maxPriceOf(j Job, w World) string {
	if j.MaxPrice.Known() && lower(j.MaxPrice, w.MaxPrice) != w.MaxPrice {
		return fmt.Sprintf("the job allows %v", j.MaxPrice)
	}
	return fmt.Sprintf("team %s may pay %v", j.Team, w.MaxPrice)
}

// MaxPrice is the most that a team may pay for a machine per hour, of bounds by
// team: its own or that of every team (""), whichever is less. Unknown is none.
func MaxPrice(bounds map[string]Money, team string) Money { return lower(bounds[team], bounds[""]) }
