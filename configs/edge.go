package configs

import "time"

// Edge is the config of an edge connector. Paths are absolute once it is read.
// The zero Edge is refused.
type Edge struct {
	Site       string        `yaml:"site"`
	Pool       string        `yaml:"pool"`
	Domain     string        `yaml:"domain"`
	Control    Control       `yaml:"control"`
	NATS       NATS          `yaml:"nats"`
	Trust      string        `yaml:"trust"`      // names the log's key and this witness; trusted
	LogKey     string        `yaml:"log_key"`    // the log's verifier key
	GrantsKey  string        `yaml:"grants_key"` // verifies grants
	GrantsCA   string        `yaml:"grants_ca"`  // signs nodes' certificates
	Witness    Witness       `yaml:"witness"`
	Sampler    Sampler       `yaml:"sampler"`
	Threshold  Threshold     `yaml:"threshold"`
	Catalogue  string        `yaml:"catalogue"`
	Data       string        `yaml:"data"`       // what the site holds; trusted, and only read
	Payloads   string        `yaml:"payloads"`   // one directory for each program
	Quarantine string        `yaml:"quarantine"` // where results arrive
	Rules      string        `yaml:"rules"`      // the site's own; they can only be stricter
	Places     Places        `yaml:"places"`
	Window     int64         `yaml:"window"`   // bytes of a serve window
	Announce   time.Duration `yaml:"announce"` // between two announcements
}

// Control says how to reach the controller, and as whom.
type Control struct {
	Address string `yaml:"address"`
	CA      string `yaml:"ca"`
	Cert    string `yaml:"cert"`
	Key     string `yaml:"key"`
}

// Witness names the cosigning key and the file that remembers the newest tree.
// Losing the file means that a rolled-back log would not be noticed.
type Witness struct {
	Key   string `yaml:"key"`
	State string `yaml:"state"`
}

// Sampler says where GPU samples come from: "nvml" or "replay".
type Sampler struct {
	Kind    string        `yaml:"kind"`
	Library string        `yaml:"library"` // of nvml; empty is the system's
	Trace   string        `yaml:"trace"`   // of replay; a CSV of jobs
	Every   time.Duration `yaml:"every"`
	Speed   int           `yaml:"speed"` // of replay; how many times faster than it was
}

// Threshold is when the pool counts as saturated.
type Threshold struct {
	Utilisation int           `yaml:"utilisation"`
	For         time.Duration `yaml:"for"`
	JobsWaiting int           `yaml:"jobs_waiting"`
	WaitedFor   time.Duration `yaml:"waited_for"`
	Release     int           `yaml:"release"`
	CoolDown    time.Duration `yaml:"cool_down"`
	StaleAfter  time.Duration `yaml:"stale_after"`
}

// ReadEdge reads an edge's config.
func ReadEdge(path string) (Edge, error) {
	var e Edge
	if err := read(path, &e); err != nil {
		return e, err
	}
	from(path, &e.Control.CA, &e.Control.Cert, &e.Control.Key, &e.NATS.Creds, &e.NATS.CA, &e.NATS.Key, &e.Trust, &e.LogKey,
		&e.GrantsKey, &e.GrantsCA, &e.Witness.Key, &e.Witness.State, &e.Sampler.Trace, &e.Catalogue, &e.Data, &e.Payloads,
		&e.Quarantine, &e.Rules, &e.Places.Table)
	for i := range e.Places.Keys {
		from(path, &e.Places.Keys[i])
	}
	return e, missing(path, [2]string{"site", e.Site}, [2]string{"pool", e.Pool}, [2]string{"domain", e.Domain},
		[2]string{"control.address", e.Control.Address}, [2]string{"nats.url", e.NATS.URL}, [2]string{"trust", e.Trust},
		[2]string{"witness.key", e.Witness.Key}, [2]string{"witness.state", e.Witness.State}, [2]string{"sampler.kind", e.Sampler.Kind},
		[2]string{"catalogue", e.Catalogue}, [2]string{"data", e.Data}, [2]string{"quarantine", e.Quarantine}, [2]string{"rules", e.Rules})
}
