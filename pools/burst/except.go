package burst

import "github.com/burstctl/burstctl/residency"

// Excepted says that the decision entered next rests on an exception, and which
// rules that sets aside. It is entered with that decision, before it.
type Excepted struct {
	Exception string            `json:"exception"` // its id
	Digest    string            `json:"digest"`    // of its text
	Stage     string            `json:"stage"`     // one of the On constants
	At        residency.Address `json:"at"`        // claimed, or proven
	Aside     []string          `json:"set_aside,omitempty"`
}

// What an exception was used for.
const (
	OnCreate = "create" // a node at a claimed place
	OnRead   = "read"   // a grant at a proven place
)

// NewExcepted is the entry of a verdict that rests on an exception; nil if it
// rests on none.
func NewExcepted(v residency.Verdict, stage string, at residency.Address) *Excepted {
	if v.Exception == nil {
		return nil
	}
	x := &Excepted{Exception: v.Exception.ID, Digest: v.Exception.Digest, Stage: stage, At: at}
	for _, rule := range v.Exception.Aside {
		x.Aside = append(x.Aside, rule.ID)
	}
	return x
}

// stepExcept folds the use of an exception: before the first decision, or
// between the proof of place and the second.
func stepExcept(s State, e Event) (State, bool) {
	b, ok := e.Body.(*Excepted)
	if !ok || b.Digest == "" || (b.Stage != OnCreate || s.Phase != Asked) && (b.Stage != OnRead || s.Phase != Placed) {
		return s, false
	}
	s.Excepted = b.Digest
	return s, true
}

// excepted reports whether a grant's verdict rests on no exception, or on the
// one whose use was entered before it and whose seal comes with it.
func (s State) excepted(b *Cleared) bool {
	x := b.Verdict.Exception
	return x == nil && b.Exception == "" || x != nil && x.Digest == s.Excepted && b.Exception != ""
}
