package policy

import (
	"errors"
	"fmt"
	"strings"
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
	Budget  Money         `json:"budget"`  // at most this much for the whole burst, all attempts together
	Lease   time.Duration `json:"lease"`   // nanoseconds; at most this long
	// Expected is how long it is thought to run, in nanoseconds; 0 is as long as
	// its lease. Offers are ranked by it; what is reserved follows the lease.
	Expected time.Duration `json:"expected,omitempty"`
	// MaxPrice is the most that a machine may cost per hour; unknown is no bound.
	MaxPrice Money `json:"max_price,omitzero"`
	// Queue and Project say what it is counted under; empty is none. A queue may
	// have a budget of its own.
	Queue   string `json:"queue,omitempty"`
	Project string `json:"project,omitempty"`
	// Idle is how long it may run without reporting progress; 0 is for ever.
	Idle time.Duration `json:"idle,omitempty"`
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
	SliceBytes    int64  `json:"slice_bytes,omitempty"` // of all its files; 0 is not said
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
	// AtMost is what an hour can cost where its price moves, as on the spot
	// market; zero where PerHour is all it can. It is what is reserved.
	AtMost Money  `json:"at_most,omitzero"`
	AsOf   string `json:"as_of"`  // date of the price, YYYY-MM-DD
	Source string `json:"source"` // where the price was read
}

// Most is the most an hour can cost; unknown if it is less than the price.
func (o Offer) Most() Money {
	switch {
	case o.AtMost == Money{}:
		return o.PerHour
	case o.AtMost.Currency != o.PerHour.Currency || o.AtMost.Micros < o.PerHour.Micros:
		return Money{}
	}
	return o.AtMost
}

// priced reports whether what it costs is known and more than nothing.
func (o Offer) priced() bool { return o.PerHour.Known() && o.PerHour.Micros > 0 && o.Most().Micros > 0 }

// Family is the machines that share an offer's fate when a quota is used up or
// a kind of chip runs out: "g5" of g5.xlarge, Azure's sizes without their
// number of cores.
func (o Offer) Family() string {
	if family, _, ok := strings.Cut(o.Type, "."); ok {
		return family
	}
	from := strings.IndexAny(o.Type, "0123456789")
	if from < 0 {
		return o.Type
	}
	return o.Type[:from] + strings.TrimLeft(o.Type[from:], "0123456789")
}

// Scopes name what an offer is part of, from narrow to wide: itself, its
// family in its region and market, its region, its provider.
func (o Offer) Scopes() [4]string {
	region := o.At.Provider + "/" + o.At.Region
	family := Offer{At: residency.Address{Provider: o.At.Provider, Region: o.At.Region}, Type: o.Family() + "*",
		Market: o.Market}
	return [4]string{o.Key(), family.Key(), region, o.At.Provider}
}

// Key names the offer: "aws/eu-central-1 g5.12xlarge", and with " spot" behind
// it what may be taken back.
func (o Offer) Key() string {
	if o.Market == "" || o.Market == OnDemand {
		return o.At.String() + " " + o.Type
	}
	return o.At.String() + " " + o.Type + " " + string(o.Market)
}
