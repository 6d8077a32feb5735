package tunnel

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// What travels over the control endpoint. The node and the edge ask, the
// controller answers; tunnel/control carries it, pools/perform means it.

// Hello is a node's plea for a credential: evidence of where it is and proof
// that it holds the key of its CSR. Its zero value proves nothing.
type Hello struct {
	Claim    string             `json:"claim"`
	Attempt  int                `json:"attempt"`
	Nonce    string             `json:"nonce"` // the controller's challenge
	CSR      []byte             `json:"csr"`   // PEM, for the claim's grant URI
	Evidence residency.Evidence `json:"evidence"`
	Proof    []byte             `json:"proof"` // ECDSA (ASN.1) by the CSR's key over Signed
}

// Signed is the SHA-256 a hello's proof signs: domain, claim, attempt, nonce
// and the digests of CSR and evidence, each with its length.
func (h Hello) Signed() []byte {
	sum := sha256.New()
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		sum.Write(n[:])
		sum.Write(b)
	}
	part([]byte("burst-hello/1"))
	part([]byte(h.Claim))
	part(binary.BigEndian.AppendUint64(nil, uint64(h.Attempt)))
	part([]byte(h.Nonce))
	part(h.CSR)
	part([]byte(h.Evidence.Kind))
	part(h.Evidence.Document)
	part(h.Evidence.Signature)
	return sum.Sum(nil)
}

// Standing says how a plea stands.
type Standing string

// How a plea stands. A node that is told to wait asks again.
const (
	Wait    Standing = "wait"
	Granted Standing = "granted"
	Refused Standing = "refused"
)

// Answer is what a hello gets. Everything but Standing and Why is set only
// with Granted.
type Answer struct {
	Standing   Standing    `json:"standing"`
	Why        string      `json:"why,omitempty"`
	Grant      string      `json:"grant,omitempty"` // always set: the CSR must name it
	Credential *Credential `json:"credential,omitempty"`
	Receipt    []byte      `json:"receipt,omitempty"`
	Site       string      `json:"site,omitempty"`
	Job        *policy.Job `json:"job,omitempty"`
	Slice      string      `json:"slice,omitempty"`   // manifest digest
	Payload    string      `json:"payload,omitempty"` // manifest digest
}

// Order is what a node is to do now.
type Order string

// The orders. They follow from the burst's state, so a lost one is repeated.
const (
	OrderWait    Order = "wait"
	OrderRun     Order = "run"
	OrderUnmount Order = "unmount"
	OrderProbe   Order = "probe" // call again with the old credential; it must be refused
	OrderExit    Order = "exit"
)

// Report is what a node says of its job: kind "job-started", "job-progress",
// "job-finished" or "unmounted", with the body of that kind.
type Report struct {
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// Finished is the body of a "job-finished" report.
type Finished struct {
	Exit int    `json:"exit"` // the process's exit code
	Why  string `json:"why,omitempty"`
}

// Work is all that a site's edge needs to know: level state, numbered.
type Work struct {
	N      int64     `json:"n"`
	Grants []Serving `json:"grants"`
	Jobs   []Waiting `json:"jobs"`

	Releases []Releasing `json:"releases,omitempty"` // outputs that were released and not moved out yet
}

// Releasing is one output that a person let out of quarantine. The edge asks
// for the proof of its entry with [AskRelease] before it moves anything.
type Releasing struct {
	Claim    string `json:"claim"`
	Name     string `json:"name"`
	Digest   string `json:"digest"`
	Entry    int64  `json:"entry"`              // of the release
	Flagged  string `json:"flagged,omitempty"`  // why it may not leave after all
	Withheld string `json:"withheld,omitempty"` // why the edge did not move it, as it said last
}

// AskRelease is the kind by which a site asks for the proof that a release of
// its claim is in the log; nothing is entered for it. [ReleaseBody] is the
// question.
const AskRelease = "release-proof"

// ReleaseBody names the entry of a release.
type ReleaseBody struct {
	Entry int64 `json:"entry"`
}

// Serving is one grant of the site that is live or being torn down.
type Serving struct {
	Grant   string   `json:"grant"`
	Claim   string   `json:"claim"`
	Reach   string   `json:"reach"` // host:port to dial
	Order   Order    `json:"order"` // bytes flow only under OrderRun
	Revoked []string `json:"revoked"`
	Outputs []string `json:"outputs"` // names the node may return
	Window  int      `json:"window"`  // the highest window number entered
	Open    []Open   `json:"open"`    // windows entered and not yet closed
}

// Open is a serve window that nobody has closed yet. An edge that finds one it
// does not know charges it whole: what went out before a crash is unknown.
type Open struct {
	N     int   `json:"n"`
	Bytes int64 `json:"bytes"`
}

// Waiting is one job of the site.
type Waiting struct {
	ID          string     `json:"id"`
	Job         policy.Job `json:"job"`
	Since       time.Time  `json:"since"`
	Claim       string     `json:"claim,omitempty"` // once it was asked for
	Phase       string     `json:"phase,omitempty"`
	Outcome     string     `json:"outcome,omitempty"`
	Alternative string     `json:"alternative,omitempty"`
}

// Entering asks for one entry on behalf of a site: kind "serve-intent",
// "serve-outcome", "round-trip", "artefact", "probed" and the like. Old is the tree size the site's
// witness remembers.
type Entering struct {
	Claim string          `json:"claim"`
	Kind  string          `json:"kind"`
	Body  json.RawMessage `json:"body"`
	Old   int64           `json:"old"`
}

// Entered proves that an entry is in the log: the leaf, a checkpoint that
// covers it, and the proofs from Old to it and from the leaf to its root.
type Entered struct {
	Index       int64      `json:"index"`
	Leaf        []byte     `json:"leaf"`
	Checkpoint  []byte     `json:"checkpoint"`
	Consistency [][32]byte `json:"consistency"`
	Inclusion   [][32]byte `json:"inclusion"`
}

// Extension is a newer checkpoint and the proof that it extends an older tree.
type Extension struct {
	Checkpoint  []byte     `json:"checkpoint"`
	Consistency [][32]byte `json:"consistency"`
}
