package control

import (
	"time"

	"github.com/burstctl/burstctl/policy"
)

// JobInfo is a job as the controller knows it.
type JobInfo struct {
	ID   string     `json:"id"`
	Site string     `json:"site"`
	Job  policy.Job `json:"job"`
	By   string     `json:"by"`
}

// BurstInfo is one burst in a line.
type BurstInfo struct {
	Claim    string       `json:"claim"`
	Job      string       `json:"job"`
	Site     string       `json:"site"`
	Team     string       `json:"team"`
	Slice    string       `json:"slice"`
	Phase    string       `json:"phase"`
	Outcome  string       `json:"outcome,omitempty"`
	Offer    string       `json:"offer,omitempty"`
	Place    string       `json:"place,omitempty"` // proven
	Level    string       `json:"level,omitempty"`
	Node     string       `json:"node,omitempty"`
	Asked    time.Time    `json:"asked"`
	Expires  time.Time    `json:"expires"`
	Served   int64        `json:"served_bytes"`
	Reserved policy.Money `json:"reserved"`
	Spent    policy.Money `json:"spent"`

	SliceDigest string `json:"slice_digest,omitempty"` // manifest

	Artefacts []ArtefactInfo  `json:"artefacts,omitempty"`
	Decision  policy.Decision `json:"decision"`
}

// ArtefactInfo is one output that the site holds.
type ArtefactInfo struct {
	Name     string `json:"name"`
	Digest   string `json:"digest"`
	Bytes    int64  `json:"bytes"`
	Class    string `json:"class"`
	Released bool   `json:"released"` // a person let it out of quarantine

	Flagged  string `json:"flagged,omitempty"`  // why it may not be released: its data was called back
	Out      bool   `json:"moved_out"`          // the site moved it out of quarantine
	Withheld string `json:"withheld,omitempty"` // why the site did not
}

// ExceptionInfo is one exception ("break-glass") as the log has it.
type ExceptionInfo struct {
	ID       string   `json:"id"`
	State    string   `json:"state"`
	Text     string   `json:"text"`     // what approvers sign
	By       string   `json:"by"`       // who asked for it
	Approved []string `json:"approved"` // names of the keys that signed it
	Uses     int      `json:"uses"`
	Sealed   string   `json:"sealed,omitempty"` // the text as two approvers signed it; "" before
}

// Status is what a person may see of the controller.
type Status struct {
	Size     int64       `json:"log_size"`
	Cosigned int64       `json:"log_cosigned"`
	Jobs     []JobInfo   `json:"jobs"`
	Bursts   []BurstInfo `json:"bursts"`
	// Attention lists what a person must see to, such as a quota that is used up.
	Attention []string `json:"attention,omitempty"`

	Exceptions []ExceptionInfo `json:"exceptions"`
}

// Actions a person may ask for, as the role file names them.
const (
	ActionSubmit = "job.submit"
	ActionList   = "burst.list"
	ActionRevoke = "burst.revoke"
	ActionReload = "rules.reload"
	ActionRotate = "keys.rotate"

	// ActionRelease lets a result out of quarantine; the claim of the deed is
	// the burst's, a blank, and the result's name.
	ActionRelease = "artefact.release"

	// The four steps of an exception. The claim of the deed is its id, of a review
	// with a blank and the outcome; the reason is the text asked for, the signed
	// text, or words.
	ActionGlassRequest = "breakglass.request"
	ActionGlassApprove = "breakglass.approve"
	ActionGlassEnd     = "breakglass.end"
	ActionGlassReview  = "breakglass.review"
	// ActionClear clears the flag of a result, with the same claim.
	ActionClear = "artefact.clear"
	// ActionRecall calls data back; the claim of the deed is a dataset or a slice
	// and, after a blank, the digest of the slice if only that is meant.
	ActionRecall = "data.recall"
)

// submission and deed are request bodies of a desk.
type (
	submission struct {
		Site string     `json:"site"`
		Job  policy.Job `json:"job"`
	}
	deed struct {
		Action string `json:"action"`
		Claim  string `json:"claim"`
		Reason string `json:"reason"`
	}
)
