package residency

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind is what a row of the table is. The empty Kind is unknown and denies.
type Kind string

// The kinds of place.
const (
	Region     Kind = "region"     // a region as a whole
	AZ         Kind = "az"         // an availability zone of its region, by its ID
	LocalZone  Kind = "local-zone" // AWS, often far from its region
	Wavelength Kind = "wavelength" // AWS, inside a carrier's network
	Edge       Kind = "edge"       // a provider's edge site
	Extended   Kind = "extended"   // Azure extended zone
	Outpost    Kind = "outpost"    // AWS, in somebody's own building
)

var kinds = []Kind{Region, AZ, LocalZone, Wavelength, Edge, Extended, Outpost}

// Place is what is known of an address, on the day the table was asked for.
// Made by a [Table] only, from its rows; every field but Zone is always filled.
type Place struct {
	Address
	Partition string   `json:"partition"` // "aws", "aws-cn", "aws-us-gov", "aws-eusc", else the provider
	Kind      Kind     `json:"kind"`
	Country   string   `json:"country"`  // ISO 3166-1 alpha-2, where the machines stand
	Groups    []string `json:"groups"`   // "EU", "EEA", …, sorted; ["none"] if it is in no group
	Operator  string   `json:"operator"` // country of the contracting operator
	Parent    string   `json:"parent"`   // country whose law binds the operator's ultimate parent
	Keys      string   `json:"keys"`     // country of who holds the keys to its disks, if nobody arranged otherwise
	Legal     string   `json:"legal"`    // the contracting operator's name
	Name      string   `json:"name"`     // for people
	Source    string   `json:"source"`   // where the row was read
}

// check reports the first thing about p that is not known.
func (p Place) check() error {
	if err := p.Address.Check(); err != nil {
		return err
	}
	for _, c := range []string{p.Country, p.Operator, p.Parent, p.Keys} {
		if !isCountry(c) {
			return fmt.Errorf("%q is no ISO 3166-1 country", c)
		}
	}
	switch {
	case !slices.Contains(kinds, p.Kind):
		return fmt.Errorf("%q is no kind of place", p.Kind)
	case (p.Kind == Region) != (p.Zone == ""):
		return fmt.Errorf("kind %q with zone %q", p.Kind, p.Zone)
	case !isPartition(p.Provider, p.Partition):
		return fmt.Errorf("%q is no partition of %s", p.Partition, p.Provider)
	case !areGroups(p.Groups):
		return fmt.Errorf("groups %q are not sorted names, or \"none\" alone", p.Groups)
	case !isText(p.Legal):
		return errors.New("the legal operator is missing")
	case !isText(p.Source):
		return errors.New("source is missing")
	}
	return nil
}

// isText reports whether s is something that people can read: not blank, in
// UTF-8, without control characters.
func isText(s string) bool {
	return strings.TrimSpace(s) != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0
	})
}

// equal reports whether p and o say the same.
func (p Place) equal(o Place) bool {
	same := slices.Equal(p.Groups, o.Groups)
	p.Groups, o.Groups = nil, nil
	return same && reflect.DeepEqual(p, o)
}

// isPartition reports whether partition is a known one of provider. A provider
// without partitions is its own.
func isPartition(provider, partition string) bool {
	if provider == "aws" {
		return slices.Contains([]string{"aws", "aws-cn", "aws-us-gov", "aws-eusc"}, partition)
	}
	return partition == provider
}

// areGroups reports whether g is "none" alone or upper-case names in order.
func areGroups(g []string) bool {
	if len(g) == 1 && g[0] == "none" {
		return true
	}
	for i, s := range g {
		if !isGroup(s) || i > 0 && s <= g[i-1] {
			return false
		}
	}
	return len(g) > 0
}
