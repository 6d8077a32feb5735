package residency

import (
	"slices"
	"time"
)

// Valid reports whether the grant holds at this time: from its start until
// before its end.
func (g Grant) Valid(at time.Time) bool {
	t := g.b.Terms
	return g.b.V == 1 && t.ID != "" && !at.Before(t.NotBefore) && at.Before(t.Expires)
}

// ID names the grant, for ever.
func (g Grant) ID() string { return g.b.Terms.ID }

// Claim is the request the grant answers.
func (g Grant) Claim() string { return g.b.Terms.Claim }

// Attempt counts the nodes tried for the claim, from 1.
func (g Grant) Attempt() int { return g.b.Terms.Attempt }

// Site holds the slice.
func (g Grant) Site() string { return g.b.Ask.Site }

// Team asked for it.
func (g Grant) Team() string { return g.b.Ask.Team }

// Purpose is what it may be read for.
func (g Grant) Purpose() string { return g.b.Ask.Purpose }

// Slice is what the decision knew of the slice.
func (g Grant) Slice() Slice {
	s := g.b.Ask.Slice
	s.Purposes = slices.Clone(s.Purposes)
	return s
}

// SliceDigest names the manifest that may be read.
func (g Grant) SliceDigest() string { return g.b.Terms.SliceDigest }

// Payload names the program's manifest, which may be read too; "" is none.
func (g Grant) Payload() string { return g.b.Terms.Payload }

// NodeKey is the "sha256:…" of the one public key that may read.
func (g Grant) NodeKey() string { return g.b.NodeKey }

// Instance is the provider's name of the machine.
func (g Grant) Instance() string { return g.b.Instance }

// Place is where the machine was proven to be.
func (g Grant) Place() Place {
	p := g.b.Place
	p.Groups = slices.Clone(p.Groups)
	return p
}

// Level is how well the place was known.
func (g Grant) Level() Level { return g.b.Level }

// Trust is what the level rests on, as a plain name.
func (g Grant) Trust() string { return g.b.Trust }

// Evidence is the digest of what proved the place.
func (g Grant) Evidence() string { return g.b.Evidence }

// Epoch is the controller's when it cleared the grant.
func (g Grant) Epoch() int64 { return g.b.Terms.Epoch }

// NotBefore is when the grant begins to hold, UTC.
func (g Grant) NotBefore() time.Time { return g.b.Terms.NotBefore }

// Expires is when it no longer holds, UTC.
func (g Grant) Expires() time.Time { return g.b.Terms.Expires }

// RulesDigest names the rules that cleared it.
func (g Grant) RulesDigest() string { return g.b.Rules }

// Exception is the digest of the exception the grant rests on; "" is none.
func (g Grant) Exception() string { return g.b.Exception }

// PlacesDigest names the place table that was used.
func (g Grant) PlacesDigest() string { return g.b.Places }
