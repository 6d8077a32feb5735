package configs

import (
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Edge is the file of "edge-connector run". Made by [ReadEdge]; the zero Edge
// serves nothing. configs/edge.yaml explains each key.
type Edge struct {
	Site       string
	Pool       string
	Domain     string // trust domain of every identity
	Control    Control
	NATS       NATS
	Trust      string `path:"file"` // trust file: the log's key and the witnesses
	LogKey     string `path:"file"` // verifier key of the log
	GrantsKey  string `path:"file"` // verifier key of grants
	GrantsCA   string `path:"file"` // CA of nodes' certificates
	Witness    Witness
	Sampler    Sampler
	Threshold  policy.Threshold
	Catalogue  string `path:"file"`
	Data       string `path:"file"` // directory the catalogue's dirs are in
	Slices     string `path:"file"` // directory slices are made in
	Pseudonyms string `path:"file"` // key of codes for names; empty is none
	Buckets    []Bucket
	Payloads   string `path:"file"` // directory of programs, one directory each
	Quarantine string `path:"file"` // directory results arrive in
	Rules      string `path:"file"` // directory of the site's own .cedar files
	Places     Places
	Approvers  []string `path:"file"` // verifier keys of who may approve exceptions; none: no exception
	Window     int64    // bytes served between two entries
	Announce   time.Duration
}

// Control is how to reach the controller.
type Control struct {
	Address string
	CA      string `path:"file"`
	Cert    string `path:"file"`
	Key     string `path:"file"`
}

// Witness is the edge's part in the log.
type Witness struct {
	Key   string `path:"file"` // cosigns checkpoints
	State string `path:"file"` // directory of the newest checkpoint seen
}

// Sampler is where GPU samples come from. Kind is "nvml" or "replay".
type Sampler struct {
	Kind    string
	Library string        `path:"library"` // nvml: the driver's library; empty finds it
	Trace   string        `path:"file"`    // replay: a recorded day
	Every   time.Duration // between two samples
	Speed   int           // replay: recorded seconds a second
}

// Bucket is a store on site that datasets lie in, and who may read it.
type Bucket struct {
	Endpoint string // as the catalogue names it
	Keys     string `path:"file"` // access key and secret key
	CA       string `path:"file"` // of its certificate; empty is the system's
}

// ReadEdge reads and checks an edge's file. Its error is *[Errors] unless the
// file could not be read at all.
func ReadEdge(path string) (Edge, error) {
	return read("edge", path, func(e *Edge, r *report) {
		e.Places.check(r)
		t := e.Threshold
		if t.Release >= t.Utilisation {
			r.at(r.root.find("threshold", "release").position, false, "key threshold.release",
				"saturation would end where it begins", "write less than utilisation")
		}
		if t.StaleAfter <= e.Sampler.Every {
			r.at(r.root.find("threshold", "stale_after").position, false, "key threshold.stale_after",
				"every sample would be stale before the next", "write more than sampler.every")
		}
		for key, dir := range map[string]string{"quarantine": e.Quarantine, "payloads": e.Payloads, "slices": e.Slices} {
			if dir == e.Data {
				r.at(r.root.find(key).position, false, "key "+key, "it is the data directory", "keep what is served apart")
			}
		}
	})
}
