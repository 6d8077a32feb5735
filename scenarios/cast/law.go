package cast

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/perform"
	"github.com/burstctl/burstctl/residency"
	"github.com/burstctl/burstctl/residency/places"
)

// Pseudonymised is the slice that the shipped rules let leave the site.
const Pseudonymised = "claims/2025-q3-pseudonymised"

// Law reads rule files beside the shipped place table and the house's catalogue:
// health claims, whole and pseudonymised, and a public road network.
func Law(rules map[string][]byte) (perform.InForce, error) {
	r, err := residency.ParseRules(rules)
	if err != nil {
		return perform.InForce{}, err
	}
	table, err := residency.ParseTable(places.CSV)
	if err != nil {
		return perform.InForce{}, err
	}
	c, err := residency.NewCatalogue([]residency.Dataset{{
		ID: "claims", Title: "Health insurance claims", Owner: "claims department", Class: residency.Special,
		Origin: "DE", Basis: "GDPR Art. 9(2)(h)", Purposes: []string{"model-training"},
		Slices: []residency.SliceSpec{
			{Name: "claims/2025-q3", Dir: "claims"},
			{Name: Pseudonymised, Class: residency.Personal, Pseudonymised: true, Dir: "pseudo"},
		},
	}, {
		ID: "roads", Title: "Road network", Owner: "research", Class: residency.Public, Origin: "DE",
		Basis: "open data", Purposes: []string{"model-training"},
		Slices: []residency.SliceSpec{{Name: "roads/2025", Dir: "roads"}},
	}})
	return perform.InForce{Rules: r, Places: table, Catalogue: c}, err
}

// Offer is one machine type of four GPUs at an address, priced per hour.
func Offer(at, typ, price string) (policy.Offer, error) {
	a, err := residency.ParseAddress(at)
	if err != nil {
		return policy.Offer{}, err
	}
	o := policy.Offer{At: a, Type: typ, GPU: "A10G", GPUs: 4, Source: "a test"}
	if price == "unknown" {
		return o, nil
	}
	o.AsOf = "2026-03-01"
	o.PerHour, err = policy.ParseMoney(price)
	return o, err
}

// Job asks for a slice, as the house's one team, with room for an hour.
func Job(slice string) policy.Job {
	return policy.Job{Name: "retrain", Team: Team, Slice: slice, Purpose: "model-training", GPUs: 4,
		Command: []string{"./train"}, Payload: Digest("program"), Outputs: []string{"model.json"}, Lease: time.Hour,
		Budget: policy.Money{Micros: 50e6, Currency: "USD"}}
}

// Request is the site's request for a job, under the claim its edge would use.
func Request(claim, jobID string, job policy.Job) policy.Request {
	now := time.Now().UTC()
	return policy.Request{ID: claim, Site: Place, JobID: jobID, Job: job, At: now, SliceDigest: Digest(job.Slice),
		PayloadDigest: job.Payload,
		Signal: policy.Signal{Site: Place, Pool: "main", Saturated: true, At: now, Since: now,
			GPUs: 8, Utilisation: 97}}
}

// Digest is the "sha256:…" of some words, where a test needs a manifest's.
func Digest(words string) string {
	sum := sha256.Sum256([]byte(words))
	return "sha256:" + hex.EncodeToString(sum[:])
}
