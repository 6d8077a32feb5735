package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxEntry is how many bytes an encoded entry may have. A tlog-tiles bundle would hold 65,535; the bound is lower
// so that the "extra" line of a receipt, the entry in base64, stays below the 64 KiB at which common line readers
// give up.
const MaxEntry = 49_088

// Entry is one leaf of the log. Whoever learnt or decided something makes it; the zero value is refused.
type Entry struct {
	// V is the version of this form: 1.
	V int `json:"v"`
	// Code is the stable event code, four digits: "0101" for a decision. The first two name the family.
	Code string `json:"code"`
	// Kind names the event for people: "decided".
	Kind string `json:"kind"`
	// Burst is the burst the entry belongs to; "" for entries about the house itself.
	Burst string `json:"burst,omitempty"`
	// At is when the actor says it happened. Encode turns it to UTC; its resolution is a nanosecond.
	At time.Time `json:"at"`
	// Actor is who did it: "controller", "edge:hq", "user:alice", "node:<claim>/<attempt>".
	Actor string `json:"actor"`
	// Body is the JSON object that goes with the kind. Nil is the empty object.
	Body json.RawMessage `json:"body"`
}

// Encode gives the canonical bytes of the entry: what is hashed into the tree.
func (e Entry) Encode() ([]byte, error) {
	e.At = e.At.UTC()
	if e.Body == nil {
		e.Body = json.RawMessage("{}")
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	b, err := Canonical(e)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("encode entry: %d bytes, more than %d", len(b), MaxEntry)
	}
	return b, nil
}

// DecodeEntry reads what Encode wrote. It refuses whatever would not encode to the same bytes again.
func DecodeEntry(b []byte) (Entry, error) {
	if len(b) > MaxEntry {
		return Entry{}, fmt.Errorf("decode entry: %d bytes, more than %d", len(b), MaxEntry)
	}
	if e, ok := fast(b); ok {
		return e, nil
	}
	return slow(b)
}

// slow reads an entry by way of a tree. It alone says what an entry is; fast takes some of them.
func slow(b []byte) (Entry, error) {
	var e Entry
	tree, err := decodeStrict(b, &e)
	if err == nil {
		err = e.check()
	}
	if err != nil {
		return Entry{}, fmt.Errorf("decode entry: %w", err)
	}
	again, err := encodeTree(tree)
	if err != nil || !bytes.Equal(again, b) || !e.tells(tree) {
		return Entry{}, errors.New("decode entry: not in canonical form")
	}
	return e, nil
}

// tells is whether the entry, encoded, would have the keys of tree and the same time. The other values have one
// spelling. It spares the second encoding, which is half of the time a log takes to open.
func (e Entry) tells(tree any) bool {
	keys := 6
	if e.Burst != "" {
		keys++
	}
	obj, ok := tree.(map[string]any)
	return ok && len(obj) == keys && obj["at"] == e.At.UTC().Format(time.RFC3339Nano)
}

func (e Entry) check() error {
	switch {
	case e.V != 1:
		return fmt.Errorf("version %d is not 1", e.V)
	case len(e.Code) != 4 || strings.Trim(e.Code, "0123456789") != "":
		return fmt.Errorf("code %q is not four digits", e.Code)
	case e.Kind == "":
		return errors.New("no kind")
	case e.Actor == "":
		return errors.New("no actor")
	case e.At.IsZero():
		return errors.New("no time")
	case !bytes.HasPrefix(bytes.TrimSpace(e.Body), []byte("{")):
		return errors.New("the body is no object")
	}
	return nil
}
