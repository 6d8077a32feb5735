package review

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// seal is what a sealed grant says, as far as an answer needs it. It is read leniently, so that a log outlives the
// version that wrote it, and it opens nothing: only residency makes a grant.
type seal struct {
	V     int `json:"v"`
	Terms struct {
		ID          string    `json:"id"`
		Claim       string    `json:"claim"`
		SliceDigest string    `json:"slice_digest"`
		Expires     time.Time `json:"expires"`
	} `json:"terms"`
	Ask      residency.Ask   `json:"ask"`
	Place    residency.Place `json:"place"`
	Instance string          `json:"instance"`
	NodeKey  string          `json:"node_key"`
	Evidence string          `json:"evidence"`
	Level    residency.Level `json:"level"`
	Trust    string          `json:"trust"`

	Exception string `json:"exception"` // digest; "" is none
}

// unseal reads what a sealed grant says. Its signature is not asked for: the entry that carries the seal is proven to
// be what the controller entered, and a reviewer holds no grants key.
func unseal(sealed string) (seal, error) {
	preamble, rest, _ := strings.Cut(sealed, "\n")
	if !strings.HasPrefix(preamble, "burstctl/grant/v") {
		return seal{}, errors.New("it is not a grant")
	}
	body, _, _ := strings.Cut(rest, "\n")
	var s seal
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return seal{}, err
	}
	if s.V < 1 || s.Terms.ID == "" || s.Terms.Claim == "" {
		return seal{}, errors.New("it names no grant and no claim")
	}
	return s, nil
}

// Fact is one thing a decision knew, as the rules name it.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// facts lists what the grant was decided on.
func (s seal) facts() []Fact {
	k, p := s.Ask.Slice, s.Place
	return []Fact{
		{"site", s.Ask.Site}, {"principal", s.Ask.Team}, {"purpose", s.Ask.Purpose}, {"resource", k.Name},
		{"dataset", k.Dataset}, {"class", k.Class.String()}, {"pseudonymised", fmt.Sprint(k.Pseudonymised)},
		{"origin", k.Origin}, {"basis", k.Basis}, {"purposes", strings.Join(k.Purposes, " ")},
		{"place", p.Address.String()}, {"place.kind", string(p.Kind)}, {"place.country", p.Country},
		{"place.groups", strings.Join(p.Groups, " ")}, {"place.operator", p.Operator}, {"place.parent", p.Parent},
		{"level", s.Level.String()}, {"trust", s.Trust}, {"instance", s.Instance}, {"evidence", s.Evidence},
		{"node key", s.NodeKey}, {"manifest", s.Terms.SliceDigest}, {"expires", clock(s.Terms.Expires)},
	}
}
