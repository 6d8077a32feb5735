// Package tunnel names what travels the one road of a granted slice: the
// credential that opens it and the identity both ends check.
//
// # The road
//
// The edge dials out to the node, TLS 1.3, mutual. The node's certificate was
// signed for a key born on the node and carries one URI SAN, the grant. The
// edge serves nothing before it has checked that grant's receipt.
// Serving and mounting live in tunnel/slice, credentials in tunnel/vault and
// tunnel/issuer, the control endpoint in tunnel/control.
//
// The package itself is pure: names and checks, no I/O.
package tunnel

import (
	"fmt"
	"strings"
	"time"
)

// MaxTTL bounds every credential: a leaf never outlives a quarter of an hour.
const MaxTTL = 15 * time.Minute

// Credential is a short-lived certificate for a key born on the node, issued
// for one grant. Made by an issuer; the zero Credential opens nothing.
type Credential struct {
	Grant     string    `json:"grant"`
	Serial    string    `json:"serial"` // lowercase hex, no separators
	Chain     []byte    `json:"chain"`  // PEM, leaf first, then the issuing CA
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// Role is what a certificate's URI SAN says its bearer is.
type Role string

// The roles of a trust domain. A bearer of any other path is nobody.
const (
	RoleGrant      Role = "grant"      // a node, for one grant
	RoleEdge       Role = "edge"       // a site's connector, named by its site
	RoleController Role = "controller" // the control endpoint
	RoleUser       Role = "user"       // a person or program at the command line
)

// Identity is who a certificate's single URI SAN names: a role and a name
// within it, as spiffe://<domain>/<role>/<name> (SPIFFE ID, §2). The zero
// Identity is nobody.
type Identity struct {
	Domain string
	Role   Role
	Name   string
}

// URI is the SPIFFE-style form of the identity.
func (i Identity) URI() string {
	return fmt.Sprintf("spiffe://%s/%s/%s", i.Domain, i.Role, i.Name)
}

// ParseIdentity reads a URI SAN. It refuses anything but the exact form that
// [Identity.URI] prints.
func ParseIdentity(uri string) (Identity, error) {
	rest, ok := strings.CutPrefix(uri, "spiffe://")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || !clean(parts[0]) || !clean(parts[2]) {
		return Identity{}, fmt.Errorf("parse identity %q: want spiffe://domain/role/name", uri)
	}
	id := Identity{Domain: parts[0], Role: Role(parts[1]), Name: parts[2]}
	switch id.Role {
	case RoleGrant, RoleEdge, RoleController, RoleUser:
		return id, nil
	}
	return Identity{}, fmt.Errorf("parse identity %q: %q is no role", uri, parts[1])
}

// clean reports whether s is a plain lowercase name.
func clean(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("-._", c) {
			return false
		}
	}
	return true
}

// GrantURI is the URI SAN of a grant's credential.
func GrantURI(domain, grant string) string {
	return Identity{domain, RoleGrant, grant}.URI()
}
