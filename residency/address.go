package residency

import (
	"fmt"
	"strings"
)

// Address names where a machine is or is said to be, in the provider's own
// words. Zone "" is the region as a whole. It is a name, not a fact: only a
// [Table] says which country it lies in. The zero Address is nowhere.
type Address struct {
	Provider string `json:"provider"`
	Region   string `json:"region"`
	Zone     string `json:"zone,omitempty"`
}

// ParseAddress reads "aws/eu-central-1" or "aws/us-east-1/us-east-1-bue-1". It
// takes the canonical form only: lower-case ASCII, no blanks, no alias.
func ParseAddress(s string) (Address, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Address{}, fmt.Errorf("parse address %q: want provider/region or provider/region/zone", s)
	}
	for _, p := range parts {
		if !isPart(p) {
			return Address{}, fmt.Errorf("parse address %q: %q is not a plain lower-case name", s, p)
		}
	}
	a := Address{Provider: parts[0], Region: parts[1]}
	if len(parts) == 3 {
		a.Zone = parts[2]
	}
	return a, nil
}

// String is what ParseAddress reads; the zero Address prints "nowhere".
func (a Address) String() string {
	switch {
	case a == Address{}:
		return "nowhere"
	case a.Zone == "":
		return a.Provider + "/" + a.Region
	}
	return a.Provider + "/" + a.Region + "/" + a.Zone
}

// Check returns an error unless a is what ParseAddress would return: a slash
// inside a field, say, makes an address that only prints like another.
func (a Address) Check() error {
	b, err := ParseAddress(a.String())
	if err == nil && a != b {
		err = fmt.Errorf("check address %q: a field holds a slash", a.String())
	}
	return err
}

// isPart reports whether s is lower-case letters and digits joined by single
// hyphens, at most 63 bytes, beginning with a letter.
func isPart(s string) bool {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
