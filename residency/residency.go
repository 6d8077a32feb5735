// Package residency says what may be where: places, slices, rules, and the two
// sealed words [Proven] and [Grant] that nothing else can make.
//
// # Two questions, one answer
//
// Each burst asks twice. May we create a machine at the place an offer claims?
// ([Rules.Screen]) And may the node that came up there read? ([Rules.Clear])
// Both build the same closed set of facts and go through the same function. A
// claimed place never satisfies a rule about a proven one.
//
// # A closed world
//
// Cedar skips a forbid that errs on a missing fact, and so allows. Here every
// fact is always present, and an empty, misspelt or unlisted one denies before
// any rule is asked, with the fact named in [Verdict.Missing]. An evaluation
// error denies too. Rule files are checked against the typed schema of the
// question when they are read ([ParseRules]), not when they are needed.
//
// # Days
//
// A dataset is closed before its embargo ends and after its retention does, at
// both stages and each time a grant is asked about again, whatever a rule
// permits. The day is the table's ([Table.At]); a dataset that has days is
// closed on a day that is not said.
//
// # A region is not a country
//
// 24 of 57 AWS local zones lie in another country than the region they hang
// from. [Table.Lookup] therefore never falls back from a zone to its region.
//
// # Zero values refuse
//
// The zero [Table] knows nothing, the zero [Rules] allow nothing, the zero
// [Verdict] denies, the zero [Proven] is nowhere and the zero [Grant] is never
// valid. A Grant leaves a process only sealed and returns only through
// [OpenGrant].
//
// # Non-goals
//
// The package does no I/O, reads no clock and fetches no evidence: verifiers
// for each provider live in residency/attest, the log in residency/audit. It
// knows no prices and no machines. It is not legal advice.
package residency

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Level says how well a place or an identity is known. The zero Level is L0,
// the weakest.
type Level int

// The levels of assurance. L3 and L4 are defined and reached by nothing yet.
const (
	L0 Level = iota // the machine's or the offer's own word
	L1              // the control plane's answer to our own create call
	L2              // L1, and a provider-signed document bound to the instance and a key born on it
	L3              // L2, and measured attestation
	L4              // L3, and a bound on the round trip
)

// String is "L0" to "L4", or "L?" for anything else.
func (l Level) String() string {
	if l < L0 || l > L4 {
		return "L?"
	}
	return fmt.Sprintf("L%d", int(l))
}

// MarshalText writes "L0" to "L4"; any other level is an error.
func (l Level) MarshalText() ([]byte, error) {
	if l < L0 || l > L4 {
		return nil, fmt.Errorf("encode level: %d is none", int(l))
	}
	return []byte(l.String()), nil
}

// UnmarshalText reads what MarshalText writes, and nothing else.
func (l *Level) UnmarshalText(b []byte) error {
	for v := L0; v <= L4; v++ {
		if string(b) == v.String() {
			*l = v
			return nil
		}
	}
	return fmt.Errorf("decode level: %q is none", b)
}

// Class is how closely data is held. The order is the lattice: what is derived
// from several inputs takes their join. The zero Class is unknown and denies.
type Class int

// The classes, loosest first.
const (
	Public       Class = iota + 1
	Internal           // not for outsiders
	Confidential       // harms the business when known
	Personal           // about people; pseudonymised data stays personal
	Special            // health and the other categories of GDPR Art. 9
	SiteOnly           // never leaves, whatever a rule permits
)

var classNames = []string{"", "public", "internal", "confidential", "personal", "special", "site-only"}

// Known reports whether c is one of the classes.
func (c Class) Known() bool { return c >= Public && c <= SiteOnly }

// String names the class: "public" to "site-only". The zero Class is "".
func (c Class) String() string {
	if !c.Known() {
		return ""
	}
	return classNames[c]
}

// Join is the stricter of c and d, and unknown if either is.
func (c Class) Join(d Class) Class {
	if !c.Known() || !d.Known() {
		return 0
	}
	return max(c, d)
}

// MarshalText writes the name; an unknown class is written as the empty text.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes. The empty text is the unknown
// class, which denies; any other text is an error.
func (c *Class) UnmarshalText(b []byte) error {
	i := slices.Index(classNames, string(b))
	if i < 0 {
		return fmt.Errorf("decode class: %q is none of %s", b, strings.Join(classNames[1:], ", "))
	}
	*c = Class(i)
	return nil
}

// digest is how the package names bytes: "sha256:" and 64 hexadecimal digits.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// isDigest reports whether s has the form that digest returns.
func isDigest(s string) bool {
	h, ok := strings.CutPrefix(s, "sha256:")
	return ok && isHash(h)
}

// isHash reports whether s is a lower-case hexadecimal SHA-256.
func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// isName reports whether s is a plain lower-case name: letters, digits, and
// "-", "_", "." inside, at most 128 bytes.
func isName(s string) bool {
	if s == "" || len(s) > 128 || isJoint(s[0]) || isJoint(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !isJoint(c) {
			return false
		}
	}
	return true
}

// isJoint reports whether c may only stand inside a name.
func isJoint(c byte) bool { return c == '-' || c == '_' || c == '.' }
