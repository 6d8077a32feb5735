package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Job is job.yaml v1: one program that needs GPUs and one dataset slice. Made
// by configs from a file, or by a site from its queue.
type Job struct {
	Name    string   `json:"name"`
	Team    string   `json:"team"`
	Slice   string   `json:"slice"`   // "dataset/slice"
	Purpose string   `json:"purpose"` // one of the dataset's purposes
	GPUs    int      `json:"gpus"`
	Command []string `json:"command"` // argv; run in the unpacked payload
	// Payload is the program: the "sha256:…" of an archive the site holds, or
	// of an image. It travels by the road like a slice.
	Payload string        `json:"payload"`
	Outputs []string      `json:"outputs"` // files the job leaves, returned to the site
	Budget  Money         `json:"budget"`  // at most this much for the whole burst
	Lease   time.Duration `json:"lease"`   // nanoseconds; at most this long
}

// Check reports the first thing a job lacks.
func (j Job) Check() error {
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"name", j.Name != ""}, {"team", j.Team != ""}, {"slice", j.Slice != ""}, {"purpose", j.Purpose != ""},
		{"gpus", j.GPUs > 0}, {"command", len(j.Command) > 0}, {"budget", j.Budget.Known() && j.Budget.Micros > 0},
		{"lease", j.Lease > 0},
	} {
		if !f.ok {
			return fmt.Errorf("check job %q: %s is missing", j.Name, f.name)
		}
	}
	return nil
}

// Request asks for a place for one job. A site makes it, signs it and
// announces it until the controller has entered it. Its ID is the claim: it is
// used once, for ever.
type Request struct {
	ID    string    `json:"id"`
	Site  string    `json:"site"`
	JobID string    `json:"job_id"`
	Job   Job       `json:"job"`
	At    time.Time `json:"at"` // when this announcement was made
	// SliceDigest and PayloadDigest are the content-addressed manifests the site
	// would serve; nothing else is ever served under the claim.
	SliceDigest   string `json:"slice_digest"`
	PayloadDigest string `json:"payload_digest"`
	Signal        Signal `json:"signal"`
}

// Check reports the first thing a request lacks.
func (r Request) Check() error {
	switch {
	case r.ID == "" || r.Site == "" || r.JobID == "":
		return errors.New("check request: id, site or job is missing")
	case r.SliceDigest == "":
		return fmt.Errorf("check request %s: slice digest is missing", r.ID)
	case !r.Signal.Saturated || r.Signal.Stale:
		return fmt.Errorf("check request %s: its signal does not say that site %s is saturated", r.ID, r.Site)
	case r.Signal.Site != r.Site:
		return fmt.Errorf("check request %s: signal is of site %q, request of %q", r.ID, r.Signal.Site, r.Site)
	}
	return r.Job.Check()
}

// Market is how a machine is sold. The empty Market is [OnDemand], so that what
// was entered before there were others reads as what it was.
type Market string

// The markets. A spot machine may be taken back at any time.
const (
	OnDemand Market = "on-demand"
	Spot     Market = "spot"
)

// Known reports whether m is a market that offers may be of.
func (m Market) Known() bool { return m == "" || m == OnDemand || m == Spot }

// Spot reports whether the provider may take the machine back.
func (m Market) Spot() bool { return m == Spot }

// Offer is one kind of machine at one claimed place, with its price. The price
// has a date; an unknown price denies.
type Offer struct {
	At      residency.Address `json:"at"`
	Type    string            `json:"type"` // the provider's instance type
	Market  Market            `json:"market,omitempty"`
	GPU     string            `json:"gpu"` // accelerator model
	GPUs    int               `json:"gpus"`
	PerHour Money             `json:"per_hour"`
	AsOf    string            `json:"as_of"`  // date of the price, YYYY-MM-DD
	Source  string            `json:"source"` // where the price was read
}

// Key names the offer: "aws/eu-central-1 g5.12xlarge", and with " spot" behind
// it what may be taken back.
func (o Offer) Key() string {
	if o.Market == "" || o.Market == OnDemand {
		return o.At.String() + " " + o.Type
	}
	return o.At.String() + " " + o.Type + " " + string(o.Market)
}
