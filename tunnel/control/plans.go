package control

import (
	"context"
	"net/http"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Planned is what would become of a job, and until when that may be applied.
type Planned struct {
	Site     string          `json:"site"`
	Job      policy.Job      `json:"job"`
	At       time.Time       `json:"at"`
	Expires  time.Time       `json:"expires"`
	Decision policy.Decision `json:"decision"`
	Sealed   string          `json:"sealed,omitempty"` // all of it, as a note the controller signed
}

// Planner says what would become of a job, and hands in exactly what it said.
type Planner interface {
	Plan(actor, site string, job policy.Job) (Planned, error)
	// Apply refuses a plan that does not verify, is old, or would not be made
	// again: rules or places moved, or the price by more than so many percent.
	Apply(actor, sealed string, percent int) (JobInfo, error)
}

// applying is a request body.
type applying struct {
	Sealed  string `json:"sealed"`
	Percent int    `json:"percent"`
}

func (s *Server) plan(r *http.Request) (any, error) {
	actor, err := s.allowed(r, ActionSubmit)
	if err != nil {
		return nil, err
	}
	in, err := read[submission](r)
	if err != nil {
		return nil, err
	}
	return s.Plans.Plan(actor, in.Site, in.Job)
}

func (s *Server) apply(r *http.Request) (any, error) {
	actor, err := s.allowed(r, ActionSubmit)
	if err != nil {
		return nil, err
	}
	in, err := read[applying](r)
	if err != nil {
		return nil, err
	}
	return s.Plans.Apply(actor, in.Sealed, in.Percent)
}

// Plan asks what would become of a job at a site.
func (c *Client) Plan(ctx context.Context, site string, job policy.Job) (p Planned, err error) {
	return p, c.call(ctx, "POST", "/v1/plan", submission{site, job}, &p)
}

// Apply hands in what a plan says, if it would be made again, its price within percent.
func (c *Client) Apply(ctx context.Context, sealed string, percent int) (j JobInfo, err error) {
	return j, c.call(ctx, "POST", "/v1/apply", applying{sealed, percent}, &j)
}
