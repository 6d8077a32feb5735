package burst

import (
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// Body is what an entry says; each kind has one struct, listed in [Kinds].
type Body interface{ Kind() string }

// Requested opens a burst: a site's signed request was checked. Digest is of
// the signed event, so the site cannot deny it.
type Requested struct {
	Request policy.Request `json:"request"`
	Digest  string         `json:"digest"`
}

// Decided is the first decision: may we create there? Without a plan the burst
// ends. The plan's reservation counts from here.
type Decided struct {
	Decision policy.Decision `json:"decision"`
	Day      string          `json:"day,omitempty"` // that the reservation counts for; empty is the entry's, in UTC
}

// LaunchIntent precedes every launch call. BootBy is when a silent node is given
// up, if the launch is answered at once.
type LaunchIntent struct {
	Launch pools.Launch `json:"launch"`
	Token  string       `json:"token"`
	BootBy time.Time    `json:"boot_by"`
}

// Launched says what the cloud's control plane made.
type Launched struct {
	Node pools.Node `json:"node"`
}

// LaunchFailed says that an attempt has no node: none was made, or it is gone
// already. Another offer may be tried unless Final.
type LaunchFailed struct {
	Attempt int    `json:"attempt"`
	Offer   string `json:"offer"`
	Why     string `json:"why"`
	Final   bool   `json:"final"`

	Lack  string       `json:"lack,omitempty"` // policy.KindCapacity or KindQuota, if it was for want of that
	Spent policy.Money `json:"spent,omitzero"` // at most, for a node that was made and is gone
}

// PlacedAt says which place the node's evidence proved, and how well.
type PlacedAt struct {
	Attempt  int             `json:"attempt"`
	Instance string          `json:"instance"`
	Place    residency.Place `json:"place"`
	Moved    bool            `json:"moved"` // proved elsewhere than claimed
	Level    residency.Level `json:"level"`
	Trust    string          `json:"trust"`
	NodeKey  string          `json:"node_key"`
	Evidence string          `json:"evidence"` // digest
}

// Unproven says that evidence was refused; the node may try again until BootBy.
type Unproven struct {
	Attempt  int    `json:"attempt"`
	Why      string `json:"why"`
	Evidence string `json:"evidence"`
}

// Cleared is the second decision: this node may read this slice. The entry's
// receipt is what the edge demands before the first byte.
type Cleared struct {
	Grant   string            `json:"grant"`
	Sealed  string            `json:"sealed"` // signed by the grants key
	NodeKey string            `json:"node_key"`
	Expires time.Time         `json:"expires"`
	Verdict residency.Verdict `json:"verdict"`
	Idle    time.Duration     `json:"idle,omitempty"` // its job may be silent for so long; 0 is for ever

	Exception string `json:"exception,omitempty"` // sealed by its approvers, if the grant rests on one
}

// Denied is the second decision when the answer is no.
type Denied struct {
	Verdict residency.Verdict `json:"verdict"`
	StopBy  time.Time         `json:"stop_by"`
}

// IssueIntent precedes every signature under a node's key.
type IssueIntent struct {
	Grant string        `json:"grant"`
	CSR   string        `json:"csr"` // digest
	TTL   time.Duration `json:"ttl"`
}

// Issued says that a credential is out.
type Issued struct {
	Grant    string    `json:"grant"`
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
}

// RoundTrip says how long the way to the node's process and back took: the least
// of the samples, which the edge measured on the road.
type RoundTrip struct {
	Grant   string `json:"grant"`
	Micros  int64  `json:"micros"`
	Samples int    `json:"samples"`
}

// longestTrip is the most microseconds a round trip may be said to take: a minute.
const longestTrip = 60_000_000

// Within is how many kilometres of cable lay between edge and process at most:
// light in fibre makes 200 km a millisecond, and there and back is twice the way.
func (r RoundTrip) Within() int64 { return (r.Micros + 9) / 10 }

// Window allows the edge to serve so many bytes of a manifest under the grant.
// Entered before they are sent.
type Window struct {
	Grant    string `json:"grant"`
	N        int    `json:"n"`
	Manifest string `json:"manifest"`
	Bytes    int64  `json:"bytes"`
}

// Served closes a window: what really went out.
type Served struct {
	Grant  string `json:"grant"`
	N      int    `json:"n"`
	Bytes  int64  `json:"bytes"`
	Chunks int    `json:"chunks"`
	Digest string `json:"digest"` // over the chunk digests in the order served
	Why    string `json:"why,omitempty"`
}

// Started says that the job's process runs on the node.
type Started struct {
	Grant   string `json:"grant"`
	Mount   string `json:"mount"`   // "fuse" or "copy"
	Payload string `json:"payload"` // digest of the program that runs
}

// Progress is what the job reports of itself; Micros is the metric × 10⁶.
type Progress struct {
	Grant  string `json:"grant"`
	Epoch  int    `json:"epoch"`
	Epochs int    `json:"epochs"`
	Metric string `json:"metric"`
	Micros int64  `json:"micros"`

	Samples    int64 `json:"samples,omitempty"`    // seen since the job began
	Milliwatts int64 `json:"milliwatts,omitempty"` // drawn by its GPUs since the last report; 0 is not said
}

// Artefact says that the site holds an output, in quarantine.
type Artefact struct {
	Grant  string `json:"grant"`
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
	Class  string `json:"class"` // inherited from the slice
}

// Turned says that the edge turned a peer away before the first byte, once for
// each reason: a receipt, a grant, a key or its own rules did not hold.
type Turned struct {
	Grant  string `json:"grant"` // as the peer named it
	Serial string `json:"serial"`
	Reason string `json:"reason"` // the refusal's code: "receipt", "grant", "peer", "rules", …
	Why    string `json:"why"`
}

// Release lets one output out of quarantine: the decision of a named person,
// who is the entry's actor. It may come long after the burst has ended.
type Release struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Reason string `json:"reason"`
}

// Stop ends a burst's running life, whatever the reason. By is when a node
// that does not answer is no longer waited for.
type Stop struct {
	Why    string    `json:"why"` // one of the Why constants
	Detail string    `json:"detail,omitempty"`
	By     time.Time `json:"by"`
}

// Reasons to stop.
const (
	WhyFinished = "finished" // the job ended
	WhyFailed   = "failed"   // the job ended badly
	WhyExpired  = "expired"  // the lease ran out
	WhyIdle     = "idle"     // the job reported no progress for too long
	WhyBoot     = "boot"     // the node never proved itself
	WhyDenied   = "denied"   // the proven place may not read the slice
	WhyRevoked  = "revoked"  // a person revoked it
	WhyRules    = "rules"    // the rules in force no longer permit it
	WhyLost     = "lost"     // the cloud no longer lists the node
)

// Unmounted says that the node let go, or that it was no longer waited for.
type Unmounted struct {
	Confirmed bool `json:"confirmed"`
}

// RevokeIntent precedes a revocation.
type RevokeIntent struct {
	Serial string `json:"serial"`
}

// Revoked says that the issuer revoked a credential. ProbeBy is until when the
// node is waited for to try it.
type Revoked struct {
	Serial  string    `json:"serial"`
	ProbeBy time.Time `json:"probe_by"`
}

// Probed says what became of the old credential when it was tried.
type Probed struct {
	Serial  string `json:"serial"`
	Refused bool   `json:"refused"`
	By      string `json:"by"` // who refused it: "control", "edge" or "issuer"
	Detail  string `json:"detail,omitempty"`
}

// DeleteIntent precedes the deletion of a node.
type DeleteIntent struct {
	Node string `json:"node"`
}

// Gone says that the cloud proved the node's absence.
type Gone struct {
	Node string `json:"node"`
}

// Settled closes the account of an attempt.
type Settled struct {
	Attempt  int           `json:"attempt"`
	Reserved policy.Money  `json:"reserved"`
	Spent    policy.Money  `json:"spent"`
	Ran      time.Duration `json:"ran"`
}

// Over says that nothing is left of the burst.
type Over struct {
	Outcome string `json:"outcome"`
}
