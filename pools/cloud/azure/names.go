package azure

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/residency"
)

// namePrefix begins every name of ours, tagPrefix every tag.
const (
	namePrefix = "burst-"
	tagPrefix  = "burstctl:"
	nameDigits = 26 // of base32: 130 bits
)

// The tags of everything an attempt has. The reaper of the account reads
// TagExpires alone.
const (
	TagOwner   = tagPrefix + "owner"   // the trust domain
	TagClaim   = tagPrefix + "claim"   //
	TagAttempt = tagPrefix + "attempt" // decimal
	TagExpires = tagPrefix + "expires" // RFC 3339, UTC
	TagPlace   = tagPrefix + "place"   // as residency.ParseAddress reads it
	TagToken   = tagPrefix + "token"   // pools.Launch.Token
	TagAsked   = tagPrefix + "asked"   // when it was asked for, RFC 3339
	TagStage   = tagPrefix + "stage"   // of a key alone: how far its attempt has come
)

// The stages of an attempt. Each is written before anything is built on it.
const (
	stageAsked = "asked" // a machine may have been asked for
	stageMade  = "made"  // it was there
	stageGone  = "gone"  // it was there, or may have been, and its absence is proven
)

// nameOf names everything of an attempt.
func (d *Driver) nameOf(claim string, attempt int) string {
	b, err := json.Marshal([]any{d.o.Owner, claim, attempt}) // no two attempts have the same text
	if err != nil {
		panic("encode name: " + err.Error()) // plain data: cannot happen
	}
	sum := sha256.Sum256(b)
	return namePrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:nameDigits])
}

// diskOf names the disk of a machine.
func diskOf(name string) string { return name + "-os" }

// idOf is a node's ID: its name and the vmId that Azure's attested document
// gives it, "burst-….GUID". A node without a machine is its name alone.
func idOf(name, vmID string) string {
	if vmID == "" {
		return name
	}
	return name + "." + strings.ToLower(vmID)
}

// parseID reads the name back. Anything else was never a node of ours.
func parseID(id string) (name string, ok bool) {
	name, _, _ = strings.Cut(id, ".")
	return name, isName(name)
}

// isName reports whether s is a name that nameOf gives.
func isName(s string) bool {
	digits, ok := strings.CutPrefix(s, namePrefix)
	return ok && len(digits) == nameDigits && strings.Trim(digits, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// tags are what everything of an attempt carries. Equal launches have equal tags
// but for asked, which the key keeps.
func (d *Driver) tags(l pools.Launch, asked time.Time) map[string]*string {
	all := map[string]*string{
		TagOwner: new(d.o.Owner), TagClaim: new(l.Claim), TagAttempt: new(strconv.Itoa(l.Attempt)),
		TagExpires: new(stamp(l.Expires)), TagToken: new(l.Token()), TagPlace: new(l.Offer.At.String()),
		TagAsked: new(stamp(asked)),
	}
	for name, value := range d.o.Tags {
		all[name] = new(value)
	}
	return all
}

// withStage is tags with a stage.
func withStage(tags map[string]*string, stage string) map[string]*string {
	tags = maps.Clone(tags)
	tags[TagStage] = new(stage)
	return tags
}

// stamp is how a tag holds a time.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// facts are what the tags of one resource say.
type facts struct {
	claim, token, stage string
	attempt             int
	expires, asked      time.Time
	place               residency.Address
}

// read reads tags; it reports false if they are not of this installation. A tag
// that somebody broke reads as its zero value: the sweep then leaves the node to
// those who know it.
func (d *Driver) read(tags map[string]*string) (facts, bool) {
	of := func(name string) string {
		for key, value := range tags {
			if strings.EqualFold(key, name) && value != nil { // Azure keeps no case of a tag's name
				return *value
			}
		}
		return ""
	}
	f := facts{claim: of(TagClaim), token: of(TagToken), stage: of(TagStage)}
	f.attempt, _ = strconv.Atoi(of(TagAttempt))
	f.expires, _ = time.Parse(time.RFC3339Nano, of(TagExpires))
	f.asked, _ = time.Parse(time.RFC3339Nano, of(TagAsked))
	f.place, _ = residency.ParseAddress(of(TagPlace))
	return f, of(TagOwner) == d.o.Owner
}

// zoneOf reads the number of an availability zone: "westeurope-2" is 2 in
// westeurope. No zone is the region as a whole.
func zoneOf(at residency.Address) ([]*string, error) {
	if at.Zone == "" {
		return nil, nil
	}
	number, ok := strings.CutPrefix(at.Zone, at.Region+"-")
	if n, err := strconv.Atoi(number); !ok || err != nil || n < 1 || strconv.Itoa(n) != number {
		return nil, fmt.Errorf("zone %q is none of %s: want %s-1 and so on", at.Zone, at.Region, at.Region)
	}
	return []*string{new(number)}, nil
}

// placeOf is where Azure says that a machine is.
func placeOf(location *string, zones []*string) residency.Address {
	at := residency.Address{Provider: Provider}
	if location != nil {
		at.Region = strings.ToLower(strings.ReplaceAll(*location, " ", ""))
	}
	if len(zones) == 1 && zones[0] != nil {
		at.Zone = at.Region + "-" + *zones[0]
	}
	return at
}
