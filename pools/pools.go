// Package pools names the machines: what was launched, what runs, what is gone.
//
// # The contract of a driver
//
// A [Driver] is the only door to a cloud. Launch is idempotent by claim and
// attempt; List is complete or an error; Delete is called until it says
// [ErrGone]. What each error means for the caller is written on it. Every
// driver keeps the conformance test in pools/cloud/cloudtest.
//
// # Non-goals
//
// Drivers share no code and no base: clouds differ where it hurts. The package
// is pure; drivers do the I/O.
package pools

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// UserData is all a booting node is told. It holds no secret: anyone on the
// node may read it.
type UserData struct {
	Control string `json:"control"` // host:port of the control endpoint
	CA      string `json:"ca"`      // "sha256:…" of the endpoint's CA certificate (DER)
	Domain  string `json:"domain"`  // trust domain
	Claim   string `json:"claim"`
	Attempt int    `json:"attempt"`
}

// Launch asks a driver for one node. Tags carry claim, attempt and expiry from
// birth.
type Launch struct {
	Claim    string       `json:"claim"`
	Attempt  int          `json:"attempt"`
	Offer    policy.Offer `json:"offer"`
	Expires  time.Time    `json:"expires"` // the dead-man switch: the node ends itself then
	UserData UserData     `json:"user_data"`
}

// Token is the idempotency token of the launch: equal launches share it, and
// any other claim, attempt or parameter has another. 52 characters of base32.
func (l Launch) Token() string {
	b, err := json.Marshal(l)
	if err != nil {
		panic("encode launch: " + err.Error()) // plain data: cannot happen
	}
	sum := sha256.Sum256(b)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}

// State is where a node is in its life, as the cloud says.
type State string

// The states of a node. A deleted node is in no listing.
const (
	Pending  State = "pending"
	Running  State = "running"
	Stopping State = "stopping"
)

// Node is a machine as the cloud's control plane describes it. Made by drivers
// only; nothing in it comes from the machine itself.
type Node struct {
	ID       string            `json:"id"`
	Claim    string            `json:"claim"`
	Attempt  int               `json:"attempt"`
	At       residency.Address `json:"at"`
	Type     string            `json:"type"`
	State    State             `json:"state"`
	Launched time.Time         `json:"launched"`
	Expires  time.Time         `json:"expires"`
	Reach    string            `json:"reach"` // host:port the edge dials
}

// Driver is one provider's door.
type Driver interface {
	// Launch makes the node of a claim's attempt, or returns the one it already
	// made. An error that is none of ErrCapacity, ErrQuota, ErrRefused, ErrEnded
	// leaves the outcome unknown: call again with the same Launch.
	Launch(ctx context.Context, l Launch) (Node, error)
	// List returns every node of ours, complete, or an error.
	List(ctx context.Context) ([]Node, error)
	// Delete asks for the end of a node. Call it until it returns ErrGone; a nil
	// error only means that the wish was heard.
	Delete(ctx context.Context, id string) error
}

// Errors a driver answers with; each says what the caller does next.
var (
	// ErrGone: the node does not exist, proven. Stop deleting, settle.
	ErrGone = errors.New("node is gone")
	// ErrCapacity: nothing was made, this offer has none. Try another offer.
	ErrCapacity = errors.New("no capacity")
	// ErrQuota: nothing was made, the account may have no more. Alert, try another family.
	ErrQuota = errors.New("quota reached")
	// ErrRefused: nothing was made and the same call will never work. End the attempt.
	ErrRefused = errors.New("launch refused")
	// ErrEnded: the node of this attempt was made and is gone, proven. It must be paid for. End the attempt.
	ErrEnded = errors.New("node of this attempt has ended")
)
